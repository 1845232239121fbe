"""Questions shared out over the ranks of a run, each of which has an engine of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from pg_envs.models.conversation import Prompt
from pg_envs.models.engine import AnswerLogprobs, Engine, EngineError, Reply
from pg_envs.models.ref import ModelRef
from pg_envs.ranks import by_all, by_first, n_ranks, rank


class SharedEngine:
    """Each rank scores a part of the questions, and all are told all answers.

    So ranks never differ in what they were answered, not even in rounding, and go on to the same decisions.
    """

    def __init__(self, own: Engine) -> None:
        """Share out what this rank's ``own`` engine, and the others', will be asked."""
        self.own = own

    def choice_logprobs(self, model: ModelRef, prompts: Sequence[str], answers: Sequence[Sequence[str]]) -> list[AnswerLogprobs]:
        """As ``Engine``'s.

        Raises:
            EngineError: If ranks ask different things at the same time, as happens if something inside a training asks.
        """
        asked = hashlib.sha256(repr((model, list(prompts), [list(group) for group in answers])).encode()).hexdigest()
        # Neighbours have their beginnings in common, so that parts are of neighbours.
        mine = np.array_split(np.arange(len(prompts)), n_ranks())[rank()]

        def score() -> tuple[str, list[AnswerLogprobs]]:
            if not len(mine):
                return asked, []
            return asked, self.own.choice_logprobs(model, [prompts[i] for i in mine], [answers[i] for i in mine])

        parts = by_all(score)
        if len({what for what, _ in parts}) > 1:
            raise EngineError(
                "the processes of this run asked different questions at the same time; ask before a training begins, not within it, "
                "or run in a single process"
            )
        return list(chain.from_iterable(scored for _, scored in parts))

    def generate(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[str]:
        """As ``Engine``'s; the first rank replies, since what is sampled depends on what is asked together."""
        return by_first(lambda: self.own.generate(model, prompts, max_new_tokens, temperature, seed))

    def replies(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[Reply]:
        """Likewise."""
        return by_first(lambda: self.own.replies(model, prompts, max_new_tokens, temperature, seed))

    def check(self, model: ModelRef) -> None:
        """As ``Engine``'s."""
        by_all(lambda: self.own.check(model))

    def arithmetic(self) -> dict[str, Any]:
        """The first rank's, and how many ranks there are."""
        return {**by_first(self.own.arithmetic), "processes": n_ranks()}
