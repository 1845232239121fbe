"""Figures that pages state are those that benchmarks measured."""

import json
from pathlib import Path

import numpy as np
import pytest
from fuzz_readers import READERS

DOCS = Path(__file__).parents[2] / "docs"
RELIABILITY = (DOCS / "reliability.md").read_text(encoding="utf-8")
STATUS = (DOCS / "status.md").read_text(encoding="utf-8")


def figures(name):
    return json.loads((DOCS / name).read_text(encoding="utf-8"))


def in_words(difference):
    return f"{difference:.1e}" if difference else "0"


def test_what_machinery_makes_numbers_differ_by_is_as_measured_and_promised():
    float32, bfloat16 = figures("determinism.json"), figures("determinism-bfloat16.json")
    assert (float32["dtype"], bfloat16["dtype"]) == ("torch.float32", "torch.bfloat16")
    rows = float32["largest_differences"]
    assert rows.keys() == bfloat16["largest_differences"].keys()
    for name, found in rows.items():
        other = bfloat16["largest_differences"][name]
        cells = (found["probability"], other["probability"], found["value"], other["value"])
        assert f"| {name} | {' | '.join(map(in_words, cells))} |" in RELIABILITY
    for told in (float32, bfloat16):
        assert max(max(row.values()) for row in told["largest_differences"].values()) <= told["promised"]
    assert f"by at most {float32['promised']:.0e}".replace("e-05", "e-5") in RELIABILITY
    assert f"by at most {bfloat16['promised']} in bfloat16" in RELIABILITY


@pytest.mark.parametrize("task", figures("kill.json")["tasks"])
def test_kills_are_as_counted(task):
    row = figures("kill.json")["tasks"][task]
    while_ = ", ".join(f"{what} {n}" for what, n in row["killed_while"].items())
    cells = (task, row["kills"], while_, *(row[key] for key in ("finished", "not_finished", "different", "lost")))
    assert f"| {' | '.join(map(str, cells))} |" in RELIABILITY
    assert (row["not_finished"], row["different"], row["lost"]) == (0, 0, 0)


def test_nothing_was_lost_in_all_kills():
    row = figures("kill.json")["all"]
    assert f"| all | {row['kills']} |  | {row['finished']} | 0 | 0 | 0 |" in RELIABILITY
    assert row["kills"] >= 50


def test_every_reader_was_fed_and_the_page_says_how_often():
    report = figures("fuzz.json")
    assert report["readers"].keys() == READERS.keys()
    for name, row in report["readers"].items():
        assert f"| {name} | {row['inputs']:,} | {len(row['faults'])} |" in RELIABILITY
        assert row["finished"]
    assert f"| all | {report['inputs']:,} | {report['kinds_of_faults']} |" in RELIABILITY
    assert report["inputs"] == sum(row["inputs"] for row in report["readers"].values()) >= 1_000_000
    assert report["kinds_of_faults"] == 0


@pytest.mark.parametrize("load", figures("load.json"))
def test_memory_under_load_is_as_looked_at(load):
    row = figures("load.json")[load]
    cells = []
    for looks in (row[key] for key in ("memory_mb", "worker_mb") if key in row):
        assert len(looks) == 20
        cells.append(f"{np.mean(looks[5:10]):.1f} to {np.mean(looks[15:]):.1f} MB")
    line = f"| {'; a worker '.join(cells)} | {row['file_handles_left']} | {row['processes_left']} |"
    assert line in RELIABILITY
    assert (row["file_handles_left"], row["processes_left"]) == (0, 0)


@pytest.mark.parametrize("example", figures("examples.json")["examples"])
def test_examples_take_what_they_took(example):
    report = figures("examples.json")
    row = report["examples"][example]
    assert f"`{example}.py` {row['seconds']} seconds (score {row['score']})" in STATUS
    assert row["seconds"] <= report["promised_s"][example]
