"""Runs to be drawn together: which belong to the same environment, and what each is called."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator

import pg_envs
from pg_envs.plotting.style import plain_text, short_name
from pg_envs.plugins import init_parameters
from pg_envs.result_files import read_result

SAME_HUMANS = 1e-6
"""Measured values of the same humans differ by less from machine to machine."""
TOLD_BY_HISTORY = ("history", "centuries", "render_mode")
"""Arguments that make no other environment: the result's ``history`` tells the first two, without paths; the third is for the eye."""


@dataclass(frozen=True, eq=False)
class DrawnRun:
    """One run, as a picture needs it.

    Attributes:
        path: As it was given.
        result: Its checked ``result.json``.
    """

    path: Path
    result: dict[str, Any]

    @property
    def agent(self) -> str:
        """The agent's name."""
        return str(self.result["config"]["agent"])

    @property
    def settings(self) -> dict[str, Any]:
        """The agent's settings that are not its default."""
        return dict(self.result["config"]["agent_args"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.result["config"]["seed"])

    @property
    def seed_label(self) -> str:
        """The seed, and whether the run was left unfinished."""
        return f"seed {self.seed}" + ("" if self.result["complete"] else " (incomplete)")

    def column(self, key: str) -> np.ndarray:
        """(T, ...) one field of all steps."""
        return np.array([step[key] for step in self.result["steps"]])

    @property
    def judged_in(self) -> list[int]:
        """Index of the century whose humans each step is compared with."""
        labels = self.result["history"]["centuries"]
        return [labels.index(step.get("target_label", step["century_label"])) for step in self.result["steps"]]

    @property
    def acted_in(self) -> list[int]:
        """Index of the century of each step."""
        labels = self.result["history"]["centuries"]
        return [labels.index(step["century_label"]) for step in self.result["steps"]]


@dataclass(frozen=True)
class Group:
    """Runs of one environment: the same challenge and arguments, humans and questionnaire.

    Attributes:
        title: The environment in words.
        slug: The same for names of files.
        runs: At least one.
    """

    title: str
    slug: str
    runs: tuple[DrawnRun, ...]

    @property
    def centuries(self) -> list[str]:
        """Labels of the history's centuries."""
        return list(self.runs[0].result["history"]["centuries"])

    @property
    def scoring(self) -> str:
        """By which formula values are measured."""
        return str(self.runs[0].result["config"]["env_args"].get("scoring", "centred"))

    @property
    def variants(self) -> dict[str, list[DrawnRun]]:
        """The runs by agent, with its settings where the same agent is here with several."""
        by_agent: dict[str, set[str]] = {}
        for run in self.runs:
            by_agent.setdefault(run.agent, set()).add(_canonical(run.settings))
        found: dict[str, list[DrawnRun]] = {}
        for run in self.runs:
            several = len(by_agent[run.agent]) > 1
            words = ", ".join(f"{plain_text(key)}={plain_text(value)}" for key, value in run.settings.items()) or "default settings"
            name = short_name(run.agent)
            found.setdefault(f"{name} ({words})" if several else name, []).append(run)
        return found

    def by_humans(self) -> list[Group]:
        """The runs by the humans they were compared with, which a random history draws anew for every seed; longest runs first."""
        found: list[list[DrawnRun]] = []
        for run in sorted(self.runs, key=lambda run: -len(run.result["steps"])):
            ours = run.column("target_vector")
            for runs in found:
                theirs = runs[0].column("target_vector")[: len(ours)]
                if np.allclose(ours, theirs, rtol=0, atol=SAME_HUMANS):
                    runs.append(run)
                    break
            else:
                found.append([run])
        if len(found) == 1:
            return [self]
        parts = [tuple(run for run in self.runs if run in runs) for runs in found]
        seeds = [sorted({run.seed for run in part}) for part in parts]
        names = _unique([f"seed {', '.join(map(str, s))}" for s in seeds])
        return [Group(f"{self.title}, humans of {n}", f"{self.slug}-{_file_part(n)}", p) for n, p in zip(names, parts, strict=True)]


def read_runs(paths: Sequence[Path]) -> list[DrawnRun]:
    """All runs, or an error before anything is drawn. A folder with runs in it, such as a grid's, stands for these.

    Raises:
        FileNotFoundError: If one does not exist.
        ResultError: If one is no result.
    """
    return [DrawnRun(path, read_result(path)) for given in paths for path in _runs_in(given)]


def _runs_in(path: Path) -> list[Path]:
    """The path itself if it is a run's or nothing lies in it that is, else the runs in it."""
    within = [] if (path / "result.json").is_file() else sorted(result.parent for result in path.glob("*/result.json"))
    return within or [path]


def without_repetitions(runs: Sequence[DrawnRun]) -> tuple[list[DrawnRun], list[str]]:
    """The runs without those that repeat an earlier one's environment, agent, settings and seed; and a note on each left out.

    Of two alike the one with more steps stays: an interval over seeds must count no seed twice.
    """
    kept: dict[tuple[str, ...], DrawnRun] = {}
    notes = []
    for run in runs:
        key = (_environment_key(run.result), run.agent, _canonical(run.settings), str(run.seed))
        first = kept.get(key)
        if first is None:
            kept[key] = run
            continue
        stays, goes = (first, run) if len(first.result["steps"]) >= len(run.result["steps"]) else (run, first)
        kept[key] = stays
        notes.append(f"{goes.path}: left out, the same environment, agent, settings and seed as {stays.path}")
    return list(kept.values()), notes


def group_runs(runs: Sequence[DrawnRun]) -> list[Group]:
    """The runs by environment, in the order in which they were given."""
    by_key: dict[str, list[DrawnRun]] = {}
    for run in runs:
        by_key.setdefault(_environment_key(run.result), []).append(run)
    members = [tuple(group) for group in by_key.values()]
    titles = [_title(group[0].result) for group in members]
    for title, n_alike in Counter(titles).items():
        if n_alike > 1:
            # Told apart by what made the numbers differ: other weights behind the same name, or other questions.
            titles = [t if t != title else t + _fingerprints(group[0].result) for t, group in zip(titles, members, strict=True)]
    slugs = _unique([_slug(group[0].result) for group in members])
    return [Group(*parts) for parts in zip(titles, slugs, members, strict=True)]


def _unique(names: Sequence[str]) -> list[str]:
    """The names with a number where they are taken."""
    taken: list[str] = []
    for name in names:
        candidates = (name if n == 1 else f"{name}-{n}" for n in count(1))
        taken.append(next(candidate for candidate in candidates if candidate not in taken))
    return taken


def _environment_key(result: dict[str, Any]) -> str:
    return _canonical([result["config"]["env"], _arguments(result), _humans(result), result["questionnaire"]["sha256"]])


def _humans(result: dict[str, Any]) -> dict[str, Any]:
    """Who they are; not on how many threads they were measured, which moves numbers in their last digits only."""
    return {key: value for key, value in result["history"].items() if key != "arithmetic"}


def _canonical(data: Any) -> str:
    return json.dumps(data, sort_keys=True)


def _arguments(result: dict[str, Any]) -> dict[str, Any]:
    """The environment's arguments that are not the default, but for those that the history tells."""
    config = result["config"]
    defaults = _defaults(config["env"]) if config["env"] in pg_envs.ENV_IDS else {}
    return {key: v for key, v in config["env_args"].items() if key not in TOLD_BY_HISTORY and (key not in defaults or defaults[key] != v)}


@lru_cache(maxsize=8)
def _defaults(env_id: str) -> dict[str, Any]:
    env_class: Any = load_env_creator(str(gym.spec(env_id).entry_point))
    return {name: p.default for name, p in init_parameters(env_class).items() if p.default is not p.empty}


def environment_settings(result: dict[str, Any]) -> str:
    """The centuries, and the environment's arguments that are not the default: scores of other settings do not compare."""
    centuries = result["history"]["centuries"]
    arguments = [f"{plain_text(key)}={plain_text(value)}" for key, value in _arguments(result).items()]
    return ", ".join([f"{centuries[0]} to {centuries[-1]}", *arguments])


def _title(result: dict[str, Any]) -> str:
    return f"{_challenge(result)} on {plain_text(result['history']['name'])}, {environment_settings(result)}"


def _challenge(result: dict[str, Any]) -> str:
    return plain_text(str(result["config"]["env"]).split("/")[-1].removesuffix("-v0"))


def _fingerprints(result: dict[str, Any]) -> str:
    humans = hashlib.sha256(_canonical(_humans(result)).encode()).hexdigest()
    return f", humans {humans[:6]}, questionnaire {result['questionnaire']['sha256'][:6]}"


def _slug(result: dict[str, Any]) -> str:
    return _file_part(f"{_challenge(result)}-{result['history']['name']}".lower())


def _file_part(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-.")[:60]
