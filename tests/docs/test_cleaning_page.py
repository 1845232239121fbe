"""The page on the cleaner says what its benchmark measured."""

import json
from pathlib import Path

import pytest

from pg_envs.data.cleaning.rules import RULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cleaning.md").read_text(encoding="utf-8")
MEASURED = json.loads((ROOT / "docs" / "cleaning.json").read_text(encoding="utf-8"))


@pytest.fixture
def printed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import cleaning_tables

    return [*cleaning_tables.sentences(MEASURED["labelled"])], [*cleaning_tables.tables(MEASURED)]


def test_the_page_has_the_tables_that_the_script_prints(printed):
    sentences, tables = printed
    assert len(tables) == 3
    assert [table for table in tables if table not in PAGE] == []
    assert len(sentences) == 8
    assert [sentence for sentence in sentences if sentence not in PAGE] == []


def test_every_label_has_rules_that_are_meant_for_it_and_exist(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from cleaning_labels import MEANT

    assert MEANT.keys() >= set(MEASURED["labelled"]["by_problem"])
    assert set().union(*MEANT.values()) <= set(RULES)


def test_a_meant_rule_decided_for_nine_in_ten():
    labelled = MEASURED["labelled"]
    assert labelled["right_and_meant"] == sum(row["right"] and row["meant"] for row in labelled["dirty"])
    assert labelled["right_and_meant"] >= 0.9 * labelled["n_dirty"]
    held_out = labelled["held_out"]
    assert held_out["harmed"] == sum(row["held_out"] for row in labelled["harmed_passages"])
    assert held_out["harmed"] <= 0.01 * held_out["n_clean"]
