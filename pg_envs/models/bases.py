"""Where a base's files lie: in a folder, or in the hub's cache, fetched there if need be."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pg_envs.hub import cached, check_obtainable, commit_of, fetch
from pg_envs.models.ref import ModelRef, ModelRefError, local_path
from pg_envs.plain_json import read_capped
from pg_envs.repository import MAIN, HubError, Repository

INDEX, ADAPTER_CONFIG = "model.safetensors.index.json", "adapter_config.json"
# Weights, what reads text, and how the layers are laid out; no other weights' formats, no code, nothing from subfolders.
WANTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "*.model",
    "vocab.*",
    "merges.txt",
)
UNWANTED = ("*/*", "*.py")
MAX_BYTES = 256 << 20
"""Most of a file that is read as text; the tokenizers of the largest vocabularies have an eighth of it."""
# One of these is what a tokenizer is made from.
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.*")

_named_by_files: set[tuple[str, str | None]] = set()
"""Bases of the hub, with their revisions, that are taken from the cache or not at all."""


def take_from_cache_only(refs: Iterable[ModelRef]) -> None:
    """Never ask the hub for these models' bases in this process: a file names them, and files do not decide whom a machine talks to."""
    _named_by_files.update((ref.base, ref.revision) for ref in refs)


def base_folder(ref: ModelRef) -> Path:
    """The folder of the base's files; a hub id's is fetched if the cache lacks it.

    Raises:
        ModelRefError: If a hub id's files cannot be had; a local folder is not looked into.
    """
    local = local_path(ref.base)
    if local is not None:
        return local
    try:
        return fetch(_allowed(ref))
    except HubError as error:
        raise ModelRefError(str(error)) from error


def is_here(ref: ModelRef) -> bool:
    """Whether base and adapter lie in folders here or whole in the hub's cache; nobody is asked, and no weights are read."""
    of_base = local_path(ref.base) or cached(_repository(ref))
    of_adapter = of_base if ref.adapter is None else local_path(ref.adapter)
    return all(folder is not None and folder.is_dir() for folder in (of_base, of_adapter))


def pinned(ref: ModelRef) -> ModelRef:
    """The same model with a hub id's revision as a commit, which never comes to mean other weights; no file is fetched.

    Raises:
        ModelRefError: If neither the cache nor the hub knows the hub id.
    """
    if local_path(ref.base) is not None:
        return ref
    try:
        return replace(ref, revision=commit_of(_allowed(ref)))
    except HubError as error:
        raise ModelRefError(str(error)) from error


def check_bases(refs: Iterable[ModelRef]) -> None:
    """Check that every base is whole here, or that the hub would give it and there is room; reads no weights and fetches no file.

    Raises:
        ModelRefError: At the first that is not to be had, or where all that are to be fetched are too large, with what to do.
    """
    of_hub = []
    for ref in sorted({ModelRef(ref.base, ref.revision) for ref in refs}, key=str):
        folder = local_path(ref.base)
        if folder is None:
            of_hub.append(_allowed(ref))
        elif not os.path.isdir(folder):
            raise ModelRefError(f"{ref}: no model folder at {str(folder)!r}; give a folder with config.json, or a hub id")
        elif (lack := first_lack(folder)) is not None:
            raise ModelRefError(f"{ref}: {folder} has {lack}")
    try:
        check_obtainable(of_hub)
    except HubError as error:
        raise ModelRefError(str(error)) from error


def remedy(ref: ModelRef) -> str:
    """What to do about damaged files of the base, to be put after an error; nothing is known to help a local folder."""
    if local_path(ref.base) is not None:
        return ""
    return f"; fetch it again with '{_repository(pinned(ref)).download_command} --force-download'"


def first_lack(folder: Path) -> str | None:
    """What a model folder lacks ("no ..."), or None if every file is there; a file's inside is not looked at."""
    weights = {file.name for file in folder.glob("*.safetensors")}
    if (folder / ADAPTER_CONFIG).exists():
        # transformers would load it, whatever it says, and what it names.
        return f"{ADAPTER_CONFIG}, and is no whole model alone: remove that, or name the adapter after a '+'"
    if (excess := too_large(folder)) is not None:
        return excess
    if not (folder / "config.json").is_file():
        return "no config.json"
    if not any(any(folder.glob(pattern)) for pattern in TOKENIZERS):
        return f"no tokenizer ({', '.join(TOKENIZERS)})"
    if (folder / INDEX).is_file():
        return _first_lacking_shard(folder, weights)
    if not weights:
        return "no *.safetensors; other formats are not read"
    if any(re.search(r"-\d{5}-of-\d{5}\.", name) for name in weights):
        return f"no {INDEX}, though its weights are in several files"
    return None


def too_large(folder: Path) -> str | None:
    """The first file of a model folder, weights aside, that is larger than any tokenizer's, in words; None if there is none."""
    for file in sorted(path for pattern in WANTED[1:] for path in folder.glob(pattern)):
        if file.stat().st_size > MAX_BYTES:
            return f"{file.name} of {file.stat().st_size} bytes; expected at most {MAX_BYTES}"
    return None


def _first_lacking_shard(folder: Path, weights: set[str]) -> str | None:
    try:
        content = read_capped(folder / INDEX, MAX_BYTES, ModelRefError, "fetch it again")
        listed = {str(name) for name in json.loads(content)["weight_map"].values()}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return f"no readable {INDEX}"
    missing = sorted(listed - weights)
    return f"no {missing[0]}, which {INDEX} lists ({len(missing)} of {len(listed)} files are missing)" if missing else None


def _allowed(ref: ModelRef) -> Repository:
    """The base's repository, if the hub may be asked for it or need not be."""
    repository = _repository(ref)
    if (ref.base, ref.revision) in _named_by_files and cached(repository) is None:
        raise ModelRefError(
            f"{ref}: its base is not on this machine, and only a file names it, for which nothing is fetched; "
            f"if you want it, fetch it first with: {repository.download_command}"
        )
    return repository


def _repository(ref: ModelRef) -> Repository:
    try:
        return Repository(ref.base, ref.revision or MAIN, "model", WANTED, UNWANTED, first_lack)
    except HubError as error:
        raise ModelRefError(str(error)) from error
