"""Repositories of the Hugging Face hub as folders here: what is whole in the cache is taken, what is not is announced and fetched.

The hub is asked about nothing that a caller did not name, and only where the cache lacks it. As long as a process runs, a
branch or tag stands for the commit that it stood for first.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_envs.progress import report
from pg_envs.repository import HubError, Repository, explain

if TYPE_CHECKING:
    from huggingface_hub import DryRunFileInfo

logger = logging.getLogger(__name__)


def commit_of(repository: Repository) -> str:
    """The commit that the revision stands for: the cache's, if it is whole there, else the hub's. No file is fetched.

    Raises:
        HubError: If the cache lacks something and the hub does not tell.
    """
    return _commit_of(repository, _cache_folder())


def cached(repository: Repository) -> Path | None:
    """The folder of the repository's files, if the cache has it whole; nobody is asked."""
    folder = _snapshot(repository)
    return folder if repository.first_lack(folder) is None else None


def fetch(repository: Repository) -> Path:
    """The folder of the repository's files, fetched if the cache lacks any; what is fetched, and its size, is said before.

    Raises:
        HubError: If they cannot be had.
    """
    pinned = replace(repository, revision=commit_of(repository))
    return cached(pinned) or _download(pinned)


def _cache_folder() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser()


@cache
def _commit_of(repository: Repository, cache_folder: Path) -> str:
    """``cache_folder`` is among the arguments because what was found is remembered."""
    folder = cached(repository)
    return folder.name if folder is not None else _plan(repository)[0].commit_hash


def _storage(repository: Repository) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return _cache_folder() / repo_folder_name(repo_id=repository.name, repo_type=repository.kind)


def _snapshot(repository: Repository) -> Path:
    """Where the cache keeps the revision's files, if it has any."""
    storage = _storage(repository)
    named = storage / "refs" / repository.revision
    commit = named.read_text(encoding="utf-8").strip() if named.is_file() else repository.revision
    return storage / "snapshots" / commit


def _state(repository: Repository) -> str:
    """What the cache has, in words; for errors."""
    folder = _snapshot(repository)
    if not folder.is_dir():
        return f"it is not in the cache ({_cache_folder()})"
    n_unfinished = len(list(_storage(repository).glob("blobs/*.incomplete")))
    unfinished = f" (unfinished downloads: {n_unfinished})" if n_unfinished else ""
    return f"its copy in the cache ({folder}) has {repository.first_lack(folder)}{unfinished}"


def _ask_hub(repository: Repository, dry_run: bool) -> Any:
    from huggingface_hub import snapshot_download

    return snapshot_download(
        repository.name,
        repo_type=repository.kind,
        revision=repository.revision,
        allow_patterns=list(repository.wanted),
        ignore_patterns=list(repository.unwanted),
        dry_run=dry_run,
    )


def _plan(repository: Repository) -> list[DryRunFileInfo]:
    """The wanted files, at least one, and which of them would be fetched."""
    from huggingface_hub.errors import HTTPError

    try:
        files: list[DryRunFileInfo] = _ask_hub(repository, dry_run=True)
    except (OSError, HTTPError) as error:
        raise HubError(f"{repository}: {_state(repository)}, and {explain(repository, error)}") from error
    if not files:
        raise HubError(f"{repository}: the hub's repository has none of {', '.join(repository.wanted)}; see {repository.page}")
    return files


def _download(repository: Repository) -> Path:
    from huggingface_hub.errors import HTTPError
    from rich.filesize import decimal

    files = [file for file in _plan(repository) if file.will_download]
    n_bytes = sum(file.file_size or 0 for file in files)
    _check_room(repository, n_bytes)
    what = f"downloading {repository.name} ({decimal(n_bytes)} in {len(files)} files)"
    logger.warning("%s at commit %s from the Hugging Face hub into %s", what, repository.revision, _cache_folder())
    report(what, 0, 1)
    try:
        folder = Path(_ask_hub(repository, dry_run=False))
    except (OSError, HTTPError) as error:
        raise HubError(f"{repository}: the download broke off, and the same call goes on with it: {explain(repository, error)}") from error
    report(what, 1, 1)
    lack = repository.first_lack(folder)
    if lack is not None:
        raise HubError(f"{repository}: what the hub gave has {lack}; see {repository.page}, or call again")
    return folder


def _check_room(repository: Repository, n_bytes: int) -> None:
    from rich.filesize import decimal

    folder = _cache_folder()
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    n_free = shutil.disk_usage(there).free
    if n_bytes > n_free:
        raise HubError(f"{repository} needs {decimal(n_bytes)}, and {folder} has {decimal(n_free)} left; make room, or set HF_HUB_CACHE")
