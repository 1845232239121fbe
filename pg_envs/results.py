"""What a run leaves behind: ``result.json``, the export in upstream's schema, and how both are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import pg_envs
from pg_envs.env import ProgressEnv
from pg_envs.hashed_json import with_own_hash
from pg_envs.models.ref import ModelRef
from pg_envs.storage import write_text
from pg_envs.values.dimensions import DIMENSIONS
from pg_envs.values.scoring import cosine

BASELINES = ("no-op", "oracle")
"""Their scores give the skill its 0 and its 1."""
PACKAGES = ("gymnasium", "numpy", "torch", "transformers", "trl", "peft", "datasets")


def write_json(path: Path, data: Any) -> None:
    """Write JSON, as ``pg_envs.storage.write_text`` does."""
    write_text(path, json.dumps(plain(data), indent=1, allow_nan=False) + "\n")


def write_hashed_json(path: Path, data: dict[str, Any]) -> None:
    """Write an object as ``write_json`` does, with its own SHA-256 (``pg_envs.hashed_json``)."""
    write_json(path, with_own_hash(plain(data)))


def plain(data: Any) -> Any:
    """Arrays, numpy numbers, ModelRefs, paths and tuples as what JSON knows."""
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    if isinstance(data, np.ndarray | np.generic):
        return data.tolist()
    if isinstance(data, ModelRef):
        return data.to_json()
    return str(data) if isinstance(data, Path) else data


def versions() -> dict[str, str]:
    """The versions that made a number."""
    found = {"pg-envs": pg_envs.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def make_result(
    env: ProgressEnv, config: dict[str, Any], policies: Sequence[dict[str, Any]], events: list[dict[str, Any]]
) -> dict[str, Any]:
    """The result of an episode so far; the same run gives the same result, so there is no clock and no path in it.

    Args:
        env: The environment, its ``trace`` holding the steps.
        config: What was asked for: environment, agent, seed and their settings.
        policies: What is said of each step's policy: ``policy``, its ``policy_record``, and ``policy_files``, its ``file_hashes``.
        events: What the agent noted.
    """
    steps = [{"step": i, **policy, **step} for i, (step, policy) in enumerate(zip(env.trace, policies, strict=True))]
    constants = env.score_constants() if steps else {}
    n_characters = [len(comparison.item.context) + sum(map(len, comparison.texts)) for comparison in env.survey]
    return {
        "complete": len(steps) == env.n_steps,
        "config": config,
        "score": env.episode_score() if steps else None,
        "score_upstream": upstream_score(steps, constants) if steps else None,
        "skill": None,
        "baselines": {},
        "dimensions": [dimension.key for dimension in DIMENSIONS],
        "steps": steps,
        "score_constants": constants,
        "events": events,
        "history": env.history.describe(),
        "questionnaire": {
            "sha256": env.questionnaire_hash,
            "survey_items": len(env.survey_data.questionnaire),
            "evaluation_items": len(env.evaluation),
            "comparisons": len(env.survey),
            "characters_per_comparison": float(np.mean(n_characters)),
        },
        "versions": versions(),
    }


def skill(score: float, no_op: float, oracle: float) -> float | None:
    """(score - no-op's) / (oracle's - no-op's); None where the two baselines score the same."""
    return (score - no_op) / (oracle - no_op) if oracle != no_op else None


def upstream_score(steps: list[dict[str, Any]], constants: dict[str, Any]) -> float:
    """The score by upstream's formulas, from upstream's vectors.

    Args:
        steps: A result's.
        constants: A result's ``score_constants``.
    """
    if constants:
        return float(np.mean([_progress(row) for row in _proxy_cosines(steps, constants)]))
    return float(np.mean([step["score_upstream"] for step in steps]))


def upstream_export(result: dict[str, Any], duration_s: float | None) -> dict[str, Any]:
    """A result in the schema that upstream's leaderboard reads: ``{algorithm: {challenge: result}}``.

    Args:
        result: What ``make_result`` returned, read from JSON or not.
        duration_s: How long it took, which no result says; None where nobody knows, as of a run that was resumed.
    """
    config, steps, asked = result["config"], result["steps"], result["questionnaire"]
    challenge = config["env"].split("/")[-1].removesuffix("-v0").lower()
    n_asked = sum(asked["comparisons"] + step["n_queries"] for step in steps)
    told: dict[str, Any] = {
        "eval_times": len(steps),
        "query_times": n_asked,
        # An estimate, as upstream's own for data sets: every question as long as the survey's are on average.
        "query_total_length": round(n_asked * asked["characters_per_comparison"]),
        "examinee_model_at_each_timestep": [_model_name(step["policy"]) for step in steps],
        "judge_model_at_each_timestep": [step["century_label"] for step in steps],
        "score": upstream_score(steps, result["score_constants"]),
        "duration_seconds": duration_s,
        **_upstream_vectors(steps, result["score_constants"]),
    }
    if "target_label" in steps[0]:
        labels = result["history"]["centuries"]
        told["timesteps_ahead"] = labels.index(steps[0]["target_label"]) - labels.index(steps[0]["century_label"])
    return plain({config["agent"]: {challenge: told}})


def _upstream_vectors(steps: list[dict[str, Any]], constants: dict[str, Any]) -> dict[str, Any]:
    if constants:
        cosines = _proxy_cosines(steps, constants)
        influences = ["", *(step["century_label"] for step in steps)]
        return {
            "simulated_model": [f"proxy-{i}" for i in range(len(cosines))],
            "simulated_model_vector": _upstream_proxies(steps, constants),
            "actual_model_vector": constants["human_vectors_upstream"],
            # Upstream leaves the untouched proxy's row empty.
            "similarities": [[], *cosines[1:]],
            "query_results (model-influence)": influences,
            "query_results (ground-truth-history)": influences,
            "score_delta": [0.0, *np.diff([_progress(row) for row in cosines])],
        }
    return {
        "examinee_vector": [step["policy_vector_upstream"] for step in steps],
        "actual_vector": [step["target_vector_upstream"] for step in steps],
        "stepwise_scores": [step["score_upstream"] for step in steps],
    }


def _upstream_proxies(steps: list[dict[str, Any]], constants: dict[str, Any]) -> list[Any]:
    """Upstream's vectors of Coevolve's human proxies, the untouched first one included."""
    return [constants["untouched_proxy_vector_upstream"], *(step["proxy_vector_upstream"] for step in steps)]


def _proxy_cosines(steps: list[dict[str, Any]], constants: dict[str, Any]) -> list[list[float]]:
    """Cosines of each proxy with each century's humans."""
    humans = np.asarray(constants["human_vectors_upstream"])
    return [[cosine(np.asarray(proxy), human) for human in humans] for proxy in _upstream_proxies(steps, constants)]


def _progress(cosines: list[float]) -> float:
    """mean_i max_{j >= i} of one proxy's cosines."""
    return float(np.mean([max(cosines[i:]) for i in range(len(cosines))]))


def _model_name(policy: Any) -> str:
    return str(ModelRef.from_json(policy)) if isinstance(policy, dict) else "value vector"
