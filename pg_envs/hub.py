"""Repositories of the Hugging Face hub as folders here: what is whole in the cache is taken, what is not is announced and fetched.

The hub is asked about nothing that a caller did not name, and only where the cache lacks it. As long as a process runs, a
branch or tag stands for the commit that it stood for first.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pg_envs.progress import report

if TYPE_CHECKING:
    from huggingface_hub import DryRunFileInfo

logger = logging.getLogger(__name__)

MAIN = "main"
REVISION = re.compile(r"(?!.*\.\.)(?!(.*/)?\.)(?!/)[^\x00-\x20\x7f~^:?*\[\\]+(?<!/)")
"""Names that git gives branches, tags and commits (git-check-ref-format), as far as they matter for a path."""


class HubError(ValueError):
    """A repository that cannot be had; the message says which, what happened, and what to do."""


def _no_folder(folder: Path) -> str | None:
    return None if folder.is_dir() else "nothing"


@dataclass(frozen=True)
class Repository:
    """A repository at a revision, and what is wanted of it.

    Attributes:
        name: ``OWNER/NAME``.
        revision: Branch, tag or commit.
        kind: Of models or of data.
        wanted: Patterns of the files that are fetched; ``*`` matches slashes too.
        unwanted: Patterns of files that are not, though they are wanted by the above.
        first_lack: What a folder of the wanted files lacks, in words; None if it is whole.
    """

    name: str
    revision: str
    kind: Literal["model", "dataset"]
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...] = ()
    first_lack: Callable[[Path], str | None] = field(default=_no_folder, compare=False)

    def __post_init__(self) -> None:
        """Refuse what cannot name a repository, or a revision of one.

        Raises:
            HubError: If the name or the revision is none.
        """
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        try:
            validate_repo_id(self.name)
        except HFValidationError as error:
            raise HubError(f"{self.name!r} names no repository of the hub: expected OWNER/NAME: {error}") from error
        # It becomes part of a path in the cache, out of which it must not lead.
        if not REVISION.fullmatch(self.revision):
            raise HubError(f"{self.name}: {self.revision!r:.100} names no revision: expected a branch, tag or commit, e.g. {MAIN!r}")

    def __str__(self) -> str:
        """``name@revision``."""
        return f"{self.name}@{self.revision}"

    @property
    def page(self) -> str:
        """Where a reader finds it."""
        return f"https://huggingface.co/{'datasets/' if self.kind == 'dataset' else ''}{self.name}"

    @property
    def download_command(self) -> str:
        """What fetches it by hand."""
        of_kind = " --type dataset" if self.kind == "dataset" else ""
        revision = "" if self.revision == MAIN else f" --revision {self.revision}"
        return f"hf download {self.name}{of_kind}{revision}"


def commit_of(repository: Repository) -> str:
    """The commit that the revision stands for: the cache's, if it is whole there, else the hub's. No file is fetched.

    Raises:
        HubError: If the cache lacks something and the hub does not tell.
    """
    return _commit_of(repository, _cache_folder())


def in_cache(repository: Repository) -> bool:
    """Whether the cache has all of it; the hub is not asked."""
    return repository.first_lack(_snapshot(repository)) is None


def fetch(repository: Repository) -> Path:
    """The folder of the repository's files, fetched if the cache lacks any; what is fetched, and its size, is said before.

    Raises:
        HubError: If they cannot be had.
    """
    pinned = replace(repository, revision=commit_of(repository))
    folder = _snapshot(pinned)
    return folder if pinned.first_lack(folder) is None else _download(pinned)


def explain(repository: Repository, error: BaseException) -> str:
    """What went wrong between here and the hub, and what to do: words for an exception of huggingface_hub's or what caused it."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page, by_hand, last = repository.page, f"'{repository.download_command}'", error
    for cause in _causes(error):
        last = cause
        if isinstance(cause, OfflineModeIsEnabled):
            return (
                f"HF_HUB_OFFLINE is set, so the hub was not asked; unset it, or run {by_hand} where there is a network and copy the cache"
            )
        # Before the missing repository's error, of which it is a kind.
        if isinstance(cause, GatedRepoError):
            return f"it is gated; accept its licence on {page}, and sign in with 'hf auth login' (or set HF_TOKEN)"
        if isinstance(cause, RevisionNotFoundError):
            return f"the hub has no such revision of it; choose one from {page}/commits/{MAIN}"
        if isinstance(cause, RepositoryNotFoundError):
            return f"the hub has no such repository, or a private one; check the name on {page}, or sign in with 'hf auth login'"
        if isinstance(cause, HfHubHTTPError):
            return f"the hub refused ({cause}); try again later, or sign in with 'hf auth login'"
    return f"the hub does not give it ({type(last).__name__}: {last}); check network and proxy, or run {by_hand} where there is one"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what caused it, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _cache_folder() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser()


@cache
def _commit_of(repository: Repository, cache_folder: Path) -> str:
    """``cache_folder`` is among the arguments because what was found is remembered."""
    folder = _snapshot(repository)
    if repository.first_lack(folder) is None:
        return folder.name
    return _plan(repository)[0].commit_hash


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
