"""Which OpenAI-compatible server runs the models, and how it is asked; all of it stands in the engine's name."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from pg_envs.models.engine import OPENAI, EngineError
from pg_envs.models.settings import read_settings

EXAMPLE = f"{OPENAI}http://127.0.0.1:8000/v1?concurrency=8&timeout_s=60"
URL_VARIABLE = "OPENAI_BASE_URL"
KINDS: dict[str, type] = {"concurrency": int, "timeout_s": float, "retries": int, "backoff_s": float, "load_adapters": bool}
"""What an engine's name may set, and what kind of value it is."""


@dataclass(frozen=True)
class OpenAISettings:
    """How a server is asked. There is no place for a key: it comes from the environment variable OPENAI_API_KEY.

    Attributes:
        base_url: What comes before ``/models`` and ``/completions``, usually ending in ``/v1``.
        concurrency: At most so many questions are under way at once; 1 or more.
        timeout_s: Seconds from sending a question to the last byte of its answer, after which it is asked again; above 0.
        retries: How often a question is asked again when the server, or the way to it, fails; 0 or more.
        backoff_s: About how many seconds pass before a question is asked the second time; twice as many each further
            time. 0 or more.
        load_adapters: Whether the server is told to load adapters, and to unload them in the end.
    """

    base_url: str
    concurrency: int = 8
    timeout_s: float = 120.0
    retries: int = 5
    backoff_s: float = 0.5
    load_adapters: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            EngineError: Naming the setting, its value and what was expected.
        """
        _check_url(self.base_url)
        for name, lowest in (("concurrency", 1), ("retries", 0), ("backoff_s", 0)):
            value = getattr(self, name)
            if not lowest <= value < math.inf:
                raise EngineError(f"{name}={value}: expected a number from {lowest} up")
        if not 0 < self.timeout_s < math.inf:
            raise EngineError(f"timeout_s={self.timeout_s}: expected a number of seconds above 0")

    @classmethod
    def parse(cls, name: str) -> OpenAISettings:
        """The settings in an engine's name, e.g. ``openai:http://127.0.0.1:8000/v1?concurrency=8&timeout_s=60``.

        A name without a URL, such as ``openai?concurrency=8``, takes that in the environment variable OPENAI_BASE_URL.

        Raises:
            EngineError: If there is no URL or what there is is none, or a setting is unknown, given twice, or of the wrong kind.
        """
        whole, _, query = name.partition("?")
        if whole.startswith(OPENAI):
            url = whole.removeprefix(OPENAI)
        elif not (url := os.environ.get(URL_VARIABLE, "")):
            raise EngineError(f"engine {whole!r} names no server; write one as in {EXAMPLE!r}, or set {URL_VARIABLE} to its URL")
        given = read_settings(f"{OPENAI}{_without_user(url)}", query, KINDS)
        return cls(url.rstrip("/"), **given)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, whole = SplitResult("", "", "", "", ""), False
    if parts.username is not None or parts.password is not None:
        raise EngineError(f"{_without_user(url)!r} has a user name before the host; put the key into OPENAI_API_KEY instead")
    if not whole or parts.query or parts.fragment:
        raise EngineError(f"{_without_user(url)!r} is no URL of a server; expected an engine such as {EXAMPLE!r}")


def _without_user(url: str) -> str:
    """``url`` without what stands before an ``@``, which may be secret."""
    scheme, _, rest = url.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if "@" in rest else url
