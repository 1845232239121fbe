"""HistText, TimelessQA and MoralEvals as ``datasets`` objects, from the hub or from a folder."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_envs.data.histtext import find_files, read_valid
from pg_envs.data.json_stream import JsonLimits, JsonStreamError, read_array
from pg_envs.data.schema import HISTTEXT_YEARS, MANDATORY, OPTIONAL, HistTextError, OnBad, ReadReport, Refuse, Years, refusal
from pg_envs.hub import HubError, Repository, explain
from pg_envs.paths import expanded
from pg_envs.values.dimensions import DIMENSIONS, Group
from pg_envs.values.items import Item, QuestionnaireError
from pg_envs.values.moral_evals import find_files as find_moral_evals_files
from pg_envs.values.moral_rows import read_rows
from pg_envs.values.questionnaire import find_folder

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

HISTTEXT = "PKU-Alignment/ProgressGym-HistText"
TIMELESSQA = "PKU-Alignment/ProgressGym-TimelessQA"
MORALEVALS = "PKU-Alignment/ProgressGym-MoralEvals"
TIMELESSQA_FILE = "timeless_qa.json"
TIMELESSQA_FIELDS = ("instruction", "input", "output")


def load_histtext(
    source: str | Path = HISTTEXT,
    centuries: Sequence[str] | None = None,
    streaming: bool = False,
    on_bad: OnBad = "raise",
    report: ReadReport | None = None,
    limits: JsonLimits | None = None,
    revision: str = "main",
    years: Years = HISTTEXT_YEARS,
) -> Dataset | IterableDataset:
    """Read HistText.

    Args:
        source: A folder of century folders, or the name of a dataset repository on the Hugging Face hub. The real one has 38 GB: with
            ``streaming`` and ``centuries`` only what is iterated over is fetched.
        centuries: Labels such as ``C013``; all by default.
        streaming: Read while iterating, in memory that does not grow (an ``IterableDataset``), or everything now into a ``Dataset``.
        on_bad: ``"raise"`` at the first file or passage that does not fit the schema, or ``"skip"`` it.
        report: Counts what is read and skipped; when streaming, while iterating.
        limits: What one passage may cost.
        revision: Of the hub's repository: a branch, a tag or a commit.
        years: From which years passages may be; others do not fit.

    Returns:
        A row a passage, with ``century``, the mandatory and the optional fields of the schema (None where a passage has none).

    Raises:
        HistTextError: If there is no such folder or repository, it has no century folders, or, unless told to skip, at the first
            file or passage that does not fit; the message names file, index and field.
    """
    import datasets

    report = report if report is not None else ReadReport()
    refuse = refusal(on_bad, report)
    filesystem, root = _open_source(source, revision)
    files = find_files(filesystem, root, refuse, centuries)

    def rows() -> Iterator[dict[str, Any]]:
        for file, passage in read_valid(filesystem, files, refuse, report, limits, years):
            yield {"century": file.century} | {name: passage.get(name) for name in (*MANDATORY, *OPTIONAL)}

    kinds = {str: datasets.Value("string"), int: datasets.Value("int64")}
    features = datasets.Features({"century": kinds[str]} | {name: kinds[kind] for name, kind in (MANDATORY | OPTIONAL).items()})
    if streaming:
        return datasets.IterableDataset.from_generator(rows, features=features)
    read = list(rows())
    return datasets.Dataset.from_dict({name: [row[name] for row in read] for name in features}, features=features)


def load_timelessqa(
    source: str | Path = TIMELESSQA, on_bad: OnBad = "raise", report: ReadReport | None = None, revision: str = "main"
) -> Dataset:
    """Read TimelessQA: questions whose answers do not change from century to century.

    Args:
        source: ``timeless_qa.json``, a folder that has it, or the name of a dataset repository on the hub.
        on_bad: ``"raise"`` at the first row that does not fit or where the file breaks off, or ``"skip"`` the row or the file's rest.
        report: Counts what is read and skipped.
        revision: Of the hub's repository.

    Returns:
        A row a question, with ``instruction``, ``input`` (may be empty) and ``output``.

    Raises:
        HistTextError: If there is no such file, or, unless told to skip, a row does not fit or the file breaks off; the message
            names file, index and field.
    """
    import datasets

    report = report if report is not None else ReadReport()
    rows = list(_timelessqa_rows(*_timelessqa_file(source, revision), refusal(on_bad, report)))
    report.n_read += len(rows)
    features = datasets.Features(dict.fromkeys(TIMELESSQA_FIELDS, datasets.Value("string")))
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in features}, features=features)


def timelessqa_sha256(source: str | Path = TIMELESSQA, revision: str = "main") -> str:
    """The SHA-256 of the file that ``load_timelessqa`` reads, in hexadecimal digits.

    Raises:
        HistTextError: If there is no such folder or repository.
        OSError: If the file cannot be read.
    """
    filesystem, root, name = _timelessqa_file(source, revision)
    with filesystem.open(f"{root}/{name}", "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _timelessqa_file(source: str | Path, revision: str) -> tuple[Any, str, str]:
    """The file system that TimelessQA's file is in, its folder there, and its name."""
    path = expanded(source)
    if os.path.isfile(path):
        return *_open_source(path.parent, revision), path.name
    return *_open_source(source, revision), TIMELESSQA_FILE


