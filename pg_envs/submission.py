"""``pg-envs submit-check``: whether a result is fit for the leaderboard, and if not, why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator

import pg_envs
from pg_envs.history.recorded import is_bundled_of
from pg_envs.plugins import find_agent, init_parameters
from pg_envs.recomputing import differing, tampered
from pg_envs.result_files import read_result
from pg_envs.results import BASELINES
from pg_envs.runner import run_episode
from pg_envs.values.measure import MODES
from pg_envs.values.scoring import cosine

KNOWN_VERSIONS = (pg_envs.__version__,)
"""Versions of pg-envs whose formulas are those here."""
RECORDINGS = "recorded:"
RECORDED = f"{RECORDINGS}histtiny"
BUNDLED = {"simulated": "simulated", "simulated-random": "simulated-random", "histtiny": RECORDED, RECORDED: RECORDED}
"""Histories whose humans are known here, and where their values come from without loading a model."""
LEFT_OUT = ("engine", "render_mode")
"""Arguments that need what may not be installed here, and that none of the numbers that are computed here depends on."""
LEFT_OUT_OF_RECORDED = ("initial_policy", "proxy")
"""Arguments that may name what lies on another machine, and that recorded human values do not depend on."""
MEASURED = "the policy's values and, in Coevolve, the proxy's: measuring them again takes the models"
BASELINES_BELIEVED = "the baselines' scores, and so the skill: computing them again takes the models"
HUMAN_FIELDS = ("target_vector", "target_vector_upstream", "target_standard_errors")


def check_submission(path: Path) -> tuple[dict[str, Any], list[str], list[str]]:
    """Check a result.

    Returns:
        The result; what makes it unfit, empty if it is fit; and what could not be checked and is believed.

    Raises:
        FileNotFoundError: If there is no such file.
        ResultError: If it is no result.
    """
    result = read_result(path)
    problems = _formal(result)
    if "score_constants" not in result:
        return result, [*problems, "score_constants is missing: made by an older pg-envs; run it again"], []
    kinds = ("proxy_vector" in result["steps"][0], bool(result["score_constants"]), "target_label" in result["steps"][0])
    coevolve = "Coevolve" in result["config"]["env"]
    if kinds != (coevolve, coevolve, "Predict" in result["config"]["env"]):
        return result, [*problems, f"steps: tampered or damaged: they are not those of {result['config']['env']!a}"], []
    problems += differing(result)
    believed: list[str] = []
    if result["config"]["env"] in pg_envs.ENV_IDS:
        problems += _against_the_known(result, believed)
    return result, problems, believed


def _formal(result: dict[str, Any]) -> list[str]:
    """What is wrong without looking at a number."""
    problems, config = [], result["config"]
    if config["env"] not in pg_envs.ENV_IDS:
        problems.append(f"config: env: unknown environment {config['env']!a}; the leaderboard has {', '.join(pg_envs.ENV_IDS)}")
    if not result["complete"]:
        problems.append("complete: the run was not finished; go on with pg-envs run --resume")
    missing = [name for name in BASELINES if name not in result["baselines"]]
    if missing:
        problems.append(f"baselines: {' and '.join(missing)} missing; go on with pg-envs run --resume")
    if not _is_name_of(result["history"]["name"], config["env_args"].get("history", "histtiny")):
        asked = str(config["env_args"].get("history", "histtiny"))
        problems.append(f"history: name: tampered or damaged: {result['history']['name']!a} is not what env_args ask for, {asked!a}")
    if config["agent"] in (*BASELINES, "random"):
        problems.append(f"config: agent: {config['agent']} is a baseline (the oracle cheats by design), no entry")
    found = result["versions"].get("pg-envs")
    if found not in KNOWN_VERSIONS:
        problems.append(f"versions: unknown pg-envs {found!a}; this one knows {', '.join(KNOWN_VERSIONS)}")
    return problems


def _is_name_of(name: str, asked: Any) -> bool:
    """Whether a history that was asked for in this way bears this name; a recording has its own, which its folder need not tell."""
    if isinstance(asked, str) and asked.startswith(RECORDINGS) and asked != RECORDED:
        return name.startswith(RECORDINGS)
    return name == asked


def _against_the_known(result: dict[str, Any], believed: list[str]) -> list[str]:
    """What differs from the humans that ship with the package, and from what a simulated history gives for these policies."""
    config = result["config"]
    history = config["env_args"].get("history", "histtiny")
    left_out = (*LEFT_OUT, *LEFT_OUT_OF_RECORDED) if BUNDLED.get(str(history)) == RECORDED else LEFT_OUT
    arguments = {key: value for key, value in config["env_args"].items() if key not in left_out}
    if history == "histtiny" and arguments.get("mode") in MODES:
        # The recording, which has the one that it was made in, stands in for the humans here; see _asked_anew.
        del arguments["mode"]
    if not isinstance(history, str) or history not in BUNDLED or arguments.get("questionnaire", "bundled") != "bundled":
        believed.append("the humans' values: only those of bundled histories, asked the bundled questionnaire, are known here")
        believed += [MEASURED, BASELINES_BELIEVED]
        return []
    env_class: Any = load_env_creator(str(gym.spec(config["env"]).entry_point))
    unknown = sorted(set(arguments) - set(init_parameters(env_class)))
    if unknown:
        return [f"config: env_args: {config['env']} has no argument {unknown[0]!a}"]
    try:
        env = gym.make(config["env"], disable_env_checker=True, **{**arguments, "history": BUNDLED[history]})
        env.reset(seed=config["seed"])
    except (ValueError, TypeError, gym.error.Error) as error:
        return [f"config: env_args: no such environment can be made: {str(error)[:200]}"]
    inner: Any = env.unwrapped
    problems = [] if inner.history.labels == tuple(result["history"]["centuries"]) else ["history: centuries: not those of env_args"]
    if result["questionnaire"]["sha256"] != inner.questionnaire_hash:
        problems.append("questionnaire: sha256: not that of the bundled questionnaire")
    n_steps = len(result["steps"])
    if n_steps > inner.n_steps or result["complete"] != (n_steps == inner.n_steps):
        problems.append(f"complete: tampered or damaged: an episode has {inner.n_steps} steps, found {n_steps}")
    if problems:
        return problems
    if history == "histtiny" and _asked_anew(config["env_args"], inner):
        believed.append("the humans' values: asked by another engine or in another mode than the bundled recording, they differ from it")
        believed += [MEASURED, BASELINES_BELIEVED]
        return []
    problems += tampered(_humans(result, inner))
    if history.startswith("simulated"):
        return problems or _replayed(result, env)
    believed.append(MEASURED)
    if result["score_constants"] or config["env_args"].get("initial_policy") is not None:
        # In Coevolve baselines teach a proxy; elsewhere the one that never learns may begin as a model that is not known here.
        believed.append(BASELINES_BELIEVED)
        return problems
    return problems + _of_baselines(result, _recorded_baselines(inner))


def _asked_anew(env_args: dict[str, Any], inner: Any) -> bool:
    """Whether ``histtiny`` had its humans asked anew by these arguments, rather than taking them from the bundled recording."""
    engine, mode = env_args.get("engine", inner.history.engine_name), env_args.get("mode", inner.history.mode)
    return not is_bundled_of("histtiny", inner.survey_data, inner.evaluation, engine, mode)


def _humans(result: dict[str, Any], inner: Any) -> list[tuple[str, Any, Any]]:
    compared = []
    for index, step in enumerate(result["steps"]):
        humans = inner.history.human_values(index + 1 + (inner.judged_ahead or 0))
        known = (humans.vector(inner.scoring), humans.upstream, humans.standard_errors)
        compared += [(f"step {index}: {key}", step[key], value) for key, value in zip(HUMAN_FIELDS, known, strict=True)]
    constants = result["score_constants"]
    if constants:
        everyone = [inner.history.human_values(j) for j in range(inner.history.n_centuries)]
        known_vectors = [values.vector(inner.scoring) for values in everyone]
        compared.append(("score_constants: human_vectors", constants["human_vectors"], known_vectors))
        if result["config"]["env_args"].get("proxy") is None:
            compared.append(("score_constants: untouched_proxy_vector", constants["untouched_proxy_vector"], known_vectors[0]))
            name = "untouched_proxy_vector_upstream"
            compared.append((f"score_constants: {name}", constants[name], everyone[0].upstream))
        compared.append(("score_constants: human_vectors_upstream", constants["human_vectors_upstream"], [v.upstream for v in everyone]))
    return compared


def _recorded_baselines(inner: Any) -> dict[str, float]:
    """The baselines' scores on recorded humans, where no-op begins as the first of them: no model is needed."""
    vectors = [inner.history.human_values(century).vector(inner.scoring) for century in range(inner.history.n_centuries)]
    judged_by = vectors[1 + (inner.judged_ahead or 0) :]
    return {"no-op": float(np.mean([cosine(vectors[0], target) for target in judged_by])), "oracle": 1.0}


def _of_baselines(result: dict[str, Any], made: dict[str, float]) -> list[str]:
    """What differs from the baselines' scores as they were made here; one that is missing is named elsewhere."""
    stated = result["baselines"]
    return tampered([(f"baselines: {name}", stated[name], made[name]) for name in BASELINES if name in stated])


def _replayed(result: dict[str, Any], env: Any) -> list[str]:
    """A simulated history is replayed with the policies, and its baselines are run: nothing of it needs to be believed."""
    policies = tuple(np.array(step["policy"]) for step in result["steps"])
    if not all(env.action_space.contains(policy) for policy in policies):
        return ["steps: policy: tampered or damaged: expected value vectors, since the history is simulated"]
    seed = result["config"]["seed"]
    problems = _of_baselines(result, {name: run_episode(env, find_agent(name)(env), seed).episode_score() for name in BASELINES})
    env.reset(seed=seed)
    for index, (step, policy) in enumerate(zip(result["steps"], policies, strict=True)):
        *_, info = env.step(policy)
        keys = [key for key in ("policy_vector", "policy_vector_upstream", "proxy_vector", "proxy_vector_upstream") if key in info]
        problems += tampered([(f"step {index}: {key}", step[key], info[key]) for key in keys])
    return problems
