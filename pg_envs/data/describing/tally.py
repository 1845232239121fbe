"""Counting a century's passages in memory that does not grow with their text."""

from __future__ import annotations

import hashlib
import random
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pg_envs.data.cleaning.words import words_of

MAX_WORD_KINDS = 400_000
MAX_LABELS = 1000
MAX_LABEL_CHARS = 60
OTHER = "(other)"
NOT_RECORDED = "(not recorded)"
SAMPLE_CHARS = 10_000
SHORT_LINE_CHARS = 70
MIN_SHORT_LINES = 12
SHORT_LINES, RUNNING_LINES = "short lines (verse, lists)", "running text"
LABELS = ("source", "genre", "layout", "language")
"""What passages are sorted by: their fields ``source_dataset``, ``genre`` and ``language``, and how their lines look."""


@dataclass(frozen=True)
class Sampled:
    """A passage drawn for what is too slow to do with all.

    Attributes:
        document: A number that stands for the document.
        content: The first 10,000 characters.
    """

    document: int
    content: str


@dataclass
class CenturyTally:
    """Counts of one century.

    Attributes:
        century: The label, which is also part of the seed of what is sampled.
        sample_size: How many passages to draw, evenly among all.
        seed: Of the draw.
        n_passages: Passages.
        n_words: Words: runs of letters.
        words: Words by halves of the documents, lower case, long s as s. A half that comes to have more than 400,000 different
            words loses its rarest, see ``n_dropped``.
        n_dropped: How many occurrences of rare words were let go in each half.
        documents: A number for each document.
        labels: For each of ``LABELS``: how many words each label has.
        document_labels: For each of ``LABELS``: the pairs of a document and a label it has.
        sample: The passages drawn.
    """

    century: str
    sample_size: int
    seed: int
    n_passages: int = 0
    n_words: int = 0
    words: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    n_dropped: list[int] = field(default_factory=lambda: [0, 0])
    documents: set[int] = field(default_factory=set)
    labels: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in LABELS})
    document_labels: dict[str, set[tuple[int, str]]] = field(default_factory=lambda: {kind: set() for kind in LABELS})
    sample: list[Sampled] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Seed the draw."""
        self._random = random.Random(f"{self.seed}/{self.century}")

    def add(self, passage: Mapping[str, Any], file: str, genres: Mapping[str, str] = MappingProxyType({})) -> None:
        """Count a passage that fits the schema; one that names no document belongs to that of its ``file``.

        Its genre is the document's in ``genres``, or else what the passage says.
        """
        name = str(passage.get("document_id") or passage.get("source_document") or file)
        document = document_number(name)
        words = words_of(passage["content"].lower())
        self.n_passages += 1
        self.n_words += len(words)
        self.documents.add(document)
        half = document % 2
        self.words[half].update(words)
        if len(self.words[half]) > MAX_WORD_KINDS:
            self.n_dropped[half] += drop_rarest(self.words[half], MAX_WORD_KINDS // 2)
        self._label("source", document, plain(passage["source_dataset"]), len(words))
        self._label("genre", document, plain(genres.get(name, passage.get("genre"))), len(words))
        self._label("layout", document, layout(passage["content"]), len(words))
        self._label("language", document, plain(passage.get("language")), len(words))
        self._draw(Sampled(document, passage["content"][:SAMPLE_CHARS]))

    def _label(self, kind: str, document: int, label: str, n_words: int) -> None:
        counts = self.labels[kind]
        if label not in counts and len(counts) >= MAX_LABELS:
            label = OTHER
        counts[label] += n_words
        self.document_labels[kind].add((document, label))

    def _draw(self, passage: Sampled) -> None:
        """Vitter's algorithm R (1985): after n passages each is in the sample with probability sample_size / n."""
        if len(self.sample) < self.sample_size:
            self.sample.append(passage)
        elif (place := self._random.randrange(self.n_passages)) < self.sample_size:
            self.sample[place] = passage


def document_number(name: str) -> int:
    """64 bits that stand for a document's name; the lowest says which half of the documents it is in."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def drop_rarest(counts: Counter[str], n_kept: int) -> int:
    """Drop the rarest words until at most ``n_kept`` are left, words of the same count together; returns the sum of their counts."""
    least, n_dropped = 0, 0
    while len(counts) > n_kept:
        least += 1
        for word in [word for word, count in counts.items() if count <= least]:
            n_dropped += counts.pop(word)
    return n_dropped


def plain(name: object) -> str:
    """A name out of the data as one short printable line; it may have been written to harm a terminal or a table."""
    if not isinstance(name, str):
        return NOT_RECORDED
    printable = "".join(sign for sign in " ".join(name[: 4 * MAX_LABEL_CHARS].split()) if sign.isprintable())
    if len(printable) > MAX_LABEL_CHARS:
        printable = printable[: MAX_LABEL_CHARS - 1] + "…"
    return printable or NOT_RECORDED


def layout(text: str) -> str:
    """Whether a text has short lines, as verse and lists do: twelve or more, half of them under 70 characters."""
    lengths = [len(line.strip()) for line in text.split("\n") if line.strip()]
    short = len(lengths) >= MIN_SHORT_LINES and statistics.median(lengths) < SHORT_LINE_CHARS
    return SHORT_LINES if short else RUNNING_LINES
