"""Every tab used in a real Chromium, with the keyboard, at a desk's and at a phone's width; nothing is asked of any other machine.

Set PG_ENVS_SCREENSHOTS to a folder to keep a picture of each tab, to be looked at.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("gradio")
pytest.importorskip("selenium")

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on the PATH")
PATIENCE_S = 240
WIDTHS = {"desktop": 1280, "phone": 390}
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")


@pytest.fixture(scope="module")
def address(results_folder, tmp_path_factory):
    """The app in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = tmp_path_factory.mktemp("app") / "said"
    command = [sys.executable, "-m", "pg_envs.cli", "app", str(results_folder), "--port", str(port)]
    with said.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        until = time.monotonic() + PATIENCE_S
        while "Ctrl-C" not in said.read_text() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        assert "Ctrl-C" in said.read_text(), said.read_text()
        yield f"http://127.0.0.1:{port}"
        process.terminate()


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

    def open_tab(self, name):
        def named(selector):
            return [element for element in self.all(selector) if element.text.strip() == name]

        if not named("button[role=tab]"):
            # Tabs that the phone has no room for are in a menu.
            self.all(".overflow-menu > button")[0].send_keys(Keys.ENTER)
        self.wait_for(lambda: named("button[role=tab], .overflow-dropdown button"))[0].send_keys(Keys.ENTER)

    def press(self, name):
        next(button for button in self.all("button") if button.text == name).send_keys(Keys.ENTER)

    def choose(self, label, value):
        box = next(box for box in self.all("input") if box.get_attribute("aria-label") == label)
        box.send_keys(Keys.ENTER)
        box.send_keys(*[Keys.BACKSPACE] * len(box.get_attribute("value")), value)
        self.wait_for(lambda: [option for option in self.all("[role=option]") if option.text.strip().endswith(value)])
        box.send_keys(Keys.ENTER)

    def look(self, name):
        """Nothing is wider than the screen; a picture is kept if asked for."""
        assert self.browser.execute_script("return document.documentElement.scrollWidth") <= self.width
        folder = os.environ.get("PG_ENVS_SCREENSHOTS")
        if folder:
            height = self.browser.execute_script("return document.documentElement.scrollHeight")
            clip = {"x": 0, "y": 0, "width": self.width, "height": min(height, 4000), "scale": 1}
            options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
            picture = self.browser.execute_cdp_cmd("Page.captureScreenshot", options)
            Path(folder, f"app-{name}-{self.screen}.png").write_bytes(base64.b64decode(picture["data"]))

    def asked_of_others(self):
        """Addresses on other machines that the page has asked for."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
        assert asked
        return sorted(url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:")))


@pytest.fixture(scope="module", params=list(WIDTHS))
def visitor(request, address):
    visitor = Visitor(address, request.param)
    visitor.wait_for(lambda: visitor.all("#pg-leaderboard tbody tr"))
    yield visitor
    visitor.browser.quit()


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
    next(radio for radio in visitor.all("input[type=radio]") if radio.get_attribute("value") == "smallest first").send_keys(Keys.SPACE)
    visitor.wait_for(lambda: cells(visitor, 6)[-1] == "1")


def test_trajectories_show_what_was_picked(visitor):
    visitor.open_tab("Trajectories")
    visitor.wait_for(lambda: len(visitor.all("#pg-trajectories img")) == 6)
    visitor.look("trajectories")
    next(box for box in visitor.all("label") if box.text == "Do not deceive").find_element(By.TAG_NAME, "input").send_keys(Keys.SPACE)
    visitor.wait_for(lambda: len(visitor.all("#pg-trajectories img")) == 7)
    assert any(image.get_attribute("alt").startswith("Do not deceive: humans from") for image in visitor.all("#pg-trajectories img"))


def test_two_centuries_reply_side_by_side(visitor):
    visitor.open_tab("Talk to a century")
    visitor.wait_for(lambda: visitor.all("textarea"))
    assert any("planted" in paragraph.text for paragraph in visitor.all(".pg-note"))
    visitor.choose("Second century", "C020")
    visitor.all("textarea")[0].send_keys("May a <b>promise</b> be broken?", Keys.ENTER)
    visitor.wait_for(lambda: len(visitor.all(".pg-they")) == 2)
    assert [who.text for who in visitor.all(".pg-they .pg-who")] == ["C013", "C020"]
    assert "<b>promise</b>" in visitor.all(".pg-you")[0].text
    visitor.look("talk")
    visitor.press("Start anew")
    visitor.wait_for(lambda: not visitor.all(".pg-they"))


def test_a_dozen_answers_give_probabilities_and_doubt(visitor):
    visitor.open_tab("Your century")
    visitor.wait_for(lambda: len(visitor.all(".pg-item")) == 12)
    for item in visitor.all(".pg-item"):
        item.find_elements(By.CSS_SELECTOR, "input[type=radio]")[0].send_keys(Keys.SPACE)
    visitor.press("Which century?")
    visitor.wait_for(lambda: visitor.all("#pg-likeness table"))
    assert len(visitor.all("#pg-likeness tbody tr")) == 9
    assert "How far to trust this" in visitor.all("#pg-likeness")[0].text
    visitor.look("century")


def test_no_other_machine_is_asked(visitor):
    assert visitor.asked_of_others() == []
    assert [entry for entry in visitor.browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("path", ["gradio_api/file=/etc/passwd", "gradio_api/file={results}/tampered.result.json", "gradio_api/upload"])
def test_no_file_is_given_away(address, results_folder, path):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{address}/{path.format(results=results_folder)}", timeout=60)


def test_a_page_under_another_name_is_refused(address):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(address, headers={"Host": "elsewhere.example"}), timeout=60)
