"""The labelled dirty passages of real text, which lie beside the checkout where the project is developed."""

import json
from pathlib import Path

import pytest

from pg_envs.data.cleaning.documents import Documents
from pg_envs.data.cleaning.duplicates import SeenTexts
from pg_envs.data.cleaning.rules import clean_passage
from pg_envs.data.cleaning.verdict import Context

# What only the rest of the corpus can tell: the document's year and source, and whether the text is there already.
NEEDS_THE_CORPUS = {"duplicate", "missing_source", "null_creation_year", "year_out_of_range", "mislabelled_year"}


@pytest.fixture(scope="module")
def labelled(dirty_text):
    labels = json.loads((dirty_text / "labels.json").read_text(encoding="utf-8"))
    return [(label, json.loads((dirty_text / label["file"]).read_text(encoding="utf-8"))[label["index"]]) for label in labels]


def test_each_gets_what_its_label_asks_for(labelled):
    alone = [
        (label, passage)
        for label, passage in labelled
        if not any(need in problem for problem in label["problems"] for need in NEEDS_THE_CORPUS)
    ]
    assert len(alone) >= 25
    context = Context(Documents(), SeenTexts())
    wrong = {}
    for label, passage in alone:
        action = clean_passage(passage, context, label["dirty_id"]).action
        if action not in label["expected_action"].split("_or_"):
            wrong[label["dirty_id"]] = action
    assert len(wrong) <= 0.1 * len(alone), wrong


def test_early_letters_survive_repair(labelled):
    context = Context(Documents(), SeenTexts())
    (passage,) = [passage for label, passage in labelled if label["problems"] == ["mojibake"]]
    (kept,) = clean_passage(passage, context, "mojibake").kept
    assert "Ã" not in kept["content"]
    assert kept["content"].count("þ") > 100


def test_the_committed_measurement_meets_the_bounds():
    """What ``benchmarks/cleaning.py`` measured on all labelled passages, mixed with all clean ones."""
    measured = json.loads((Path(__file__).parents[3] / "docs" / "cleaning.json").read_text(encoding="utf-8"))["labelled"]
    right = sum(found["right"] for found in measured["dirty"])
    assert len(measured["dirty"]) == measured["n_dirty"]
    assert right == measured["right"]
    assert right >= 0.9 * measured["n_dirty"]
    assert measured["harmed"] == len(measured["harmed_passages"])
    assert measured["harmed_share"] == measured["harmed"] / measured["n_clean"] <= 0.01
