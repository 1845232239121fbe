"""Counting passages: what is counted, what is drawn, and what may not grow."""

import random
from collections import Counter

import pytest

from pg_envs.data.describing import tally as tally_module
from pg_envs.data.describing.tally import NOT_RECORDED, OTHER, RUNNING_LINES, SHORT_LINES, CenturyTally, drop_rarest, layout, plain


def passage(content="one two", **fields):
    return {"content": content, "source_dataset": "x", "creation_year": 1215, **fields}


def test_counts():
    tally = CenturyTally("C013", 10, 0)
    tally.add(passage("Þe kyng, þe ſonne: 3 kynges", document_id="a", language="enm"), "1215")
    tally.add(passage("The KYNG", document_id="a"), "1215")
    tally.add(passage("no name"), "1215")
    assert (tally.n_passages, len(tally.documents), tally.n_words) == (3, 2, 9)
    assert sum(tally.words, Counter())["kyng"] == 2
    assert "sonne" in sum(tally.words, Counter())
    assert tally.labels["language"] == {"enm": 5, NOT_RECORDED: 4}
    # A document is in one half only.
    assert len([half for half in tally.words if half["kyng"]]) == 1


def test_what_is_drawn_is_drawn_evenly_and_again():
    def drawn(seed):
        tally = CenturyTally("C013", 20, seed)
        for i in range(200):
            tally.add(passage(f"n{i}"), "f")
        return [int(sampled.content[1:]) for sampled in tally.sample]

    assert drawn(0) == drawn(0) != drawn(1)
    counts = Counter(i // 50 for seed in range(60) for i in drawn(seed))
    assert len(set(drawn(0))) == 20
    assert all(300 * 0.8 < counts[quarter] < 300 * 1.2 for quarter in range(4))  # 5 standard deviations are 20%


def test_samples_are_cut():
    tally = CenturyTally("C013", 1, 0)
    tally.add(passage("x" * 50_000), "f")
    assert len(tally.sample[0].content) == 10_000


def test_rare_words_go_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(tally_module, "MAX_WORD_KINDS", 100)
    tally = CenturyTally("C013", 1, 0)
    letters = random.Random(0)
    for _ in range(100):
        tally.add(passage("often " + " ".join("".join(letters.choices("abcdefgh", k=8)) for _ in range(20)), document_id="a"), "f")
    assert max(len(half) for half in tally.words) <= 100
    assert sum(tally.words, Counter())["often"] == 100
    assert sum(tally.n_dropped) + sum(half.total() for half in tally.words) == tally.n_words == 2100


def test_drop_rarest():
    counts = Counter({"a": 5, "b": 1, "c": 1, "d": 2})
    assert drop_rarest(counts, 2) == 2
    assert counts == {"a": 5, "d": 2}


def test_labels_without_end_are_counted_together(monkeypatch):
    monkeypatch.setattr(tally_module, "MAX_LABELS", 3)
    tally = CenturyTally("C013", 1, 0)
    for i in range(10):
        tally.add(passage(source_dataset=f"s{i}", document_id=str(i)), "f")
    assert tally.labels["source"] == {"s0": 2, "s1": 2, "s2": 2, OTHER: 14}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (" a\n b\t", "a b"),
        ("\x1b[31mred\x07\u202e", "[31mred"),
        ("x" * 100, "x" * 59 + "…"),
        ("\x00", NOT_RECORDED),
        (None, NOT_RECORDED),
        (["list"], NOT_RECORDED),
    ],
)
def test_names_are_one_printable_line(name, shown):
    assert plain(name) == shown


def test_layout():
    assert layout("A line of verse\n" * 12) == SHORT_LINES
    assert layout("A line of verse\n" * 11) == RUNNING_LINES
    assert layout("long " * 20 + "\n" + ("long " * 20 + "\n") * 12) == RUNNING_LINES
