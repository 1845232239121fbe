"""Rules about where a passage comes from: its language, its year, its source."""

from __future__ import annotations

import re
from typing import Any

from pg_envs.data.cleaning.documents import usable_year
from pg_envs.data.cleaning.verdict import Context, RawPassage, Verdict, drop, repair
from pg_envs.data.cleaning.words import words_of

MAX_FOREIGN_SHARE = 0.5
MAX_YEARS_AFTER_DEATH = 50
LATER_BY_YEARS = 30
MIN_LATER_YEARS = 3
LAST_LONG_S_YEAR = 1820
MIN_LONG_S = 10
FIRST_MODERN_YEAR = 1500
MODERN_KNOWN_SHARE = 0.8
MIN_WORDS = 100
OLD_SPELLING_YEAR = 1750
OLD_KNOWN_SHARE = 0.7
_DEATH = re.compile(r"(?:-|–|\bd\.? )\s*(?:ca?\. ?)?([0-9]{3,4})\??\.?\s*\Z")
_YEAR = re.compile(r"(?<![\d.,:/$£-])(1[0-9]{3}|20[0-3]\d)(?!\d|[,:/-]\d)")


def source(passage: RawPassage, context: Context) -> Verdict | None:
    """A missing ``source_dataset`` is taken from the other passages of the document, else the passage is dropped."""
    if isinstance(passage.get("source_dataset"), str) and passage["source_dataset"]:
        return None
    agreed = context.documents.source(passage)
    return repair(passage, "as in the rest of the document", source_dataset=agreed) if agreed else drop("no source_dataset")


def year_type(passage: RawPassage, context: Context) -> Verdict | None:
    """A year written as text or as 1845.0 becomes a whole number."""
    year = passage.get("creation_year")
    if isinstance(year, str) and re.fullmatch(r"\s*\d{1,5}\s*", year):
        return repair(passage, f"{year!r} is text", creation_year=int(year))
    if isinstance(year, float) and year.is_integer():
        return repair(passage, f"{year} is no whole number", creation_year=int(year))
    return None


def no_year(passage: RawPassage, context: Context) -> Verdict | None:
    """A missing or impossible year is taken from the other passages of the document, else the passage is dropped."""
    year = passage.get("creation_year")
    if usable_year(year, context.years):
        return None
    agreed = context.documents.year(passage)
    return repair(passage, f"{year} -> {agreed}", creation_year=agreed) if agreed else drop(f"creation_year {str(year)[:20]}")


def document_year(passage: RawPassage, context: Context) -> Verdict | None:
    """A year other than the one on which the rest of the document agrees is set to that."""
    agreed = context.documents.year(passage)
    return None if agreed in (None, passage["creation_year"]) else _relabel(passage, agreed, "the rest of the document")


def author_year(passage: RawPassage, context: Context) -> Verdict | None:
    """A year more than 50 after the author's death (from dates such as ``1422-1491`` in ``author``) is a reprint's.

    The year of death is put in its place: the latest year in which the text can have been written.
    """
    match = _DEATH.search(str(passage.get("author") or ""))
    if not match or passage["creation_year"] <= int(match[1]) + MAX_YEARS_AFTER_DEATH or not usable_year(int(match[1]), context.years):
        return None
    return _relabel(passage, int(match[1]), "the author's death", creation_year_latest=int(match[1]))


def _relabel(passage: RawPassage, year: Any, why: str, **fields: Any) -> Verdict:
    relabelled = {**passage, "creation_year": year, **fields}
    return Verdict("relabel", (relabelled,), f"{passage['creation_year']} -> {year}, {why}")


def foreign_language(passage: RawPassage, context: Context) -> Verdict | None:
    """More than half of the text is in another language than the history's; if that is English, than English of any century."""
    shares = context.foreign.shares(passage["content"])
    if sum(shares.values()) <= MAX_FOREIGN_SHARE:
        return None
    return drop(", ".join(f"{name} {share:.0%}" for name, share in sorted(shares.items(), key=lambda pair: -pair[1])))


def impossible_year(passage: RawPassage, context: Context) -> Verdict | None:
    """The text contradicts its year, and nothing says which year would be right.

    It names three different later years (by more than 30); or, if it is English, has long s after 1820; or modern spelling before 1500
    without being marked as a translation; or spelling from before 1650 after 1750.
    """
    text: str = passage["content"]
    year = passage["creation_year"]
    latest = max(year, passage.get("creation_year_latest") or 0)
    later = {int(found) for found in _YEAR.findall(text) if int(found) > latest + LATER_BY_YEARS and int(found) % 10}
    if len(later) >= MIN_LATER_YEARS:
        return drop(f"{year}, and it names {', '.join(map(str, sorted(later)[:3]))}")
    return _impossible_spelling(passage, context) if context.languages.only_english else None


def _impossible_spelling(passage: RawPassage, context: Context) -> Verdict | None:
    text: str = passage["content"]
    year = passage["creation_year"]
    if year > LAST_LONG_S_YEAR and text.count("ſ") >= MIN_LONG_S:
        return drop(f"{year}, with long s")
    words = words_of(text)
    if len(words) < MIN_WORDS:
        return None
    known = context.vocabulary.known_share(words)
    if year < FIRST_MODERN_YEAR and not passage.get("translation_year") and known > MODERN_KNOWN_SHARE:
        return drop(f"{year}, in modern spelling")
    if year >= OLD_SPELLING_YEAR and known < OLD_KNOWN_SHARE:
        return drop(f"{year}, and only {known:.0%} of its words are in a modern list")
    return None
