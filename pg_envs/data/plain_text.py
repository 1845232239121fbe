"""Plain text as whoever has a shelf of books has it: a folder a period, a ``*.txt`` a document, which is read as one passage."""

from __future__ import annotations

from pathlib import Path

from pg_envs.data.json_stream import JsonLimits
from pg_envs.data.schema import HistTextError

MAX_PASSAGE_BYTES = JsonLimits.max_value_bytes
"""Most bytes of a file: as much as one passage of HistText's may have."""


def find_plain(folder: Path) -> list[Path]:
    """A period's documents, by name."""
    return sorted(folder.glob("*.txt"))


def read_plain(file: Path, root: Path) -> str:
    """A document's text.

    Args:
        file: The document.
        root: The folder of the periods' folders, out of which no link may lead.

    Raises:
        HistTextError: If it is no regular file inside ``root``, is too large, or no UTF-8.
    """
    name = f"{file.parent.name}/{file.name}"
    if not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
        raise HistTextError(f"{name}: not a regular file inside {str(root)!r}; links that lead out are not read")
    if file.stat().st_size > MAX_PASSAGE_BYTES:
        raise HistTextError(
            f"{name}: {file.stat().st_size:,} bytes; expected at most {MAX_PASSAGE_BYTES:,}, since a file is read as one passage: "
            "split it into documents"
        )
    try:
        # Editors that mark UTF-8 put the mark into the file; it is no text.
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise HistTextError(f"{name}: not UTF-8: {error}; convert it first") from error
