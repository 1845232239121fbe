"""HistText, TimelessQA and MoralEvals as ``datasets`` objects, from the hub or from a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_envs.data.histtext import find_files, read_valid
from pg_envs.data.json_stream import JsonLimits, JsonStreamError, read_array
from pg_envs.data.schema import HISTTEXT_YEARS, MANDATORY, OPTIONAL, HistTextError, OnBad, ReadReport, Refuse, Years, refusal
from pg_envs.data.sources import hub_name, open_source
from pg_envs.hub import fetch
from pg_envs.paths import expanded
from pg_envs.repository import HubError, Repository
from pg_envs.storage import file_sha256
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
        source: A folder of century folders, or the name of a dataset repository on the Hugging Face hub. If the hub's cache has its
            ``centuries`` (or any, where none are named), they are read from there as they lie, and the hub is not asked. The real one has
            38 GB: with ``streaming`` and ``centuries`` only what is iterated over is fetched. How much it is, is logged before.
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
    from huggingface_hub.errors import HTTPError

    report = report if report is not None else ReadReport()
    refuse = refusal(on_bad, report)
    opened = open_source(source, revision, centuries)
    try:
        files = find_files(opened.filesystem, opened.root, refuse, centuries, opened.inside)
    except HTTPError as error:
        raise HistTextError(f"{source}: {opened.why(error)}") from error
    opened.announce(files, streaming)

    def rows() -> Iterator[dict[str, Any]]:
        for file, passage in read_valid(opened.filesystem, files, refuse, report, limits, years, opened.why):
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
        source: ``timeless_qa.json``, a folder that has it, or the name of a dataset repository on the hub, of which that file is fetched if
            the cache lacks it.
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
    rows = list(_timelessqa_rows(_timelessqa_file(source, revision), refusal(on_bad, report)))
    report.n_read += len(rows)
    features = datasets.Features(dict.fromkeys(TIMELESSQA_FIELDS, datasets.Value("string")))
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in features}, features=features)


def timelessqa_sha256(source: str | Path = TIMELESSQA, revision: str = "main") -> str:
    """The SHA-256 of the file that ``load_timelessqa`` reads, in hexadecimal digits.

    Raises:
        HistTextError: If there is no such folder or repository.
        OSError: If the file cannot be read.
    """
    return file_sha256(_timelessqa_file(source, revision))


def _timelessqa_file(source: str | Path, revision: str) -> Path:
    """Where TimelessQA's file lies; a repository's is fetched if the cache lacks it."""
    path = expanded(source)
    if os.path.isfile(path):
        return path
    if os.path.isdir(path):
        return path / TIMELESSQA_FILE
    try:
        return fetch(Repository(hub_name(source), revision, "dataset", (TIMELESSQA_FILE,), first_lack=_lacks_timelessqa)) / TIMELESSQA_FILE
    except HubError as error:
        raise HistTextError(str(error)) from error


def _lacks_timelessqa(folder: Path) -> str | None:
    """What a repository's folder lacks, in words; see ``Repository``."""
    return None if (folder / TIMELESSQA_FILE).is_file() else f"no {TIMELESSQA_FILE}"


def _timelessqa_rows(path: Path, refuse: Refuse) -> Iterator[dict[str, str]]:
    index, name = -1, path.name
    try:
        with path.open("rb") as file:
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
