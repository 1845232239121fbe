"""What a repository of the Hugging Face hub is, and what to say where it cannot be had; nothing is asked or fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

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
