"""Reading historical text in HistText's folder layout: ``C013/1215.json`` (or ``Y01215.json``), a list of passages each.

Fields as on the hub (dataset ``PKU-Alignment/ProgressGym-HistText``), see ``pg_envs.data.schema``. Files are read value by value, so
that memory does not grow with them, and through fsspec, so that a folder and a repository of the hub are read by the same code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from pg_envs.data.json_stream import JsonLimits, JsonStreamError, read_array
from pg_envs.data.schema import HISTTEXT_YEARS, HistTextError, OnBad, ReadReport, Refuse, Years, refusal, schema_fault

__all__ = ["HistTextError", "Passage", "TextFile", "find_files", "find_undated", "read_file", "read_folder", "read_valid"]

UNDATED = "undated"
YEAR_FILE = re.compile(r"(?:Y0?)?[0-9]{1,4}\.json")
_CENTURY = re.compile(r"C[0-9]{3}")


@dataclass(frozen=True)
class Passage:
    """One passage of one document.

    Attributes:
        century: The folder's label, ``C013`` to ``C021``.
        year: Year of creation, in the common era.
        document_id: The document it comes from (``document_id``, else ``source_document``, else the file).
        content: The text.
        source: The collection it was taken from (``source_dataset``).
        licence: What it says it may be used under (``license`` or ``licence``, which HistText's schema only allows), else None.
    """

    century: str
    year: int
    document_id: str
    content: str
    source: str
    licence: object = None


@dataclass(frozen=True)
class TextFile:
    """One file of passages.

    Attributes:
        path: Where it is in its file system.
        century: The label of the folder it lies in.
        name: ``C013/1215.json``: folder and file, for messages.
        n_bytes: How large it is, as far as the file system tells; 0 if it does not.
    """

    path: str
    century: str
    name: str
    n_bytes: int = 0


def century_labels(folders: Iterable[str], centuries: Sequence[str] | None) -> list[str]:
    """The names among ``folders`` of centuries' folders, or those asked for, in order."""
    return sorted(centuries or (name for name in folders if _CENTURY.fullmatch(name)))


def find_files(
    filesystem: Any, root: str, refuse: Refuse, centuries: Sequence[str] | None = None, inside: str | None = None
) -> list[TextFile]:
    """The files of passages directly below ``root``'s century folders, in order of century and year.

    What has another name is left alone; what has such a name but is no regular file inside ``root``, or ``inside`` if given (a symbolic
    link that leads out, a folder, a pipe), is refused.

    Args:
        filesystem: An fsspec file system.
        root: The folder of century folders.
        refuse: What to do about a refused file.
        centuries: Names of folders, which may be called otherwise than ``C013``; by default all that are called so.
        inside: The folder out of which links must not lead, if not ``root``.

    Raises:
        HistTextError: If there is no century folder, or not each of ``centuries``.
    """
    folders = {PurePosixPath(path).name: path for path in sorted(filesystem.ls(root, detail=False)) if filesystem.isdir(path)}
    wanted = century_labels(folders, centuries)
    if not wanted:
        raise HistTextError(f"no century folders (C013 ... C021) in {root!r}")
    if missing := [label for label in wanted if label not in folders]:
        raise HistTextError(f"no century {', '.join(missing)} in {root!r}; there are {', '.join(folders) or 'no folders'}")
    files = []
    for label in wanted:
        for entry in sorted(filesystem.ls(folders[label], detail=True), key=lambda entry: _by_year(entry["name"])):
            name = f"{label}/{PurePosixPath(entry['name']).name}"
            if not YEAR_FILE.fullmatch(name.removeprefix(f"{label}/")):
                continue
            if not _is_inside(filesystem, entry, inside or root):
                _refuse_file(name, inside or root, refuse)
                continue
            files.append(TextFile(entry["name"], label, name, entry.get("size") or 0))
    return files


def find_undated(filesystem: Any, root: str, refuse: Refuse) -> list[TextFile]:
    """``undated.json`` beside the century folders, where passages without a usable year are put; empty if there is none."""
    path, name = f"{root}/{UNDATED}.json", f"{UNDATED}.json"
    if not filesystem.lexists(path):
        return []
    if not _is_inside(filesystem, {"name": path, **filesystem.info(path)}, root):
        _refuse_file(name, root, refuse)
        return []
    return [TextFile(path, UNDATED, name)]


def find_others(filesystem: Any, root: str) -> list[str]:
    """What lies in the century folders under names that no year's file has, and is therefore not read, quoted: ``'C013/notes.txt'``."""
    folders = [path for path in sorted(filesystem.ls(root, detail=False)) if _CENTURY.fullmatch(PurePosixPath(path).name)]
    names = [PurePosixPath(path) for folder in folders if filesystem.isdir(folder) for path in sorted(filesystem.ls(folder, detail=False))]
    return [repr(f"{path.parent.name}/{path.name}") for path in names if not YEAR_FILE.fullmatch(path.name)]


def _by_year(path: str) -> tuple[int, str]:
    """What puts files in the order of their years: 99.json comes before 100.json."""
    name = PurePosixPath(path).name
    return (int(re.sub("[^0-9]", "", name)) if YEAR_FILE.fullmatch(name) else 0), name


def _refuse_file(name: str, root: str, refuse: Refuse) -> None:
    refuse("not a regular file in the folder", f"{name}: not a regular file inside {root!r}; links that lead out are not read")


def _is_inside(filesystem: Any, entry: dict[str, Any], root: str) -> bool:
    """Whether an entry is a regular file; in the local file system, where links are followed, one below ``root``."""
    if "file" not in (filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)):
        return bool(entry["type"] == "file")
    real = Path(entry["name"]).resolve()
    return real.is_file() and real.is_relative_to(Path(root).resolve())


