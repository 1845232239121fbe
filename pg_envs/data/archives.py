"""Historical text in an archive: unpacked within limits, under names made here.

Nothing is written under a name of the archive's: a member whose name has the layout's form gives its century and its year, and the file's
name is put together from these. So no member can leave the folder, whatever it is called; those that would are refused
all the same, since whoever packed them meant harm. Python's own ``filter="data"`` would strip a leading slash instead.
"""

from __future__ import annotations

import lzma
import os
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from pg_envs.data.histtext import UNDATED, YEAR_FILE
from pg_envs.data.schema import HistTextError
from pg_envs.paths import expanded
from pg_envs.progress import report
from pg_envs.storage import naming

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
CHUNK_BYTES = 1 << 20
_MEMBER = re.compile(rf"(?:(?P<top>[^/]+)/)?(?:(?P<century>C\d{{3}})/(?P<year>{YEAR_FILE.pattern})|{UNDATED}\.json)")
# What Python's readers raise at damaged bytes, at headers in headers, and at what they cannot decompress.
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError, RuntimeError, OverflowError)


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may cost.

    Attributes:
        max_bytes: Most bytes of everything in it, unpacked.
        max_members: Most files and folders.
    """

    max_bytes: int = 8 << 30
    max_members: int = 100_000


@contextmanager
def text_folder(source: str | Path, limits: ArchiveLimits | None = None) -> Iterator[Path]:
    """The folder of century folders that ``source`` is, or, if it is an archive of one, a temporary copy that goes when the block ends.

    Args:
        source: A folder, or a ``.tar``, ``.tar.gz``, ``.tgz``, ``.tar.bz2``, ``.tar.xz`` or ``.zip`` file.
        limits: What an archive may cost; ``ArchiveLimits()`` by default.

    Raises:
        HistTextError: If it is neither; or an archive is damaged, beyond the limits, or has a member that no folder of text has.
    """
    source = expanded(source)
    if os.path.isdir(source):
        yield source
        return
    if not os.path.isfile(source):
        raise HistTextError(f"no folder {str(source)!r}; expected one with century folders (C013 ... C021), or an archive of one")
    if not source.name.lower().endswith(ENDINGS):
        raise HistTextError(f"{str(source)!r} is no folder and no archive; archives end in {', '.join(ENDINGS)}")
    with tempfile.TemporaryDirectory(prefix="pg-envs-text-") as folder:
        unpack(source, Path(folder), limits or ArchiveLimits())
        yield Path(folder)


def unpack(archive: Path, folder: Path, limits: ArchiveLimits) -> None:
    """Write an archive's files of passages into ``folder``; members of other names are left alone.

    Args:
        archive: Century folders, or one folder of them.
        folder: Where they go; it is there and empty.
        limits: What may be written.

    Raises:
        HistTextError: If the archive is damaged or beyond the limits, a member is a link, a device, encrypted or leads out,
            two members are the same file, or nothing has the layout; ``folder`` may then have some files.
    """
    unpacking = _Unpacking(archive.name, folder, limits)
    try:
        with archive.open("rb") as packed:
            n_packed = archive.stat().st_size
            members = _zip_members(packed) if archive.name.lower().endswith(".zip") else _tar_members(packed, limits)
            for member, opened in members:
                report("unpacking", packed.tell(), n_packed)
                unpacking.take(member, opened)
    except HistTextError:
        raise
    except _DAMAGE as error:
        raise HistTextError(f"{archive.name}: cannot be unpacked: {' '.join(str(error).split())}") from error
    if unpacking.top is None:
        raise HistTextError(f"{archive.name}: no files such as C013/1215.json in it, nor in a single folder in it")


@dataclass(frozen=True)
class _Member:
    """A member as its archive calls it; ``fault`` says what is wrong with its kind."""

    name: str
    n_bytes: int
    fault: str | None


def _tar_members(packed: BinaryIO, limits: ArchiveLimits) -> Iterator[tuple[_Member, BinaryIO | None]]:
    with _decompressed(packed) as plain, tarfile.open(fileobj=cast(BinaryIO, _Bounded(plain, limits.max_bytes)), mode="r:") as archive:
        for info in archive:
            fault = None if info.isreg() or info.isdir() else "a link" if info.issym() or info.islnk() else "no regular file"
            opened = cast(BinaryIO | None, archive.extractfile(info)) if info.isreg() else None
            yield _Member(info.name, info.size, fault), opened


def _zip_members(packed: BinaryIO) -> Iterator[tuple[_Member, BinaryIO | None]]:
    with zipfile.ZipFile(packed) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            fault = "encrypted" if info.flag_bits & 1 else "a link" if kind == stat.S_IFLNK else None
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
                fault = "no regular file"
            if not info.filename:
                fault = "without a name"
            if fault or info.is_dir():
                yield _Member(info.filename, info.file_size, fault), None
                continue
            with archive.open(info) as opened:
                yield _Member(info.filename, info.file_size, None), cast(BinaryIO, opened)


def _decompressed(packed: BinaryIO) -> BinaryIO:
    """The bytes of a tar file, by how they begin rather than by how the file is called."""
    import bz2
    import gzip

    head = packed.read(6)
    packed.seek(0)
    for magic, opener in ((b"\xfd7zXZ\x00", lzma.open), (b"\x1f\x8b", gzip.open), (b"BZh", bz2.open)):
        if head.startswith(magic):
            return cast(BinaryIO, opener(packed, "rb"))
    return packed


class _Bounded:
    """A tar file's bytes for tarfile, which would read a header of gigabytes whole, and skip what is not wanted without an end."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self.file = file
        # Besides what is in the members there are their headers.
        self.max_position = max_bytes + (max_bytes >> 2) + CHUNK_BYTES

    def read(self, n_bytes: int) -> bytes:
        if not 0 <= n_bytes <= CHUNK_BYTES:
            raise tarfile.ReadError(f"a header of {n_bytes} bytes; at most {CHUNK_BYTES} are read")
        return self.file.read(n_bytes)

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, position: int) -> int:
        if position > self.max_position:
            raise tarfile.ReadError(f"over {self.max_position} bytes unpacked")
        return self.file.seek(position)


