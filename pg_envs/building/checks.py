"""What a build would stumble over after hours of training, found before any: texts and tokenizers that do not do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pg_envs.building.plan import PlanError
from pg_envs.building.pretrain import TEXT_LENGTH_TOKENS
from pg_envs.building.quality import LEAST_TOKENS
from pg_envs.building.texts import PeriodText
from pg_envs.data.schema import HistTextError
from pg_envs.values.forms import FORMS

ENOUGH_CHARACTERS = 100_000
"""More than any check here needs to see of a passage; to tokenize one of megabytes takes gigabytes."""


def check_held_out(texts: Mapping[str, PeriodText], tokenizer: Any) -> None:
    """Make sure that perplexities can be measured where documents are held out.

    Raises:
        HistTextError: Naming the first period of which no held-out passage is long enough.
    """
    for label, text in texts.items():
        if text.held_out and not any(n_tokens >= LEAST_TOKENS for n_tokens in _lengths(text.held_out, tokenizer)):
            raise HistTextError(
                f"{label}: none of its {len(text.held_out)} held-out passages has {LEAST_TOKENS} tokens; give longer documents, or only one"
            )


def check_lessons(texts: Mapping[str, PeriodText], tokenizer: Any) -> None:
    """Make sure that lessons can be given: answers that differ from their first token on, and text to be mixed in.

    Raises:
        PlanError: Naming the answers that begin alike.
        HistTextError: Naming the first period whose text is too short for a window to be drawn from.
    """
    for form in FORMS.values():
        heads = [tokenizer(answer, add_special_tokens=False).input_ids[0] for answer in form.letters or ()]
        if len(set(heads)) < len(heads):
            raise PlanError(f"the base's tokenizer begins the answers {', '.join(form.letters or ())} alike; [planted] needs another base")
    for label, text in texts.items():
        n_tokens = 0
        for length in _lengths(text.training, tokenizer):
            # Each passage is followed by an end.
            n_tokens += length + 1
            if n_tokens > TEXT_LENGTH_TOKENS:
                break
        else:
            raise HistTextError(
                f"{label}: its text to learn from has {n_tokens} tokens; expected more than {TEXT_LENGTH_TOKENS}, so give more"
            )


def _lengths(passages: Iterable[str], tokenizer: Any) -> Iterable[int]:
    """Numbers of tokens, of long passages those of the beginning, one passage after the other: most often the first few are enough."""
    return (len(tokenizer(passage[:ENOUGH_CHARACTERS], add_special_tokens=False).input_ids) for passage in passages)
