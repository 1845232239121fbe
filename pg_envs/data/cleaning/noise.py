"""Rules about what optical character recognition and lost spaces leave behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise, product

from pg_envs.data.cleaning.verdict import Context, RawPassage, Verdict, drop, repair, repair_text
from pg_envs.data.cleaning.words import LONGEST_WORD, WORD, Vocabulary, words_of

MAX_GAPS_PER_1000_CHARS = 3
MIN_KNOWN_SHARE = 0.75
"""Below this the list of words does not know the text's spelling."""
JOINED_KNOWN_SHARE = 0.8
"""Earlier than this spelling, "weare" and "aswell" are words."""
MIN_JOINED = 4
MIN_JOINED_SHARE = 0.008
MIN_DIFFERENT_SHARE = 0.5
NEAR_CHARS = 50
"""How far around a line the sentence is looked for that it interrupts."""
MIN_MISREAD = 4
MIN_MISREAD_SHARE = 0.005
MAX_MISREAD_SHARE = 0.1
_GAP = re.compile(r"〈[^〈〉]{1,12}〉|[◊�]")
_RUNNING_HEAD = re.compile(r"(?:(?<=\n)|\A)[ \t]*(?:\d{1,4}[ \t.]+)?[A-Z][A-Z ,.'’&-]{3,60}[A-Z.](?:[ \t]+\d{1,4}\.?)?[ \t]*(?=\n|\Z)")
_PAGE_NUMBER = re.compile(r"\d{1,4}")
# A mark of punctuation or a digit between letters of a word, where no word has one. Not ^ and ~: transcripts write with them what is raised
# and what is shortened, as in y^e, w^ch and co~mon.
_MISREAD = re.compile(r"(?<![\w$£#/.&@-])[A-Za-z]+[!01|\\*■][a-z]+|(?<![\w$£#/.&@-])[!01][a-z]{3,}")
_SPECK = re.compile(r"■|(?<=[a-z])[\\|*](?=[\s,.;])|(?:(?<=\s)|\A)[\\|*](?=[a-z])|(?<=\s)[|~^](?=\s)")
_NOISY_WORD = re.compile(r"[A-Za-zſ!01]+")
_MARKED_WORD = re.compile(r"[A-Za-zſ]+[!01]+[a-zſ]|[!01][a-zſ]{3,}")
_MARK = re.compile(r"[!01]")
_APOSTROPHE = re.compile(r"['’]")
_WHOLE_WORD = re.compile(r"(?<![^\W\d_])(?<!['’])[^\W\d_]+(?![^\W\d_]|['’])")
"""A word that is not the beginning or end of one with an apostrophe (inclin'd, promis')."""
FIRST_SETTLED_YEAR = 1700
"""Before this many words that a modern list does not have are sound: haue, wiues, hee."""
LETTERS_OF_MARKS = {"!": "il", "1": "li", "0": "o"}
MOST_MARKS = 4
CONFUSIONS = (
    ("!", "i"), ("1", "l"), ("0", "o"), ("rn", "m"), ("cl", "d"), ("vv", "w"), ("ii", "n"), ("li", "h"), ("b", "h"), ("h", "b"), ("c", "e"),
    ("e", "c"), ("n", "u"), ("u", "n"), ("f", "s"), ("l", "i"), ("i", "l"), ("m", "rn"),
)  # fmt: skip
"""What is read, and what stood there; the commonest confusions of printed letters."""


def gaps(passage: RawPassage, context: Context) -> Verdict | None:
    """More than three marks of illegible letters (〈◊〉, �) in 1,000 characters: too much is lost to repair."""
    text: str = passage["content"]
    rate = len(_GAP.findall(text)) * 1000 / max(1, len(text))
    return drop(f"{rate:.1f} gaps in 1,000 characters") if rate > MAX_GAPS_PER_1000_CHARS else None


def running_heads(passage: RawPassage, context: Context) -> Verdict | None:
    """Lines in capitals with a page number that repeat the title or interrupt a sentence are taken out, and the page break with them."""
    text: str = passage["content"]
    title = set(words_of(str(passage.get("source_document") or "").lower()))
    found = [match for match in _RUNNING_HEAD.finditer(text) if _PAGE_NUMBER.search(match[0]) and _is_head(match, title)]
    ends = [(0, 0), *(match.span() for match in found), (len(text), len(text))]
    pieces: list[str] = []
    for (_, start), (end, _) in pairwise(ends):
        piece = text[start:end]
        if start:
            piece = piece.lstrip()
            pieces.append(_joint(pieces[-1], piece))
        pieces.append(piece if end == len(text) else piece.rstrip())
    return repair_text(passage, "".join(pieces), f"{len(found)} lines") if found else None


def _is_head(match: re.Match[str], title: set[str]) -> bool:
    """Whether a line of capitals is made of the title's words, or stands in the middle of a sentence."""
    if title.issuperset(words_of(match[0].lower())):
        return True
    start, end = match.span()
    before, after = match.string[max(0, start - NEAR_CHARS) : start].rstrip(), match.string[end : end + NEAR_CHARS].lstrip()
    return (before[-1:].islower() or before[-1:] in ",;-") and after[:1].islower()


