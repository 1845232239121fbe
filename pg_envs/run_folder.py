"""What a run's folder holds for going on after whatever ended it: ``config.json``, and ``progress.json`` until it is finished.

A century has two parts that cost much: the agent acts, and its policy is judged. ``progress.json`` is written between them, so a run
that is killed while a policy is judged goes on with that policy. What an agent left of a century that it did not finish is removed.
Policies that lie in the folder are noted with the SHA-256 of their files, and both files hold their own.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pg_envs.alone import LOCK_FILE
from pg_envs.hashed_json import read_hashed_json
from pg_envs.models.ref import ModelRef
from pg_envs.plain_json import Limits
from pg_envs.results import plain, write_hashed_json
from pg_envs.storage import damage, file_sha256

CONFIG, PROGRESS, POLICIES = "config.json", "progress.json", "policies"
CONFIG_KEYS: dict[str, type] = {"env": str, "env_args": dict, "agent": str, "agent_args": dict, "seed": int}
LIMITS = Limits(max_bytes=16 << 20, max_depth=20, max_text=100_000)

BEGIN_ANEW = f"restore it, or remove {PROGRESS} and result.json to begin the run anew in this folder"


class RunFolderError(ValueError):
    """A file of a run's folder that is missing, damaged or of another run; the message says which and what to do."""


@dataclass(frozen=True)
class Act:
    """What the agent did in one century.

    Attributes:
        policy: ``policy_record`` of what it submitted.
        n_queries: How many questions it asked.
        events: What it noted.
        files: SHA-256 of the policy's files that lie in the run's folder, by their path in it.
    """

    policy: Any
    n_queries: int
    events: list[dict[str, str]]
    files: dict[str, str]


@dataclass(frozen=True)
class Progress:
    """What an unfinished run has done.

    Attributes:
        acts: One for each century in which the agent has acted, the last one perhaps not judged yet.
        baselines: Scores of the baselines that were run, which is done after the last century.
        versions: Of the libraries it was last done with.
    """

    acts: tuple[Act, ...] = ()
    baselines: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def events(self) -> list[dict[str, str]]:
        """What the agent noted in all these centuries."""
        return [event for act in self.acts for event in act.events]


def has_begun(folder: Path) -> bool:
    """Whether there is anything at a path but what a run leaves there before its ``config.json`` is whole."""
    if not folder.is_dir():
        return folder.exists()
    return any(path.name != LOCK_FILE and path.suffix != ".tmp" for path in folder.iterdir())


def read_config(folder: Path) -> dict[str, Any]:
    """What is run in a folder: ``env``, ``env_args``, ``agent``, ``agent_args`` and ``seed``.

    Raises:
        FileNotFoundError: If there is no ``config.json``.
        RunFolderError: If it is damaged.
    """
    path, remedy = folder / CONFIG, "restore it (result.json holds the same under config), or begin anew under another name"
    if not path.exists():
        raise FileNotFoundError(f"{folder} is not a run to resume: it has no {CONFIG}")
    data: dict[str, Any] = read_hashed_json(path, RunFolderError, remedy, LIMITS)
    fits = isinstance(data, dict) and data.keys() == CONFIG_KEYS.keys()
    if not fits or any(type(data[key]) is not kind for key, kind in CONFIG_KEYS.items()) or data["seed"] < 0:
        raise RunFolderError(f"{path}: expected env and agent (texts), env_args and agent_args (objects), seed (0 or more); {remedy}")
    return data


def read_progress(folder: Path) -> Progress:
    """What was done; nothing where there is no ``progress.json``.

    A policy whose folder was removed counts as not made: the run goes on from the century before.

    Raises:
        RunFolderError: If the file is damaged.
    """
    path, remedy = folder / PROGRESS, BEGIN_ANEW
    if not path.exists():
        return Progress()
    data = read_hashed_json(path, RunFolderError, remedy, LIMITS)
    fits = isinstance(data, dict) and data.keys() == {"acts", "baselines", "versions"} and isinstance(data["acts"], list)
    if not fits or not all(map(_is_act, data["acts"])) or not _maps(data["baselines"], _is_score) or not _maps(data["versions"], _is_text):
        raise RunFolderError(
            f"{path}: expected acts, a list of {{policy, n_queries, events, files}}, baselines, scores, and versions, texts; {remedy}"
        )
    acts: list[Act] = []
    for act in data["acts"]:
        if not all(os.path.isdir((folder / name).parent) for name in act["files"]):
            return Progress(tuple(acts), versions=data["versions"])
        acts.append(Act(**act))
    return Progress(tuple(acts), data["baselines"], data["versions"])


def write_progress(folder: Path, progress: Progress) -> None:
    """Note what was done, in one go."""
    write_hashed_json(folder / PROGRESS, asdict(progress))


