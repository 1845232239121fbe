"""The app in a process of its own, for the tests that speak to it over HTTP or in a browser."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[1]
WATCHED_APP = ROOT / "tests/app/watched_app.py"
PATIENCE_S = 240


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def process_at(port, folder, *command):
    """A Python process that serves the app on a port, from when it answers; what it says is in ``folder/said``."""
    said = folder / "said"
    # Whether it would ask the hub is to be seen, not forbidden.
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"} | {"PYTHONPATH": str(ROOT)}
    started = [sys.executable, *map(str, command)]
    with (
        said.open("w") as out,
        subprocess.Popen(started, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=environment) as process,
    ):
        try:
            until = time.monotonic() + PATIENCE_S
            while not answers(port) and process.poll() is None and time.monotonic() < until:
                time.sleep(0.2)
            assert answers(port), said.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def watched_app(results_folder, folder, *more):
    """The app in a process of its own: ``address``, and ``asked()``, the other machines that it has turned to."""
    port, notes = free_port(), folder / "notes"
    notes.touch()
    with process_at(port, folder, WATCHED_APP, notes, results_folder, "--port", port, *more) as address:
        yield SimpleNamespace(address=address, asked=lambda: notes.read_text(encoding="utf-8").splitlines())