class _Unpacking:
    """Checks members one after another and writes those of the layout."""

    def __init__(self, archive: str, folder: Path, limits: ArchiveLimits) -> None:
        self.archive = archive
        self.folder = folder
        self.limits = limits
        self.top: str | None = None
        self.n_members = 0
        self.n_bytes = 0

    def take(self, member: _Member, opened: BinaryIO | None) -> None:
        self._check(member)
        match = _MEMBER.fullmatch(str(PurePosixPath(member.name)))
        if match is None or opened is None:
            return
        top = match["top"] or ""
        if self.top is None:
            self.top = top
        if top != self.top:
            raise self._refusal(member, f"beside text in {self.top or '.'!r}, so it is not clear which is meant")
        target = self.folder / f"{UNDATED}.json" if match["century"] is None else self.folder / match["century"] / match["year"]
        if target.exists():
            raise self._refusal(member, "a second file of this name")
        with naming(target):
            target.parent.mkdir(exist_ok=True)
        with naming(target), target.open("xb") as written:
            while chunk := opened.read(CHUNK_BYTES):
                self._count(member, len(chunk))
                written.write(chunk)

    def _check(self, member: _Member) -> None:
        self.n_members += 1
        if self.n_members > self.limits.max_members:
            raise self._refusal(member, f"more than {self.limits.max_members} members")
        if member.fault:
            raise self._refusal(member, f"{member.fault}; only regular files are unpacked")
        name = member.name.replace("\\", "/")
        if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
            raise self._refusal(member, "a path that leads out of the archive's folder")
        if self.n_bytes + member.n_bytes > self.limits.max_bytes:
            raise self._too_large(member)

    def _count(self, member: _Member, n_bytes: int) -> None:
        """Add to what was written, which may be more than the archive says."""
        self.n_bytes += n_bytes
        if self.n_bytes > self.limits.max_bytes:
            raise self._too_large(member)

    def _too_large(self, member: _Member) -> HistTextError:
        return self._refusal(member, f"over {self.limits.max_bytes} bytes unpacked; if you trust it, unpack it and name the folder")

    def _refusal(self, member: _Member, fault: str) -> HistTextError:
        return HistTextError(f"{self.archive}: member {member.name[:100]!r}: {fault}")
