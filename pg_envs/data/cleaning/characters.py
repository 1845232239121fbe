"""Rules about characters: text decoded wrongly, tags, invisible characters, marks of line ends."""

from __future__ import annotations

import html
import re
from html.entities import html5
from itertools import pairwise

from pg_envs.data.cleaning.verdict import Context, RawPassage, Verdict, repair_text
from pg_envs.data.libraries import data_library

FIRST_FAR_SIGN = "\u2e80"
MIN_TAGS = 3
MIN_BARS = 3
_TAG = re.compile(r"<(/?)([A-Za-z][\w:.-]*)(?:\s[^<>]*)?/?>")
_DECLARATION = re.compile(r"<[?!][^<>]*>")
_CUT_TAG_AT_START = re.compile(r"\A[^<>]{0,300}=\"[^<>\"]*\"\s*/?>")
_CUT_TAG_AT_END = re.compile(r"<[^<>]*\Z")
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,9}|#\d{1,6}|#x[0-9A-Fa-f]{1,5});")
# Not the zero-width joiners within words of the scripts of Asia, from Hebrew to Mongolian, some of which are spelt with them.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\ud800-\udfff]|(?<![\u0590-\u1cff])[\u200c\u200d]|[\u200c\u200d](?![\u0590-\u1cff])"
)
_OTHER_SPACE = re.compile(r"[\u00a0\u2000-\u200a\u202f]")
_HYPHEN_MARK = re.compile(r"(?<=[^\W\d_])[∣\u00ad¬][ \t]{0,8}\n?[ \t]{0,8}(?=[^\W\d_])")
_BAR = re.compile(r"(?<=[^\W\d_])\|(?=[^\W\d_])")
_BROKEN_WORD = re.compile(r"(?<=[a-zß-öø-ÿœſȝ])-\n(?=[a-zß-öø-ÿœſȝ])")
WRAPPED_CHARS = range(50, 85)
MIN_WRAPPED_LINES = 4
MIN_FILLED_SHARE = 0.75

_BLOCKS = """p div sp head lg l h1 h2 h3 h4 h5 h6 hgroup li item list section header blockquote tr table body front back br lb
    speaker"""
BLOCKS = frozenset(_BLOCKS.split())
LINE_END_HYPHENS = ("char:EOLhyphen", "char:EOLunhyphen")
INLINE = frozenset(["a", "b", "em", "i", "small", "span", "strong", "sub", "sup", "u"])
ALONE = frozenset(["br", "lb", "p"])
"""Elements that need no closing tag."""
UNSEEN = frozenset(["script", "style", "title", "teiheader"])


def mojibake(passage: RawPassage, context: Context) -> Verdict | None:
    """UTF-8 that was read as Latin-1 or Windows-1252, put right line by line by ftfy; nothing else of ftfy's is applied."""
    lines = passage["content"].split("\n")
    fixed = [line if line.isascii() else _decoded_again(line) for line in lines]
    return repair_text(passage, "\n".join(fixed), f"{sum(a != b for a, b in zip(lines, fixed, strict=True))} lines decoded again")


def _decoded_again(line: str) -> str:
    """What ftfy makes of a line, unless that has signs of scripts beyond the Latin and its neighbours, which no text here is in."""
    fixed: str = data_library("ftfy").fix_encoding(line)
    return line if any(sign >= FIRST_FAR_SIGN for sign in set(fixed) - set(line)) else fixed


def _text_between_tags(text: str) -> str:
    """The text without tags and comments; blocks become paragraphs, TEI's gaps 〈◊〉 and its end-of-line hyphens nothing.

    Not html.parser, whose time grows with the square of some texts made to that end.
    """
    pieces: list[str] = []
    unseen = 0
    start = 0
    text = _without_comments(text)
    for match in _TAG.finditer(text):
        if not unseen:
            pieces.append(re.sub(r"\s+", " ", text[start : match.start()]))
        start = match.end()
        name = match[2].lower()
        if name in UNSEEN:
            unseen = max(0, unseen + (-1 if match[1] else not match[0].endswith("/>")))
        elif name in BLOCKS:
            pieces.append("\n\n")
        elif name == "gap" or (name == "g" and not match[1] and not any(hyphen in match[0] for hyphen in LINE_END_HYPHENS)):
            pieces.append("〈◊〉")
    if not unseen:
        pieces.append(re.sub(r"\s+", " ", text[start:]))
    return re.sub(r" ?\n\n[ \n]*", "\n\n", "".join(pieces)).strip()


