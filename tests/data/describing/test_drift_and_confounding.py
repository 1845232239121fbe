"""Divergence of vocabularies and dependence of labels on centuries, against closed forms."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_envs.data.describing.confounding import confounding, cramers_v, warnings
from pg_envs.data.describing.drift import changes, contributions, divergence, divergences, not_told_apart
from pg_envs.data.describing.tally import CenturyTally

WORDS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1).map(Counter)


def test_divergence_of_known_distributions():
    assert divergence(Counter("ab"), Counter("cd")) == 1
    assert divergence(Counter("ab"), Counter("aabb")) == 0
    # p = (1, 0), q = (1/2, 1/2): entropy of (3/4, 1/4) less half a bit.
    assert divergence(Counter("a"), Counter("ab")) == pytest.approx(-0.75 * np.log2(0.75) + 0.25 * 2 - 0.5, abs=1e-6)
    assert divergence(Counter(), Counter("a")) is None


@settings(deadline=None, max_examples=30)
@given(WORDS, WORDS)
def test_divergence_is_scipys_and_symmetric(first, second):
    from scipy.spatial.distance import jensenshannon

    words = sorted(first | second)
    expected = jensenshannon([first[w] for w in words], [second[w] for w in words], base=2) ** 2
    assert divergence(first, second) == pytest.approx(divergence(second, first)) == pytest.approx(expected, abs=2e-6)


def test_contributions_have_the_sign_of_the_change():
    words, added = contributions(Counter("aab"), Counter("abbc"))
    assert {word: np.sign(x) for word, x in zip(words, added, strict=True)} == {"a": -1, "b": 1, "c": 1}


def test_the_diagonal_compares_halves():
    matrix = divergences([(Counter("aa"), Counter("ab")), (Counter("c"), Counter())])
    assert matrix[0][0] == divergence(Counter("aa"), Counter("ab"))
    assert matrix[1][1] is None
    assert matrix[0][1] == matrix[1][0] == 1


def test_centuries_closer_than_their_own_documents_are_named():
    bits = [[0.1, 0.3, 0.9], [0.3, 0.4, 0.5], [0.9, 0.5, None]]
    [said] = not_told_apart(["C013", "C014", "C015"], bits)
    assert said.startswith("Vocabularies of C013 and C014 lie 0.30 bits apart")
    assert "0.40" in said


def test_words_gained_and_lost_are_those_of_more_than_one_document():
    before = Counter({"the": 90, "thou": 10}), Counter({"the": 95, "thou": 5, "Gawain": 200})
    after = Counter({"the": 80, "you": 20}), Counter({"the": 90, "you": 10})
    [change] = changes([before, after])
    assert [row["word"] for row in change["gained"]] == ["you", "the"]
    assert [row["word"] for row in change["lost"]] == ["thou"]  # the name is in one half only
    assert change["gained"][0]["per_million_before"] == 0
    assert change["gained"][0]["per_million_after"] == 150_000
    assert change["lost"][0]["per_million_before"] == 37_500


def test_cramers_v_of_known_tables():
    assert cramers_v(np.array([[50, 0], [0, 50]])) == pytest.approx(1)
    assert cramers_v(np.array([[25, 25], [25, 25]])) == 0
    # Uncorrected V is 0.6; Bergsma's: phi² = 0.36 - 1/99, r' = c' = 2 - 1/99.
    assert cramers_v(np.array([[40, 10], [10, 40]])) == pytest.approx(np.sqrt((0.36 - 1 / 99) / (1 - 1 / 99)))
    assert cramers_v(np.array([[3, 4, 0], [0, 0, 0]])) is None
    assert cramers_v(np.zeros((2, 0))) is None


def test_independent_labels_are_near_zero_however_many_there_are():
    random = np.random.default_rng(0)
    values = [cramers_v(random.multinomial(200, np.full(72, 1 / 72)).reshape(9, 8)) for _ in range(20)]
    assert np.mean(values) < 0.1  # the uncorrected V would be 0.2


def tallies(sources, genre=None):
    """One document of 20 words for each letter of a century's string, the letter its source."""
    made = []
    for i, letters in enumerate(sources):
        made.append(CenturyTally(f"C{13 + i:03d}", 5, 0))
        for j, letter in enumerate(letters):
            made[-1].add({"content": "word " * 20, "source_dataset": letter, "document_id": f"{i}/{j}", "genre": genre}, "f")
            made[-1].add({"content": "word " * 20, "source_dataset": letter, "document_id": f"{i}/{j}", "genre": genre}, "f")
    return made


def test_confounding_is_warned_of_where_there_is_any():
    found = confounding(tallies(["a" * 20, "b" * 20]))
    assert found["source"]["cramers_v"] == pytest.approx(1)
    assert found["source"]["n_documents"] == 40  # of 80 passages
    assert found["source"]["single"] == {"C013": "a", "C014": "b"}
    said = warnings(found)
    assert any("Source is confounded with century: Cramér's V 1.00 over 40 documents" in s for s in said)
    assert any("Centuries with a single source: C013 (a), C014 (b)." in s for s in said)
    assert any("No passage has a field 'genre'" in s for s in said)


def test_no_warning_where_centuries_have_the_same_mix():
    found = confounding(tallies(["ab" * 10, "ab" * 10], genre="letter"))
    assert found["source"]["cramers_v"] == 0
    assert found["genre"] == {"cramers_v": None, "n_documents": 40, "n_unlabelled": 0, "n_labels": 1, "single": {}}
    assert warnings(found) == []
