"""Where the runs of a grid stand, told to whoever watches and kept in ``state.json``."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pg_envs.progress import report
from pg_envs.results import write_json

State = Literal["waiting", "running", "done", "failed", "interrupted"]
STATE_FILE = "state.json"


class GridState:
    """What each run is doing, and what went wrong."""

    def __init__(self, out: Path, command: str, names: Iterable[str], finished: Iterable[str]) -> None:
        """Begin with the runs in ``finished`` done and the other ``names`` waiting.

        Args:
            out: The grid's folder.
            command: What was asked for.
            names: All runs.
            finished: Those that need not be run.
        """
        self.states: dict[str, State] = dict.fromkeys(names, "waiting")
        self.states.update(dict.fromkeys(finished, "done"))
        self.errors: dict[str, str] = {}
        self._path, self._command = out / STATE_FILE, command
        self._n_kept = self.count("done")
        self._began = time.monotonic()
        self._publish(f"{self._n_kept} of {len(self.states)} runs were finished before")

    def tell(self, name: str, state: State, error: str = "") -> None:
        """A run has begun, is done, or has failed with ``error``."""
        self.states[name] = state
        if state == "failed":
            self.errors[name] = error
        self._publish(f"{name} {state}")

    def interrupt(self) -> None:
        """Nothing runs any more, although not all is done."""
        self.states = {name: "interrupted" if state == "running" else state for name, state in self.states.items()}
        self._publish("interrupted")

    def count(self, state: State) -> int:
        """How many runs are in that state."""
        return sum(one == state for one in self.states.values())

    def remaining(self) -> str:
        """An estimate in hours, minutes and seconds: what is left takes as long as what was done since the beginning did."""
        n_ended = self.count("done") + self.count("failed") - self._n_kept
        n_left = len(self.states) - n_ended - self._n_kept
        if not n_left:
            return "0:00:00"
        return str(timedelta(seconds=round((time.monotonic() - self._began) * n_left / n_ended))) if n_ended else "unknown"

    def _publish(self, news: str) -> None:
        counts = {state: self.count(state) for state in ("done", "running", "failed", "waiting", "interrupted")}
        process = {"host": platform.node(), "pid": os.getpid()}
        write_json(self._path, {"command": self._command, "process": process, "counts": counts, "runs": self.states, "errors": self.errors})
        figures = f"{counts['done']} done, {counts['running']} running, {counts['failed']} failed, remaining {self.remaining()}"
        report(f"{figures}; {news}", counts["done"] + counts["failed"], len(self.states))
