"""One run: the episode, its baselines, and what is written and, from the command line, shown of it."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
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
from pg_envs.ranks import by_first, is_first
from pg_envs.results import BASELINES, make_result, plain, policy_from_record, policy_record, skill, upstream_export, write_json
from pg_envs.runner import AgentStopped, run_episode
from pg_envs.settings import parse_settings

if TYPE_CHECKING:
    from pg_envs.commands import Run


def run_and_save(options: Run) -> bool:
    """Do what ``pg-envs run`` was asked for; returns whether the run was finished (False after Ctrl-C)."""
    # The first process names the folder, for all.
    folder, config = by_first(lambda: _new_run(options) if options.resume is None else (options.resume, _config_to_resume(options.resume)))
    run = OneRun(folder, config)
    started = time.perf_counter()
    with LiveDisplay(f"{config['agent']} in {config['env']}") as display, reporting_to(display.report):
        try:
            result = run.carry_out()
        except KeyboardInterrupt:
            display.stop()
            _say_what_is_kept(folder)
            return False
        except AgentStopped:
            display.stop()
            _say_what_is_kept(folder)
            raise
    if options.wandb and is_first():
        _log_to_wandb(options.wandb, result, folder)
    print_result(result, folder, time.perf_counter() - started)
    return True


class OneRun:
    """A run that is ready to begin, or to go on with what its folder has: the input is checked, and nothing is written yet."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        """Make the environment and the agent.

        Args:
            folder: The run's own; it need not exist.
            config: What to run, as in ``config.json``: ``env``, ``env_args``, ``agent``, ``agent_args`` and ``seed``.

        Raises:
            ValueError: If the environment, the agent or a setting does not exist, or is none that fits the others.
            TypeError: If the agent cannot act in this environment.
        """
        self.folder, self.config = folder, config
        self._done = _done_in(folder)
        self._agent_class = find_agent(config["agent"])
        agent_config = make_config(self._agent_class, {"seed": config["seed"], **config["agent_args"]})
        self._env = _make_env(config)
        # Agents that do not say that they cheat never get hold of the evaluation.
        seen = self._env if getattr(self._agent_class, "cheats", False) else AgentView(self._env)
        self._agent = self._agent_class(seen, agent_config, folder / "policies")

    def close(self) -> None:
        """Let go of the environment."""
        self._env.close()

    def carry_out(self) -> dict[str, Any]:
        """Run the episode and its baselines, writing what is finished after every century, and close the environment.

        Returns:
            What ``result.json`` holds. It is written last, so that where it is complete, all else is there.

        Raises:
            AgentStopped: If the agent was told to stop rather than go on after a failure; what was finished is kept.
        """
        with closing(self):
            return self._carry_out()

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "config.json", self.config)

    def _carry_out(self) -> dict[str, Any]:
        folder, config, agent = self.folder, self.config, self._agent
        by_first(self._begin)
        started = time.perf_counter()
        records: list[Any] = []
        agent.events.extend(self._done.events)
        if isinstance(self._env.unwrapped.history, LiveHistory):
            # Only here, since it imports the libraries, which a simulated history does without.
            quieten_libraries()

        def save(inner: ProgressEnv, policy: Any) -> None:
            records.append(policy_record(policy, folder))
            # While finished centuries are replayed, the file has more of them than memory.
            if len(records) > len(self._done.policies):
                self._write(make_result(inner, config, records, agent.events))

        try:
            inner = run_episode(self._env, agent, config["seed"], self._done.policies, self._done.asked, save)
        except AgentStopped:
            # Once more, since the events have one that came after the last century that was finished.
            if records:
                self._write(make_result(self._env.unwrapped, config, records, agent.events))
            raise
        result = make_result(inner, config, records, agent.events)
        export = upstream_export(result, time.perf_counter() - started)
        for name in BASELINES:
            result["baselines"][name] = self._baseline_score(name, result["score"])
        result["skill"] = skill(result["score"], result["baselines"]["no-op"], result["baselines"]["oracle"])
        result = plain(result)
        by_first(lambda: self._end(result, export))
        return result

    def _write(self, result: dict[str, Any]) -> None:
        """Keep the result so far. All processes have made it, as they may have to measure something together for it."""
        if is_first():
            write_json(self.folder / "result.json", result)

    def _end(self, result: dict[str, Any], export: dict[str, Any]) -> None:
        write_json(self.folder / "upstream.json", export)
        plot_trajectory(result, self.folder / "trajectory.png")
        write_json(self.folder / "result.json", result)

    def _baseline_score(self, name: str, score: float) -> float:
        """The score of a baseline in the same environment with the same seed; ``score`` if it is the agent itself."""
        baseline = find_agent(name)
        if baseline is self._agent_class:
            return score
        return run_episode(self._env, baseline(self._env), self.config["seed"]).episode_score()


def finished_result(folder: Path) -> dict[str, Any] | None:
    """What ``result.json`` holds where the run is finished, baselines included; else None."""
    path = folder / "result.json"
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result if all(name in result["baselines"] for name in BASELINES) else None


@dataclass(frozen=True)
class _Done:
    """What an interrupted run has finished: policies, how many questions were asked for each, the agent's events."""

    policies: tuple[Any, ...] = ()
    asked: tuple[int, ...] = ()
    events: tuple[dict[str, Any], ...] = ()


