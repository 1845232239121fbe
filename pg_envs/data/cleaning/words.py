"""A list of modern English words: what it can tell, and about which text it can tell nothing."""

from __future__ import annotations

import re
from functools import cached_property
from importlib import resources

from pg_envs.data.libraries import data_library

WORD = re.compile(r"[^\W\d_]+")
LONGEST_SHORT_WORD = 3
LONGEST_WORD = 28
LONGEST_NAME_ENDING = 2
COMMON_RANK = 12_000
COMMON_SHORT_COUNT = 200_000_000
# The joints at which words run together where a line's end was lost nearly always have one of these on one side.
_FUNCTION_WORDS = """a an and are as at be been but by for from had has have he his in is it its not of on or our that the this to was we
    were which with"""
JOINTS = frozenset(_FUNCTION_WORDS.split())

_EARLY = (
    (r"our(?=s?$)", "or"), (r"^in", "en"), (r"^en", "in"), (r"^im", "em"), (r"^em", "im"), (r"ll$", "l"), (r"e$", ""), (r"ie$", "y"),
    (r"y", "i"), (r"i", "y"), (r"u", "v"), (r"v", "u"), (r"i", "j"), (r"ck", "c"), (r"ck", "k"), (r"([a-z])\1", r"\1"),
)  # fmt: skip
"""How words were spelt before dictionaries, and what is written today."""


def words_of(text: str) -> list[str]:
    """The runs of letters in a text, long s written as s."""
    return WORD.findall(text.replace("ſ", "s"))


class Vocabulary:
    """symspellpy's 82,834 English words (British and American) with their counts in Google's books; read at first use."""

    @cached_property
    def counts(self) -> dict[str, int]:
        """Count by lower-case word."""
        folder = resources.files(data_library("symspellpy"))
        lines = (folder / "frequency_dictionary_en_82_765.txt").read_text(encoding="utf-8-sig").splitlines()
        return {word: int(count) for word, count in (line.split() for line in lines)}

    @cached_property
    def _common(self) -> frozenset[str]:
        ranked = sorted(self.counts, key=lambda word: -self.counts[word])
        long = (word for word in ranked[:COMMON_RANK] if len(word) > LONGEST_SHORT_WORD)
        short = (word for word in ranked if len(word) <= LONGEST_SHORT_WORD and self.counts[word] > COMMON_SHORT_COUNT)
        return frozenset({*long, *short, "a", "i"})

    def knows(self, word: str) -> bool:
        """Whether a word, or it without a final s, is in the list."""
        word = word.lower()
        return word in self.counts or (word.endswith("s") and word[:-1] in self.counts)

    def knows_early(self, word: str) -> bool:
        """Whether a word is in the list once it is respelt in one of the usual ways: Governour, inlarge, withall, haue."""
        word = word.lower()
        return any(
            self.knows(word[: at.start()] + at.expand(new) + word[at.end() :]) for old, new in _EARLY for at in re.finditer(old, word)
        )

    def known_share(self, words: list[str]) -> float:
        """Which part of the words is in the list, 0 to 1; about 0.4 for Middle English, 0.7 for 1550, over 0.9 from 1700 on."""
        return sum(map(self.knows, words)) / max(1, len(words))

    def joined_pair(self, word: str) -> tuple[str, str] | None:
        """The two common words that ``word`` is if a space was lost; None if it is a word, or no such pair or two fit.

        One of the two is one of the commonest function words. Early spellings are words, and so are names that end as such a word does
        (Oceana, Jenkinson).
        """
        lower = word.lower()
        if not 5 <= len(word) <= LONGEST_WORD or self.knows(word) or self.knows_early(word):
            return None
        pairs = [
            (word[:i], word[i:])
            for i in range(1, len(word))
            if lower[:i] in self._common and lower[i:] in self._common and (lower[:i] in JOINTS or lower[i:] in JOINTS)
        ]
        if len(pairs) != 1 or (word[0].isupper() and len(pairs[0][1]) <= LONGEST_NAME_ENDING):
            return None
        return pairs[0]
