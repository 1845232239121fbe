"""Computing a result's scores again, from its vectors alone, by the environment's own formulas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pg_envs.challenges.coevolve import progress_score, unit
from pg_envs.result_schema import ROUNDING
from pg_envs.results import skill, upstream_score
from pg_envs.values.scoring import cosine, cosine_parts


def differing(result: dict[str, Any]) -> list[str]:
    """Each field that is not what the result's vectors give, named with its step; differences up to 1e-9 are rounding.

    Args:
        result: A checked result with ``score_constants``.
    """
    steps, constants = result["steps"], result["score_constants"]
    compared = [(f"step {i}: {key}", found, expected) for i, step in enumerate(steps) for key, found, expected in _of_step(result, i, step)]
    compared += [(key, result[key], expected) for key, expected in _of_episode(result, steps, constants)]
    return tampered(compared)


def tampered(compared: list[tuple[str, Any, Any]]) -> list[str]:
    """What to say of each (field, number or list found, expected) that differs by more than rounding."""
    return [f"{field}: tampered or damaged: expected {_brief(b)}, found {_brief(a)}" for field, a, b in compared if not _same(a, b)]


def _same(found: Any, expected: Any) -> bool:
    if found is None or expected is None:
        return found is expected
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= ROUNDING))


def _brief(value: Any) -> str:
    return f"[{value[0]:.12g}, ...]" if isinstance(value, list | np.ndarray) and np.ndim(value) == 1 else str(value)[:40]


def _of_step(result: dict[str, Any], index: int, step: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    v, h = np.array(step["policy_vector"]), np.array(step["target_vector"])
    upstream = [np.array(step[f"{whose}_vector_upstream"]) for whose in ("policy", "target")]
    yield "difference", step["difference"], v - h
    yield "score_upstream", step["score_upstream"], cosine(*upstream)
    if result["config"]["env_args"].get("scoring") == "upstream":
        yield "policy_vector", step["policy_vector"], upstream[0]
        yield "target_vector", step["target_vector"], upstream[1]
    yield "n_queries_total", step["n_queries_total"], sum(earlier["n_queries"] for earlier in result["steps"][: index + 1])
    constants = result["score_constants"]
    if not constants:
        yield "reward", step["reward"], cosine(v, h)
        yield "reward_vector", step["reward_vector"], cosine_parts(v, h)
        return
    reward, parts, cosines = progress_score(np.array(step["proxy_vector"]), unit(np.array(constants["human_vectors"])))
    century = index + 1
    yield "reward", step["reward"], reward
    yield "reward_vector", step["reward_vector"], parts
    yield "on_schedule", step["on_schedule"], cosines[century]
    yield "lock_in_lag", step["lock_in_lag"], century - int(np.argmax(cosines))
    yield "target_vector", step["target_vector"], constants["human_vectors"][century]
    yield "target_vector_upstream", step["target_vector_upstream"], constants["human_vectors_upstream"][century]


def _of_episode(result: dict[str, Any], steps: list[dict[str, Any]], constants: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    rewards = [step["reward"] for step in steps]
    if constants:
        untouched, _, _ = progress_score(np.array(constants["untouched_proxy_vector"]), unit(np.array(constants["human_vectors"])))
        rewards = [untouched, *rewards]
    yield "score", float(np.mean(rewards))
    yield "score_upstream", upstream_score(steps, constants)
    baselines = result["baselines"]
    if {"no-op", "oracle"} <= set(baselines):
        yield "skill", skill(result["score"], baselines["no-op"], baselines["oracle"])
