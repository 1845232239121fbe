"""A sentence-embedding model by name or folder: safetensors only, no code of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pg_envs.data.libraries import optional_library
from pg_envs.data.schema import HistTextError
from pg_envs.hub import fetch
from pg_envs.models.base_config import check_base_config
from pg_envs.models.bases import ADAPTER_CONFIG
from pg_envs.models.checks import read_json
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.paths import expanded
from pg_envs.plain_json import read_capped
from pg_envs.repository import MAIN, HubError, Repository

WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model")
UNWANTED = ("onnx/*", "openvino/*", "*.py")
MODULES = "modules.json"
MAX_BYTES, MAX_LAYERS = 1 << 20, 1000


def load_embedder(name: str) -> Any:
    """Load a ``sentence_transformers.SentenceTransformer``.

    Args:
        name: A folder, or a model of the hub as OWNER/NAME or OWNER/NAME@REVISION, fetched if the cache lacks it. A transformers model that
            says nothing about pooling gets the mean over tokens.

    Raises:
        HistTextError: If it is not to be had, brings code of its own or weights other than safetensors, or does not load.
        ModuleNotFoundError: If ``sentence-transformers`` is not installed; the message says what to install.
    """
    folder = _folder(name)
    if (lack := first_lack(folder)) is not None:
        raise HistTextError(f"embedder {name!r}: {folder} has {lack}")
    library = optional_library("sentence_transformers", "describe")
    try:
        return library.SentenceTransformer(
            str(folder), trust_remote_code=False, local_files_only=True, model_kwargs={"use_safetensors": True}
        )
    except Exception as error:  # a stranger's files can have the libraries fail in any way
        raise HistTextError(f"embedder {name!r} does not load: {type(error).__name__}: {' '.join(str(error).split())}") from error


def first_lack(folder: Path) -> str | None:
    """What keeps a folder from being loaded, in words ("no ..."); None if nothing is known to."""
    if not (folder / "config.json").is_file() and not (folder / MODULES).is_file():
        return "no config.json of a model"
    if not any(folder.rglob("*.safetensors")):
        return "no *.safetensors; other formats are not read"
    for weights in folder.rglob("pytorch_model*.bin"):
        if not any(weights.parent.glob("*.safetensors")):
            return f"no safetensors beside {weights.relative_to(folder)}; other formats are not read"
    for config in sorted(folder.rglob("config.json")):
        try:
            check_base_config(ModelRef(str(folder)), config, read_json(ModelRef(str(folder)), config), MAX_LAYERS)
        except ModelRefError as error:
            return f"no configuration that is read: {error}"
    if any(folder.rglob(ADAPTER_CONFIG)):
        return f"no whole model alone but an {ADAPTER_CONFIG} too, which is not read"
    if not (folder / MODULES).is_file():
        return None
    try:
        types = [str(module["type"]) for module in json.loads(read_capped(folder / MODULES, MAX_BYTES, HistTextError, "fetch it again"))]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"no readable {MODULES}"
    foreign = [kind for kind in types if not kind.startswith("sentence_transformers.")]
    return f"no modules of sentence-transformers alone but {foreign[0]!r}; code that a model brings is not run" if foreign else None


def _folder(name: str) -> Path:
    folder = expanded(name)
    if os.path.isdir(folder):
        return folder
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or name.startswith((".", "/", "~")):
        raise HistTextError(f"no embedder {name!r}: expected a model's folder, or OWNER/NAME on the hub")
    try:
        return fetch(Repository(repository, revision or MAIN, "model", WANTED, UNWANTED, first_lack))
    except HubError as error:
        raise HistTextError(f"embedder {name!r}: {error}") from error
