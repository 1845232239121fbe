"""A new folder that appears when all that goes into it is done, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pg_envs.data.schema import HistTextError
from pg_envs.storage import naming


def check_new_folder(target: Path, source: Path) -> None:
    """Check that ``target`` can be made without touching anything that is there.

    Args:
        target: The folder to make.
        source: What it is made from: a folder or a file, which has to be there.

    Raises:
        HistTextError: If there is no folder to put ``target`` into, or ``source`` and ``target`` lie in one another.
        FileExistsError: If there is a ``target``.
    """
    if target.exists() or target.is_symlink():
        raise FileExistsError(f"{str(target)!r} is there already; name a folder that is not, nothing is overwritten")
    if not target.parent.is_dir():
        raise HistTextError(f"no folder {str(target.parent)!r} to put {target.name!r} into; make it first")
    inner, outer = target.resolve(), source.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise HistTextError(f"{str(target)!r} and {str(source)!r}: one lies in the other, and the source is never changed")


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A temporary folder beside ``target`` that takes its name when the block ends, and goes if it fails.

    Raises:
        CannotWrite: If the disk is full, read-only or broken.
    """
    with naming(target):
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            yield folder
            folder.chmod(0o755)
            os.rename(folder, target)
        except BaseException:
            shutil.rmtree(folder)
            raise
