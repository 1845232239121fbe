"""Asking an OpenAI-compatible server many questions at once: what fails is asked again, what was answered is kept."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import openai
from anyio.from_thread import start_blocking_portal

from pg_envs.models.engine import EngineError
from pg_envs.models.openai_settings import OpenAISettings
from pg_envs.progress import report

KEY_VARIABLE = "OPENAI_API_KEY"
NO_KEY = "none"
"""Sent where the environment has no key: the client needs one, servers of one's own mostly do not."""
PASSING_STATUSES = (408, 409, 425, 429)
"""Refusals that may pass, as may every status from 500 up; any other says that the question itself is at fault."""
MAX_WAIT_S = 60.0
"""Longest pause before a question is asked again, whatever the server asks for."""
MAX_QUOTED_CHARS = 300
REMEDIES = {
    401: f"set the environment variable {KEY_VARIABLE} to a key that this server takes",
    403: f"set the environment variable {KEY_VARIABLE} to a key that this server takes",
    404: "check the URL, which usually ends in /v1",
}

Body = dict[str, Any]


@dataclass(frozen=True)
class Route:
    """A kind of question.

    Attributes:
        path: Where it goes, e.g. ``/completions``.
        read: Given a question and its answer, takes what is needed; raises ``Malformed`` if it is not there.
        what: For progress.
        remedy: What else to tell a user whose questions are refused or fail.
    """

    path: str
    read: Callable[[Body, Any], Any]
    what: str
    remedy: str = ""


class Malformed(ValueError):
    """An answer without what was asked for; the message says what was expected and what was found."""


