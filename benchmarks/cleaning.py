"""Measure the cleaner on labelled dirty passages mixed into clean ones, and on dirt made from clean ones.

Writes docs/cleaning.json; benchmarks/cleaning_tables.py makes tables of it.

python benchmarks/cleaning.py TEXT DIRTY        # TEXT: folder of clean century folders; DIRTY: one with labels.json
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import tyro
from cleaning_labels import is_held_out, meant_decided, meant_spoke
from dirt import DIRT
from fsspec.implementations.local import LocalFileSystem

from pg_envs.data.cleaning.documents import Documents
from pg_envs.data.cleaning.duplicates import NEAR, SeenTexts, jaccard, shingles
from pg_envs.data.cleaning.rules import Cleaned, clean_passage
from pg_envs.data.cleaning.verdict import Context
from pg_envs.data.histtext import find_files, read_file
from pg_envs.results import write_json

RawPassage = dict[str, Any]
OVERLAP = 0.5


def main(
    text: tyro.conf.Positional[Path], dirty: tyro.conf.Positional[Path], per_dirt: int = 100, seed: int = 0, out: Path = Path("docs")
) -> None:
    """Write docs/cleaning.json."""
    clean = list(passages_of(text))
    labels = json.loads((dirty / "labels.json").read_text(encoding="utf-8"))
    spoilt = {label["dirty_id"]: json.loads((dirty / label["file"]).read_text(encoding="utf-8"))[label["index"]] for label in labels}
    documents = Documents()
    for _, passage in clean:
        documents.add(passage)
    labelled = measure_labelled(clean, labels, spoilt, documents)
    print(json.dumps({name: labelled[name] for name in ("right", "n_dirty", "n_clean", "harmed", "harmed_share")}))
    made = measure_made([passage for _, passage in clean if is_held_out(passage)], documents, per_dirt, seed)
    write_json(out / "cleaning.json", {"labelled": labelled, "made": made, "per_dirt": per_dirt, "seed": seed})


def passages_of(folder: Path) -> Iterator[tuple[str, RawPassage]]:
    """Yield (name, passage)."""
    filesystem = LocalFileSystem()
    for file in find_files(filesystem, str(folder), _stop):
        for index, passage in read_file(filesystem, file, _stop):
            yield f"{file.name}#{index}", passage


def _stop(kind: str, message: str) -> None:
    raise ValueError(message)


def measure_labelled(
    clean: list[tuple[str, RawPassage]], labels: list[RawPassage], spoilt: dict[str, RawPassage], documents: Documents
) -> dict[str, Any]:
    """Clean the mix, the dirty passages last, and compare with the labels."""
    for passage in spoilt.values():
        documents.add(passage)
    originals = originals_of([spoilt[x["dirty_id"]] for x in labels if not any("duplicate" in p for p in x["problems"])], clean, documents)
    context = Context(documents, SeenTexts())
    contents = dict(clean)
    harmed, duplicates, reasons = [], [], Counter()
    n_clean, n_held_out = 0, 0
    for name, passage in clean:
        if name in originals:
            continue
        n_clean += 1
        n_held_out += is_held_out(passage)
        cleaned = clean_passage(passage, context, name)
        reasons.update({reason for reason, _, _ in cleaned.findings})
        if is_true_duplicate(cleaned, passage, contents):
            duplicates.append(name)
        elif is_harmed(cleaned, passage):
            harmed.append({"passage": name, "held_out": is_held_out(passage), "findings": cleaned.findings})
    by_place = {(passage["document_id"], passage["passage_index"]): passage for _, passage in clean}
    rows = []
    for label in labels:
        cleaned = clean_passage(spoilt[label["dirty_id"]], context, label["dirty_id"])
        truth = label["truth"].get("creation_year")
        years = [part["creation_year"] for part in cleaned.kept][:1]
        right = cleaned.action in label["expected_action"].split("_or_")
        if right and cleaned.action == "relabel":
            right = years[0] // 100 == truth // 100
        restored = {}
        if original := by_place.get((label["truth"].get("clean_document_id"), label["truth"].get("clean_passage_index"))):
            texts = dict(zip(("spoilt", "repaired"), [spoilt[label["dirty_id"]], *cleaned.kept], strict=False))
            restored = {f"words_right_{name}": word_overlap(part["content"], original["content"]) for name, part in texts.items()}
        rows.append(
            {"id": label["dirty_id"], "origin": label["origin"], "problems": label["problems"], "expected": label["expected_action"],
             "action": cleaned.action, "right": right, "findings": cleaned.findings, "year": years, "true_year": truth, **restored}
        )  # fmt: skip
    by_problem: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row in rows:
        row["meant"] = meant_decided(row)
        for problem in row["problems"]:
            by_problem[problem].append((row["right"], meant_spoke(row, problem)))
    return {
        "n_clean": n_clean, "left_out_originals": sorted(originals), "harmed": len(harmed), "harmed_share": len(harmed) / n_clean,
        "harmed_passages": harmed, "true_duplicates": len(duplicates), "findings_on_clean": dict(reasons.most_common()),
        "held_out": {"n_clean": n_held_out, "harmed": sum(row["held_out"] for row in harmed)},
        "n_dirty": len(rows), "right": sum(row["right"] for row in rows),
        "right_and_meant": sum(row["right"] and row["meant"] for row in rows),
        "by_problem": {
            problem: {"n": len(found), "right": sum(right for right, _ in found), "meant": sum(meant for _, meant in found)}
            for problem, found in sorted(by_problem.items())
        },
        "dirty": rows,
    }  # fmt: skip


def originals_of(spoilt: list[RawPassage], clean: list[tuple[str, RawPassage]], documents: Documents) -> set[str]:
    """The clean passages that dirty ones were made from or overlap with by half: mended, these would rightly go as duplicates."""
    owners: dict[bytes, set[int]] = defaultdict(set)
    sizes = {}
    for i, passage in enumerate(spoilt):
        if not passage.get("content"):
            continue
        kept = clean_passage(passage, Context(documents, SeenTexts()), "alone").kept or [passage]
        found = set().union(*(shingles(part["content"]) for part in kept))
        sizes[i] = len(found)
        for shingle in found:
            owners[shingle].add(i)
    names = set()
    for name, passage in clean:
        own = shingles(passage["content"])
        hits = Counter(i for shingle in own if shingle in owners for i in owners[shingle])
        if any(count >= OVERLAP * min(len(own), sizes[i]) for i, count in hits.items()):
            names.add(name)
    return names


def is_harmed(cleaned: Cleaned, passage: RawPassage) -> bool:
    """Whether a clean passage was dropped, split or relabelled, or its text changed in more than spaces and empty lines."""
    if cleaned.action not in ("keep", "repair"):
        return True
    return _words_by_line(cleaned.kept[0]["content"]) != _words_by_line(passage["content"])


def _words_by_line(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()]


def is_true_duplicate(cleaned: Cleaned, passage: RawPassage, contents: dict[str, RawPassage]) -> bool:
    """Whether it was dropped as a duplicate, and by the exact measure it is one."""
    if not cleaned.findings or cleaned.findings[-1][0] not in ("duplicate", "near-duplicate"):
        return False
    other = cleaned.findings[-1][2].split()[-1]
    return jaccard(passage["content"], contents[other]["content"]) >= NEAR


def measure_made(clean: list[RawPassage], documents: Documents, per_dirt: int, seed: int) -> dict[str, Any]:
    """Spoil seeded clean passages in each way and see what is found, done and restored."""
    rows = {}
    for kind, dirt in DIRT.items():
        random = Random(f"{seed} {kind}")
        suited = [passage for passage in random.sample(clean, len(clean)) if dirt.suits(passage)]
        counts: Counter[str] = Counter()
        before, after = [], []
        pairs = ((passage, dirt.spoil(passage, random)) for passage in suited)
        for passage, spoilt in islice((pair for pair in pairs if pair[0] != pair[1]), per_dirt):
            counts["n"] += 1
            seen = SeenTexts()
            if "near-duplicate" in dirt.reasons:
                seen.keep("original", passage["content"])
            cleaned = clean_passage(spoilt, Context(documents, seen), "spoilt")
            counts["found"] += any(reason in dirt.reasons for reason, _, _ in cleaned.findings)
            counts["right"] += cleaned.action in dirt.actions
            if cleaned.action == "repair":
                before.append(word_overlap(spoilt["content"], passage["content"]))
                after.append(word_overlap(cleaned.kept[0]["content"], passage["content"]))
        rows[kind] = {"n": counts["n"], "found": counts["found"], "right_action": counts["right"], "repaired": len(after)}
        if after:
            rows[kind] |= {"words_right_spoilt": sum(before) / len(before), "words_right_repaired": sum(after) / len(after)}
            rows[kind]["made_worse"] = sum(x > y for x, y in zip(before, after, strict=True))
        print(kind, rows[kind])
    return rows


def word_overlap(text: str, original: str) -> float:
    """The part of the original's words (a multiset) that the text has, among the larger of the two, 0 to 1."""
    a, b = Counter(text.split()), Counter(original.split())
    return (a & b).total() / max(a.total(), b.total())


if __name__ == "__main__":
    tyro.cli(main)
