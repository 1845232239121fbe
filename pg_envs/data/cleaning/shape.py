"""Rules about a passage as a whole: whether there is a text, its length, whether it was there before."""

from __future__ import annotations

import re

from pg_envs.data.cleaning.verdict import Context, RawPassage, Verdict, drop
from pg_envs.data.schema import OPTIONAL, fits

# Tried in this order: between paragraphs, between lines, between sentences, between words.
BREAKS = (r"\n\s*\n", r"\n", r"(?<=[.!?;])\s", r"\s")


def no_content(passage: RawPassage, context: Context) -> Verdict | None:
    """``content`` is missing, empty or no text."""
    content = passage.get("content")
    return None if isinstance(content, str) and content.strip() else drop("no text")


def bad_fields(passage: RawPassage, context: Context) -> Verdict | None:
    """Optional fields of another type than the schema's are left out."""
    bad = [name for name, kind in OPTIONAL.items() if passage.get(name) is not None and not fits(passage[name], kind)]
    if not bad:
        return None
    kept = {name: value for name, value in passage.items() if name not in bad}
    return Verdict("repair", (kept,), ", ".join(bad))


def too_short(passage: RawPassage, context: Context) -> Verdict | None:
    """Fewer characters than a passage has (1,000)."""
    n_chars = len(passage["content"])
    return drop(f"{n_chars} characters") if n_chars < context.lengths.min_chars else None


def too_long(passage: RawPassage, context: Context) -> Verdict | None:
    """More characters than a passage has (10,000): split evenly, at the ends of paragraphs where there are any."""
    text: str = passage["content"]
    if len(text) <= context.lengths.max_chars:
        return None
    parts = _parts(text, context.lengths.max_chars)
    passages = tuple({**passage, "content": part, "passage_part": i} for i, part in enumerate(parts))
    return Verdict("split", passages, f"{len(text)} characters into {len(parts)}")


def _parts(text: str, max_chars: int) -> list[str]:
    n_parts = -(-len(text) // max_chars)
    parts = []
    while len(text) > max_chars:
        target = len(text) // n_parts
        cut = _best_cut(text, target, max_chars)
        parts.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
        n_parts = max(2, n_parts - 1)
    return [*parts, text]


def _best_cut(text: str, target: int, max_chars: int) -> int:
    """The break nearest ``target`` in its outer half to the limit; in the middle of a word only if there is none at all."""
    for pattern in BREAKS:
        cuts = [match.end() for match in re.finditer(pattern, text[:max_chars]) if match.end() >= target // 2]
        if cuts:
            return min(cuts, key=lambda cut: abs(cut - target))
    return max_chars


def duplicate(passage: RawPassage, context: Context) -> Verdict | None:
    """The same text, word for word, was kept before."""
    name = context.seen.same(passage["content"])
    return drop(f"as {name}") if name else None


def near_duplicate(passage: RawPassage, context: Context) -> Verdict | None:
    """Nearly the same text was kept before: Jaccard similarity of runs of five words, without case and punctuation, of 0.7 or more."""
    found = context.seen.near(passage["content"])
    return drop(f"{found[1]:.2f} like {found[0]}") if found else None
