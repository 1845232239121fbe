"""Cleaning a folder of HistText into a new one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pg_envs.data.archives import text_folder
from pg_envs.data.cleaning.documents import Documents
from pg_envs.data.cleaning.duplicates import SeenTexts
from pg_envs.data.cleaning.language import ForeignText, Languages
from pg_envs.data.cleaning.report import CleaningReport
from pg_envs.data.cleaning.rules import clean_passage
from pg_envs.data.cleaning.verdict import Context, Lengths, RawPassage
from pg_envs.data.histtext import TextFile, find_files, find_others, find_undated, read_file
from pg_envs.data.new_folder import appearing, check_new_folder
from pg_envs.data.schema import HISTTEXT_YEARS, MAX_EXAMPLES, HistTextError, Years
from pg_envs.data.year_files import YearWriter
from pg_envs.progress import report as report_progress


def clean_folder(
    source: str | Path,
    target: str | Path,
    lengths: Lengths | None = None,
    languages: Languages | None = None,
    years: Years = HISTTEXT_YEARS,
) -> CleaningReport:
    """Clean the passages of ``source`` into the new folder ``target``.

    ``target`` gets century folders of the same layout, a passage in the file of the year it has now; ``report.json`` and ``report.md``
    with counts, and ``findings.jsonl`` with a line for each thing found. It appears when all is done, or not at all.

    Args:
        source: A folder of century folders, and perhaps ``undated.json``, or an archive of one; it is only read.
        target: A folder that does not exist yet.
        lengths: How long passages may be.
        languages: In which languages the texts are; English by default, and only then all rules are asked (``asked_rules``).
        years: From which years texts may be.

    Raises:
        HistTextError: If ``source`` has no century folders or no files of years in them, is an archive that is refused, or one of the
            folders lies in the other.
        FileExistsError: If there is a ``target``.
    """
    source, target = Path(source).expanduser(), Path(target).expanduser()
    check_new_folder(target, source)
    with text_folder(source) as text:
        context = Context(Documents(years), SeenTexts(), foreign=ForeignText(languages), lengths=lengths or Lengths())
        return _clean(text, target, context)


def _clean(source: Path, target: Path, context: Context) -> CleaningReport:
    from fsspec.implementations.local import LocalFileSystem

    filesystem = LocalFileSystem()
    report = CleaningReport(context.languages, context.years)

    # Files are read twice, and are bad both times.
    unreadable: dict[str, None] = {}

    def refuse(kind: str, message: str) -> None:
        unreadable[message] = None

    try:
        files = find_files(filesystem, str(source), refuse) + find_undated(filesystem, str(source), refuse)
    except HistTextError as error:
        raise HistTextError(
            f"{error}; only text in HistText's layout can be cleaned, others go to describe and build-history as they are"
        ) from error
    report.passed_over = find_others(filesystem, str(source))
    if not files and not unreadable:
        found = ", ".join(report.passed_over[:MAX_EXAMPLES]) or "nothing"
        raise HistTextError(f"no files such as C013/1215.json in {str(source)!r}; found {found}")

    def passages(doing: str) -> Iterator[tuple[TextFile, int, RawPassage]]:
        for n_done, file in enumerate(files):
            report_progress(doing, n_done, len(files))
            for index, value in read_file(filesystem, file, refuse):
                yield file, index, value if isinstance(value, dict) else {}
        report_progress(doing, len(files), len(files))

    for _, _, passage in passages("reading"):
        context.documents.add(passage)
    with appearing(target) as folder:
        writer = YearWriter(folder)
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
        report.unreadable = list(unreadable)
        (folder / "report.json").write_text(json.dumps(report.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(report.as_markdown(), encoding="utf-8")
    return report
