"""An optional stage after cleaning: a language model rewrites what was noisy, and both texts are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from pg_envs.data.cleaning.verdict import RawPassage
from pg_envs.models.engine import Engine
from pg_envs.models.ref import ModelRef

NOISE = frozenset({"misread-letters", "joined-words", "running-heads", "line-end-marks"})
"""Reason codes of passages that are worth rewriting."""
INSTRUCTION = (
    "Copy the text below, and put right only what a scanning machine or a lost space got wrong. Keep the author's words, old spelling, "
    "order and punctuation. Answer with the text alone.\n\n"
)
MIN_WORDS_KEPT, MAX_WORDS_KEPT = 0.8, 1.25


def rewrite_noisy(
    passages: Iterable[RawPassage], engine: Engine, model: ModelRef, batch_size: int = 8, max_new_tokens: int = 4096, seed: int = 0
) -> Iterator[RawPassage]:
    """Yield all passages in order, those that cleaning found noisy with a rewritten text.

    A rewritten passage has the new text as ``content``, the old one as ``original_content`` and ``"rewritten"`` among its reason
    codes. A reply with less than 0.8 or more than 1.25 times as many words as the text is no copy, and the passage goes on unchanged.

    Args:
        passages: As ``clean_passage`` leaves them: reason codes are under ``cleaning``.
        engine: Runs the model; temperature is 0.
        model: The model to ask.
        batch_size: How many passages are asked about at once.
        max_new_tokens: Limit of a reply; a text cut off by it does not count as a copy.
        seed: For the engine.
    """
    passages = iter(passages)
    while batch := list(islice(passages, batch_size)):
        noisy = [passage for passage in batch if NOISE.intersection(passage.get("cleaning", ()))]
        prompts = [INSTRUCTION + passage["content"] for passage in noisy]
        replies = engine.generate(model, prompts, max_new_tokens=max_new_tokens, temperature=0.0, seed=seed) if prompts else []
        rewritten = {id(passage): _with_reply(passage, reply.strip()) for passage, reply in zip(noisy, replies, strict=True)}
        for passage in batch:
            yield rewritten.get(id(passage), passage)


def _with_reply(passage: RawPassage, reply: str) -> RawPassage:
    original = passage["content"]
    share = len(reply.split()) / max(1, len(original.split()))
    if reply == original or not MIN_WORDS_KEPT <= share <= MAX_WORDS_KEPT:
        return passage
    return {**passage, "content": reply, "original_content": original, "cleaning": [*passage["cleaning"], "rewritten"]}
