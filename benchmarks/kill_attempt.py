"""A ``pg-envs`` command in a process that can be killed right after any of its dealings with files, or of its reports of progress."""

from __future__ import annotations

import mmap
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, Literal

Kind = Literal["file", "report"]
KINDS: tuple[Kind, ...] = ("file", "report")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
COUNTER_BYTES, MAX_PHASE_BYTES = 8, 200


class Attempt:
    """A task in a process of its own, which says what it is doing, how often it has dealt with files and how often it has said so."""

    def __init__(self, command: list[str], log: Path, tell_at: tuple[Kind, int] | None) -> None:
        self._shared = mmap.mmap(-1, len(KINDS) * COUNTER_BYTES + MAX_PHASE_BYTES)
        self._told, telling = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            self._be_the_task(command, log, telling, tell_at)
        os.close(telling)

    def count(self, kind: Kind) -> int:
        """How often it has dealt with files, or has reported."""
        return int.from_bytes(self._shared[_counter(kind)], "little")

    @property
    def phase(self) -> str:
        """What it said last that it is doing."""
        return self._shared[_PHASE].rstrip(b"\0").decode(errors="replace") or "starting"

    def wait(self, seconds: float) -> bool:
        """Wait until what it was to tell of, it has ended, or the time is over; whether it ended."""
        ready, _, _ = select.select([self._told], [], [], seconds)
        return bool(ready) and not os.read(self._told, 1)

    def end(self, kill: bool) -> int:
        """Kill it or let it end; gives its exit status as ``os.waitpid`` has it."""
        if kill:
            os.kill(self.process, signal.SIGKILL)
        status = os.waitpid(self.process, 0)[1]
        os.close(self._told)
        return status

    def _be_the_task(self, command: list[str], log: Path, telling: int, tell_at: tuple[Kind, int] | None) -> None:
        from pg_envs import display, one_run
        from pg_envs.cli import main

        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)

        def note(kind: Kind) -> None:
            n = self.count(kind) + 1
            self._shared[_counter(kind)] = n.to_bytes(COUNTER_BYTES, "little")
            if (kind, n) == tell_at:
                os.write(telling, b"!")

        def note_file(event: str, arguments: tuple[Any, ...]) -> None:
            if event in FILE_EVENTS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
                note("file")

        def say(display: Any, what: str, done: int, total: int) -> None:
            self._shared[_PHASE] = what.encode()[:MAX_PHASE_BYTES].ljust(MAX_PHASE_BYTES, b"\0")
            note("report")

        # Drawing is most of a short run, and what it does to files others do too.
        one_run.plot_trajectory = lambda result, path: None
        for shown in (display.LiveDisplay, display.GridDisplay):
            shown.report = say
        sys.addaudithook(note_file)
        code = 1
        try:
            code = main(command)
        finally:
            sys.stdout.flush()
            os._exit(code)


def _counter(kind: Kind) -> slice:
    begin = KINDS.index(kind) * COUNTER_BYTES
    return slice(begin, begin + COUNTER_BYTES)


_PHASE = slice(len(KINDS) * COUNTER_BYTES, None)