def _joint(before: str, after: str) -> str:
    """What stands where a page ended: a space within a sentence, else the end of a paragraph."""
    goes_on = before[-1:].isalnum() or before[-1:] in ",;-"
    return " " if goes_on and after[:1].islower() else "\n\n"


def misread_letters(passage: RawPassage, context: Context) -> Verdict | None:
    """Specks are taken out, and unknown words that one or two usual confusions of letters turn into a known one are put right.

    Only where digits or marks inside words show that the text was read by a machine; in texts from before 1700, and next to an apostrophe
    (wou'd), only these digits and marks, and only in the words that have them. Dropped if too few other words are known since 1700, or if
    more than a tenth have marks.
    """
    text: str = passage["content"]
    words = words_of(text)
    n_found = len(_MISREAD.findall(text))
    if n_found < MIN_MISREAD or n_found < MIN_MISREAD_SHARE * len(words):
        return None
    settled = passage["creation_year"] >= FIRST_SETTLED_YEAR
    if settled and context.vocabulary.known_share(words) < MIN_KNOWN_SHARE:
        return drop(f"{n_found} misread words, and too few others are known to put them right")
    if not settled and n_found > MAX_MISREAD_SHARE * len(words):
        return drop(f"{n_found} misread words of {len(words)}")
    text, n_specks = _SPECK.subn("", text)
    text = re.sub(r"(?<=\S)[ \t]{2,}(?=\S)", " ", text)
    text = _NOISY_WORD.sub(lambda match: _put_right(match, settled, context.vocabulary), text)
    # Even if the text is the same: what is found noisy may be rewritten later.
    return repair(passage, f"{n_found} misread words, {n_specks} specks", content=text)


def _put_right(match: re.Match[str], settled: bool, vocabulary: Vocabulary) -> str:
    start, end = match.span()
    if settled and not _APOSTROPHE.search(match.string, max(0, start - 1), end + 1):
        return _reread(match[0], vocabulary)
    return _without_marks(match[0], vocabulary) if _MARKED_WORD.match(match[0]) else match[0]


def _without_marks(word: str, vocabulary: Vocabulary) -> str:
    """The commonest known word, else an early spelling of one, that has letters in place of the marks; the other letters stay."""
    core = word.rstrip("!")
    if len(_MARK.findall(core)) > MOST_MARKS:
        return word
    candidates = ["".join(signs) for signs in product(*(LETTERS_OF_MARKS.get(sign, sign) for sign in core))]
    for knows in (vocabulary.knows, vocabulary.knows_early):
        if known := [candidate for candidate in candidates if knows(candidate.replace("ſ", "s"))]:
            return _commonest(known, vocabulary) + word[len(core) :]
    return word


def _reread(word: str, vocabulary: Vocabulary) -> str:
    """The commonest known word that one confusion of letters, or else two, can have made into ``word``."""
    ends = re.fullmatch(r"(.*?[a-zſ])(!*)", word)
    core, tail = (ends[1], ends[2]) if ends else (word, "")
    if not 3 <= len(core) <= LONGEST_WORD or core.isupper() or vocabulary.knows(core.replace("ſ", "s")):
        return word
    once = set(_undo_one(core))
    for candidates in (once, {twice for candidate in once for twice in _undo_one(candidate)}):
        known = [candidate for candidate in candidates if candidate.isalpha() and vocabulary.knows(candidate.replace("ſ", "s"))]
        if known:
            return _commonest(known, vocabulary) + tail
    return word


def _commonest(words: list[str], vocabulary: Vocabulary) -> str:
    return max(words, key=lambda word: (vocabulary.counts.get(word.lower().replace("ſ", "s"), 0), word))


def _undo_one(word: str) -> Iterator[str]:
    for read, stood in CONFUSIONS:
        at = word.find(read)
        while at >= 0:
            yield word[:at] + stood + word[at + len(read) :]
            at = word.find(read, at + 1)


def joined_words(passage: RawPassage, context: Context) -> Verdict | None:
    """Words run together where a space was lost are parted, in text whose spelling the list of words knows."""
    text: str = passage["content"]
    words, whole = WORD.findall(text), _WHOLE_WORD.findall(text)
    if context.vocabulary.known_share(words) < JOINED_KNOWN_SHARE:
        return None
    joined = {word: pair for word in set(whole) if (pair := context.vocabulary.joined_pair(word))}
    n_found = sum(word in joined for word in whole)
    # Lost spaces hit ever other words; one that comes again and again is a word ("onboarding", "Oceana") that the list does not have.
    n_different = len({word.lower() for word in joined})
    if n_different < max(MIN_JOINED, MIN_DIFFERENT_SHARE * n_found) or n_found < MIN_JOINED_SHARE * len(words):
        return None
    text = _WHOLE_WORD.sub(lambda match: " ".join(joined[match[0]]) if match[0] in joined else match[0], text)
    # The same line ends took the space after commas and full stops.
    text = re.sub(r"(?<=[a-z])([,;:.])(?=[A-Za-z][a-z ])", r"\1 ", text)
    return repair_text(passage, text, f"{n_found} words")
