"""What every engine offers: log-probabilities of given answers, and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from pg_envs.models.conversation import Prompt
from pg_envs.models.ref import ModelRef

TRANSFORMERS, OPENAI = "transformers", "openai:"
ENGINES: dict[str, str] = {
    TRANSFORMERS: "in this process, with Hugging Face transformers",
    f"{OPENAI}URL": "by an OpenAI-compatible server, e.g. vLLM's, at http://HOST:PORT/v1 (needs pg-envs[openai])",
}


class EngineError(ValueError):
    """An engine that does not exist, cannot run here, or has a server that does not answer; the message says what to do."""


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
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[str]:
        """Reply to each prompt, a user turn or a conversation; temperature 0 is greedy, and the same seed gives the same replies."""
        ...

    def check(self, model: ModelRef) -> None:
        """Raise ``ModelRefError`` if the model cannot be loaded, saying which and why."""
        ...


def check_engine_name(name: str) -> None:
    """Make sure, before any work, that an engine of that name can be made; nothing is loaded and no server is asked.

    Raises:
        EngineError: If there is no such engine, its settings are wrong, or a package is missing.
    """
    if isinstance(name, str) and name.startswith(OPENAI):
        from pg_envs.models.openai_settings import OpenAISettings

        OpenAISettings.parse(name)
        if find_spec("openai") is None:
            raise EngineError(f"engine {name!r} needs the package openai, which is not installed: pip install 'pg-envs[openai]'")
    elif name != TRANSFORMERS:
        raise EngineError(f"unknown engine {name!r}; choose from {', '.join(ENGINES)}")


def make_engine(name: str) -> Engine:
    """The engine called ``name``.

    Raises:
        EngineError: As ``check_engine_name``.
    """
    check_engine_name(name)
    if name.startswith(OPENAI):
        from pg_envs.models.openai_engine import OpenAIEngine
        from pg_envs.models.openai_settings import OpenAISettings

        return OpenAIEngine(OpenAISettings.parse(name))
    from pg_envs.models.transformers_engine import TransformersEngine

    return TransformersEngine()
