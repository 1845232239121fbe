"""Rules about what publishers of electronic texts put around them, and what editors wrote about them."""

from __future__ import annotations

import re

from pg_envs.data.cleaning.verdict import Context, RawPassage, Verdict, drop, repair_text
from pg_envs.data.cleaning.words import WORD

_START = re.compile(r"\*{3}\s*START OF (?:THE|THIS) [^\n*]{0,40}E-?(?:BOOK|TEXT)[^*]{0,300}\*{3}", re.IGNORECASE)
_END = re.compile(r"\*{3}\s*END OF (?:THE|THIS) [^\n*]{0,40}E-?(?:BOOK|TEXT)", re.IGNORECASE)
# Names and terms that no author before electronic texts wrote; sought in lower case, which is faster than to ignore case.
_ELECTRONIC = re.compile(
    r"project gutenberg|standard ebooks|distributed proofread|\be-?books?\b|\be-?texts?\b|electronic texts?\b|internet archive|hathitrust"
    r"|google book|digiti[sz]ed by|text creation partnership|creative commons|\bcc0\b|wikisource|transcriber['’]s note"
)
_LICENCE = re.compile(
    r"public domain|redistribut|small print|copyright (?:law|status|notice|holder|infring)|uncopyright|royalt(?:y|ies)|trademark|licen[cs]e"
    r"|permission|donations?\b|tax.deductible|warrant(?:y|ies)|disclaim|liab(?:le|ility)|refund|terms of use|non-?commercial|https?://|www\.|e-?mail",
    re.IGNORECASE,
)
_CREDIT = re.compile(
    r"\b(?:produced|prepared|scanned|transcribed|proofread|digiti[sz]ed|converted) (?:by|for|from)\b|\bpreparer\b|transcriber"
    r"|\bvolunteers?\b|\bversion \d|character set|release date|\btrans(?:l|lated by)?\.? [A-Z][^\n]{0,200}\d{4}\)",
    re.IGNORECASE,
)
_EDITOR_BRACKET = re.compile(
    r"[ \n]?\[(?:note|footnote|foot-note|sidenote|illustration|transcriber['’]s note|editor['’]s note)\b[^\[\]]{0,1500}\]", re.IGNORECASE
)
_APPARATUS = re.compile(
    r"\bMSS?\b|\bBritish Museum\b|\bBodl(?:eian|ey)?\b|\bedd?\.|\b[Ee]dit(?:ed|ions?|ors?|orial)\b|\b[Ii]bid\b|\bop\. cit"
    r"|\b(?:ll?|pp?|vol|fol|ff)\. ?\d+|\bNOTE \d|\b[Mm]anuscripts?\b|\b(?:i{1,3}|iv)\. \d+|\bseqq?\b|\bcf\.|\b[Ff]ootnotes?\b|\bEDITED\b"
    r"|\b(?:\d\dth|[Tt]hirteenth|[Ff]ourteenth|[Ff]ifteenth|[Ss]ixteenth|x[iv]+th) [Cc]entury\b|\bINTRODUCTION\b|\bTABLE OF CONTENTS\b"
    r"|\bGLOSSARI?|\bstanza\b|\blegend\b"
)
MAX_LICENCE_SHARE = 0.5
MAX_LICENCE_PER_1000_WORDS = 12
MAX_APPARATUS_PER_1000_WORDS = 10
MIN_APPARATUS_KINDS = 3
FIRST_PARAGRAPHS = 8
FIRST_ELECTRONIC_YEAR = 1971


def electronic_text(passage: RawPassage, context: Context) -> Verdict | None:
    """Headers, licences and credits of electronic editions are cut off; a passage that is mostly that is dropped."""
    text: str = passage["content"]
    if not _ELECTRONIC.search(text.lower()):
        return None
    kept = text
    if start := _START.search(kept):
        kept = _without_credits(kept[start.end() :])
    if end := _END.search(kept):
        kept = kept[: end.start()]
    paragraphs = re.split(r"\n\s*\n", kept)
    # Since 1971 authors may write about electronic texts themselves.
    if len(_ELECTRONIC.findall(kept.lower())) >= 2 and passage["creation_year"] < FIRST_ELECTRONIC_YEAR:
        paragraphs = [paragraph for paragraph in paragraphs if not _ELECTRONIC.search(paragraph.lower())]
    kept = "\n\n".join(paragraphs).strip()
    n_words = max(1, len(kept.split()))
    if not start and len(_LICENCE.findall(kept)) * 1000 / n_words > MAX_LICENCE_PER_1000_WORDS:
        return drop("a licence")
    if not start and len(kept) < MAX_LICENCE_SHARE * len(text):
        return drop("mostly about an electronic edition")
    if len(kept) > 0.97 * len(text):
        return None
    return repair_text(passage, kept, f"{len(text) - len(kept)} characters cut off")


def _without_credits(text: str) -> str:
    """Cut everything up to the last of the first paragraphs that says who prepared the text."""
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()]
    last = max((i for i, paragraph in enumerate(paragraphs[:FIRST_PARAGRAPHS]) if _CREDIT.search(paragraph)), default=-1)
    return "\n\n".join(paragraphs[last + 1 :])


def editors_brackets(passage: RawPassage, context: Context) -> Verdict | None:
    """Bracketed notes that name themselves as such (``[note: ...]``, ``[Illustration]``) are taken out."""
    text, n_found = _EDITOR_BRACKET.subn("", passage["content"])
    return repair_text(passage, text, f"{n_found} notes") if n_found else None


def editors_matter(passage: RawPassage, context: Context) -> Verdict | None:
    """Introductions, notes, indexes and tables of contents: ten or more references in 1,000 words, of three kinds or more.

    References are such to manuscripts, editions, pages, lines and later centuries.
    """
    text: str = passage["content"]
    found = _APPARATUS.findall(text)
    kinds = {re.sub(r"\W*\d+", "", reference).lower() for reference in found}
    rate = len(found) * 1000 / max(1, len(WORD.findall(text)))
    if rate < MAX_APPARATUS_PER_1000_WORDS or len(kinds) < MIN_APPARATUS_KINDS:
        return None
    return drop(f"{rate:.0f} references in 1,000 words")
