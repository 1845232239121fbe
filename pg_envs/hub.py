"""Repositories of the Hugging Face hub as folders here: what is whole in the cache is taken, what is not is announced and fetched.

The hub is asked about nothing that a caller did not name, and only where the cache lacks it. As long as a process runs, a
branch or tag stands for the commit that it stood for first.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
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
    return _expected(repository, _cache_folder())[0]


def check_obtainable(repositories: Sequence[Repository]) -> None:
    """Make sure that the cache or the hub has each, and that there is room for all that is to be fetched; that is said, not fetched.

    Raises:
        HubError: At the first that cannot be had, or if all together are too large.
    """
    from rich.filesize import decimal

    sizes = {repository: _expected(repository, _cache_folder())[1] for repository in repositories}
    missing = [repository for repository in repositories if cached(replace(repository, revision=commit_of(repository))) is None]
    if not missing:
        return
    n_bytes = sum(sizes[repository] for repository in missing)
    more = f" with {len(missing) - 1} more" if len(missing) > 1 else ""
    _check_room(f"{missing[0]}{more}", n_bytes)
    what = f"to be downloaded, each when it is needed: {decimal(n_bytes)} in {len(missing)} of {len(repositories)} repositories"
    logger.warning("%s, %s%s, from the Hugging Face hub into %s", what, missing[0], more, _cache_folder())
    report(what, 0, len(missing))


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
def _expected(repository: Repository, cache_folder: Path) -> tuple[str, int]:
    """The commit, and how many bytes are to be fetched; ``cache_folder`` is among the arguments because what was found is remembered."""
    folder = cached(repository)
    if folder is not None:
        return folder.name, 0
    files = _plan(repository)
    return files[0].commit_hash, _n_bytes(files)


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
    _check_room(str(repository), _n_bytes(files))
    what = f"downloading {repository.name} ({decimal(_n_bytes(files))} in {len(files)} files)"
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


def _n_bytes(files: Sequence[DryRunFileInfo]) -> int:
    """Of those that would be fetched."""
    return sum(file.file_size or 0 for file in files if file.will_download)


def _check_room(who: str, n_bytes: int) -> None:
    from rich.filesize import decimal

    folder = _cache_folder()
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    n_free = shutil.disk_usage(there).free
    if n_bytes > n_free:
        raise HubError(f"{who} needs {decimal(n_bytes)}, and {folder} has {decimal(n_free)} left; make room, or set HF_HUB_CACHE")