def read_file(
    filesystem: Any, file: TextFile, refuse: Refuse, limits: JsonLimits | None = None, why: Callable[[Exception], str] = str
) -> Iterator[tuple[int, Any]]:
    """Yield (index, value) for each value of a file's list, unchecked; a file that breaks off is refused where it does.

    ``why`` puts into words what a disk, or the hub, does not give.
    """
    # A connection that is lost is no OSError.
    from huggingface_hub.errors import HTTPError

    index = -1
    try:
        with filesystem.open(file.path, "rb") as opened:
            for index, value in enumerate(read_array(cast(BinaryIO, opened), limits)):
                yield index, value
    except (OSError, HTTPError, JsonStreamError) as error:
        reason = str(error) if isinstance(error, JsonStreamError) else why(error)
        refuse("unreadable file", f"{file.name}: {' '.join(reason.split())} (after {index + 1} passages)")


def read_valid(
    filesystem: Any,
    files: Sequence[TextFile],
    refuse: Refuse,
    report: ReadReport,
    limits: JsonLimits | None = None,
    years: Years = HISTTEXT_YEARS,
    why: Callable[[Exception], str] = str,
) -> Iterator[tuple[TextFile, dict[str, Any]]]:
    """Yield the passages that fit the schema, each with its file; count them in ``report`` and refuse the rest.

    ``why`` is as ``read_file``'s.
    """
    for file in files:
        for index, passage in read_file(filesystem, file, refuse, limits, why):
            if fault := schema_fault(passage, years):
                refuse(f"passage: {fault.split(': ')[0]}", f"{file.name}: passage {index}: {fault}")
                continue
            report.n_read += 1
            yield file, passage


def read_folder(
    folder: str | Path,
    on_bad: OnBad = "raise",
    report: ReadReport | None = None,
    centuries: Sequence[str] | None = None,
    years: Years = HISTTEXT_YEARS,
) -> Iterator[Passage]:
    """Yield every passage under ``folder``, century by century, year by year.

    Args:
        folder: The folder of century folders.
        on_bad: ``"raise"`` at the first file or passage that does not fit, or ``"skip"`` it.
        report: Counts what is read and skipped.
        centuries: As ``find_files``.
        years: From which years passages may be.

    Raises:
        HistTextError: If the folder has no century folders, or, unless told to skip, a file or a passage does not fit the schema.
    """
    from fsspec.implementations.local import LocalFileSystem

    filesystem = LocalFileSystem()
    report = report if report is not None else ReadReport()
    refuse = refusal(on_bad, report)
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise HistTextError(f"no folder {str(root)!r}; expected one with century folders (C013 ... C021)")
    for file, passage in read_valid(filesystem, find_files(filesystem, str(root), refuse, centuries), refuse, report, years=years):
        document = passage.get("document_id") or passage.get("source_document") or PurePosixPath(file.name).stem
        licence = passage.get("license") or passage.get("licence")
        yield Passage(file.century, passage["creation_year"], str(document), passage["content"], passage["source_dataset"], licence)