def _timelessqa_rows(filesystem: Any, root: str, name: str, refuse: Refuse) -> Iterator[dict[str, str]]:
    index = -1
    try:
        with filesystem.open(f"{root}/{name}", "rb") as file:
            for index, row in enumerate(read_array(file)):
                wrong = [field for field in TIMELESSQA_FIELDS if not isinstance(row, dict) or not isinstance(row.get(field), str)]
                if wrong:
                    refuse(f"row: field {wrong[0]!r}", f"{name}: row {index}: field {wrong[0]!r}: expected a string")
                    continue
                yield {field: row[field] for field in TIMELESSQA_FIELDS}
    except FileNotFoundError as error:
        raise HistTextError(f"{name}: {error}") from error
    except (OSError, JsonStreamError) as error:
        refuse("unreadable file", f"{name}: {' '.join(str(error).split())} (after {index + 1} rows)")


def load_moral_evals(source: str | Path = MORALEVALS, on_bad: OnBad = "raise", report: ReadReport | None = None) -> Dataset:
    """Read MoralEvals: situations with two or four things to do, and what each tells about whoever chooses it.

    Rows are read as a questionnaire reads them, and all of them are given: those that stand twice, too, which a questionnaire takes once.

    Args:
        source: A folder with ``moralchoice.csv``, ``foundation.csv`` and ``views.csv``, or the name of a dataset repository on the hub,
            ``OWNER/NAME`` or ``OWNER/NAME@REVISION``; see ``load_questionnaire``.
        on_bad: ``"raise"`` at the first row that does not fit or where a file breaks off, or ``"skip"`` the row or the file's rest. The
            published files have rows that do not fit: headers among the rows, blank texts.
        report: Counts what is read and skipped.

    Returns:
        A row an item, with ``item_id``, ``group`` (``morality``, ``foundation`` or ``worldview``), ``theme``, ``context``, ``options``
        (two, or the four worldviews' in the order traditional, modern, post-modern, integrated), and of the dimensions that it tells about
        the names in ``dimensions`` and in ``signs`` 1 where the first option upholds it, -1 where the second does; both are empty for
        worldviews.

    Raises:
        HistTextError: If there is no such folder or repository, a file is missing, or, unless told to skip, a row does not fit or a file
            breaks off; the message names file, row (the header is row 1) and column.
    """
    import datasets

    report = report if report is not None else ReadReport()
    try:
        files = find_moral_evals_files(find_folder(source)[0])
    except QuestionnaireError as error:
        raise HistTextError(str(error)) from error
    rows = list(_moral_evals_rows(files, refusal(on_bad, report)))
    report.n_read += len(rows)
    text, texts = datasets.Value("string"), datasets.List(datasets.Value("string"))
    features = datasets.Features(
        {"item_id": text, "group": text, "theme": text, "context": text, "options": texts}
        | {"dimensions": texts, "signs": datasets.List(datasets.Value("int8"))}
    )
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in features}, features=features)


def _moral_evals_rows(files: Mapping[Group, Path], refuse: Refuse) -> Iterator[dict[str, Any]]:
    for group, path in files.items():
        for row in read_rows(path, group, Counter()):
            if isinstance(row, Item):
                yield {name: getattr(row, name) for name in ("item_id", "group", "theme", "context", "options")} | {
                    "dimensions": [DIMENSIONS[index].key for index, _ in row.signs],
                    "signs": [sign for _, sign in row.signs],
                }
            else:
                refuse(f"row: column {row.column!r}" if row.column else "unreadable file", f"{path.name}: {row}")


def _open_source(source: str | Path, revision: str) -> tuple[Any, str]:
    """The fsspec file system that ``source`` is in, and its root there."""
    folder = expanded(source)
    if os.path.isdir(folder):
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem(), str(folder)
    if str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise HistTextError(f"no folder {str(source)!r}; expected one, or the name of a dataset repository such as {HISTTEXT!r}")
    return _hub(str(source), revision)


def _hub(name: str, revision: str) -> tuple[Any, str]:
    from huggingface_hub import HfFileSystem
    from huggingface_hub.errors import HfHubHTTPError

    try:
        repository = Repository(name, revision, "dataset", ("*",))
    except HubError as error:
        raise HistTextError(str(error)) from error
    filesystem = HfFileSystem()
    root = f"datasets/{name}@{revision}"
    try:
        filesystem.ls(root)
    except (OSError, HfHubHTTPError) as error:
        raise HistTextError(
            f"{name!r} is no folder here, and as a dataset repository (revision {revision!r}): {explain(repository, error)}"
        ) from error
    return filesystem, root
