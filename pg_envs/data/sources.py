"""Where text is read from: a folder here, a dataset repository in the hub's cache, or the hub itself, file by file."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_envs.data.histtext import TextFile, century_labels
from pg_envs.data.schema import HistTextError
from pg_envs.hub import cached
from pg_envs.paths import expanded
from pg_envs.repository import HubError, Repository, explain

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A folder of century folders, wherever it lies.

    Attributes:
        filesystem: The fsspec file system it is in.
        root: The folder.
        inside: The folder out of which files that are links must not lead: ``root``, but for the hub's cache, whose files are links.
        repository: The hub's repository that it is, if it is one.
    """

    filesystem: Any
    root: str
    inside: str
    repository: Repository | None = None

    def why(self, error: Exception) -> str:
        """Why something could not be read; where the hub was asked, with what to do."""
        return str(error) if self.repository is None or self.inside != self.root else explain(self.repository, error)

    def announce(self, files: Sequence[TextFile], streaming: bool) -> None:
        """Say, before the first file is read, how much of a repository is read and from where; of a folder of one's own nothing."""
        from rich.filesize import decimal

        if self.repository is None:
            return
        centuries = ", ".join(dict.fromkeys(file.century for file in files))
        what = f"{self.repository}: {decimal(sum(file.n_bytes for file in files))} in {len(files)} files of {centuries}"
        if self.inside == self.root:
            how = "fetched from the Hugging Face hub " + ("as they are iterated over" if streaming else "now, into memory, and not kept")
            logger.warning("%s, %s; '%s' keeps them", what, how, self.repository.download_command)
            return
        unfinished = len(list(Path(self.inside).glob("blobs/*.incomplete")))
        doubt = f" (unfinished downloads: {unfinished})" if unfinished else ""
        complete = f"'{self.repository.download_command}'"
        logger.warning("%s, as they lie in the cache%s, which nobody compared with the hub; %s completes them", what, doubt, complete)


def hub_name(source: str | Path) -> str:
    """The repository of the hub that ``source`` names, where it is no folder here.

    Raises:
        HistTextError: If it can only be meant as a path.
    """
    if str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise HistTextError(
            f"no folder {str(source)!r}; expected one, or the name of a dataset repository such as 'PKU-Alignment/ProgressGym-HistText'"
        )
    return str(source)


def open_source(source: str | Path, revision: str, centuries: Sequence[str] | None) -> Source:
    """The folder that ``source`` names; of a repository the cache's copy, where it has the ``centuries``, or any where none are named.

    Raises:
        HistTextError: If there is neither a folder nor a repository of that name, or the repository cannot be had; with what to do.
    """
    from fsspec.implementations.local import LocalFileSystem

    folder = expanded(source)
    if os.path.isdir(folder):
        return Source(LocalFileSystem(), str(folder), str(folder))
    try:
        repository = Repository(
            hub_name(source), revision, "dataset", ("*",), first_lack=lambda folder: _first_lacking_century(folder, centuries)
        )
    except HubError as error:
        raise HistTextError(str(error)) from error
    snapshot = cached(repository)
    if snapshot is not None:
        # Above the snapshot are the blobs, to which its files are links.
        return Source(LocalFileSystem(), str(snapshot), str(snapshot.parents[1]), repository)
    return _on_hub(repository)


def _first_lacking_century(folder: Path, centuries: Sequence[str] | None) -> str | None:
    """What a repository's folder lacks, in words; see ``Repository``. How many files a century should have, nobody here knows."""
    there = [path.name for path in folder.glob("*") if path.is_dir()]
    if not century_labels(there, None):
        return "no century folders"
    lacking = [label for label in centuries or () if label not in there]
    return f"no {', '.join(lacking)}" if lacking else None


def _on_hub(repository: Repository) -> Source:
    from huggingface_hub import HfFileSystem
    from huggingface_hub.errors import HTTPError

    filesystem, root = HfFileSystem(), f"datasets/{repository}"
    try:
        filesystem.ls(root)
    except (OSError, HTTPError) as error:
        raise HistTextError(
            f"{repository.name!r} is no folder here, and as a dataset repository (revision {repository.revision!r}): "
            f"it is not in the hub's cache, and {explain(repository, error)}"
        ) from error
    return Source(filesystem, root, root, repository)
