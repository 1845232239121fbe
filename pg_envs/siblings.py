"""Runs beside a run: which are finished, and whether their baselines are its own too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pg_envs.result_files import read_result
from pg_envs.result_schema import ResultError
from pg_envs.results import BASELINES
from pg_envs.run_folder import CONFIG, RunFolderError, read_config


def sibling_baseline(name: str, result: dict[str, Any], runs: Path) -> float | None:
    """A baseline's score in the first finished run in ``runs`` of this environment, seed, models, questions, versions and arithmetic."""
    if any(result["config"]["env_args"].get(argument) for argument in ("initial_policy", "proxy")):
        # What they name may since have become another model under the same name.
        return None

    def episode(config: dict[str, Any]) -> list[Any]:
        return [config[key] for key in ("env", "env_args", "seed")]

    for path in sorted(runs.glob(f"*/{CONFIG}")):
        folder = path.parent
        try:
            # First the small file, since a grid's folder has many runs of other episodes.
            other = finished_result(folder) if episode(read_config(folder)) == episode(result["config"]) else None
        except (ResultError, RunFolderError, OSError):
            # Whoever runs that one is told, if it was not just removed; this one only does without.
            continue
        if other is not None and all(other[key] == result[key] for key in ("history", "questionnaire", "versions")):
            return float(other["baselines"][name])
    return None


def finished_result(folder: Path) -> dict[str, Any] | None:
    """What ``result.json`` holds where the run is finished, baselines included; else None.

    Raises:
        ResultError: If it is damaged.
    """
    if not (folder / "result.json").exists():
        return None
    result = read_result(folder)
    return result if all(name in result["baselines"] for name in BASELINES) else None
