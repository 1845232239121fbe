"""Which part of a text is not English of any century.

Language identifiers know modern English: they call Middle English Latin, German or Dutch. So a stretch of text counts as foreign
only if the identifier says so *and* it has few of the small words that English has had since 1200.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pg_envs.data.cleaning.words import WORD
from pg_envs.data.libraries import data_library

STRETCH_CHARS = 500
MIN_WORDS = 20
MIN_ENGLISH_SHARE = 0.12
LANGUAGES = ("ENGLISH", "FRENCH", "GERMAN", "LATIN", "ITALIAN", "SPANISH", "DUTCH")
MODERN_LETTERS = str.maketrans({"þ": "th", "Þ": "Th", "ð": "th", "Ð": "Th", "ȝ": "gh", "Ȝ": "Gh", "ſ": "s", "&": "and"})
_SMALL_WORDS = """the þe ðe and ant to that þat þet ðat his hys hise with wiþ wyth wiþþ he him hym her hire hir they þei þai thei heo hem
    their we ye ȝe i ich thou þou þu of for from fro this þis thys þes not nat noght nouȝt is ys it hit hyt was were weren be ben beon
    hath haþ have haue had by bi shall schal shal sal or on all alle al my what who when whan than þan þanne"""
SMALL_WORDS = frozenset(_SMALL_WORDS.split())


class ForeignText:
    """lingua's identifier between English and the languages of Europe's scholars, loaded at first use (300 MB of memory)."""

    @cached_property
    def _detector(self) -> Any:
        lingua = data_library("lingua")
        return lingua.LanguageDetectorBuilder.from_languages(*(getattr(lingua.Language, name) for name in LANGUAGES)).build()

    def shares(self, text: str) -> dict[str, float]:
        """Which part of the text, 0 to 1, is in which foreign language (lower-case English names)."""
        found: dict[str, float] = {}
        for start in range(0, len(text), STRETCH_CHARS):
            stretch = text[start : start + STRETCH_CHARS]
            if language := self._foreign(stretch):
                found[language] = found.get(language, 0.0) + len(stretch) / len(text)
        return found

    def _foreign(self, stretch: str) -> str | None:
        words = [word.lower() for word in WORD.findall(stretch.replace("&", " and "))]
        if len(words) < MIN_WORDS or sum(word in SMALL_WORDS for word in words) >= MIN_ENGLISH_SHARE * len(words):
            return None
        language = self._detector.detect_language_of(stretch.translate(MODERN_LETTERS))
        return None if language is None or language.name == "ENGLISH" else str(language.name).lower()
