"""Which century answers most like somebody: Bayes' rule by hand, and how often it is right."""

import numpy as np
import pytest
from app_support import ROOT
from hypothesis import given
from hypothesis import strategies as st

from pg_envs.app.likeness import SLIPS, answer_probabilities, information, posterior, share_recognised, smallest_set, telling_items
from pg_envs.history.halves import halves
from pg_envs.history.registry import make_history
from pg_envs.values.items import Item

SURE = np.array([[1.0, 0.0], [0.0, 1.0]])
ALIKE = np.full((2, 2), 0.5)


def test_bayes_by_hand():
    table = np.array([[0.9, 0.1], [0.5, 0.5]])
    slipped = [(1 - SLIPS) * p + SLIPS / 2 for p in (0.9, 0.5)]
    assert posterior([table], [0]) == pytest.approx(np.array(slipped) / sum(slipped))
    # A second answer multiplies.
    squares = np.square(slipped)
    assert posterior([table, table], [0, 0]) == pytest.approx(squares / squares.sum())


def test_no_answer_says_nothing_and_a_slip_rules_nobody_out():
    assert posterior([SURE, SURE], [None, None]).tolist() == [0.5, 0.5]
    assert posterior([SURE, ALIKE], [0, None]).tolist() == posterior([SURE], [0]).tolist()
    assert posterior([SURE], [0])[1] == pytest.approx(SLIPS / 2)


@given(st.lists(st.sampled_from([0, 1, None]), min_size=3, max_size=3))
def test_probabilities_sum_to_one_and_the_order_of_items_does_not_matter(answers):
    tables = [SURE, ALIKE, np.array([[0.2, 0.8], [0.6, 0.4]])]
    found = posterior(tables, answers)
    assert found.sum() == pytest.approx(1)
    assert found == pytest.approx(posterior(tables[::-1], answers[::-1]))


def test_answers_that_do_not_exist_are_refused():
    for answer in (2, -1):
        with pytest.raises(ValueError, match="index of one of 2 options"):
            posterior([SURE], [answer])
    with pytest.raises(ValueError, match="zip"):
        posterior([SURE], [0, 0])


def test_information_is_none_where_all_answer_alike_and_at_most_that_of_the_century():
    assert information(ALIKE) == pytest.approx(0)
    assert 0.5 < information(SURE) < np.log(2)


def test_most_telling_items_one_a_theme():
    def item(name, theme):
        return Item(name, "morality", theme, f"{name}?", ("yes", "no"), ())

    tables = {item("a", "x"): ALIKE, item("b", "x"): SURE, item("c", "y"): np.array([[0.6, 0.4], [0.4, 0.6]]), item("d", "z"): ALIKE}
    assert [i.item_id for i in telling_items(tables, 2)] == ["b", "c"]


def test_share_recognised_between_guessing_and_certainty():
    rng = np.random.default_rng(0)
    assert share_recognised([ALIKE], rng)[0] == pytest.approx(0.5)
    # Wrong only where the one answer is a slip to the other side.
    assert share_recognised([SURE], rng, 20_000)[0] == pytest.approx(1 - SLIPS / 2, abs=0.005)
    assert share_recognised([SURE] * 9, rng)[0] > 0.99


def test_smallest_set_of_centuries():
    assert smallest_set(np.array([0.05, 0.5, 0.05, 0.4])) == [1, 3]
    assert smallest_set(np.array([0.91, 0.09])) == [0]
    assert smallest_set(np.full(10, 0.1)) == list(range(9))


def test_a_dozen_items_of_histtiny_tell_its_centuries_apart_better_than_chance():
    survey, evaluation, _ = halves("bundled")
    history = make_history("recorded:histtiny", survey, evaluation)
    tables = answer_probabilities(history, survey.questionnaire.items)
    items = telling_items(tables)
    assert len(items) == 12 == len({(item.group, item.theme) for item in items})
    own, nearly = share_recognised([tables[item] for item in items], np.random.default_rng(0))
    assert 0.2 < own < nearly <= 1
    # Drawn from a recording that does not change, so that the page's numbers can be held to it.
    said = " ".join((ROOT / "docs/app.md").read_text(encoding="utf-8").split())
    assert f"{100 * own:.0f}% are given their own, and {100 * nearly:.0f}% it or a neighbour" in said
