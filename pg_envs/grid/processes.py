"""Carrying out runs in processes of this machine: one process a run, so that none can disturb another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from pg_envs.alone import end_with_parent
from pg_envs.grid.cells import Cell
from pg_envs.grid.engine import Engine, Tell
from pg_envs.storage import naming

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
STOPPING_S = 20.0
"""How long a run that is told to stop may take to do so before it is killed."""

MAX_TOLD = 4000
"""Characters of an error that a run tells the grid; far fewer than a pipe holds."""


@contextmanager
def processes(workers: int, threads: int) -> Iterator[Engine]:
    """An engine with ``workers`` processes at a time, each with ``threads`` threads; on leaving, none is left.

    Raises:
        ValueError: If either is less than 1.
    """
    for name, value in (("workers", workers), ("threads", threads)):
        if value < 1:
            raise ValueError(f"--{name} {value}: expected a whole number, 1 or more")
    running: dict[Any, _Process] = {}

    def carry_out(cells: Sequence[Cell], logs: Path, tell: Tell) -> None:
        waiting = list(reversed(cells))
        while waiting or running:
            while waiting and len(running) < workers:
                process = _Process(waiting.pop(), logs, threads)
                running[process.sentinel] = process
                tell(process.cell.name, "running", "")
            for sentinel in connection.wait(list(running)):
                # Taken out only when told, so that a Ctrl-C in between is not taken for a run that never was.
                ended = running[sentinel]
                error = ended.error()
                tell(ended.cell.name, "failed" if error else "done", error)
                del running[sentinel]

    try:
        yield carry_out
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.stop()


class _Process:
    """A run in a process of its own."""

    def __init__(self, cell: Cell, logs: Path, threads: int) -> None:
        self.cell = cell
        self._log = logs / f"{cell.name}.log"
        context = get_context("spawn")
        self._receiver, sender = context.Pipe(duplex=False)
        # No daemon: those may not have processes of their own, which an agent may want.
        self._process = context.Process(target=_work, args=(cell, self._log, sender))
        with _environment(dict.fromkeys(THREADS, str(threads))):
            self._process.start()
        sender.close()
        self.sentinel = self._process.sentinel

    def error(self) -> str:
        """What it died of; empty if it did what it should."""
        self._process.join()
        if self._process.exitcode == 0:
            return ""
        try:
            what: str = self._receiver.recv()
        except EOFError:
            what = f"the process died with exit code {self._process.exitcode}"
        return f"{what} (log: {self._log})"

    def terminate(self) -> None:
        self._process.terminate()

    def stop(self) -> None:
        self._process.join(STOPPING_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """With other environment variables, for a process that is started: numpy reads them when it is imported."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(cell: Cell, log: Path, sender: Any) -> None:
    """The process: carries out one run; what is printed goes into the log."""
    # Ctrl-C reaches all processes of a terminal; it is the grid that stops its runs, once each, and as Ctrl-C stops a run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    end_with_parent()
    try:
        with naming(log), log.open("a", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        cell.prepare().carry_out()
    except BaseException as error:
        # Not all of a long one: the grid reads only once this process has ended, and a full pipe would keep it from that. The log has all.
        sender.send(f"{type(error).__name__}: {error}"[:MAX_TOLD])
        raise
