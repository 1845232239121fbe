"""Cleaning a folder of HistText into a new one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pg_envs.data.archives import text_folder
from pg_envs.data.cleaning.documents import Documents
from pg_envs.data.cleaning.duplicates import SeenTexts
from pg_envs.data.cleaning.report import CleaningReport
from pg_envs.data.cleaning.rules import clean_passage
from pg_envs.data.cleaning.verdict import Context, Lengths, RawPassage
from pg_envs.data.histtext import TextFile, find_files, find_undated, read_file
from pg_envs.data.new_folder import appearing, check_new_folder
from pg_envs.progress import report as report_progress


def clean_folder(source: str | Path, target: str | Path, lengths: Lengths | None = None) -> CleaningReport:
    """Clean the passages of ``source`` into the new folder ``target``.

    ``target`` gets century folders of the same layout, a passage in the file of the year it has now; ``report.json`` and ``report.md``
    with counts, and ``findings.jsonl`` with a line for each thing found. It appears when all is done, or not at all.

    Args:
        source: A folder of century folders, and perhaps ``undated.json``, or an archive of one; it is only read.
        target: A folder that does not exist yet.
        lengths: How long passages may be.

    Raises:
        HistTextError: If ``source`` has no century folders, is an archive that is refused, or one of the folders lies in the other.
        FileExistsError: If there is a ``target``.
    """
    source, target = Path(source).expanduser(), Path(target).expanduser()
    check_new_folder(target, source)
    with text_folder(source) as text:
        return _clean(text, target, lengths or Lengths())


def _clean(source: Path, target: Path, lengths: Lengths) -> CleaningReport:
    from fsspec.implementations.local import LocalFileSystem

    filesystem = LocalFileSystem()
    report = CleaningReport()

    def refuse(kind: str, message: str) -> None:
        if message not in report.unreadable:
            report.unreadable.append(message)

    files = find_files(filesystem, str(source), refuse) + find_undated(filesystem, str(source), refuse)

    def passages(doing: str) -> Iterator[tuple[TextFile, int, RawPassage]]:
        for n_done, file in enumerate(files):
            report_progress(doing, n_done, len(files))
            for index, value in read_file(filesystem, file, refuse):
                yield file, index, value if isinstance(value, dict) else {}
        report_progress(doing, len(files), len(files))

    context = Context(Documents(), SeenTexts(), lengths=lengths)
    for _, _, passage in passages("reading"):
        context.documents.add(passage)
    with appearing(target) as folder:
        writer = _YearWriter(folder)
        with (folder / "findings.jsonl").open("w", encoding="utf-8", errors="replace") as findings:
            for file, index, passage in passages("cleaning"):
                cleaned = clean_passage(passage, context, f"{file.name}#{index}")
                report.add(file.century, cleaned)
                for kept in cleaned.kept:
                    writer.write(kept)
                for reason, action, detail in cleaned.findings:
                    record = {"file": file.name, "index": index, "reason": reason, "action": action, "detail": detail}
                    findings.write(json.dumps(record, ensure_ascii=False) + "\n")
        writer.close()
        (folder / "report.json").write_text(json.dumps(report.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(report.as_markdown(), encoding="utf-8")
    return report


class _YearWriter:
    """Adds passages to the JSON list of their year, in whatever order the years come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.n_written: Counter[int] = Counter()

    def _path(self, year: int) -> Path:
        return self.folder / f"C{year // 100 + 1:03d}" / f"{year}.json"

    def write(self, passage: dict[str, Any]) -> None:
        year = passage["creation_year"]
        path = self._path(year)
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(",\n" if self.n_written[year] else "[\n")
            json.dump(passage, file, ensure_ascii=False)
        self.n_written[year] += 1

    def close(self) -> None:
        for year in self.n_written:
            with self._path(year).open("a", encoding="utf-8") as file:
                file.write("\n]\n")
