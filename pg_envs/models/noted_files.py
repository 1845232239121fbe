"""Holding a model's files to the hashes that lie beside it: those of what is bundled, and those that a finished run has of its policies."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pg_envs.models.ref import ASSET_PREFIX, ModelRef, ModelRefError, local_path
from pg_envs.plain_json import Limits, read_plain_json
from pg_envs.storage import damage

FAMILY, POLICIES, RESULT, PROGRESS = "history.json", "policies", "result.json", "progress.json"
"""What a family's hashes are in; where a run's policies are in its folder, what has their hashes, and what is there until it ends."""
LIMITS = Limits(max_bytes=64 << 20, max_depth=20, max_text=100_000)


def check_noted(ref: ModelRef, name: str) -> None:
    """Check the files of ``ref``'s base or adapter, called ``name``, if somebody noted what they are.

    Once in a process: what changes later is not found.

    Raises:
        ModelRefError: If one is missing or has changed, or the note cannot be read.
    """
    folder = local_path(name)
    if folder is not None and (fault := _fault(folder.absolute(), name.startswith(ASSET_PREFIX))):
        _fault.cache_clear()
        raise ModelRefError(f"{ref}: {fault}")


@cache
def _fault(folder: Path, is_bundled: bool) -> str | None:
    """What is wrong with the files in a folder, and what to do; None if nothing is, or nobody noted anything."""
    try:
        noted = _of_family(folder) if is_bundled else _of_run(folder)
    except ValueError as error:
        return str(error)
    remedy = "install pg-envs again" if is_bundled else "restore it, or make the policy anew"
    fault = next((found for path, sha256 in noted.items() if (found := damage(path, sha256))), None)
    return fault and f"{fault}; {remedy}"


def _of_family(folder: Path) -> dict[Path, str]:
    file = folder.parent / FAMILY
    if not file.is_file():
        return {}
    hashes = read_plain_json(file, ModelRefError, "install pg-envs again", LIMITS)["files"].get(folder.name, {})
    return {folder / name: sha256 for name, sha256 in hashes.items()}


def _of_run(folder: Path) -> dict[Path, str]:
    """What the run in whose folder a policy lies has noted of its files, if it lies in one that is finished; others see to theirs."""
    run = next((parent.parent for parent in folder.parents if parent.name == POLICIES), None)
    if run is None or not (run / RESULT).is_file() or (run / PROGRESS).exists():
        return {}
    told = read_plain_json(run / RESULT, ModelRefError, "restore it, or copy the policy elsewhere to take it as it is", LIMITS)
    hashes = [_if(dict, _if(dict, step).get("policy_files")) for step in _if(list, _if(dict, told).get("steps"))]
    noted = {run / path: str(sha256) for found in hashes for path, sha256 in found.items() if ".." not in Path(path).parts}
    # Not out of the policy's own folder, whatever the file says.
    return {path: sha256 for path, sha256 in noted.items() if folder in path.parents}


def _if(kind: Any, value: Any) -> Any:
    """The value, if it is of that kind, or else an empty one."""
    return value if isinstance(value, kind) else kind()
