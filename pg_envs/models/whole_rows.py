"""Scoring by engines that read prompt and answer as one row of tokens and tell the log-probability of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_envs.models.encoding import encode_answer, encode_prompts
from pg_envs.models.engine import AnswerLogprobs

Rows = list[list[int]]


def scored_whole(
    tokenizer: Any, prompts: Sequence[str], answers: Sequence[Sequence[str]], read: Callable[[Rows], Sequence[Sequence[float]]]
) -> list[AnswerLogprobs]:
    """Score ``answers[i]`` as replies to ``prompts[i]``; see ``Engine``.

    Args:
        tokenizer: The base's.
        prompts: User turns, without any template.
        answers: For each prompt its possible replies.
        read: Given rows of tokens, one for every prompt and answer, tells for each row the log-probabilities of its
            tokens, in nats and in order; those of the last tokens are what counts, so the first may be missing.
    """
    prompt_ids = encode_prompts(tokenizer, prompts)
    answer_ids = [[encode_answer(tokenizer, answer) for answer in group] for group in answers]
    logprobs = iter(read([head + tail for head, group in zip(prompt_ids, answer_ids, strict=True) for tail in group]))
    return [
        AnswerLogprobs(np.array([sum(next(logprobs)[-len(tail) :]) for tail in group]), np.array([len(tail) for tail in group]))
        for group in answer_ids
    ]
