"""Writing passages into HistText's layout, each into the file of its year."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any


def century_of(year: int) -> str:
    """The label of the folder that a year is in: 1200 to 1299 are in ``C013``."""
    return f"C{year // 100 + 1:03d}"


class YearWriter:
    """Adds passages to the JSON list of their year, in whatever order the years come; paths are made of years alone."""

    def __init__(self, folder: Path) -> None:
        """Write below ``folder``, which is there and has no century folders yet."""
        self.folder = folder
        self.n_written: Counter[int] = Counter()

    def _path(self, year: int) -> Path:
        return self.folder / century_of(year) / f"{year:04d}.json"

    def write(self, passage: dict[str, Any]) -> None:
        """Add a passage that fits the schema."""
        year = passage["creation_year"]
        path = self._path(year)
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(",\n" if self.n_written[year] else "[\n")
            json.dump(passage, file, ensure_ascii=False)
        self.n_written[year] += 1

    def close(self) -> None:
        """End every list; the files are no JSON before."""
        for year in self.n_written:
            with self._path(year).open("a", encoding="utf-8") as file:
                file.write("\n]\n")
