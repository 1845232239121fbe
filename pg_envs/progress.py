"""Telling whoever watches what a long computation is doing, without printing.

The library calls ``report``; the command line shows it by running inside ``reporting_to``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Reporter = Callable[[str, int, int], None]
"""Called with what is being done, how many parts are done, and how many there are."""

_reporter: ContextVar[Reporter | None] = ContextVar("pg_envs_reporter", default=None)


@contextmanager
def reporting_to(reporter: Reporter) -> Iterator[None]:
    """Send reports made in this context to ``reporter``."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


def report(what: str, done: int, total: int) -> None:
    """Report progress, if anybody listens."""
    reporter = _reporter.get()
    if reporter is not None:
        reporter(what, done, total)
