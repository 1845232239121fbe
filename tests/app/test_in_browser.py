"""Every tab used in a real Chromium, by Tab and keys alone, at a desk's and at a phone's width; nothing is asked of any other machine.

Set PG_ENVS_SCREENSHOTS to a folder to keep a picture of each tab, to be looked at.
"""

import base64
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("gradio")
pytest.importorskip("selenium")

from app_support import PATIENCE_S
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on the PATH")
WIDTHS = {"desktop": 1280, "phone": 390}
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")


FOCUS = """
const here = document.activeElement, style = getComputedStyle(here), label = here.closest("label"), group = here.closest("fieldset");
return {
    tag: here.tagName,
    name: (label ? label.innerText : here.getAttribute("aria-label") || here.innerText).trim(),
    group: group ? group.innerText.split("\\n")[0].trim() : "",
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    lists: [...document.querySelectorAll("[role=listbox], ul.options")].filter(list => list.offsetParent).length,
};
"""
"""Where the keyboard is, whether that can be seen, and how many lists lie open over the page."""
MOST_STOPS = 200


class Visitor:
    """A browser of some width, and what a visitor does in it."""

    def __init__(self, address, screen):
        self.screen, self.width = screen, WIDTHS[screen]
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in (*ARGUMENTS, f"--window-size={self.width},900"):
            options.add_argument(argument)
        if screen == "phone":
            metrics = {"width": self.width, "height": 844, "pixelRatio": 1.0, "mobile": True, "touch": True}
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.browser.get(address)

    def all(self, selector):
        return [element for element in self.browser.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]

    def wait_for(self, condition):
        """What ``condition`` gives once it gives something; while the page changes, elements come and go."""
        passing = (StaleElementReferenceException, IndexError)
        return WebDriverWait(self.browser, PATIENCE_S, ignored_exceptions=passing).until(lambda _: condition())

    def keys(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def tab_to(self, tag, name, group=""):
        """Press Tab until the keyboard is there; wherever it stops on its way can be seen, and nothing that was opened stays open."""
        passed = []
        for _ in range(MOST_STOPS):
            self.keys(Keys.TAB)
            stop = self.browser.execute_script(FOCUS)
            passed.append(stop)
            if stop["tag"] == "BODY":
                # Past the last stop; the next is the first.
                continue
            assert stop["seen"], stop
            assert stop["lists"] == 0, stop
            if stop["tag"] == tag and stop["name"].startswith(name) and stop["group"].startswith(group):
                return
        raise AssertionError(f"no {tag} {name!r} in {group!r} was reached by Tab: {passed[-40:]}")

    def open_tab(self, name):
        if not any(tab.text.strip() == name for tab in self.all("button[role=tab]")):
            # Tabs that the phone has no room for are in a menu.
            self.press("More tabs")
        self.press(name)

    def press(self, name):
        self.tab_to("BUTTON", name)
        self.keys(Keys.ENTER)

    def choose(self, group, value):
        self.tab_to("INPUT", value, group)
        self.keys(Keys.SPACE)

    def look(self, name):
        """Nothing is wider than the screen; a picture is kept if asked for."""
        assert self.browser.execute_script("return document.documentElement.scrollWidth") <= self.width
        folder = os.environ.get("PG_ENVS_SCREENSHOTS")
        if folder:
            height = self.browser.execute_script("return document.documentElement.scrollHeight")
            clip = {"x": 0, "y": 0, "width": self.width, "height": min(height, 6000), "scale": 1}
            options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
            picture = self.browser.execute_cdp_cmd("Page.captureScreenshot", options)
            Path(folder, f"app-{name}-{self.screen}.png").write_bytes(base64.b64decode(picture["data"]))

    def asked_of_others(self):
        """Addresses on other machines that the page has asked for."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
        assert asked
        return sorted(url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:")))


@contextmanager
def visiting(app, screen):
    visitor = Visitor(app.address, screen)
    try:
        visitor.wait_for(lambda: visitor.all("#pg-leaderboard tbody tr"))
        yield visitor
    finally:
        visitor.browser.quit()


@pytest.fixture(scope="module", params=list(WIDTHS))
def visitor(request, app):
    with visiting(app, request.param) as visitor:
        yield visitor


def cells(visitor, column):
    """Texts of a column of the leaderboard's first table."""
    table = visitor.all("#pg-leaderboard table")[0]
    return [row.find_elements(By.TAG_NAME, "td")[column].text for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")]


def test_leaderboard_sorts_filters_and_says_why_it_refuses(visitor):
    visitor.look("leaderboard")
    skills = [float(text) for text in cells(visitor, 2)]
    assert skills == sorted(skills, reverse=True)
    shown = visitor.all("#pg-leaderboard")[0].text
    assert "tampered or damaged" in shown
    assert "<img src=x>.result.json" in shown
    visitor.choose("Challenge", "Coevolve")
    visitor.wait_for(lambda: cells(visitor, 4) == ["Coevolve"])
    visitor.choose("Challenge", "all")
    visitor.choose("Sort by", "seed")
    visitor.wait_for(lambda: len(cells(visitor, 6)) == 4 and cells(visitor, 6)[0] == "1")
    visitor.choose("Order", "smallest first")
    visitor.wait_for(lambda: cells(visitor, 6)[-1] == "1")


def test_trajectories_show_what_was_picked(visitor):
    visitor.open_tab("Trajectories")
    visitor.wait_for(lambda: len(visitor.all("#pg-trajectories img")) == 6)
    visitor.look("trajectories")
    visitor.choose("Dimensions", "Do not deceive")
    visitor.wait_for(lambda: len(visitor.all("#pg-trajectories img")) == 7)
    assert any(image.get_attribute("alt").startswith("Do not deceive: humans from") for image in visitor.all("#pg-trajectories img"))
    visitor.choose("Environment and humans", "Coevolve")
    visitor.wait_for(lambda: "Coevolve" in visitor.all("#pg-trajectories h3")[0].text)


def test_two_centuries_reply_side_by_side(visitor):
    visitor.open_tab("Talk to a century")
    visitor.wait_for(lambda: visitor.all("textarea"))
    assert any("planted" in paragraph.text for paragraph in visitor.all(".pg-note"))
    visitor.choose("Second century", "C020")
    visitor.tab_to("TEXTAREA", "Say to both")
    visitor.keys("May a <b>promise</b> be broken?", Keys.ENTER)
    visitor.wait_for(lambda: len(visitor.all(".pg-they")) == 2)
    assert [who.text for who in visitor.all(".pg-they .pg-who")] == ["C013", "C020"]
    assert "<b>promise</b>" in visitor.all(".pg-you")[0].text
    visitor.look("talk")
    visitor.press("Start anew")
    visitor.wait_for(lambda: not visitor.all(".pg-they"))


def test_a_dozen_answers_give_probabilities_and_doubt(visitor):
    visitor.open_tab("Your century")
    visitor.wait_for(lambda: len(visitor.all(".pg-item")) == 12)
    for number in range(1, 13):
        visitor.choose(f"{number}. ", "")
    visitor.press("Which century?")
    visitor.wait_for(lambda: visitor.all("#pg-likeness table"))
    assert len(visitor.all("#pg-likeness tbody tr")) == 9
    assert "How far to trust this" in visitor.all("#pg-likeness")[0].text
    visitor.look("century")


def test_a_recorded_century_replies_to_what_was_recorded_and_says_what_that_is(recorded_app):
    with visiting(recorded_app, "desktop") as visitor:
        visitor.open_tab("Talk to a century")
        visitor.wait_for(lambda: visitor.all("textarea"))
        assert any("Their replies were recorded" in paragraph.text for paragraph in visitor.all(".pg-note"))
        # A second turn too: it is answered by itself.
        for n_said, question in enumerate(("When is it right to break a promise?", "What do we owe to animals?"), start=1):
            visitor.choose("Recorded questions", question)
            visitor.wait_for(lambda question=question: visitor.all("textarea")[0].get_attribute("value") == question)
            visitor.press("Send")
            visitor.wait_for(lambda n_said=n_said: len(visitor.all(".pg-they")) == 2 * n_said)
        visitor.look("talk-recorded")
        visitor.tab_to("TEXTAREA", "Say to both")
        visitor.keys("What was never asked?", Keys.ENTER)
        visitor.wait_for(lambda: any("has no reply" in paragraph.text for paragraph in visitor.all(".pg-note")))
        assert len(visitor.all(".pg-they")) == 4
        assert visitor.asked_of_others() == recorded_app.asked() == []


def test_no_other_machine_is_asked_by_page_or_server(visitor, app):
    assert visitor.asked_of_others() == app.asked() == []
    assert [entry for entry in visitor.browser.get_log("browser") if entry["level"] == "SEVERE"] == []
