"""What every engine offers: log-probabilities of given answers, and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pg_envs.models.ref import ModelRef

ENGINES = ("transformers",)


class EngineError(ValueError):
    """An engine that does not exist or cannot run here."""


@dataclass(frozen=True)
class AnswerLogprobs:
    """How a model scores the possible answers to one prompt.

    Attributes:
        total: (K,) float64, summed log-probability of each answer's tokens given the prompt, in nats.
        n_tokens: (K,) int64, how many tokens each answer has.
    """

    total: np.ndarray
    n_tokens: np.ndarray


class Engine(Protocol):
    """Runs the model that a ModelRef names."""

    def choice_logprobs(self, model: ModelRef, prompts: Sequence[str], answers: Sequence[Sequence[str]]) -> list[AnswerLogprobs]:
        """Score ``answers[i]`` as replies to ``prompts[i]``; prompts are user turns, without any template."""
        ...

    def generate(
        self, model: ModelRef, prompts: Sequence[str], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[str]:
        """Reply to each prompt; temperature 0 is greedy, and the same seed gives the same replies."""
        ...

    def check(self, model: ModelRef) -> None:
        """Raise ``ModelRefError`` if the model cannot be loaded, saying which and why."""
        ...


def make_engine(name: str) -> Engine:
    """The engine called ``name``.

    Raises:
        EngineError: If there is no such engine.
    """
    if name == "transformers":
        from pg_envs.models.transformers_engine import TransformersEngine

        return TransformersEngine()
    raise EngineError(f"unknown engine {name!r}; choose from {', '.join(ENGINES)}")
