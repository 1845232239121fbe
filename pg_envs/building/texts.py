"""A family's texts: a folder a period, documents split into those to learn from and those held out."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pg_envs.data.archives import text_folder
from pg_envs.data.describing.tally import plain
from pg_envs.data.plain_text import find_plain, read_plain
from pg_envs.data.schema import HISTTEXT_YEARS, HistTextError, OnBad, ReadReport, Refuse, Years, refusal


@dataclass(frozen=True)
class PeriodText:
    """What there is of a period.

    Attributes:
        training: Passages to learn from.
        held_out: Passages of documents that are not learnt from; empty where there is one document only.
        n_documents: How many documents there are.
        n_held_out_documents: How many of them are held out.
        sha256: Of all passages, with the documents they belong to.
        n_skipped: How many bad files and passages were left out.
        sources: How many of the documents to learn from each collection gave, by its name as one printable line.
        licences: How many of them say of each licence that it is theirs, likewise.
    """

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    n_documents: int
    n_held_out_documents: int
    sha256: str
    n_skipped: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    licences: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_characters(self) -> int:
        """Characters to learn from."""
        return sum(map(len, self.training))


class _Piece(NamedTuple):
    """A passage with what is to be known of it."""

    document: str
    content: str
    source: object = None
    licence: object = None


def read_texts(
    folder: Path, periods: Sequence[str], held_out_one_in: int, years: Years = HISTTEXT_YEARS, on_bad: OnBad = "raise"
) -> dict[str, PeriodText]:
    """Read all periods' texts.

    Args:
        folder: Has a folder a period, either of plain text (``*.txt``, a document a file, UTF-8) or in HistText's layout
            (``1215.json``, which needs ``pg-envs[data]``); or an archive of HistText, which is unpacked for the time of reading.
        periods: The folders' names.
        held_out_one_in: One document in so many is held out, at least one of two.
        years: From which years passages in HistText's layout may be; plain text has no years.
        on_bad: ``"raise"`` at the first file or passage that does not fit, or ``"skip"`` and count it.

    Raises:
        HistTextError: If a folder is missing or has no text, or, unless told to skip, a file or passage does not fit.
    """
    # Not the methods, which raise at names that are too long for a file system.
    if os.path.isfile(folder):
        with text_folder(folder) as unpacked:
            return read_texts(unpacked, periods, held_out_one_in, years, on_bad)
    if not os.path.isdir(folder):
        raise HistTextError(f"no folder {str(folder)[:300]!r}; expected one with a folder for each of {', '.join(periods)}")
    texts = {}
    for period in periods:
        report = ReadReport()
        passages = list(_pieces(folder, period, years, on_bad, report))
        texts[period] = replace(_split(passages, held_out_one_in, folder / period), n_skipped=report.skipped.total())
    return texts


def held_out_documents(documents: Sequence[str], one_in: int) -> set[str]:
    """Which documents are held out: those whose hash falls so; of several at least one is, and at least one is not."""
    numbers = {document: int(hashlib.sha256(document.encode()).hexdigest(), 16) for document in documents}
    chosen = {document for document, number in numbers.items() if number % one_in == 0}
    if 0 < len(chosen) < len(numbers):
        return chosen
    return set(sorted(numbers, key=numbers.__getitem__)[:1]) if len(numbers) > 1 else set()


def _split(passages: list[_Piece], one_in: int, where: Path) -> PeriodText:
    if not passages:
        raise HistTextError(f"no text in {str(where)!r}; expected documents as *.txt, or HistText's files such as 1215.json")
    documents = list(dict.fromkeys(piece.document for piece in passages))
    held_out = held_out_documents(documents, one_in)
    digest = hashlib.sha256()
    for document, content, *_ in passages:
        digest.update(f"{len(document)} {len(content)} {document}{content}".encode())
    learnt = [piece for piece in passages if piece.document not in held_out]
    return PeriodText(
        training=tuple(piece.content for piece in learnt),
        held_out=tuple(piece.content for piece in passages if piece.document in held_out),
        n_documents=len(documents),
        n_held_out_documents=len(held_out),
        sha256=digest.hexdigest(),
        sources=_documents_of((piece.document, plain(piece.source)) for piece in learnt),
        licences=_documents_of((piece.document, plain(piece.licence)) for piece in learnt),
    )


def _documents_of(named: Iterator[tuple[str, str]]) -> dict[str, int]:
    """How many documents have each name, most first; one whose passages have several counts for each."""
    counts = Counter(name for _, name in set(named))
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _pieces(folder: Path, period: str, years: Years, on_bad: OnBad, report: ReadReport) -> Iterator[_Piece]:
    """The passages of a period."""
    if found := find_plain(folder / period):
        yield from _plain(found, folder, refusal(on_bad, report))
        return
    from pg_envs.data.histtext import read_folder

    for passage in read_folder(folder, on_bad, report, centuries=[period], years=years):
        yield _Piece(passage.document_id, passage.content, passage.source, passage.licence)


def _plain(files: Sequence[Path], root: Path, refuse: Refuse) -> Iterator[_Piece]:
    for file in files:
        try:
            content = read_plain(file, root)
        except HistTextError as error:
            refuse("unreadable file", str(error))
            continue
        if content.strip():
            yield _Piece(file.stem, content)
