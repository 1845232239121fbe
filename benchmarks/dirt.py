"""Dirt made from clean passages: each function spoils a text in one way, by a seeded generator.

The confusions of letters here are not the cleaner's own table: a third of them are not in it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

RawPassage = dict[str, Any]
MISREADINGS = (
    ("i", "!"), ("l", "1"), ("o", "0"), ("m", "rn"), ("h", "b"), ("e", "c"),
    ("d", "cl"), ("t", "f"), ("a", "o"), ("y", "v"), ("g", "q"), ("w", "vv"),
)  # fmt: skip
NOTICE = """This electronic text was digitized by a library and is given to the Internet Archive in the public domain.
Permission to redistribute it for commercial use is not needed; see the terms of use at www.example.org/licence.
No warranty is given, and the library is not liable for errors."""


@dataclass(frozen=True)
class Dirt:
    """One way of spoiling a passage.

    Attributes:
        spoil: Gives the spoilt passage.
        reasons: The codes that find it.
        actions: What would be right.
        suits: Which passages it makes sense for.
    """

    spoil: Callable[[RawPassage, Random], RawPassage]
    reasons: frozenset[str]
    actions: frozenset[str]
    suits: Callable[[RawPassage], bool]


def _text(change: Callable[[str, Random], str]) -> Callable[[RawPassage, Random], RawPassage]:
    return lambda passage, random: {**passage, "content": change(passage["content"], random)}


def _sometimes(pattern: str, share: float, put: Callable[[str, Random], str]) -> Callable[[str, Random], str]:
    return lambda text, random: re.sub(pattern, lambda match: put(match[0], random) if random.random() < share else match[0], text)


def _misread(letter: str, random: Random) -> str:
    return dict(MISREADINGS)[letter]


def _wrap_in_tags(text: str, random: Random) -> str:
    paragraphs = [html.escape(paragraph, quote=False).replace("\n", "<br/>\n") for paragraph in text.split("\n\n")]
    body = "\n".join(f'  <p class="{random.choice("ab")}">{paragraph}</p>' for paragraph in paragraphs)
    return f"<div>\n  <h2>Chapter</h2>\n{body}\n</div>"


def _one_in_italics(text: str, random: Random) -> str:
    at = random.choice([match.span() for match in re.finditer("[a-z]{3,}", text)])
    return f"{text[: at[0]]}<i>{text[slice(*at)]}</i>{text[at[1] :]}"


def _notice_before(text: str, random: Random) -> str:
    return f"{NOTICE.replace('of use', 'of use of e-books')}\n\n{text}"


def _running_heads(passage: RawPassage, random: Random) -> RawPassage:
    title = " ".join(passage["source_document"].split()[:5]).upper().strip(" .,:;")
    words = passage["content"].split(" ")
    for page, at in enumerate(range(250, len(words), 300), start=random.randrange(10, 300)):
        words[at] = f"\n\n{title} {page}\n\n{words[at]}"
    return {**passage, "content": " ".join(words)}


def _without_some_words(text: str, random: Random) -> str:
    return " ".join(word.lower() for word in text.split(" ") if random.random() > 0.02)


def _year(low: int, high: int) -> Callable[[RawPassage, Random], RawPassage]:
    return lambda passage, random: {**passage, "creation_year": random.randrange(low, high), "document_id": "unknown"}


def _other_year(passage: RawPassage, random: Random) -> RawPassage:
    return {
        **passage,
        "creation_year": random.choice([year for year in range(1250, 2000, 50) if abs(year - passage["creation_year"]) > 100]),
    }


def _between(low: int, high: int) -> Callable[[RawPassage], bool]:
    return lambda passage: low <= passage["creation_year"] < high


REPAIR, DROP, EITHER = frozenset({"repair"}), frozenset({"drop"}), frozenset({"repair", "drop"})
MISREAD_LETTERS = "[" + "".join(letter for letter, _ in MISREADINGS) + "]"
_LOST_SPACES = _sometimes("(?<=[a-z]) (?=[a-z])", 0.03, lambda *_: "")
_MISREADING = _sometimes(MISREAD_LETTERS, 0.02, _misread)
SIGNS = ["\u200b ", "\u00a0", "\x00 "]


def _dirt(
    spoil: Callable[[RawPassage, Random], RawPassage], reason: str, actions: frozenset[str], low: int = 1200, high: int = 2100
) -> Dirt:
    return Dirt(spoil, frozenset({reason}), actions, _between(low, high))


def _has_early_signs(passage: RawPassage) -> bool:
    return sum(not sign.isascii() for sign in passage["content"]) >= 10


DIRT: dict[str, Dirt] = {
    "UTF-8 read as Latin-1": Dirt(
        _text(lambda text, _: text.encode().decode("latin-1")), frozenset({"mojibake"}), REPAIR, _has_early_signs
    ),
    "in HTML tags": _dirt(_text(_wrap_in_tags), "markup", REPAIR),
    "one word in italics by HTML tags": _dirt(_text(_one_in_italics), "markup", REPAIR),
    "zero-width and no-break spaces": _dirt(_text(_sometimes(" ", 0.02, lambda _, r: r.choice(SIGNS))), "invisible-characters", REPAIR),
    "soft hyphens in 3% of long words": _dirt(
        _text(_sometimes(r"[a-z]{8,}", 0.03, lambda word, _: f"{word[:4]}\u00ad{word[4:]}")), "line-end-marks", REPAIR
    ),
    "3% of spaces lost, from 1700 on": _dirt(_text(_LOST_SPACES), "joined-words", EITHER, 1700),
    "3% of spaces lost, 1500 to 1699": _dirt(_text(_LOST_SPACES), "joined-words", EITHER, 1500, 1700),
    "2% of certain letters misread, from 1700 on": _dirt(_text(_MISREADING), "misread-letters", EITHER, 1700),
    "2% of certain letters misread, 1500 to 1699": _dirt(_text(_MISREADING), "misread-letters", EITHER, 1500, 1700),
    "2% of certain letters misread, before 1500": _dirt(_text(_MISREADING), "misread-letters", EITHER, 1200, 1500),
    "running heads": _dirt(_running_heads, "running-heads", REPAIR),
    "1% of letters illegible": _dirt(_text(_sometimes("[a-z]", 0.01, lambda *_: "〈◊〉")), "gaps", DROP),
    "a library's notice instead of the text": _dirt(_text(lambda text, _: "\n\n".join([NOTICE] * 4)), "electronic-text", DROP, 1200, 1900),
    "a library's notice before the text": _dirt(_text(_notice_before), "electronic-text", REPAIR, 1200, 1900),
    "another year, document known": _dirt(_other_year, "document-year", frozenset({"relabel"})),
    "after 1700 labelled before 1450, document unknown": _dirt(_year(1200, 1450), "impossible-year", DROP, 1700),
    "before 1600 labelled after 1850, document unknown": _dirt(_year(1850, 2020), "impossible-year", DROP, 1200, 1600),
    "near-duplicate: lower case, 2% of words lost": _dirt(_text(_without_some_words), "near-duplicate", DROP),
}
