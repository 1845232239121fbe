"""Writing files so that whatever happens, full disk and kill included, a reader finds the old file or the new one, whole."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

HOW_TO_GO_ON = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "raise the limit on file sizes",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.EIO: "check the disk, and whether there is room",
}
TORCH_CANNOT_WRITE = ("PytorchStreamWriter failed", "inline_container.cc", "iostream error")
"""What torch says where the disk took less than it wrote; it does not say why."""


class CannotWrite(OSError):
    """A file or folder that could not be written; the message names it, says what to do, and what was there before is untouched."""


def write_text(path: Path, text: str) -> None:
    """Write UTF-8, as ``replacing`` does.

    Raises:
        CannotWrite: If the disk is full, read-only or broken.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        # Renamed before its content is on the disk, a file may be empty after a power cut.
        os.fsync(file.fileno())


def file_sha256(path: Path) -> str:
    """A file's SHA-256, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def damage(path: Path, expected: str) -> str | None:
    """What is wrong with a file that is to have a SHA-256, for a message; None if nothing is."""
    found = file_sha256(path) if path.is_file() else "no such file"
    return None if found == expected else f"{path} is damaged: expected SHA-256 {expected}, found {found}"


def replacing(path: Path) -> AbstractContextManager[Path]:
    """A temporary name beside ``path``, which what was written there takes when the block ends; if it fails, it goes.

    Raises:
        CannotWrite: If the disk is full, read-only or broken.
    """
    return _beside(path, lambda temporary: temporary.unlink(missing_ok=True))


def making(folder: Path) -> AbstractContextManager[Path]:
    """The same for a folder that is made in the block, and is not there yet.

    Raises:
        CannotWrite: If the disk is full, read-only or broken.
    """
    return _beside(folder, lambda temporary: shutil.rmtree(temporary, ignore_errors=True))


@contextmanager
def _beside(place: Path, remove: Callable[[Path], None]) -> Iterator[Path]:
    temporary = place.with_name(place.name + ".tmp")
    with naming(place):
        # Of one that was killed; or a link in a stranger's folder, which would have another file written.
        remove(temporary)
        try:
            yield temporary
            os.replace(temporary, place)
        except BaseException:
            # Its space may be what the next attempt needs.
            with suppress(OSError):
                remove(temporary)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what a disk refuses in this block into an error that names ``path``: libraries, and Python's own ``write``, do not.

    Raises:
        CannotWrite: Instead of an ``OSError`` of the disk's, or of a library's word for one; other errors are left alone.
    """
    try:
        yield
    except CannotWrite:
        raise
    except Exception as error:
        number = _number_in(error)
        if number is None:
            raise
        raise _cannot_write(path, error, number) from error


def _number_in(error: Exception) -> int | None:
    """What the disk has said, as an ``errno``; None if it was not the disk."""
    if isinstance(error, RuntimeError) and any(words in str(error) for words in TORCH_CANNOT_WRITE):
        return errno.EIO
    # Copying a folder says it in a text only; so do safetensors and tokenizers, which write by themselves, the latter in a bare Exception.
    if isinstance(error, shutil.Error) or type(error) is Exception or type(error).__name__ == "SafetensorError":
        return next((number for number in HOW_TO_GO_ON if f"os error {number}" in str(error) or os.strerror(number) in str(error)), None)
    return error.errno if isinstance(error, OSError) and error.errno in HOW_TO_GO_ON else None


def _cannot_write(path: Path, error: Exception, number: int) -> CannotWrite:
    told = CannotWrite(
        f"{path} cannot be written: {os.strerror(number)}; {HOW_TO_GO_ON[number]}, then go on as after a Ctrl-C; "
        "what was there before is as it was"
    )
    told.errno = number
    return told
