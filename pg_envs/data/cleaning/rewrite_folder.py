"""Rewriting the noisy passages of a cleaned folder into a new one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from pg_envs.data.archives import text_folder
from pg_envs.data.cleaning.kept_replies import KeepingEngine
from pg_envs.data.cleaning.report import table
from pg_envs.data.cleaning.rewrite import INSTRUCTION, OUTCOMES, Outcome, Rewriter, is_noisy, rewrite_noisy
from pg_envs.data.cleaning.verdict import RawPassage
from pg_envs.data.histtext import TextFile, find_files, read_valid
from pg_envs.data.new_folder import appearing, check_new_folder
from pg_envs.data.schema import EARLIEST_YEAR, LATEST_YEAR, HistTextError, ReadReport, Years, refusal
from pg_envs.data.year_files import YearWriter, century_of
from pg_envs.progress import report as report_progress

ANY_YEAR = Years(EARLIEST_YEAR, LATEST_YEAR)
"""The cleaner has seen to the years."""


def rewrite_folder(source: str | Path, target: str | Path, rewriter: Rewriter) -> dict[str, Any]:
    """Have a language model rewrite the noisy passages of ``source`` in the new folder ``target``, where all passages go.

    ``target`` also gets ``report.json`` and ``report.md`` with counts. It appears when all is done, or not at all; until then replies are
    kept beside it in ``TARGET.replies.sqlite``, and the same call asks for the rest.

    Args:
        source: What ``clean_folder`` made, or an archive of it; it is only read.
        target: A folder that does not exist yet.
        rewriter: Who rewrites.

    Returns:
        What is in ``report.json``.

    Raises:
        HistTextError: If ``source`` is no such folder, has a file or passage that the cleaner would not have left, or nothing that it found
            noisy; or one of the folders lies in the other.
        FileExistsError: If there is a ``target``.
        ModelRefError: If the model cannot be loaded.
        EngineError: If the engine fails.
        CannotWrite: If the disk is full, read-only or broken.
    """
    source, target = Path(source).expanduser(), Path(target).expanduser()
    check_new_folder(target, source)
    rewriter.engine.check(rewriter.model)
    with text_folder(source) as text:
        files = _find(text)
        n_noisy = sum(map(is_noisy, _passages(files)))
        if not n_noisy:
            raise HistTextError(
                f"{str(source)!r}: no passage was found noisy (a reason code under 'cleaning'), so there is nothing to rewrite; "
                "if it was not cleaned yet, do that first: pg-envs clean"
            )
        kept = target.with_name(f"{target.name}.replies.sqlite")
        with closing(KeepingEngine(rewriter.engine, kept)) as engine, appearing(target) as folder:
            report = _report(rewriter, _rewrite(_passages(files), n_noisy, folder, replace(rewriter, engine=engine)))
            (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            (folder / "report.md").write_text(as_markdown(report), encoding="utf-8")
        kept.unlink()
    return report


def _find(text: Path) -> list[TextFile]:
    from fsspec.implementations.local import LocalFileSystem

    return find_files(LocalFileSystem(), str(text), refusal("raise", ReadReport()))


def _passages(files: Sequence[TextFile]) -> Iterator[RawPassage]:
    from fsspec.implementations.local import LocalFileSystem

    report = ReadReport()
    for _, passage in read_valid(LocalFileSystem(), files, refusal("raise", report), report, years=ANY_YEAR):
        yield passage


def _rewrite(passages: Iterator[RawPassage], n_noisy: int, folder: Path, rewriter: Rewriter) -> dict[str, Counter[Outcome]]:
    """Write all passages; gives what became of the noisy ones of each century."""
    counts: dict[str, Counter[Outcome]] = {}

    def tell(passage: RawPassage, outcome: Outcome) -> None:
        century = century_of(passage["creation_year"])
        counts.setdefault(century, Counter())[outcome] += 1
        report_progress(f"{century}: the noisy passages", sum(counted.total() for counted in counts.values()), n_noisy)

    report_progress("loading the model and rewriting", 0, n_noisy)
    writer = YearWriter(folder)
    for passage in rewrite_noisy(passages, rewriter, tell):
        writer.write(passage)
    writer.close()
    return counts


def _report(rewriter: Rewriter, counts: Mapping[str, Counter[Outcome]]) -> dict[str, Any]:
    return {
        "model": str(rewriter.model),
        "arithmetic": rewriter.engine.arithmetic(),
        "instruction": INSTRUCTION,
        "max_new_tokens": rewriter.max_new_tokens,
        "max_chars": rewriter.max_chars,
        "seed": rewriter.seed,
        "noisy_passages": sum(counted.total() for counted in counts.values()),
        "outcomes": {century: {name: counted[name] for name in OUTCOMES if counted[name]} for century, counted in counts.items()},
    }


def as_markdown(report: Mapping[str, Any]) -> str:
    """A table of outcomes, a column a century, and what they mean."""
    centuries = report["outcomes"]
    rows = [[name, *(counts.get(name, 0) for counts in centuries.values())] for name in OUTCOMES]
    meanings = "".join(f"* {name}: {meaning}\n" for name, meaning in OUTCOMES.items())
    return f"{report['noisy_passages']} noisy passages.\n\n{table(['noisy passages', *centuries, 'all'], rows)}\n{meanings}"
