"""In which languages a history's texts are, and which part of a text is in none of them.

Language identifiers know modern English: they call Middle English Latin, German or Dutch. So in a history in English a stretch of text
counts as foreign only if the identifier says so *and* it has few of the small words that English has had since 1200. For other languages
there is no such list: the identifier has to know them as they were written, or is not asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pg_envs.data.cleaning.words import WORD
from pg_envs.data.libraries import data_library
from pg_envs.data.schema import HistTextError

STRETCH_CHARS = 500
MIN_WORDS = 20
MIN_ENGLISH_SHARE = 0.12
LANGUAGES = ("ENGLISH", "FRENCH", "GERMAN", "LATIN", "ITALIAN", "SPANISH", "DUTCH")
MODERN_LETTERS = str.maketrans({"þ": "th", "Þ": "Th", "ð": "th", "Ð": "Th", "ȝ": "gh", "Ȝ": "Gh", "&": "and"})
_SMALL_WORDS = """the þe ðe and ant to that þat þet ðat his hys hise with wiþ wyth wiþþ he him hym her hire hir they þei þai thei heo hem
    their we ye ȝe i ich thou þou þu of for from fro this þis thys þes not nat noght nouȝt is ys it hit hyt was were weren be ben beon
    hath haþ have haue had by bi shall schal shal sal or on all alle al my what who when whan than þan þanne"""
SMALL_WORDS = frozenset(_SMALL_WORDS.split())


ENGLISH = frozenset({"en", "eng", "enm"})
"""Codes of the English that the rules know: modern, and Middle English; not Old English (``ang``), whose small words are others."""


@dataclass(frozen=True)
class Languages:
    """In which languages a history's texts are.

    Attributes:
        codes: ISO 639 codes of two or three letters, such as ``en``, ``la`` or ``fro``; at least one.

    Raises:
        HistTextError: If there is none, or one has another form.
    """

    codes: tuple[str, ...] = ("en",)

    def __post_init__(self) -> None:
        """Refuse what is no code."""
        wrong = [code for code in self.codes if not re.fullmatch("[a-z]{2,3}", code)]
        if wrong or not self.codes:
            raise HistTextError(
                f"languages {', '.join(map(repr, wrong)) or 'none'}: expected codes of ISO 639 in small letters, such as en, la, fr or fro"
            )

    @property
    def only_english(self) -> bool:
        """Whether all texts are in English, modern or Middle, which is what many rules know."""
        return ENGLISH.issuperset(self.codes)

    @property
    def has_english(self) -> bool:
        """Whether some texts are."""
        return not ENGLISH.isdisjoint(self.codes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What lingua calls those it knows, in capitals."""
        known = {code: self._name(code) for code in self.codes}
        return tuple(dict.fromkeys(name for name in known.values() if name))

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """The codes of languages that lingua does not know, such as early stages of languages."""
        return tuple(code for code in self.codes if not self._name(code))

    @property
    def described(self) -> str:
        """What is identified as none but them, in small letters: ``english``, ``latin or french``, ``not identified``."""
        return "not identified" if self.unknown else " or ".join(self.names).lower()

    @staticmethod
    def _name(code: str) -> str | None:
        if code in ENGLISH:
            return "ENGLISH"
        known = data_library("lingua").Language.all()
        return next((str(x.name) for x in known if code in (x.iso_code_639_1.name.lower(), x.iso_code_639_3.name.lower())), None)


class ForeignText:
    """lingua's identifier between a history's languages and those of Europe's scholars, loaded at first use (300 MB of memory)."""

    def __init__(self, languages: Languages | None = None) -> None:
        """Look for what is in none of ``languages``, English by default; if lingua does not know each of them, nothing is found."""
        self.languages = languages or Languages()

    @cached_property
    def _detector(self) -> Any:
        lingua = data_library("lingua")
        names = dict.fromkeys((*LANGUAGES, *self.languages.names))
        return lingua.LanguageDetectorBuilder.from_languages(*(getattr(lingua.Language, name) for name in names)).build()

    def shares(self, text: str) -> dict[str, float]:
        """Which part of the text, 0 to 1, is in which foreign language (lower-case English names)."""
        found: dict[str, float] = {}
        if self.languages.unknown:
            return found
        for start in range(0, len(text), STRETCH_CHARS):
            stretch = text[start : start + STRETCH_CHARS]
            if language := self._foreign(stretch):
                found[language] = found.get(language, 0.0) + len(stretch) / len(text)
        return found

    def _foreign(self, stretch: str) -> str | None:
        words = [word.lower() for word in WORD.findall(stretch.replace("&", " and "))]
        if len(words) < MIN_WORDS:
            return None
        if self.languages.has_english:
            if sum(word in SMALL_WORDS for word in words) >= MIN_ENGLISH_SHARE * len(words):
                return None
            stretch = stretch.translate(MODERN_LETTERS)
        # Prints of all Europe have long s.
        language = self._detector.detect_language_of(stretch.replace("ſ", "s"))
        return None if language is None or language.name in self.languages.names else str(language.name).lower()
