"""Making a history from its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pg_envs.history.base import CENTURIES, History, HistoryError, Survey
from pg_envs.history.built import read_family
from pg_envs.history.built_history import BuiltHistory
from pg_envs.history.families import family_refs, histllama3_refs, pinned_refs
from pg_envs.history.live import LiveHistory, histtiny_refs
from pg_envs.history.recorded import RecordedHistory, is_bundled_of, recording_folder
from pg_envs.history.recording import read_manifest
from pg_envs.history.simulated import SimulatedHistory, SimulatedRandomHistory
from pg_envs.models.engine import check_engine_name
from pg_envs.models.ref import ModelRef
from pg_envs.paths import expanded
from pg_envs.values.items import Questionnaire
from pg_envs.values.measure import MODES, Mode

HISTORIES: dict[str, str] = {
    "histtiny": "nine small language models with planted values, bundled (the default)",
    "live:histtiny": "the same, every answer of the humans read from their models anew instead of from the bundled recording",
    "simulated": "value vectors only, the planted trajectory of histtiny",
    "simulated-random": "value vectors only, a new smooth trajectory at every reset",
    "histllama3-8b": "ProgressGym's nine language models of 8 billion parameters, fetched from the hub one at a time, 16.1 GB each",
    "histllama3-70b": "the same of 70 billion parameters",
    "hub:PATTERN": "your own family on the hub or in folders, e.g. hub:OWNER/NAME-{century}@REVISION or hub:/path/to/{century}",
    "pinned:FILE": "the models of the hub that a result.json names, at the commits that it names",
    "built:DIR": "your own family from pg-envs build-history, with your own periods",
    "recorded:DIR": "the recorded answers of a history's humans, from pg-envs record; recorded:histtiny is bundled",
}
LIVE: dict[str, Callable[[], tuple[ModelRef, ...]]] = {
    "histtiny": histtiny_refs,
    "histllama3-8b": partial(histllama3_refs, "8B"),
    "histllama3-70b": partial(histllama3_refs, "70B"),
}
"""Families of language models that are run here, by name."""
RECORDED, ASKED_ANEW, HUB, PINNED, BUILT = "recorded:", "live:", "hub:", "pinned:", "built:"


def parse_centuries(centuries: tuple[str, str] | list[str] | None, labels: tuple[str, ...] = CENTURIES) -> tuple[int, int]:
    """Indices among ``labels`` of the first and last century (both included); None means all.

    Raises:
        HistoryError: If a label is unknown, or the range is shorter than two centuries.
    """
    if centuries is None:
        return 0, len(labels) - 1
    if not isinstance(centuries, tuple | list) or len(centuries) != 2 or any(label not in labels for label in centuries):
        raise HistoryError(f"centuries={centuries!r}: expected a first and a last label out of {', '.join(labels)}")
    first, last = (labels.index(label) for label in centuries)
    if last <= first:
        raise HistoryError(f"centuries={centuries!r}: the last century must come after the first")
    return first, last


def make_history(
    name: str,
    survey: Survey,
    evaluation: Questionnaire,
    centuries: tuple[str, str] | list[str] | None = None,
    engine: str = "transformers",
    mode: Mode = "logprob",
) -> History:
    """The history called ``name``; cheap, nothing is loaded.

    Raises:
        HistoryError: If there is no such history or no such range of centuries, or a pattern names no family.
        EngineError: If there is no such engine, or it cannot be made here.
        ValueError: If there is no such mode.
        RecordingError: If there is no such recording, or it is of something else than asked for.
    """
    if not isinstance(name, str):
        raise HistoryError(f"unknown history {name!r}; choose from {', '.join(HISTORIES)}")
    check_engine_name(engine)
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}; choose from {', '.join(MODES)}")
    if name.startswith(RECORDED):
        source = name.removeprefix(RECORDED)
        return RecordedHistory(source, survey, evaluation, _recorded_labels(source, centuries), engine, mode)
    if name.startswith(BUILT):
        return _built(name, survey, evaluation, centuries, engine, mode)
    if name.startswith(PINNED):
        pinned = pinned_refs(expanded(name.removeprefix(PINNED)))
        first, last = parse_centuries(centuries, tuple(pinned))
        refs, labels = tuple(pinned.values())[first : last + 1], tuple(pinned)[first : last + 1]
        return LiveHistory(name, refs, labels, survey, evaluation, engine, mode)
    first, last = parse_centuries(centuries)
    if name == "simulated":
        return SimulatedHistory(survey, evaluation, first, last)
    if name == "simulated-random":
        return SimulatedRandomHistory(survey, evaluation, first, last)
    labels = CENTURIES[first : last + 1]
    if name.startswith(HUB):
        return LiveHistory(name, family_refs(name.removeprefix(HUB))[first : last + 1], labels, survey, evaluation, engine, mode)
    if name in LIVE and is_bundled_of(name, survey, evaluation, engine, mode):
        recording = RecordedHistory(name, survey, evaluation, labels, engine, mode)
        return LiveHistory(name, LIVE[name]()[first : last + 1], labels, survey, evaluation, engine, mode, recording)
    if name.removeprefix(ASKED_ANEW) in LIVE:
        refs = LIVE[name.removeprefix(ASKED_ANEW)]()[first : last + 1]
        return LiveHistory(name, refs, labels, survey, evaluation, engine, mode)
    raise HistoryError(f"unknown history {name!r}; choose from {', '.join(HISTORIES)}")


def _recorded_labels(source: str, centuries: tuple[str, str] | list[str] | None) -> tuple[str, ...] | None:
    """The labels that a recording's range asks for, which are its own where they are not the nine centuries'; None for all."""
    if centuries is None:
        return None
    recorded = read_manifest(recording_folder(source)).centuries
    labels = CENTURIES if set(recorded) <= set(CENTURIES) else recorded
    first, last = parse_centuries(centuries, labels)
    return labels[first : last + 1]


def _built(
    name: str, survey: Survey, evaluation: Questionnaire, centuries: tuple[str, str] | list[str] | None, engine: str, mode: Mode
) -> LiveHistory:
    folder = expanded(name.removeprefix(BUILT))
    family = read_family(folder)
    first, last = parse_centuries(centuries, family.periods)
    return BuiltHistory(name, family, folder, family.periods[first : last + 1], survey, evaluation, engine, mode)
