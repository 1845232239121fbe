"""Rules about length, and texts that were there before."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_envs.data.cleaning.documents import Documents
from pg_envs.data.cleaning.duplicates import SeenTexts, jaccard
from pg_envs.data.cleaning.rules import clean_passage
from pg_envs.data.cleaning.shape import duplicate, near_duplicate, no_content, too_long, too_short
from pg_envs.data.cleaning.verdict import Context, Lengths
from pg_envs.data.schema import schema_fault

MODERN = "The house stood at the end of a long road, and from its windows one could see the river and the hills that lay beyond it. " * 3


@pytest.mark.parametrize("content", [None, "", " \n", 3, ["x"]])
def test_no_content(context, content):
    assert no_content({"content": content}, context).action == "drop"


def test_lengths(passage, context):
    assert too_short(passage("x" * 999), context).action == "drop"
    assert too_short(passage("x" * 1000), context) is None
    assert too_long(passage("x" * 10_000), context) is None


@settings(deadline=None)
@given(st.lists(st.text("abc .\n", min_size=1, max_size=60), min_size=1, max_size=60))
def test_parts_are_short_enough_and_lose_only_white_space(pieces):
    text = "\n\n".join(pieces)
    context = Context(documents=None, seen=None, lengths=Lengths(1, 100))
    verdict = too_long({"content": text}, context)
    if len(text) <= 100:
        assert verdict is None
        return
    parts = [part["content"] for part in verdict.passages]
    assert all(len(part) <= 100 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_parts_end_with_paragraphs(passage, context, modern):
    paragraphs = [modern.strip()] * 10
    verdict = too_long(passage("\n\n".join(paragraphs)), context)
    parts = [part["content"] for part in verdict.passages]
    assert len(parts) == 2
    assert all(part.count("\n\n") == 4 for part in parts)


def words(n, seed):
    generator = random.Random(seed)
    return [
        generator.choice("abcdefghijklmnop") + str(generator.randrange(26)).translate(str.maketrans("0123456789", "qrstuvwxyz"))
        for _ in range(n)
    ]


def test_jaccard_counts_runs_of_five_words():
    assert jaccard("a b c d e f", "A, b; c d e f!") == 1.0
    assert jaccard("a b c d e f", "a b c d e g") == pytest.approx(1 / 3)
    assert jaccard("a b c d e", "f g h i j") == 0.0


def test_early_spelling_makes_no_other_text():
    assert jaccard("þe Kynge haue ioye of vs alle", "the king haue ioy of us all") == 1.0
    assert jaccard("þe Kynge haue ioye of vs alle", "the kinges haue ioy of us all") < 1.0


def test_duplicates_and_near_ones(passage, context):
    first = words(500, 0)
    context.seen.keep("first", " ".join(first))
    assert duplicate(passage(" ".join(first)), context).detail == "as first"
    near = first.copy()
    near[100], near[300] = "X", "Y"
    assert duplicate(passage(" ".join(near)), context) is None
    assert near_duplicate(passage(" ".join(near).upper()), context).action == "drop"
    assert near_duplicate(passage(" ".join(words(500, 1))), context) is None
    half = first[:250] + words(250, 2)
    assert near_duplicate(passage(" ".join(half)), context) is None


def test_every_rule_is_asked_and_findings_are_kept(passage, context, modern):
    raw = passage(modern.replace("father", "fa\u200bther"), "1900")
    cleaned = clean_passage(raw, context, "a")
    assert [(reason, action) for reason, action, _ in cleaned.findings] == [("year-type", "repair"), ("invisible-characters", "repair")]
    assert cleaned.action == "repair"
    assert cleaned.kept == [{**raw, "content": modern, "creation_year": 1900, "cleaning": ["year-type", "invisible-characters"]}]
    assert raw["creation_year"] == "1900"
    assert clean_passage(passage(modern), context, "b").findings == [("duplicate", "drop", "as a")]
    assert clean_passage({}, context, "c").action == "drop"


def test_clean_text_is_kept_as_it_is(passage, context, modern, middle_english):
    for raw in (passage(modern), passage(middle_english, 1380, language="enm")):
        cleaned = clean_passage(raw, context, "a")
        assert (cleaned.kept, cleaned.findings, cleaned.action) == ([raw], [], "keep")


FIELDS = [
    "creation_year",
    "source_dataset",
    "author",
    "document_id",
    "passage_index",
    "creation_year_latest",
    "translation_year",
    "cleaning",
    "else",
]
ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | st.just("1700")
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING), st.sampled_from([None, 3, "", MODERN * 4, MODERN * 40]))
def test_what_is_kept_fits_the_schema_whatever_came_in(fields, content):
    raw = {"creation_year": 1900, "source_dataset": "x", **fields, "content": content}
    cleaned = clean_passage(raw, Context(Documents(), SeenTexts()), "any")
    assert [schema_fault(part) for part in cleaned.kept] == [None] * len(cleaned.kept)


@pytest.mark.parametrize(
    "content",
    [
        "x" * 200_000,
        "e!" * 100_000,
        "<a " * 70_000,
        "<!--" * 50_000,
        " \n" * 100_000 + "x",
        "*" * 200_000,
        "expe∣" + " " * 200_000,
        "[note: " * 30_000,
        "AAAA 1\n" * 30_000,
    ],
    ids=lambda text: text[:8],
)
def test_texts_made_to_take_long_do_not(content):
    started = time.perf_counter()
    clean_passage({"content": content, "creation_year": 1900, "source_dataset": "x"}, Context(Documents(), SeenTexts()), "any")
    assert time.perf_counter() - started < 20  # what grows with the square takes minutes