class _Failure(Exception):
    """One try that failed; another may not."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


class OpenAIServer:
    """One server. Made from settings; it is not asked anything until the first question.

    Answers of a call that failed or was interrupted are kept, so that the same call again asks only for the rest.
    """

    def __init__(self, settings: OpenAISettings) -> None:
        """Name the server; the key to it is read from the environment with every call, and kept nowhere."""
        self.settings = settings
        self._kept: dict[str, Any] = {}
        # Of its own, so that waiting does not move anybody else's random numbers.
        self._random = random.Random()

    def model_names(self) -> list[str]:
        """The names of the models that the server offers now.

        Raises:
            EngineError: If it does not say.
        """
        return self.ask_all(MODELS, [{}])[0]

    def ask_all(self, route: Route, bodies: Sequence[Body]) -> list[Any]:
        """What is needed of the answer to each question; equal questions are asked once.

        Args:
            route: What kind of questions they are.
            bodies: The questions, JSON-able; an empty one is a GET request.

        Raises:
            EngineError: If a question is refused, or still fails after all retries.
            ValueError: If a question holds a number that JSON has not.
        """
        keys = [f"{route.path} {json.dumps(body, sort_keys=True, allow_nan=False)}" for body in bodies]
        missing = {key: body for key, body in zip(keys, bodies, strict=True) if key not in self._kept}
        if missing:
            # A loop in a thread of its own: this one may be running a loop already, as notebooks do. Leaving by an
            # exception, such as a KeyboardInterrupt, drops what is under way.
            with start_blocking_portal(backend="asyncio") as portal:
                portal.call(self._ask_missing, route, missing)
        answers = [self._kept[key] for key in keys]
        for key in set(keys):
            del self._kept[key]
        return answers

    async def _ask_missing(self, route: Route, missing: dict[str, Body]) -> None:
        n_before, waiting = len(self._kept), iter(missing.items())
        failed: list[EngineError] = []
        giving_up = asyncio.Event()

        async def work(client: openai.AsyncOpenAI) -> None:
            for key, body in waiting:
                try:
                    self._kept[key] = await self._ask(client, route, body, giving_up)
                except EngineError as error:
                    failed.append(error)
                    giving_up.set()
                # Whoever has a question under way still waits for its answer, which would else be asked for twice.
                if giving_up.is_set():
                    return
                report(route.what, len(self._kept) - n_before, len(missing))

        api_key = os.environ.get(KEY_VARIABLE) or NO_KEY
        # The client's own retries know nothing of answers that hold no answer; its timeout starts anew with every byte.
        async with openai.AsyncOpenAI(base_url=self.settings.base_url, api_key=api_key, max_retries=0, timeout=None) as client:
            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(min(self.settings.concurrency, len(missing))):
                        workers.create_task(work(client))
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
        if failed:
            raise failed[0]

    async def _ask(self, client: openai.AsyncOpenAI, route: Route, body: Body, giving_up: asyncio.Event) -> Any:
        """One question, until it is answered, or the retries are used up, or another question is given up."""
        for n_failed in range(1, self.settings.retries + 2):
            try:
                return await self._try_once(client, route, body)
            except _Failure as failure:
                last = failure
            if n_failed <= self.settings.retries and await _is_set_within(giving_up, self._pause_s(n_failed, last.wait_s)):
                break
        raise EngineError(
            f"{self._address(route)}: gave up on a question after asking {n_failed} times; last failure: {last}; see that the "
            "server runs and can be reached from here, or raise retries or timeout_s in the engine's name" + _also(route.remedy)
        )

    async def _try_once(self, client: openai.AsyncOpenAI, route: Route, body: Body) -> Any:
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                answer = await (client.post(route.path, cast_to=object, body=body) if body else client.get(route.path, cast_to=object))
            return route.read(body, answer)
        except TimeoutError as error:
            raise _Failure(f"no whole answer within {self.settings.timeout_s:g} s") from error
        except openai.APIStatusError as error:
            told = f"status {error.status_code}: {self._quote(error.message)}"
            if error.status_code < 500 and error.status_code not in PASSING_STATUSES:
                known = REMEDIES.get(error.status_code)
                raise EngineError(f"{self._address(route)} refused a question with {told}{_also(known)}{_also(route.remedy)}") from None
            raise _Failure(told, _asked_wait_s(error.response.headers.get("retry-after", ""))) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise _Failure(self._quote(f"{type(cause).__name__}: {cause}")) from error
        except Malformed as error:
            raise _Failure(self._quote(f"an answer of another shape: {error}")) from error
        except (ValueError, RecursionError) as error:
            raise _Failure(self._quote(f"an answer that is not JSON: {error}")) from error

    def _address(self, route: Route) -> str:
        return self.settings.base_url + route.path

    def _pause_s(self, n_failed: int, asked_wait_s: float) -> float:
        """Doubling with every failure, with up to half of it left to chance; longer if the server asked for it."""
        doubled = min(MAX_WAIT_S, self.settings.backoff_s * 2.0 ** min(n_failed - 1, 60))
        return min(MAX_WAIT_S, max(asked_wait_s, doubled * self._random.uniform(0.5, 1.0)))

    def _quote(self, text: str) -> str:
        """What a server said, shortened, and without the key, which it may have repeated."""
        key = os.environ.get(KEY_VARIABLE)
        return (text.replace(key, f"[{KEY_VARIABLE}]") if key else text)[:MAX_QUOTED_CHARS]


async def _is_set_within(event: asyncio.Event, pause_s: float) -> bool:
    """Wait for an event, but no longer than ``pause_s``, and say whether it came."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), pause_s)
    return event.is_set()


def _also(remedy: str | None) -> str:
    return f"; {remedy}" if remedy else ""


def _asked_wait_s(retry_after: str) -> float:
    """The header Retry-After where it is a number of seconds; a date, or nothing, leaves the pause to us."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0


def _read_names(body: Body, answer: Any) -> list[str]:
    models = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(models, list) or not all(isinstance(model, dict) and isinstance(model.get("id"), str) for model in models):
        raise Malformed(f"expected a list 'data' of objects with an 'id', found {str(answer)[:MAX_QUOTED_CHARS]!r}")
    return [model["id"] for model in models]


MODELS = Route("/models", _read_names, "listing models")