def under_versions(progress: Progress, versions: dict[str, str], labels: Sequence[str]) -> Progress:
    """What was done, to be gone on with under other versions of libraries, perhaps: the last century that was done has an event then.

    Args:
        progress: What was done.
        versions: By library, of those here.
        labels: Of all the history's centuries.
    """
    here = {name: versions.get(name, "none") for name in progress.versions}
    changed = [f"{name} {here[name]} instead of {before}" for name, before in progress.versions.items() if here[name] != before]
    if not progress.acts or not changed:
        return replace(progress, versions=versions)
    *others, last = progress.acts
    event = {"century": labels[len(progress.acts)], "event": f"after this century the run was taken up with {', '.join(changed)}"}
    return replace(progress, acts=(*others, replace(last, events=[*last.events, event])), versions=versions)


def forget_progress(folder: Path) -> None:
    """The run is finished: its result says all."""
    (folder / PROGRESS).unlink(missing_ok=True)


def policy_record(policy: Any, folder: Path) -> Any:
    """A policy as JSON: a ModelRef, whose base and adapter are relative to the run's folder where they lie in it, or a vector."""
    if not isinstance(policy, ModelRef):
        return plain(policy)
    base, adapter = (name if name is None else _relative(name, folder) for name in (policy.base, policy.adapter))
    return {**policy.to_json(), "base": base, "adapter": adapter}


def policy_from_record(record: Any, folder: Path) -> Any:
    """The policy that ``policy_record`` wrote."""
    if isinstance(record, list):
        return np.array(record)
    ref = ModelRef.from_json(record)
    base, adapter = (name if name is None or not _lies_in(name, folder) else str(folder / name) for name in (ref.base, ref.adapter))
    return ModelRef(str(base), ref.revision, adapter)


def file_hashes(record: Any, folder: Path) -> dict[str, str]:
    """SHA-256 of a recorded policy's files that lie in the run's folder, by their path in it."""
    if isinstance(record, list):
        return {}
    names = [name for name in (record["base"], record["adapter"]) if name is not None and _lies_in(name, folder)]
    files = [path for name in names for path in sorted((folder / name).rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def check_policy_files(act: Act, folder: Path) -> None:
    """Hold a finished policy's files to what was noted when it was made.

    Raises:
        RunFolderError: If one is missing or has changed.
    """
    for name, expected in act.files.items():
        path = folder / name
        if fault := damage(path, expected):
            raise RunFolderError(
                f"{fault}; restore it, or remove the folder {path.parent} to have this century and those after it run again"
            )


def remove_unfinished(folder: Path, labels: Sequence[str], acts: Sequence[Act]) -> None:
    """Remove what an agent left of centuries that it did not finish: all in its folder whose name begins with such a century's label.

    Args:
        folder: The run's.
        labels: Of all the history's centuries.
        acts: What is finished, from the second century on; no policy of theirs is touched.

    Raises:
        RunFolderError: If the agent's folder is a link to another one.
    """
    unfinished = labels[len(acts) + 1 :]
    if (folder / POLICIES).is_symlink():
        raise RunFolderError(f"{folder / POLICIES} is a link, and a run changes nothing outside its folder; put the folder itself there")
    finished_policies = {PurePosixPath(name).parts[1] for act in acts for name in act.files}
    for path in (folder / POLICIES).glob("*"):
        # One label may begin with another, e.g. victorian-early with victorian: the longest says whose it is.
        whose = max((label for label in labels if path.name.startswith(label)), key=len, default=None)
        if whose in unfinished and path.name not in finished_policies:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _relative(name: str, folder: Path) -> str:
    return Path(name).relative_to(folder).as_posix() if Path(name).is_relative_to(folder) else name


def _lies_in(name: str, folder: Path) -> bool:
    """Whether a recorded name is of something in the run's folder, and does not lead out of it."""
    inside = PurePosixPath(name)
    return not inside.is_absolute() and ".." not in inside.parts and bool(inside.name) and os.path.isdir(folder / name)


def _is_act(data: Any) -> bool:
    if not isinstance(data, dict) or data.keys() != {"policy", "n_queries", "events", "files"} or not isinstance(data["events"], list):
        return False
    texts = all(_maps(event, _is_text) and event.keys() == {"century", "event"} for event in data["events"])
    return texts and _is_policy(data["policy"]) and type(data["n_queries"]) is int and data["n_queries"] >= 0 and _are_files(data["files"])


def _is_policy(data: Any) -> bool:
    if isinstance(data, list):
        return all(type(value) in (int, float) for value in data)
    if not isinstance(data, dict) or data.keys() != {"base", "revision", "adapter"} or not _is_text(data["base"]):
        return False
    return all(data[key] is None or _is_text(data[key]) for key in ("revision", "adapter"))


def _are_files(data: Any) -> bool:
    return _maps(data, _is_text) and all(name.startswith(f"{POLICIES}/") and ".." not in PurePosixPath(name).parts for name in data)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_score(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _maps(data: Any, fits: Any) -> bool:
    return isinstance(data, dict) and all(map(fits, data.values()))
