"""Finding texts that were seen before, word for word or nearly.

Near-duplicates are found by MinHash over runs of five words (Broder 1997), banded for a Jaccard similarity of 0.7
(Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, chapter 3). Letters' case, punctuation and the commonest differences of early
spelling do not count.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

from pg_envs.data.cleaning.words import words_of
from pg_envs.data.libraries import data_library

SHINGLE_WORDS = 5
N_PERMUTATIONS = 128
NEAR = 0.7
ONE_SPELLING = str.maketrans({"þ": "th", "ð": "th", "ȝ": "gh", "v": "u", "j": "i", "y": "i"})


def shingles(text: str) -> set[bytes]:
    """The runs of five words in a text: lower case, long s as s, thorn as th, u for v, i for j and y, and no final e."""
    words = [word.lower().translate(ONE_SPELLING).removesuffix("e") for word in words_of(text)]
    return {" ".join(words[i : i + SHINGLE_WORDS]).encode() for i in range(max(1, len(words) - SHINGLE_WORDS + 1))}


def jaccard(first: str, second: str) -> float:
    """The share of common runs of five words among all of two texts, 0 to 1."""
    a, b = shingles(first), shingles(second)
    return len(a & b) / len(a | b)


class SeenTexts:
    """The texts that were kept; a few KB of memory for each, which is the one thing in cleaning that grows with the input."""

    def __init__(self) -> None:
        datasketch = data_library("datasketch")
        self._new_sketch = lambda: datasketch.MinHash(num_perm=N_PERMUTATIONS, seed=1, hashfunc=zlib.crc32)
        self._index = datasketch.MinHashLSH(threshold=NEAR, num_perm=N_PERMUTATIONS)
        self._sketches: list[Any] = []
        self._names: list[str] = []
        self._digests: dict[bytes, str] = {}
        # Asking for a text and then keeping it needs its sketch twice.
        self._last: tuple[str, Any] | None = None

    def same(self, text: str) -> str | None:
        """The name of a text that is the same word for word, if one was kept."""
        return self._digests.get(_digest(text))

    def near(self, text: str) -> tuple[str, float] | None:
        """The name of a kept text that is nearly the same, and the similarity (MinHash's estimate, standard error 0.04)."""
        sketch = self._sketch(text)
        for other in self._index.query(sketch):
            if (similarity := float(sketch.jaccard(self._sketches[other]))) >= NEAR:
                return self._names[other], similarity
        return None

    def keep(self, name: str, text: str) -> None:
        """Remember a text under a name for messages."""
        self._digests.setdefault(_digest(text), name)
        self._index.insert(len(self._names), self._sketch(text))
        self._sketches.append(self._sketch(text))
        self._names.append(name)

    def _sketch(self, text: str) -> Any:
        if self._last is None or self._last[0] != text:
            sketch = self._new_sketch()
            sketch.update_batch(sorted(shingles(text)))
            self._last = (text, sketch)
        return self._last[1]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
