"""One run from the command line: the episode, its baselines, and what is written and shown of it."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

import pg_envs
from pg_envs.agent_view import AgentView
from pg_envs.display import LiveDisplay, print_result, quieten_libraries
from pg_envs.env import ProgressEnv
from pg_envs.history.live import LiveHistory
from pg_envs.plots import plot_trajectory
from pg_envs.plugins import find_agent, init_parameters, make_config
from pg_envs.progress import reporting_to
from pg_envs.results import BASELINES, make_result, plain, policy_from_record, policy_record, skill, upstream_export, write_json
from pg_envs.runner import AgentStopped, run_episode

if TYPE_CHECKING:
    from pg_envs.cli import Run


def run_and_save(options: Run) -> bool:
    """Do what ``pg-envs run`` was asked for; returns whether the run was finished (False after Ctrl-C)."""
    folder, config, done = _prepare(options)
    agent_class = find_agent(config["agent"])
    agent_config = make_config(agent_class, {"seed": config["seed"], **config["agent_args"]})
    env = _make_env(config)
    # Agents that do not say that they cheat never get hold of the evaluation.
    seen = env if getattr(agent_class, "cheats", False) else AgentView(env)
    agent = agent_class(seen, agent_config, folder / "policies")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    started = time.perf_counter()
    records: list[Any] = []
    agent.events.extend(done.events)
    if isinstance(env.unwrapped.history, LiveHistory):
        # Only here, since it imports the libraries, which a simulated history does without.
        quieten_libraries()

    def save(inner: ProgressEnv, policy: Any) -> None:
        records.append(policy_record(policy, folder))
        # While finished centuries are replayed, the file has more of them than memory.
        if len(records) > len(done.policies):
            write_json(folder / "result.json", make_result(inner, config, records, agent.events))

    with ExitStack() as stack:
        stack.callback(env.close)
        display = stack.enter_context(LiveDisplay(f"{config['agent']} in {config['env']}"))
        stack.enter_context(reporting_to(display.report))
        try:
            inner = run_episode(env, agent, config["seed"], done.policies, done.asked, save)
            result = make_result(inner, config, records, agent.events)
            export = upstream_export(result, time.perf_counter() - started)
            for name in BASELINES:
                result["baselines"][name] = _baseline_score(name, config, env, inner, agent_class, result["score"])
        except KeyboardInterrupt:
            display.stop()
            _say_what_is_kept(folder, max(len(records), len(done.policies)))
            return False
        except AgentStopped:
            display.stop()
            # Once more, since the events have one that came after the last century that was finished.
            if records:
                write_json(folder / "result.json", make_result(env.unwrapped, config, records, agent.events))
            _say_what_is_kept(folder, max(len(records), len(done.policies)))
            raise
    result["skill"] = skill(result["score"], result["baselines"]["no-op"], result["baselines"]["oracle"])
    result = plain(result)
    write_json(folder / "result.json", result)
    write_json(folder / "upstream.json", export)
    plot_trajectory(result, folder / "trajectory.png")
    if options.wandb:
        _log_to_wandb(options.wandb, result, folder)
    print_result(result, folder, time.perf_counter() - started)
    return True


@dataclass(frozen=True)
class _Done:
    """What an interrupted run has finished: policies, how many questions were asked for each, the agent's events."""

    policies: tuple[Any, ...] = ()
    asked: tuple[int, ...] = ()
    events: tuple[dict[str, Any], ...] = ()


def _prepare(options: Run) -> tuple[Path, dict[str, Any], _Done]:
    """The run's folder, its configuration, and what an interrupted run has finished."""
    from pg_envs.cli import parse_settings

    if options.resume is not None:
        folder = options.resume
        if not (folder / "config.json").exists():
            raise FileNotFoundError(f"{folder} is not a run to resume: it has no config.json")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not (folder / "result.json").exists():
            return folder, config, _Done()
        partial = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        policies = tuple(policy_from_record(step["policy"], folder) for step in partial["steps"])
        return folder, config, _Done(policies, tuple(step["n_queries"] for step in partial["steps"]), tuple(partial["events"]))
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed}: expected a whole number, 0 or more")
    config = {
        "env": options.env,
        "env_args": {"history": options.history, **parse_settings(options.env_args)},
        "agent": options.agent,
        "agent_args": parse_settings(options.agent_args),
        "seed": options.seed,
    }
    challenge = options.env.split("/")[-1].removesuffix("-v0").lower()
    # A recorded history's name holds a path.
    history = re.sub(r"[^\w.-]+", "-", str(config["env_args"]["history"]))
    name = options.name or f"{challenge}-{options.agent.replace(':', '.')}-{history}-s{options.seed}"
    folder = options.out / name
    if folder.exists() and options.name:
        raise FileExistsError(f"{folder} exists and is never overwritten; choose another --name, or go on with --resume {folder}")
    number = 1
    while folder.exists():
        number += 1
        folder = options.out / f"{name}-{number}"
    return folder, config, _Done()


def _make_env(config: dict[str, Any]) -> Any:
    name, arguments = config["env"], config["env_args"]
    try:
        return gym.make(name, disable_env_checker=True, **arguments)
    except gym.error.UnregisteredEnv as error:
        raise ValueError(f"unknown environment {name!r}; choose from {', '.join(pg_envs.ENV_IDS)}") from error
    except ModuleNotFoundError as error:
        raise ValueError(f"environment {name!r}: {error}; the part before the colon is imported first") from error
    except TypeError as error:
        entry_point: Any = gym.spec(name.split(":")[-1]).entry_point
        env_class: Any = load_env_creator(entry_point)
        if not issubclass(env_class, ProgressEnv):
            raise ValueError(f"{name!r} is no ProgressGym environment; choose from {', '.join(pg_envs.ENV_IDS)}") from error
        known = list(init_parameters(env_class))
        unknown = [argument for argument in arguments if argument not in known]
        if not unknown:
            raise
        raise ValueError(f"{name} has no argument {unknown[0]!r}; it has {', '.join(known)}") from error


def _baseline_score(name: str, config: dict[str, Any], env: Any, inner: ProgressEnv, agent_class: Any, score: float) -> float:
    """The score of a baseline in the same environment with the same seed."""
    baseline = find_agent(name)
    if baseline is agent_class:
        return score
    return run_episode(env, baseline(env), config["seed"]).episode_score()


def _say_what_is_kept(folder: Path, n_finished: int) -> None:
    from rich.console import Console

    kept = f"{n_finished} finished centuries are in {folder / 'result.json'}" if n_finished else "no century was finished"
    Console(stderr=True).print(f"\nStopped: {kept}. Go on with: pg-envs run --resume {folder}")


def _log_to_wandb(project: str, result: dict[str, Any], folder: Path) -> None:
    import wandb

    with wandb.init(project=project, config=result["config"], name=folder.name) as run:
        for step in result["steps"]:
            run.log({"reward": step["reward"], "score_upstream": step["score_upstream"]}, step=step["step"])
        run.summary.update({"score": result["score"], "skill": result["skill"]})
        run.log({"trajectory": wandb.Image(str(folder / "trajectory.png"))})