def _without_known_tags(text: str) -> str:
    """The text without the few tags in it that HTML or TEI have, and that are closed, have attributes or stand alone.

    Its white space stays, since it is no source of a web page.
    """
    closed = {match[2].lower() for match in _TAG.finditer(text) if match[1]}

    def instead(match: re.Match[str]) -> str:
        name = match[2].lower()
        if name not in BLOCKS | INLINE or not (name in closed | ALONE or "=" in match[0]):
            return match[0]
        return "" if name in INLINE else "\n" if name in ("br", "lb") else "\n\n"

    kept = _TAG.sub(instead, text)
    return text if kept == text else re.sub(r"\n{3,}", "\n\n", kept).strip()


def _without_comments(text: str) -> str:
    pieces = []
    while True:
        before, opened, rest = text.partition("<!--")
        pieces.append(before)
        _, closed, text = rest.partition("-->")
        if not opened or not closed:
            return _DECLARATION.sub("", "".join(pieces) + (rest if opened else ""))


def markup(passage: RawPassage, context: Context) -> Verdict | None:
    """XML or HTML tags (three or more, a known element's, or one cut off at the start) go, and entities such as ``&amp;`` are resolved."""
    text: str = passage["content"]
    n_tags = len(_TAG.findall(text))
    if cut := _CUT_TAG_AT_START.search(text):
        text = text[cut.end() :]
    if n_tags >= MIN_TAGS:
        text = _text_between_tags(_CUT_TAG_AT_END.sub("", text))
    elif n_tags:
        text = _without_known_tags(text)
    n_entities = sum(_resolved(match) != match[0] for match in _ENTITY.finditer(text))
    text = _ENTITY.sub(_resolved, text)
    return repair_text(passage, text, f"{n_tags} tags, {n_entities} entities")


def _resolved(match: re.Match[str]) -> str:
    """What an entity stands for; one that HTML does not have is left as it is, though ``html.unescape`` would resolve its beginning."""
    return html.unescape(match[0]) if match[0][1] == "#" or match[0][1:] in html5 else match[0]


def invisible(passage: RawPassage, context: Context) -> Verdict | None:
    """Control characters and zero-width spaces are taken out; no-break and thin spaces become spaces, form feeds line ends."""
    text = passage["content"].replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n").replace("\u2028", "\n")
    n_found = len(_CONTROL.findall(text)) + len(_OTHER_SPACE.findall(text))
    return repair_text(passage, _OTHER_SPACE.sub(" ", _CONTROL.sub("", text)), f"{n_found} characters")


def line_end_marks(passage: RawPassage, context: Context) -> Verdict | None:
    """Marks and hyphens at which a word was broken at a line's end (∣, soft hyphen, ¬, often |) are taken out, the word made whole.

    The broken bar ¦, which transcripts of early prints use where the print has no hyphen, is left as it stands there.
    """
    text: str = passage["content"]
    n_marks = len(_HYPHEN_MARK.findall(text))
    text = _HYPHEN_MARK.sub("", text)
    if len(_BAR.findall(text)) >= MIN_BARS:
        n_marks += len(_BAR.findall(text))
        text = _BAR.sub("", text)
    if len(broken := _BROKEN_WORD.findall(text)) >= MIN_BARS:
        n_marks += len(broken)
        text = _BROKEN_WORD.sub("", text)
    return repair_text(passage, text, f"{n_marks} marks") if n_marks else None


def hard_wraps(passage: RawPassage, context: Context) -> Verdict | None:
    """Lines of prose broken at a width of 50 to 84 characters are joined; verse is not.

    Prose goes on in lower case, and its lines end where the next word had no room; verse has capitals, or lines that are not full.
    """
    paragraphs = re.split(r"\n[ \t]*\n", passage["content"])
    wrapped = {i: lines for i, paragraph in enumerate(paragraphs) if _looks_wrapped(lines := _lines(paragraph))}
    filled = [full for lines in wrapped.values() for full in _filled(lines)]
    # Of all paragraphs together, since a stanza of four lines may fill them by chance.
    if sum(filled) < MIN_FILLED_SHARE * max(1, len(filled)):
        return None
    joined = [" ".join(wrapped[i]) if i in wrapped else paragraph for i, paragraph in enumerate(paragraphs)]
    return repair_text(passage, "\n\n".join(joined), f"{len(wrapped)} paragraphs")


def _lines(paragraph: str) -> list[str]:
    return [line.strip() for line in paragraph.strip("\n").split("\n")]


def _looks_wrapped(lines: list[str]) -> bool:
    full, later = lines[:-1], lines[1:]
    if len(lines) < MIN_WRAPPED_LINES or sum(len(line) in WRAPPED_CHARS for line in full) < 0.8 * len(full):
        return False
    return sum(line[:1].islower() for line in later) >= 0.5 * len(later)


def _filled(lines: list[str]) -> list[bool]:
    """For each line but the last, whether the first word of the next would have made it longer than the longest."""
    width = max(map(len, lines))
    return [len(line) + 1 + len(following.split(" ")[0]) > width for line, following in pairwise(lines)]
