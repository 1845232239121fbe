"""The app over HTTP, without a browser: every tab asked as its page asks, what the server refuses, and that it turns to nobody."""

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("gradio")

from app_support import ROOT, free_port, process_at

from pg_envs.app import limits
from pg_envs.app.limits import BURST, MAX_BODY_BYTES, MAX_OPEN
from pg_envs.app.serve import MAX_WAITING, serve
from pg_envs.app.talk_tab import Talk

TIMEOUT_S = 240
JOIN = "/gradio_api/queue/join"


class Page:
    """What Gradio's script in a page says to the server."""

    def __init__(self, address, session="a-page"):
        self.host, self.session = urlsplit(address).netloc, session
        self.config = json.loads(self.request("GET", "/config")[1])

    def request(self, method, path, body=None, headers=()):
        """Status and body."""
        connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, {"content-type": "application/json", **dict(headers)})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def stream(self, path):
        """An event stream that was begun."""
        connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT_S)
        connection.request("GET", path)
        return connection.getresponse()

    def listener(self, name):
        """What is called when the input or button of that name is used; the last one's, if there are several."""
        *_, component = [c["id"] for c in self.config["components"] if name in (c["props"].get("label"), c["props"].get("value"))]
        return next(d["id"] for d in self.config["dependencies"] if component in [target for target, _ in d["targets"]])

    def join(self, name, inputs):
        """The status of asking for what that input or button does."""
        asked = {"data": inputs, "fn_index": self.listener(name), "session_hash": self.session}
        return self.request("POST", JOIN, json.dumps(asked))[0]

    def use(self, name, inputs):
        """What is shown when the input or button of that name is used."""
        assert self.join(name, inputs) == 200
        for line in self.stream(f"/gradio_api/queue/data?session_hash={self.session}"):
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                if event["msg"] == "process_completed":
                    assert event["success"], event
                    return event["output"]["data"]
        raise AssertionError(f"{name}: the stream ended without an answer")


def test_every_tab_answers_and_the_server_turns_to_no_other_machine(app):
    page = Page(app.address)
    assert page.request("GET", "/")[0] == 200
    (board,) = page.use("Sort by", ["all", "all", "score", "largest first"])
    assert "4 of 4 submissions" in board
    assert "tampered or damaged" in board
    humans, runs = page.use("Read the folder again", [])
    (drawn,) = page.use("Dimensions", [humans["value"], runs["value"], ["kill"]])
    assert drawn.count("<img") == 1
    *_, first, second = page.use("Say to both", ["May a promise be broken?", "C013", "C020", None, None])
    assert "May a promise be broken?" in first
    assert ">C013</span>" in first
    assert ">C020</span>" in second
    (likeness,) = page.use("Which century?", [0] * 12)
    assert "How far to trust this" in likeness
    assert app.asked() == []


def test_the_watch_sees_who_turns_to_another_machine(tmp_path):
    # None is there to answer: the attempt is what counts.
    calls = (
        "import contextlib, socket, sys; from watched_app import watch; watch(sys.argv[1])\n"
        "with contextlib.suppress(OSError): socket.create_connection(('192.0.2.1', 9), timeout=0.01)\n"
        "with contextlib.suppress(OSError): socket.getaddrinfo('elsewhere.invalid', 80)\n"
        "with contextlib.suppress(OSError): socket.create_connection(('127.0.0.1', 1), timeout=0.01)\n"
    )
    command = [sys.executable, "-c", calls, str(tmp_path / "notes")]
    subprocess.run(command, check=True, cwd=Path(__file__).parent, timeout=TIMEOUT_S)
    noted = (tmp_path / "notes").read_text(encoding="utf-8")
    assert "socket.connect ('192.0.2.1', 9)" in noted
    assert "socket.getaddrinfo elsewhere.invalid" in noted
    assert "127.0.0.1" not in noted


@pytest.mark.parametrize("path", ["file=/etc/passwd", "file={results}/tampered.result.json", "upload"])
def test_no_file_is_given_away(app, results_folder, path):
    assert Page(app.address).request("GET", f"/gradio_api/{path.format(results=results_folder)}")[0] == 403


def test_a_page_under_another_name_is_refused(app):
    assert Page(app.address).request("GET", "/", headers={"host": "elsewhere.example"})[0] == 400


@pytest.fixture
def slow_page(results_folder, monkeypatch):
    """A page of an app of its own, whose centuries reply when the test is over, and in which nobody's allowance fills up again."""
    over = threading.Event()
    monkeypatch.setattr(limits, "PER_SECOND", 0.0)
    monkeypatch.setattr(Talk, "say", lambda *_: over.wait(TIMEOUT_S) and [])
    served = serve(results_folder, port=free_port())
    yield Page(served.local_url)
    over.set()
    served.close()


@pytest.mark.parametrize("disguised", [False, True])
def test_too_many_requests_at_once_are_refused_whomever_they_say_they_are_for(disguised, slow_page):
    said = [{"x-forwarded-for": f"10.0.0.{number}"} if disguised else {} for number in range(int(BURST) + 1)]
    statuses = [slow_page.request("POST", "/nowhere", b"{}", headers)[0] for headers in said]
    assert statuses == [404] * int(BURST) + [429]
    assert slow_page.request("GET", "/config")[0] == 200


def test_large_requests_are_refused(slow_page):
    assert slow_page.request("POST", JOIN, b" " * (MAX_BODY_BYTES + 1))[0] == 413
    in_pieces = iter([b" " * MAX_BODY_BYTES, b" "])
    assert slow_page.request("POST", JOIN, in_pieces)[0] == 413


def test_more_than_may_wait_are_turned_away(slow_page):
    words = ["May a promise be broken?", "C013", "C020", None, None]
    statuses = [slow_page.join("Say to both", words) for _ in range(MAX_WAITING + 2)]
    assert statuses.count(503) >= 1
    assert statuses[:MAX_WAITING] == [200] * MAX_WAITING
    assert statuses[-1] == 503


def test_event_streams_of_one_client_are_limited_as_long_as_they_are_open(slow_page):
    streams = [slow_page.stream(f"/gradio_api/heartbeat/{number}") for number in range(MAX_OPEN + 1)]
    assert [stream.status for stream in streams] == [200] * MAX_OPEN + [429]
    for stream in streams:
        stream.close()
    # The server takes a moment to notice.
    until = time.monotonic() + TIMEOUT_S
    while slow_page.request("GET", "/config")[0] != 200:
        assert time.monotonic() < until


def test_the_snippet_for_a_space_serves_pages_under_its_name(results_folder, tmp_path):
    (snippet,) = re.findall(r"## As a Space\n.*?```python\n(.*?)```", (ROOT / "docs/app.md").read_text(encoding="utf-8"), re.DOTALL)
    assert 'host="0.0.0.0")' in snippet
    port = free_port()
    (tmp_path / "app.py").write_text(snippet.replace('host="0.0.0.0")', f'host="0.0.0.0", port={port})'), encoding="utf-8")
    (tmp_path / "results").symlink_to(results_folder)
    with process_at(port, tmp_path, "app.py") as address:
        page = Page(address)
        assert page.request("GET", "/", headers={"host": "mine.hf.space"})[0] == 200
        assert "4 of 4 submissions" in page.use("Sort by", ["all", "all", "score", "largest first"])[0]
