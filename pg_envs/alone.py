"""One process at a time in a folder: runs, grids and recordings go on from what is in theirs, which two at once would spoil."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import parent_process
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from pg_envs.storage import CannotWrite, naming

LOCK_FILE = ".lock"
PATIENCE_S = 2.0
"""How long to wait for another to leave: the runs of a grid that was killed end a moment after it."""


class InUse(ValueError):
    """A folder that another process works in; the message says which, and for how long."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make ``folder`` if need be, and keep other processes from entering it in this way as long as the block lasts.

    The lock is the operating system's, which takes it back from a process that died: what such a one left is taken over. Who holds it
    stands in the file ``.lock``, which stays. On a file system without locks filelock has that file be the lock, and takes it over once
    no process of this machine is the one that it names.

    Raises:
        InUse: If another process is in there.
        CannotWrite: If the folder cannot be made or written to, or its lock is no file.
    """
    path = folder / LOCK_FILE
    lock = FileLock(path)
    if path.is_symlink() or path.is_dir():
        raise CannotWrite(f"{path} is a link or a folder, and was made by no run; remove it")
    try:
        with naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=PATIENCE_S)
    except Timeout as error:
        raise InUse(f"{folder} is in use by {_holder(path)}; wait for it to end, or stop it, or choose another folder") from error
    try:
        # The other kind is a file that tells filelock who holds it, by which alone a dead holder is known: it must stay as it is.
        if not isinstance(lock, SoftFileLock):
            with naming(path):
                path.write_text(f"{os.getpid()} {platform.node()}\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def end_with_parent() -> None:
    """Have this process killed as soon as the one that started it has ended, which held a folder for both.

    Without that it would go on working in a folder that the next process takes for free.
    """
    threading.Thread(target=_await_the_parent, daemon=True).start()


def _await_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _holder(path: Path) -> str:
    """Who wrote the lock file, in words."""
    try:
        # Ours, or one of filelock's or of an earlier version, which may have a third word.
        process, host, *more = path.read_text(encoding="utf-8").split()
        if len(more) > 1 or not process.isdecimal():
            return "another process"
        age = timedelta(seconds=max(0, round(time.time() - path.stat().st_mtime)))
    except (OSError, ValueError):
        return "another process"
    return f"process {process} on {host}, since {age} (hours:minutes:seconds)"
