"""The leaderboard's rows: every result of a folder checked as ``pg-envs submit-check`` does, its scores computed from its vectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

from pg_envs.plotting.runs import environment_settings
from pg_envs.recomputing import episode_scores
from pg_envs.result_schema import ResultError
from pg_envs.submission import BASELINES_BELIEVED, check_submission

PATTERNS = ("result.json", "*.result.json")
DEEPEST = 3
"""How many folders down results are looked for: a grid's runs in a folder of grids."""
MAX_FILES = 500
ALL = "all"


@dataclass(frozen=True)
class Entry:
    """A result that is fit for the leaderboard; its scores follow from its vectors, and its skill from these and the baselines' scores.

    Attributes:
        file: Where it lies, relative to the folder of results.
        result: The checked result.
        score: The episode's score.
        score_upstream: The same by upstream's formula.
        skill: None where the baselines score the same.
        believed: What could not be checked.
    """

    file: str
    result: dict[str, Any]
    score: float
    score_upstream: float
    skill: float | None
    believed: tuple[str, ...]

    @property
    def agent(self) -> str:
        """Agent, with its settings that are not the default."""
        settings = ", ".join(f"{key}={value}" for key, value in self.result["config"]["agent_args"].items())
        return self.result["config"]["agent"] + (f" ({settings})" if settings else "")

    @property
    def place(self) -> str:
        """The file, or its folder where every run has a file of the same name."""
        return self.file.removesuffix("/result.json")

    @property
    def challenge(self) -> str:
        """The environment without its namespace and version."""
        return str(self.result["config"]["env"]).split("/")[-1].removesuffix("-v0")

    @property
    def history(self) -> str:
        """The history as it was asked for: a recording in a folder, whose name is its maker's choice, stands under its folder."""
        return str(self.result["config"]["env_args"].get("history", "histtiny"))

    @property
    def settings(self) -> str:
        """The centuries, and the environment's arguments that are not the default."""
        return environment_settings(self.result)

    @property
    def skill_is_believed(self) -> bool:
        """Whether skill rests on baselines' scores that the submission states and nothing here can check."""
        return BASELINES_BELIEVED in self.believed

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.result["config"]["seed"])

    @property
    def lag(self) -> float | None:
        """Mean lock-in lag in centuries; only Coevolve has one."""
        lags = [step["lock_in_lag"] for step in self.result["steps"] if "lock_in_lag" in step]
        return fmean(lags) if lags else None


@dataclass(frozen=True)
class Refused:
    """A file that is not on the leaderboard, and every reason why."""

    file: str
    reasons: tuple[str, ...]


SORT_KEYS: dict[str, Callable[[Entry], Any]] = {
    "skill": lambda entry: entry.skill,
    "score": lambda entry: entry.score,
    "upstream's score": lambda entry: entry.score_upstream,
    "lock-in lag": lambda entry: entry.lag,
    "agent": lambda entry: entry.agent.lower(),
    "challenge": lambda entry: entry.challenge,
    "history": lambda entry: entry.history,
    "seed": lambda entry: entry.seed,
}
"""What the leaderboard can be sorted by."""


def read_standings(folder: Path) -> tuple[list[Entry], list[Refused]]:
    """All results in a folder, up to three folders down; files that were read before and did not change are not checked anew.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected one with runs of pg-envs in it")
    entries: list[Entry] = []
    refused: list[Refused] = []
    found = result_files(folder)
    for path in found[:MAX_FILES]:
        name = _shown(path, folder)
        if not path.resolve().is_relative_to(folder.resolve()):
            refused.append(Refused(name, ("it is a link that leads out of the folder of results; copy the file here",)))
            continue
        outcome = _read(path, name)
        (entries if isinstance(outcome, Entry) else refused).append(outcome)  # type: ignore[arg-type]
    refused += [Refused(_shown(path, folder), (f"only {MAX_FILES} files are read",)) for path in found[MAX_FILES:]]
    return entries, refused


def result_files(folder: Path) -> list[Path]:
    """Files called ``result.json`` or ``NAME.result.json``, sorted."""
    levels = ["*/" * depth for depth in range(DEEPEST + 1)]
    return sorted({path for level in levels for pattern in PATTERNS for path in folder.glob(level + pattern) if path.is_file()})


def _shown(path: Path, folder: Path) -> str:
    """A file's name seen from the folder. Bytes that are no UTF-8 are spelt out: one name that has some would keep all from being sent."""
    return os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")


def _read(path: Path, name: str) -> Entry | Refused:
    try:
        state = path.stat()
        return _judged(path, name, state.st_mtime_ns, state.st_size)
    except OSError as error:
        # Not kept: whoever may not read it now, or no longer finds it, may do so the next time.
        return Refused(name, (str(error).replace(str(path), name),))


@lru_cache(maxsize=2 * MAX_FILES)
def _judged(path: Path, name: str, modified_ns: int, n_bytes: int) -> Entry | Refused:
    try:
        result, problems, believed = check_submission(path)
    except ResultError as error:
        return Refused(name, (str(error).replace(str(path), name),))
    if problems:
        return Refused(name, tuple(problems))
    scores: dict[str, Any] = episode_scores(result)
    return Entry(name, result, **scores, believed=tuple(believed))


def choose(entries: Sequence[Entry], challenge: str, history: str, sort_by: str, largest_first: bool) -> list[Entry]:
    """The entries of a challenge and a history (``all`` for each), sorted; those that lack what is sorted by come last.

    Raises:
        ValueError: If there is nothing of that name to sort by.
    """
    if sort_by not in SORT_KEYS:
        raise ValueError(f"sort by {sort_by!r}: choose from {', '.join(SORT_KEYS)}")
    key = SORT_KEYS[sort_by]
    kept = [e for e in entries if challenge in (ALL, e.challenge) and history in (ALL, e.history)]
    with_key = sorted((entry for entry in kept if key(entry) is not None), key=key, reverse=largest_first)
    return with_key + [entry for entry in kept if key(entry) is None]
