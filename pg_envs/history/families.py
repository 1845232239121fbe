"""Families of language models on the hub or in folders, one whole model a century, by a pattern of their names or at given commits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pg_envs.history.base import CENTURIES, HistoryError, are_labels
from pg_envs.models.ref import ModelRef, ModelRefError, local_path
from pg_envs.plain_json import read_plain_json

PLACE = "{century}"
"""Where a pattern has the century's label."""
HISTLLAMA3_VERSIONS = {"8B": "v0.2", "70B": "v0.1"}
"""The newest version of each size. Commits are not pinned: none is known; results name those that were used."""
COMMIT = re.compile(r"[0-9a-f]{40}")
PINS = 'a result.json, a recording\'s manifest.json, or {"models": {"C013": {"base": "OWNER/NAME", "revision": COMMIT}, ...}}'


def histllama3_refs(size: str) -> tuple[ModelRef, ...]:
    """ProgressGym's models of nine centuries, tuned on instructions; ``size`` is ``8B`` or ``70B``."""
    return family_refs(f"PKU-Alignment/ProgressGym-HistLlama3-{size}-{PLACE}-instruct-{HISTLLAMA3_VERSIONS[size]}")


def family_refs(pattern: str) -> tuple[ModelRef, ...]:
    """The models that a pattern names, one a century.

    Args:
        pattern: A model as ``ModelRef.parse`` reads it, a hub id such as ``OWNER/NAME-{century}@REVISION`` or a folder such as
            ``/path/to/{century}``, with ``{century}`` wherever the label ``C013`` ... belongs.

    Raises:
        HistoryError: If ``{century}`` is not in it, other braces are, or what is left names no model.
    """
    if PLACE not in pattern or set(pattern.replace(PLACE, "")) & set("{}"):
        raise HistoryError(f"{pattern!r} names no family: expected {PLACE} in it and no other braces, e.g. hub:OWNER/NAME-{PLACE}@REVISION")
    try:
        return tuple(ModelRef.parse(pattern.replace(PLACE, label)) for label in CENTURIES)
    except ModelRefError as error:
        raise HistoryError(f"{pattern!r} names no family: {error}") from error


def pinned_refs(file: Path) -> dict[str, ModelRef]:
    """The whole models of the hub that a result, or a recording's manifest, says were the humans, by their centuries' labels, oldest first.

    Args:
        file: JSON with an object ``models``, or one in ``history`` as results have it: for each label ``base`` and ``revision``, a commit.

    Raises:
        HistoryError: If there is no such file, or it names no family at commits.
    """
    remedy = f"expected {PINS}"
    if not file.is_file():
        raise HistoryError(f"no file {str(file)!r}; {remedy}")
    data = read_plain_json(file, HistoryError, remedy)
    of_history = data.get("history", data) if isinstance(data, dict) else None
    models = of_history.get("models") if isinstance(of_history, dict) else None
    if not isinstance(models, dict) or not are_labels(list(models)):
        raise HistoryError(f"{file}: it names no models of at least two centuries, one after another; {remedy}")
    return {label: _pinned_ref(f"{file}: models: {label}", model) for label, model in models.items()}


def _pinned_ref(where: str, model: Any) -> ModelRef:
    """A model of the hub, whole and at a commit: what else may be named does not say which weights are meant."""
    base, revision = (model.get(key) if isinstance(model, dict) else None for key in ("base", "revision"))
    at_commit = isinstance(revision, str) and COMMIT.fullmatch(revision)
    if not isinstance(base, str) or local_path(base) is not None or not at_commit or model.get("adapter") is not None:
        raise HistoryError(f"{where}: expected a whole model of the hub at a commit of 40 hexadecimal digits, found {str(model)[:200]}")
    return ModelRef(base, revision)