def _done_in(folder: Path) -> _Done:
    """What a run has finished in its folder; nothing where there is none."""
    if not (folder / "result.json").exists():
        return _Done()
    partial = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    policies = tuple(policy_from_record(step["policy"], folder) for step in partial["steps"])
    return _Done(policies, tuple(step["n_queries"] for step in partial["steps"]), tuple(partial["events"]))


def _config_to_resume(folder: Path) -> dict[str, Any]:
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder} is not a run to resume: it has no config.json")
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def _new_run(options: Run) -> tuple[Path, dict[str, Any]]:
    """A new run's folder, which does not exist yet, and its configuration."""
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed}: expected a whole number, 0 or more")
    config: dict[str, Any] = {
        "env": options.env,
        "env_args": {"history": options.history, **parse_settings(options.env_args)},
        "agent": options.agent,
        "agent_args": parse_settings(options.agent_args),
        "seed": options.seed,
    }
    challenge = options.env.split("/")[-1].removesuffix("-v0")
    name = options.name or folder_name(challenge, options.agent, config["env_args"]["history"], options.seed)
    folder = options.out / name
    if folder.exists() and options.name:
        raise FileExistsError(f"{folder} exists and is never overwritten; choose another --name, or go on with --resume {folder}")
    number = 1
    while folder.exists():
        number += 1
        folder = options.out / f"{name}-{number}"
    return folder, config


def folder_name(environment: str, agent: str, history: Any, seed: int) -> str:
    """The name of a run's folder, e.g. ``follow-no-op-simulated-s0``."""
    # An agent's name may hold a colon, a recorded history's a path.
    parts = (environment.lower(), agent.replace(":", "."), str(history), f"s{seed}")
    return "-".join(re.sub(r"[^\w.-]+", "-", part) for part in parts)


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


def _say_what_is_kept(folder: Path) -> None:
    from rich.console import Console

    n_finished = len(_done_in(folder).policies)
    kept = f"{n_finished} finished centuries are in {folder / 'result.json'}" if n_finished else "no century was finished"
    Console(stderr=True, quiet=not is_first()).print(f"\nStopped: {kept}. Go on with: pg-envs run --resume {folder}")


def _log_to_wandb(project: str, result: dict[str, Any], folder: Path) -> None:
    import wandb

    with wandb.init(project=project, config=result["config"], name=folder.name) as run:
        for step in result["steps"]:
            run.log({"reward": step["reward"], "score_upstream": step["score_upstream"]}, step=step["step"])
        run.summary.update({"score": result["score"], "skill": result["skill"]})
        run.log({"trajectory": wandb.Image(str(folder / "trajectory.png"))})
