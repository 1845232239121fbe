"""Describing a folder of HistText in a new folder of tables and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pg_envs.data.archives import text_folder
from pg_envs.data.cleaning.language import ForeignText, Languages
from pg_envs.data.describing.closeness import value_closeness
from pg_envs.data.describing.confounding import confounding, warnings
from pg_envs.data.describing.drift import changes, divergences, not_told_apart
from pg_envs.data.describing.embedder import load_embedder
from pg_envs.data.describing.genres import read_genres
from pg_envs.data.describing.pictures import draw_all
from pg_envs.data.describing.report import as_markdown
from pg_envs.data.describing.tally import LABELS, CenturyTally, plain
from pg_envs.data.describing.texts import find_texts
from pg_envs.data.new_folder import appearing, check_new_folder
from pg_envs.data.schema import HISTTEXT_YEARS, HistTextError, ReadReport, Years
from pg_envs.progress import report as report_progress

DEFAULT_SAMPLE = 200


def describe_folder(
    source: str | Path,
    target: str | Path,
    embedder: str | None = None,
    sample: int = DEFAULT_SAMPLE,
    seed: int = 0,
    languages: Languages | None = None,
    years: Years = HISTTEXT_YEARS,
    periods: Sequence[str] = (),
    genres: str | Path | None = None,
) -> dict[str, Any]:
    """Describe the passages of ``source`` in the new folder ``target``: ``report.md``, ``report.json`` and pictures.

    Files are read once, passage by passage. Memory grows with the number of documents and different words (these up to a bound), not with
    the text. Files and passages that do not fit the schema are left out and counted.

    Args:
        source: A folder of folders, one a century or period, or an archive of one; it is only read.
        target: A folder that does not exist yet; it appears when all is done, or not at all.
        embedder: A sentence-embedding model, see ``load_embedder``; without one, texts are not compared with values.
        sample: How many passages a century to identify languages in and to embed.
        seed: Of the sample and of intervals.
        languages: In which languages the texts are, English by default; what is in others is identified.
        years: From which years passages may be.
        periods: Names of the folders, oldest first, each with a ``*.txt`` a document or with HistText's files; by default HistText's
            ``C013`` to ``C021``, as far as they are there.
        genres: A table of documents' genres, see ``read_genres``; without one, or for a document that it does not name, genre is what
            passages say.

    Returns:
        What is in ``report.json``.

    Raises:
        HistTextError: If there is no readable text, no such embedder or table of genres, or no place for ``target``.
        FileExistsError: If there is a ``target``.
        ValueError: If ``sample`` is below 1.
    """
    source, target = Path(source).expanduser(), Path(target).expanduser()
    if sample < 1:
        raise ValueError(f"sample={sample}: expected 1 or more passages a century")
    check_new_folder(target, source)
    by_document = {} if genres is None else read_genres(Path(genres).expanduser())
    model = None if embedder is None else load_embedder(embedder)
    reading = ReadReport()
    with text_folder(source) as folder:
        tallies = tally_folder(folder, sample, seed, reading, years, periods, by_document)
    if not tallies:
        raise HistTextError(f"no passage in {str(source)!r} could be read: " + "; ".join(reading.examples[:3] or ["its files are empty"]))
    foreign = ForeignText(languages)
    labels, words = [tally.century for tally in tallies], [tally.words for tally in tallies]
    confounded, bits = confounding(tallies), divergences(words)
    description: dict[str, Any] = {
        "text": plain(source.name),
        "sample": sample,
        "seed": seed,
        "embedder": None if embedder is None else plain(embedder if embedder.count("/") == 1 else Path(embedder).name),
        "centuries": {tally.century: _amounts(tally) for tally in tallies},
        "mix": {kind: {tally.century: dict(tally.labels[kind].most_common()) for tally in tallies} for kind in LABELS},
        "languages": list(foreign.languages.codes),
        "years": [years.first, years.last],
        "identified_languages": identified_languages(tallies, foreign),
        "divergence": {"centuries": labels, "bits": bits},
        "changes": [{"from": a, "to": b} | change for (a, b), change in zip(pairwise(labels), changes(words), strict=True)],
        "confounding": confounded,
        "warnings": warnings(confounded) + not_told_apart(labels, bits),
        "values": None if model is None else value_closeness(tallies, model, seed),
        "left_out": {"counts": dict(reading.skipped), "examples": reading.examples},
    }
    with appearing(target) as folder:
        report_progress("drawing", 0, 1)
        pictures = draw_all(description, folder)
        report_progress("drawing", 1, 1)
        text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
        (folder / "report.json").write_text(text, encoding="utf-8", errors="replace")
        (folder / "report.md").write_text(as_markdown(description, pictures), encoding="utf-8", errors="replace")
    return description


def tally_folder(
    folder: Path,
    sample: int,
    seed: int,
    reading: ReadReport,
    years: Years = HISTTEXT_YEARS,
    periods: Sequence[str] = (),
    genres: Mapping[str, str] = MappingProxyType({}),
) -> list[CenturyTally]:
    """Count the passages of each period that has any, in order; what does not fit is noted in ``reading``. See ``describe_folder``."""
    files = find_texts(folder, periods, reading, years)
    tallies: dict[str, CenturyTally] = {}
    for n_done, file in enumerate(files):
        report_progress("reading", n_done, len(files))
        for passage in file.passages:
            tally = tallies.setdefault(file.period, CenturyTally(file.period, sample, seed))
            tally.add(passage, file.name, genres)
    report_progress("reading", len(files), len(files))
    return list(tallies.values())


def identified_languages(tallies: Sequence[CenturyTally], foreign: ForeignText) -> dict[str, dict[str, float]]:
    """Which part of the sampled characters is in which foreign language, 0 to 1, as the cleaner identifies it; the rest is its own."""
    shares = {}
    for n_done, tally in enumerate(tallies):
        report_progress("identifying languages", n_done, len(tallies))
        n_chars = sum(len(passage.content) for passage in tally.sample)
        found: dict[str, float] = {}
        for passage in tally.sample:
            for language, share in foreign.shares(passage.content).items():
                found[language] = found.get(language, 0.0) + share * len(passage.content) / n_chars
        ranked = sorted(found.items(), key=lambda pair: -pair[1])
        shares[tally.century] = {foreign.languages.described: round(1 - sum(found.values()), 5)} | {
            name: round(share, 5) for name, share in ranked
        }
    report_progress("identifying languages", len(tallies), len(tallies))
    return shares


def _amounts(tally: CenturyTally) -> dict[str, Any]:
    return {
        "documents": len(tally.documents),
        "passages": tally.n_passages,
        "words": tally.n_words,
        "different_words": len(tally.words[0].keys() | tally.words[1].keys()),
        "rare_words_dropped": sum(tally.n_dropped),
        "sampled_passages": len(tally.sample),
        "sampled_documents": len({passage.document for passage in tally.sample}),
    }
