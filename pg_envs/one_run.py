"""One run: the episode, its baselines, and what is written and, from the command line, shown of it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_envs.agent_view import AgentView
from pg_envs.alone import alone_in
from pg_envs.display import LiveDisplay, print_result, quieten_libraries
from pg_envs.env import ProgressEnv
from pg_envs.history.live import LiveHistory
from pg_envs.models.bases import take_from_cache_only
from pg_envs.models.ref import ModelRef
from pg_envs.models.space import AnyModelSpace
from pg_envs.plots import plot_trajectory
from pg_envs.plugins import find_agent, make_config
from pg_envs.progress import reporting_to
from pg_envs.ranks import by_first, is_first
from pg_envs.result_files import read_result
from pg_envs.results import BASELINES, make_result, plain, skill, upstream_export, versions, write_hashed_json, write_json
from pg_envs.run_folder import (
    BEGIN_ANEW,
    CONFIG,
    PROGRESS,
    Act,
    Progress,
    RunFolderError,
    check_policy_files,
    file_hashes,
    forget_progress,
    policy_from_record,
    policy_record,
    read_config,
    read_progress,
    remove_unfinished,
    under_versions,
    write_progress,
)
from pg_envs.run_setup import make_env, new_run, resumed_run
from pg_envs.runner import AgentStopped, run_episode
from pg_envs.siblings import finished_result, sibling_baseline
from pg_envs.wandb_logging import check_login, log_result
from pg_envs.withheld import withheld

if TYPE_CHECKING:
    from pg_envs.commands import Run


def run_and_save(options: Run) -> bool:
    """Do what ``pg-envs run`` was asked for; returns whether the run was finished (False after Ctrl-C)."""
    # The first process names the folder, for all.
    folder, config = by_first(lambda: new_run(options) if options.resume is None else resumed_run(options))
    if options.wandb:
        by_first(lambda: check_login(str(options.wandb)))
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
    print_result(result, folder, time.perf_counter() - started)
    if options.wandb and is_first():
        log_result(options.wandb, result, folder)
    return True


class OneRun:
    """A run that is ready to begin, or to go on with what its folder has: the input is checked, and nothing is written yet."""

    def __init__(self, folder: Path, config: dict[str, Any], siblings_in: Path | None = None) -> None:
        """Make the environment and the agent.

        Args:
            folder: The run's own; it need not exist.
            config: What to run, as in ``config.json``: ``env``, ``env_args``, ``agent``, ``agent_args`` and ``seed``.
            siblings_in: A folder of runs, begun or not, whose baselines are taken where they are this run's too.

        Raises:
            ValueError: If the environment, the agent or a setting does not exist, or is none that fits the others.
            TypeError: If the agent cannot act in this environment.
        """
        self.folder, self.config, self._siblings_in = folder, config, siblings_in
        self._progress = Progress()
        self._agent_class = find_agent(config["agent"])
        agent_config = make_config(self._agent_class, {"seed": config["seed"], **config["agent_args"]})
        self._env = make_env(config)
        # Agents that do not say that they cheat never get hold of the evaluation.
        seen = self._env if getattr(self._agent_class, "cheats", False) else AgentView(self._env)
        with self._while_acting():
            self._agent = self._agent_class(seen, agent_config, folder / "policies")

    def close(self) -> None:
        """Let go of the environment."""
        self._env.close()

    def carry_out(self) -> dict[str, Any]:
        """Run the episode and its baselines, noting what is finished as soon as it is, and close the environment.

        Returns:
            What ``result.json`` holds. It is written last, so that where it is complete, all else is there; a run that is finished
            is not run again.

        Raises:
            AgentStopped: If the agent was told to stop rather than go on after a failure; what was finished is kept.
            InUse: If another process has this run in hand.
            FileExistsError: If the folder holds another run.
            RunFolderError: If what the folder holds of this run is damaged.
            CannotWrite: If the disk does not take what is to be kept.
        """
        with closing(self), ExitStack() as held:
            # The first process holds the folder, looks into it and writes to it, for all.
            by_first(lambda: held.enter_context(alone_in(self.folder)))
            result = by_first(self._finished)
            if result is None:
                resumed = by_first((self.folder / CONFIG).exists)
                self._progress = by_first(self._take_up)
                result = self._carry_out(resumed)
            by_first(lambda: forget_progress(self.folder))
            return result

    def _while_acting(self) -> AbstractContextManager[None]:
        """What has been judged so far lies beside the agent's folder, and is none of its business."""
        return withheld(self.folder / "result.json")

    def _finished(self) -> dict[str, Any] | None:
        """The result, if the folder holds this run finished."""
        if (self.folder / CONFIG).exists() and read_config(self.folder) != plain(self.config):
            raise FileExistsError(f"{self.folder} holds another run, and is never overwritten; choose another name")
        return finished_result(self.folder)

    def _take_up(self) -> Progress:
        """Make the folder this run's, or find what is done of it."""
        if (self.folder / "result.json").exists() and not (self.folder / PROGRESS).exists():
            raise RunFolderError(f"{self.folder / PROGRESS}: no such file, though result.json has some centuries; {BEGIN_ANEW}")
        progress = read_progress(self.folder)
        for act in progress.acts:
            check_policy_files(act, self.folder)
        remove_unfinished(self.folder, self._env.unwrapped.history.labels, progress.acts)
        write_hashed_json(self.folder / CONFIG, self.config)
        return under_versions(progress, versions(), self._env.unwrapped.history.labels)

    def _carry_out(self, resumed: bool) -> dict[str, Any]:
        config, agent = self.config, self._agent
        started = time.perf_counter()
        done = self._progress.acts
        agent.events.extend(self._progress.events)
        if isinstance(self._env.unwrapped.history, LiveHistory):
            # Only here, since it imports the libraries, which a simulated history does without.
            quieten_libraries()

        def judged(inner: ProgressEnv, policy: Any) -> None:
            # While finished centuries are replayed, the file has as many of them as memory, or more.
            if len(inner.trace) >= len(done):
                self._write(self._result(inner))

        try:
            policies = self._policies()
            inner = run_episode(
                self._env,
                agent,
                config["seed"],
                policies,
                tuple(act.n_queries for act in done),
                on_act=self._note_act,
                on_step=judged,
                while_acting=self._while_acting,
            )
        except AgentStopped:
            # Once more, since the events have one that came after the last century that was finished.
            if self._env.unwrapped.trace:
                self._write(self._result(self._env.unwrapped))
            raise
        result = self._result(inner)
        # How long the parts before a resumption took, nobody knows.
        export = upstream_export(result, None if resumed else time.perf_counter() - started)
        for name in BASELINES:
            result["baselines"][name] = self._baseline_score(name, result)
        result["skill"] = skill(result["score"], result["baselines"]["no-op"], result["baselines"]["oracle"])
        result = plain(result)
        by_first(lambda: self._end(result, export))
        return result

    def _policies(self) -> tuple[Any, ...]:
        """What was submitted before. Bases that neither the history nor the configuration has are named by the run's files alone."""
        env = self._env.unwrapped
        policies = tuple(policy_from_record(act.policy, self.folder) for act in self._progress.acts)
        models = {ref for ref in policies if isinstance(ref, ModelRef)}
        if models and isinstance(env.action_space, AnyModelSpace):
            known = {(ref.base, ref.revision) for ref in (*env.action_space.examples, env.initial_policy)}
            take_from_cache_only(ref for ref in models if (ref.base, ref.revision) not in known)
        return policies

    def _result(self, inner: ProgressEnv) -> dict[str, Any]:
        """What has been judged so far; the agent may have acted once more."""
        judged = self._progress.acts[: len(inner.trace)]
        policies = [{"policy": act.policy, "policy_files": act.files} for act in judged]
        return make_result(inner, self.config, policies, self._agent.events)

    def _write(self, result: dict[str, Any]) -> None:
        """Keep the result so far. All processes have made it, as they may have to measure something together for it."""
        if is_first():
            write_hashed_json(self.folder / "result.json", result)

    def _end(self, result: dict[str, Any], export: dict[str, Any]) -> None:
        write_json(self.folder / "upstream.json", export)
        plot_trajectory(result, self.folder / "trajectory.png")
        write_hashed_json(self.folder / "result.json", result)

    def _note_act(self, inner: ProgressEnv, policy: Any) -> None:
        """Keep what the agent has done, before it is judged."""

        def note() -> Progress:
            record = policy_record(policy, self.folder)
            events = plain(self._agent.events[len(self._progress.events) :])
            act = Act(record, inner.n_queries, events, file_hashes(record, self.folder))
            progress = replace(self._progress, acts=(*self._progress.acts, act))
            write_progress(self.folder, progress)
            return progress

        self._progress = by_first(note)

    def _baseline_score(self, name: str, result: dict[str, Any]) -> float:
        """The score of a baseline in the same environment with the same seed; the result's if it is the agent itself."""
        baseline = find_agent(name)
        if baseline is self._agent_class:
            return float(result["score"])
        scores = self._progress.baselines
        if name not in scores:
            made = None
            if (runs := self._siblings_in) is not None:
                made = by_first(lambda: sibling_baseline(name, plain(result), runs))
            if made is None:
                made = run_episode(self._env, baseline(self._env), self.config["seed"]).episode_score()
            self._progress = replace(self._progress, baselines={**scores, name: made})
            by_first(lambda: write_progress(self.folder, self._progress))
        return self._progress.baselines[name]


def _say_what_is_kept(folder: Path) -> None:
    from rich.console import Console

    # Not the acts: the agent may have acted in a century whose policy is not judged yet.
    n_finished = len(read_result(folder)["steps"]) if (folder / "result.json").exists() else 0
    kept = f"{n_finished} finished centuries are in {folder}" if n_finished else "no century was finished"
    Console(stderr=True, quiet=not is_first()).print(f"\nStopped: {kept}. Go on with: pg-envs run --resume {folder}")
