"""What a ``result.json`` holds: every field that is read from one, its type and its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pg_envs.history.base import are_labels
from pg_envs.values.dimensions import DIMENSIONS, N_DIMENSIONS

ROUNDING = 1e-9
"""How far a number may lie beyond its range, or from what it is computed from."""
REMEDY = "run it again with pg-envs run, or leave this file out"


class ResultError(ValueError):
    """A file that holds no result, or a damaged one; the message names the file, the field and the remedy."""


def check_result(where: str, data: Any) -> dict[str, Any]:
    """The result in ``data``, if it fits the schema. Fields that are not known are let through and never read.

    Args:
        where: What to call it in messages: its file.
        data: What was read from JSON.

    Returns:
        ``data``, with everything that ``pg_envs.results.make_result`` puts there, and at least one of ``steps``, whose centuries
        are consecutive and whose vectors are lists of 19 numbers.

    Raises:
        ResultError: If a field is missing, of another type or out of its range.
    """
    result = _Fields(where, "", data)
    result.check("complete", _is_bool, "true or false")
    for key in ("score", "score_upstream"):
        result.check(key, _is_cosine, "a number from -1 to 1")
    result.check("skill", lambda value: value is None or _is_number(value), "a number or null")
    result.check("baselines", _maps(_is_cosine), "an object of numbers from -1 to 1")
    result.check("dimensions", lambda value: value == [d.key for d in DIMENSIONS], f"the {N_DIMENSIONS} dimensions in their order")
    result.check("versions", _maps(_is_text), "an object of texts")
    result.check("events", lambda value: isinstance(value, list) and all(map(_is_event, value)), "a list of {century, event}")
    config = _Fields(where, "config: ", result.of("config", dict, "an object"))
    for key in ("env", "agent"):
        config.check(key, _is_text, "text")
    for key in ("env_args", "agent_args"):
        config.check(key, lambda value: isinstance(value, dict), "an object")
    config.check("seed", _is_count, "a whole number, 0 or more")
    history = _Fields(where, "history: ", result.of("history", dict, "an object"))
    history.check("name", _is_text, "text")
    history.check("centuries", are_labels, "at least two different labels, those of centuries consecutive")
    questionnaire = _Fields(where, "questionnaire: ", result.of("questionnaire", dict, "an object"))
    questionnaire.check("sha256", _is_text, "text")
    if "score_constants" in result.data:
        # Results of before these were kept can be drawn, but not submitted.
        questionnaire.check("comparisons", _is_count, "a whole number, 0 or more")
        questionnaire.check("characters_per_comparison", lambda value: _is_between(value, 0, 1e6), "a number of characters")
        _check_constants(where, result.of("score_constants", dict, "an object"), len(history.data["centuries"]))
    _check_steps(where, result.of("steps", list, "a list"), history.data["centuries"])
    return result.data


def _check_constants(where: str, constants: dict[str, Any], n_centuries: int) -> None:
    if not constants:
        return
    fields, is_vector = _Fields(where, "score_constants: ", constants), _is_vector(-1, 1)
    for key in ("human_vectors", "human_vectors_upstream"):
        expected = f"{n_centuries} lists of {N_DIMENSIONS} numbers from -1 to 1"
        fields.check(key, lambda value: isinstance(value, list) and len(value) == n_centuries and all(map(is_vector, value)), expected)
    for key in ("untouched_proxy_vector", "untouched_proxy_vector_upstream"):
        fields.check(key, is_vector, f"{N_DIMENSIONS} numbers from -1 to 1")


def _check_steps(where: str, steps: list[Any], centuries: list[str]) -> None:
    if not 1 <= len(steps) < len(centuries):
        raise ResultError(f"{where}: steps: expected 1 to {len(centuries) - 1} of {len(centuries)} centuries, found {len(steps)}; {REMEDY}")
    coevolve = isinstance(steps[0], dict) and "proxy_vector" in steps[0]
    ahead = isinstance(steps[0], dict) and "target_label" in steps[0]
    for index, data in enumerate(steps):
        step = _Fields(where, f"step {index}: ", data)
        step.check("step", _is_exactly(index), str(index))
        expected = centuries[index + 1]
        step.check("century_label", _is_exactly(expected), f"the label {expected}")
        if ahead:
            step.check("target_label", lambda value: value in centuries, "one of history's centuries")
        for key in ("policy_vector", "target_vector", "policy_vector_upstream", "target_vector_upstream", "reward_vector"):
            step.check(key, _is_vector(-1, 1), f"{N_DIMENSIONS} numbers from -1 to 1")
        step.check("difference", _is_vector(-2, 2), f"{N_DIMENSIONS} numbers from -2 to 2")
        for key in ("policy_standard_errors", "target_standard_errors"):
            step.check(key, _is_vector(0, 2), f"{N_DIMENSIONS} numbers from 0 to 2")
        for key in ("reward", "score_upstream"):
            step.check(key, _is_cosine, "a number from -1 to 1")
        for key in ("n_queries", "n_queries_total"):
            step.check(key, _is_count, "a whole number, 0 or more")
        step.check("policy", _is_policy, f"{N_DIMENSIONS} numbers from -1 to 1, or a model's name")
        step.check("policy_files", _are_hashes, "the SHA-256 of each of the policy's files in the run's folder")
        if coevolve:
            for key in ("proxy_vector", "proxy_vector_upstream"):
                step.check(key, _is_vector(-1, 1), f"{N_DIMENSIONS} numbers from -1 to 1")
            step.check("on_schedule", _is_cosine, "a number from -1 to 1")
            step.check("lock_in_lag", lambda value: type(value) is int and abs(value) < len(centuries), "a whole number of centuries")


class _Fields:
    """An object's fields, and where it stands."""

    def __init__(self, where: str, place: str, data: Any) -> None:
        self.where, self.place = where, place
        if not isinstance(data, dict):
            raise ResultError(f"{where}: {place or 'the whole: '}expected an object, found {_shown(data)}; {REMEDY}")
        self.data = data

    def check(self, key: str, fits: Callable[[Any], bool], expected: str) -> None:
        if key not in self.data:
            raise ResultError(f"{self.where}: {self.place}{key} is missing; expected {expected}; {REMEDY}")
        if not fits(self.data[key]):
            raise ResultError(f"{self.where}: {self.place}{key}: expected {expected}, found {_shown(self.data[key])}; {REMEDY}")

    def of(self, key: str, kind: type, expected: str) -> Any:
        self.check(key, lambda value: isinstance(value, kind), expected)
        return self.data[key]


def _shown(value: Any) -> str:
    """A value in a message: one line, not long, without what a terminal would obey."""
    text = ascii(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _are_hashes(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(name) and _is_text(found) for name, found in value.items())


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_exactly(expected: Any) -> Callable[[Any], bool]:
    return lambda value: type(value) is type(expected) and value == expected


def _is_between(value: Any, low: float, high: float) -> bool:
    return _is_number(value) and low - ROUNDING <= value <= high + ROUNDING


def _is_cosine(value: Any) -> bool:
    return _is_between(value, -1, 1)


def _is_vector(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) == N_DIMENSIONS and all(_is_between(v, low, high) for v in value)


def _maps(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and _is_text(value.get("century")) and _is_text(value.get("event"))


def _is_policy(value: Any) -> bool:
    return _is_vector(-1, 1)(value) or _is_model(value)


def _is_model(value: Any) -> bool:
    """Whether this names a model as ``ModelRef.to_json`` writes it."""
    if not isinstance(value, dict) or sorted(value) != ["adapter", "base", "revision"] or not _is_text(value["base"]):
        return False
    return all(value[key] is None or _is_text(value[key]) for key in ("adapter", "revision"))
