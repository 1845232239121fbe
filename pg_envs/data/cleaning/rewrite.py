"""An optional stage after cleaning: a language model rewrites what was noisy, and both texts are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pg_envs.data.cleaning.verdict import RawPassage, reasons_of
from pg_envs.models.conversation import Prompt
from pg_envs.models.engine import Reply
from pg_envs.models.ref import ModelRef
from pg_envs.progress import reporting_to

NOISE = frozenset({"misread-letters", "joined-words", "running-heads", "line-end-marks"})
"""Reason codes of passages that are worth rewriting."""
REWRITTEN = "rewritten"
"""Reason code of those that were."""
INSTRUCTION = (
    "Copy the text below, and put right only what a scanning machine or a lost space got wrong. Keep the author's words, old spelling, "
    "order and punctuation. Answer with the text alone.\n\n"
)
MIN_KEPT, MAX_KEPT = 0.8, 1.25
RUN_CHARS = 5
MIN_COMMON_RUNS = 0.5
MOST_HELD = 256
"""Passages that wait for others to be asked about together with them."""

Outcome = Literal["rewritten", "same", "cut", "no copy", "too long"]
OUTCOMES: dict[Outcome, str] = {
    "rewritten": "has a new text, and the old one beside it",
    "same": "the model found nothing to put right",
    "cut": "left as it was: the reply was not ended when it had as many tokens as it might",
    "no copy": "left as it was: the reply was much shorter, much longer, or another text",
    "too long": "left as it was, and not asked about",
}

Tell = Callable[[RawPassage, Outcome], None]


class Replier(Protocol):
    """What of an engine (``pg_envs.models.engine.Engine``) is needed here."""

    def replies(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[Reply]:
        """A reply to each prompt."""
        ...

    def check(self, model: ModelRef) -> None:
        """Raise ``ModelRefError`` if the model cannot be loaded."""
        ...

    def arithmetic(self) -> dict[str, Any]:
        """What replies depend on beside the model."""
        ...


@dataclass(frozen=True)
class Rewriter:
    """Who rewrites, and within which bounds.

    Attributes:
        engine: Runs the model; temperature is 0.
        model: The model to ask.
        batch_size: How many passages are asked about at once.
        max_new_tokens: Limit of a reply; one cut off by it is not taken.
        max_chars: Longer passages are not asked about.
        seed: For the engine.
    """

    engine: Replier
    model: ModelRef
    batch_size: int = 8
    max_new_tokens: int = 4096
    max_chars: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what asks nothing."""
        for name in ("batch_size", "max_new_tokens", "max_chars"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected 1 or more")


def is_noisy(passage: RawPassage) -> bool:
    """Whether cleaning found noise in a passage."""
    return not NOISE.isdisjoint(reasons_of(passage))


def rewrite_noisy(passages: Iterable[RawPassage], rewriter: Rewriter, tell: Tell | None = None) -> Iterator[RawPassage]:
    """Yield all passages in order, those that cleaning found noisy with a rewritten text.

    A rewritten passage has the new text as ``content``, the text before any rewriting as ``original_content`` and ``"rewritten"`` among its
    reason codes. A reply goes for a copy if the model ended it, it has 0.8 to 1.25 times as many characters as the text, and half of the
    text's runs of five characters are in it; else the passage goes on unchanged.

    Args:
        passages: As ``clean_passage`` leaves them: reason codes are under ``cleaning``.
        rewriter: Who rewrites.
        tell: Called with each noisy passage, as it was, and what became of it.
    """
    tell = tell or _tell_nobody
    held: list[RawPassage] = []
    n_asked = 0
    for passage in passages:
        held.append(passage)
        n_asked += is_noisy(passage)
        if n_asked == rewriter.batch_size or len(held) == MOST_HELD:
            yield from _rewritten(held, rewriter, tell)
            held, n_asked = [], 0
    yield from _rewritten(held, rewriter, tell)


def _tell_nobody(passage: RawPassage, outcome: Outcome) -> None:
    pass


def _rewritten(passages: list[RawPassage], rewriter: Rewriter, tell: Tell) -> Iterator[RawPassage]:
    noisy = [place for place, passage in enumerate(passages) if is_noisy(passage)]
    asked = [place for place in noisy if len(passages[place]["content"]) <= rewriter.max_chars]
    replies = dict(zip(asked, _replies([passages[place]["content"] for place in asked], rewriter), strict=True))
    changed: dict[int, RawPassage] = {}
    for place in noisy:
        outcome = judge(passages[place]["content"], replies[place]) if place in replies else "too long"
        tell(passages[place], outcome)
        if outcome == "rewritten":
            changed[place] = _with_text(passages[place], replies[place].text.strip())
    for place, passage in enumerate(passages):
        yield changed.get(place, passage)


def _replies(texts: list[str], rewriter: Rewriter) -> list[Reply]:
    if not texts:
        return []
    prompts = [INSTRUCTION + text for text in texts]
    # How far the engine is with a few passages would hide how far the whole is.
    with reporting_to(lambda what, done, total: None):
        return rewriter.engine.replies(rewriter.model, prompts, rewriter.max_new_tokens, temperature=0.0, seed=rewriter.seed)


def judge(text: str, reply: Reply) -> Outcome:
    """What a reply to ``text`` is good for."""
    if not reply.is_whole:
        return "cut"
    copy = reply.text.strip()
    if copy == text.strip():
        return "same"
    runs = _runs(text)
    # Runs, not words, as a lost space changes two of these at once, and not all languages have spaces.
    common = (runs & _runs(copy)).total() / max(1, runs.total())
    if not MIN_KEPT <= len(copy) / max(1, len(text)) <= MAX_KEPT or common < MIN_COMMON_RUNS:
        return "no copy"
    return "rewritten"


def _runs(text: str) -> Counter[str]:
    """The runs of five characters, without regard to case and white space."""
    text = "".join(text.casefold().split())
    return Counter(text[i : i + RUN_CHARS] for i in range(max(1, len(text) - RUN_CHARS + 1)))


def _with_text(passage: RawPassage, text: str) -> RawPassage:
    # Of a passage that is rewritten again the first text is the original.
    original = passage.get("original_content")
    return {
        **passage,
        "content": text,
        "original_content": original if isinstance(original, str) else passage["content"],
        "cleaning": list(dict.fromkeys([*reasons_of(passage), REWRITTEN])),
    }
