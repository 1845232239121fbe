"""The ``openai`` engine: an OpenAI-compatible server runs the models, and is told them by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pg_envs.models.conversation import Prompt, as_messages
from pg_envs.models.engine import AnswerLogprobs, Reply, reply_seeds
from pg_envs.models.loading import load_tokenizer
from pg_envs.models.openai_adapters import ServerAdapters
from pg_envs.models.openai_server import Body, Malformed, OpenAIServer, Route
from pg_envs.models.openai_settings import OpenAISettings
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.whole_rows import scored_whole

NO_PROMPT_LOGPROBS = "a server that gives no log-probabilities of prompts can still be asked with mode='generate'"
LOGPROB_RANGE = (-1e6, 1e-3)
"""Up to rounding, log-probabilities lie in it; servers write -9999 for minus infinity."""


class OpenAIEngine:
    """Scores answers and generates text on a server.

    A model is asked for under the name that ``str`` gives its ModelRef: ``BASE`` or ``BASE+ADAPTER``. With the setting
    ``load_adapters`` the server is told to load adapters, under names that hold a hash of their files besides.

    To score, prompt and answer are sent as the tokens that the base's own tokenizer and chat template give here, so
    the numbers are the ``transformers`` engine's up to the server's arithmetic. Texts are written by the server's chat
    endpoint, with the template that the server has.
    """

    def __init__(self, settings: OpenAISettings) -> None:
        """Make an engine; nothing is loaded or asked yet."""
        self.server = OpenAIServer(settings)
        self._adapters = ServerAdapters(self.server) if settings.load_adapters else None
        self._served: list[str] = []
        self._base: tuple[str, str | None] | None = None
        self._tokenizer: Any = None

    def check(self, model: ModelRef) -> None:
        """Raise ``ModelRefError`` if the server does not offer ``model``, and does not load it; it is asked once for each name it offers.

        A server that does not answer, or refuses to load an adapter, raises ``EngineError``.
        """
        self._served_name(model)

    def _served_name(self, model: ModelRef) -> str:
        """What ``model`` is called on the server, which offers it."""
        if self._adapters is not None and model.adapter is not None:
            name = self._adapters.name_of(model)
            # Another run at this server may have unloaded it.
            if name not in self.server.model_names():
                self._adapters.load(model)
            return name
        if str(model) not in self._served:
            # Adapters may have been loaded since the server was last asked.
            self._served = self.server.model_names()
        if str(model) not in self._served:
            offered = ", ".join(map(repr, self._served)) or "no models"
            raise ModelRefError(
                f"{model}: {self.server.settings.base_url} does not serve it: expected a model named {str(model)!r}, "
                f"found {offered}; serve it under that name, or have adapters loaded with load_adapters=true (docs/engines.md)"
            )
        return str(model)

    def arithmetic(self) -> dict[str, Any]:
        """Nothing: a server does not tell."""
        return {}

    def choice_logprobs(self, model: ModelRef, prompts: Sequence[str], answers: Sequence[Sequence[str]]) -> list[AnswerLogprobs]:
        """Score ``answers[i]`` as replies to ``prompts[i]``; see ``Engine``; every answer is a question to the server.

        Raises:
            EngineError: If the server fails for good, or gives no log-probabilities of prompts.
        """
        name = self._served_name(model)
        return scored_whole(
            self._tokenizer_of(model),
            prompts,
            answers,
            lambda rows: self.server.ask_all(ECHO, [_echoed(name, row) for row in rows]),
        )

    def generate(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[str]:
        """Reply to each prompt; see ``Engine``. Equal prompts have different seeds, so their replies may differ.

        Raises:
            EngineError: If the server fails for good.
        """
        return [reply.text for reply in self.replies(model, prompts, max_new_tokens, temperature, seed)]

    def replies(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[Reply]:
        """As ``generate``; a reply is whole if the server says that it stopped by itself (``finish_reason``).

        Raises:
            EngineError: If the server fails for good.
        """
        name = self._served_name(model)
        sampling = {"max_tokens": max_new_tokens, "temperature": temperature, "top_p": 1.0}
        bodies = [
            {"model": name, "messages": as_messages(prompt), "seed": own, **sampling}
            for prompt, own in zip(prompts, reply_seeds(seed, len(prompts)), strict=True)
        ]
        return self.server.ask_all(REPLY, bodies)

    def _tokenizer_of(self, model: ModelRef) -> Any:
        if self._base != (model.base, model.revision):
            self._tokenizer = load_tokenizer(model)
            self._base = (model.base, model.revision)
        return self._tokenizer


def _echoed(name: str, ids: list[int]) -> Body:
    """A question whose answer repeats ``ids`` with their log-probabilities; one more token is the least that all servers write."""
    return {"model": name, "prompt": ids, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0}


def _read_echo(body: Body, answer: Any) -> list[float]:
    """The log-probabilities of the tokens in ``body``, but for the first, which has none."""
    n_tokens = len(body["prompt"])
    try:
        logprobs = answer["choices"][0]["logprobs"]["token_logprobs"]
        n_read = (answer.get("usage") or {}).get("prompt_tokens", n_tokens)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Malformed(f"expected choices[0].logprobs.token_logprobs, found {str(answer)[:200]!r}") from error
    if not isinstance(logprobs, list) or len(logprobs) != n_tokens + 1 or n_read != n_tokens:
        found = len(logprobs) if isinstance(logprobs, list) else 0
        raise Malformed(f"expected log-probabilities of {n_tokens} tokens and of one new, found {found} (and {n_read} tokens read)")
    told = logprobs[1:n_tokens]
    lowest, highest = LOGPROB_RANGE
    if not all(isinstance(value, int | float) and lowest <= value <= highest for value in told):
        raise Malformed(f"expected log-probabilities, found {str(told)[:200]}")
    return told


def _read_reply(body: Body, answer: Any) -> Reply:
    try:
        choice = answer["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Malformed(f"expected choices[0].message.content, found {str(answer)[:200]!r}") from error
    if not isinstance(text, str):
        raise Malformed(f"expected choices[0].message.content to be text, found {text!r}")
    return Reply(text.strip(), reason == "stop")


ECHO = Route("/completions", _read_echo, "asking", NO_PROMPT_LOGPROBS)
REPLY = Route("/chat/completions", _read_reply, "writing")
