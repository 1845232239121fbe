"""Reading historical text in HistText's folder layout: ``C013/1215.json`` (or ``Y01215.json``), a list of passages each.

Fields as on the hub (dataset ``PKU-Alignment/ProgressGym-HistText``): ``content``, ``creation_year`` and
``source_dataset`` are mandatory, ``source_document``, ``document_id`` and the rest optional.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class HistTextError(ValueError):
    """Historical text that cannot be read; the message names file, passage and field."""


@dataclass(frozen=True)
class Passage:
    """One passage of one document.

    Attributes:
        century: The folder's label, ``C013`` to ``C021``.
        year: Year of creation, in the common era.
        document_id: The document it comes from (``document_id``, else ``source_document``, else the file).
        content: The text.
    """

    century: str
    year: int
    document_id: str
    content: str

    @property
    def held_out(self) -> bool:
        """Whether the passage's document belongs to the twentieth part kept from training (split by document)."""
        return int(hashlib.sha256(self.document_id.encode()).hexdigest(), 16) % 20 == 0


def read_folder(folder: str | Path) -> Iterator[Passage]:
    """Yield every passage under ``folder``, century by century, year by year.

    Raises:
        HistTextError: If the folder has no century folders, or a file or a passage does not fit the schema.
    """
    centuries = sorted(path for path in Path(folder).expanduser().glob("C[0-9][0-9][0-9]") if path.is_dir())
    if not centuries:
        raise HistTextError(f"no century folders (C013 ... C021) in {str(folder)!r}")
    for century in centuries:
        for path in sorted(century.glob("*.json")):
            yield from _read_year(path, century.name)


def _read_year(path: Path, century: str) -> Iterator[Passage]:
    try:
        passages = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HistTextError(f"{path}: cannot be read as UTF-8 JSON: {error}") from error
    if not isinstance(passages, list):
        raise HistTextError(f"{path}: expected a list of passages, found {type(passages).__name__}")
    for index, passage in enumerate(passages):
        for name in ("content", "creation_year", "source_dataset"):
            if not isinstance(passage, dict) or passage.get(name) in (None, ""):
                raise HistTextError(f"{path}: passage {index}: no field {name!r}")
        document = passage.get("document_id") or passage.get("source_document") or path.stem
        yield Passage(century, int(passage["creation_year"]), str(document), str(passage["content"]))
