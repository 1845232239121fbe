"""Families of language models on the hub or in folders, one whole model a century, by a pattern of their names."""

from __future__ import annotations

from pg_envs.history.base import CENTURIES, HistoryError
from pg_envs.models.ref import ModelRef, ModelRefError

PLACE = "{century}"
"""Where a pattern has the century's label."""
HISTLLAMA3_VERSIONS = {"8B": "v0.2", "70B": "v0.1"}
"""The newest version of each size. Commits are not pinned: none is known; results name those that were used."""


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
