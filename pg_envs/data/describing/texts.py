"""Which files are described, period by period: HistText's century folders, or folders of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_envs.data.histtext import find_files, read_valid
from pg_envs.data.plain_text import find_plain, read_plain
from pg_envs.data.schema import HistTextError, ReadReport, Years


@dataclass(frozen=True)
class DescribedFile:
    """One file of passages, which are read when they are iterated over.

    Attributes:
        period: The label of the folder it lies in.
        name: Folder and file.
        passages: As in HistText's schema; those of plain text have a text and a document's name only.
    """

    period: str
    name: str
    passages: Iterator[Mapping[str, Any]]


def find_texts(folder: Path, periods: Sequence[str], reading: ReadReport, years: Years) -> list[DescribedFile]:
    """The files of the periods, in the periods' order; what does not fit is noted in ``reading`` when it is found or read.

    Args:
        folder: The folder of the periods' folders.
        periods: The names of these, each with ``*.txt`` or HistText's ``1215.json``; none takes all of HistText's century folders.
        reading: Counts what is read and left out.
        years: From which years passages in HistText's layout may be.

    Raises:
        HistTextError: If there is no such folder, or a period is named twice.
    """
    if not periods:
        try:
            return _dated(folder, None, reading, years)
        except HistTextError as error:
            raise HistTextError(f"{error}; name folders of your own with --periods, the oldest first") from error
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if missing := [period for period in periods if period not in folders]:
        raise HistTextError(f"periods: no folder {missing[0]!r} in {str(folder)!r}; there are {', '.join(folders) or 'none'}")
    if len(set(periods)) < len(periods):
        raise HistTextError(f"periods: {', '.join(periods)}: expected each of them once")
    return [file for period in periods for file in _plain(folder, period, reading) or _dated(folder, period, reading, years)]


def _dated(folder: Path, period: str | None, reading: ReadReport, years: Years) -> list[DescribedFile]:
    from fsspec.implementations.local import LocalFileSystem

    filesystem = LocalFileSystem()
    files = find_files(filesystem, str(folder), reading.skip, [period] if period else None)
    return [
        DescribedFile(
            file.century, file.name, (passage for _, passage in read_valid(filesystem, [file], reading.skip, reading, years=years))
        )
        for file in files
    ]


def _plain(folder: Path, period: str, reading: ReadReport) -> list[DescribedFile]:
    return [DescribedFile(period, f"{period}/{file.name}", _passage(file, folder, reading)) for file in find_plain(folder / period)]


def _passage(file: Path, folder: Path, reading: ReadReport) -> Iterator[Mapping[str, Any]]:
    try:
        content = read_plain(file, folder)
    except HistTextError as error:
        reading.skip("unreadable file", str(error))
        return
    if content.strip():
        reading.n_read += 1
        yield {"content": content, "document_id": file.stem, "source_dataset": None}
