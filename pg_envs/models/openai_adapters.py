"""Adapters on an OpenAI-compatible server that loads them while it runs, as vLLM's does (``VLLM_ALLOW_RUNTIME_LORA_UPDATING=True``)."""

from __future__ import annotations

import hashlib
import logging
import os
import weakref
from pathlib import Path
from typing import Any

import openai

from pg_envs.models.checks import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_shapes
from pg_envs.models.engine import EngineError
from pg_envs.models.openai_server import KEY_VARIABLE, NO_KEY, Body, OpenAIServer, Route
from pg_envs.models.openai_settings import OpenAISettings
from pg_envs.models.ref import ModelRef, loadable_name
from pg_envs.storage import file_sha256

logger = logging.getLogger(__name__)

UNLOAD_TIMEOUT_S = 10.0


class ServerAdapters:
    """Has a server load adapters from their folders, which it must see under the same paths.

    What was loaded here is unloaded when this object, and with it the engine, is let go of, at the program's end at the latest.
    """

    def __init__(self, server: OpenAIServer) -> None:
        """Name the server; nothing is asked yet."""
        self._server = server
        self._loaded: list[str] = []
        weakref.finalize(self, _unload, server.settings, self._loaded)

    def name_of(self, model: ModelRef) -> str:
        """What an adapter is called on the server: its ModelRef and a hash of its files, so that other weights are never taken for it.

        Raises:
            ModelRefError: If its files are missing or damaged.
        """
        adapter_shapes(model, str(model.adapter))
        folder = Path(loadable_name(str(model.adapter)))
        hashes = "".join(file_sha256(folder / name) for name in (ADAPTER_WEIGHTS, ADAPTER_CONFIG))
        return f"{model}#{hashlib.sha256(hashes.encode()).hexdigest()[:16]}"

    def load(self, model: ModelRef) -> None:
        """Have the server load an adapter, unless another process has in the meantime.

        Raises:
            EngineError: If the server fails for good or refuses, though it does not have the adapter.
        """
        name = self.name_of(model)
        path = str(Path(loadable_name(str(model.adapter))).resolve())
        try:
            self._server.ask_all(LOAD, [{"lora_name": name, "lora_path": path}])
        except EngineError:
            # The processes of one run all want the same adapter at the same time: whoever comes second is refused.
            if name not in self._server.model_names():
                raise
        else:
            self._loaded.append(name)


def _unload(settings: OpenAISettings, names: list[str]) -> None:
    """Tell the server to let go of adapters; whether it does is its own matter, as the work is done."""
    if not names:
        return
    # Not by OpenAIServer: its threads cannot be started any more when a program ends.
    api_key = os.environ.get(KEY_VARIABLE) or NO_KEY
    with openai.OpenAI(base_url=settings.base_url, api_key=api_key, max_retries=0, timeout=UNLOAD_TIMEOUT_S) as client:
        for name in names:
            try:
                client.post("/unload_lora_adapter", cast_to=object, body={"lora_name": name})
            except openai.OpenAIError as error:
                logger.warning("%s keeps the adapter %s: %s", settings.base_url, name, type(error).__name__)


def _read_nothing(body: Body, answer: Any) -> None:
    """Servers say that it went well in words of their own."""


LOAD = Route(
    "/load_lora_adapter",
    _read_nothing,
    "loading adapters",
    "start vLLM's server with --enable-lora, --max-lora-rank and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, where it sees the same folders",
)
