"""Votes, and what training data is made of them."""

import numpy as np
import pytest

from pg_envs.history.base import Survey
from pg_envs.history.live import LiveHistory
from pg_envs.models.ref import ModelRef
from pg_envs.values.items import Questionnaire
from pg_envs.values.questionnaire import load_questionnaire
from pg_envs.values.survey import cast_votes, first_preferred, make_comparisons, to_completion_dataset, to_preference_dataset


@pytest.fixture(scope="module")
def survey():
    items = load_questionnaire().split()[0].items
    return make_comparisons([items[0], items[50], items[-1]])


def test_every_pair_of_options_is_compared(survey):
    assert [(c.first, c.second) for c in survey[:2]] == [(0, 1), (0, 1)]
    assert [(c.first, c.second) for c in survey[2:]] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_luces_axiom(survey):
    p = np.array([0.4, 0.1, 0.3, 0.2])
    assert first_preferred(survey[2], p) == pytest.approx(0.8)
    assert first_preferred(survey[7], p) == pytest.approx(0.6)
    assert first_preferred(survey[2], np.array([0, 0, 0.5, 0.5])) == 0.5


def test_votes():
    rng = np.random.default_rng(0)
    assert cast_votes(np.array([0.9, 0.1, 0.5, np.nan]), "majority", rng).tolist() == [1, -1, 0, 0]
    votes = cast_votes(np.array([1.0, 0.0, np.nan] + [0.7] * 20000), "sample", rng)
    assert votes.dtype == np.int8
    assert votes[:3].tolist() == [1, -1, 0]
    assert (votes[3:] == 1).mean() == pytest.approx(0.7, abs=0.02)


class Mumbler:
    """An engine whose models never name an option."""

    def generate(self, model, prompts, max_new_tokens, temperature, seed):
        return ["hm"] * len(prompts)


def test_humans_without_a_valid_answer_cast_no_vote(survey):
    half = Questionnaire("three", tuple(dict.fromkeys(comparison.item for comparison in survey)))
    refs = [ModelRef("base", adapter=label) for label in ("one", "two")]
    history = LiveHistory("mumbling", refs, ("one", "two"), Survey(half), half, mode="generate")
    history.engine = Mumbler()
    preferences = history.preferences(history.human(1), history.survey.comparisons)
    assert cast_votes(preferences, "sample", np.random.default_rng(0)).tolist() == [0] * len(survey)


def content(row, side):
    """The option text that a row's one-letter answer chooses."""
    prompt, answer = row["prompt"][0]["content"], row[side][0]["content"]
    if answer in ("yes", "no"):
        quoted = prompt.split('"')[1::2]
        return quoted[0 if answer == "yes" else 1]
    return next(line[3:] for line in prompt.splitlines() if line.startswith(f"{answer}: "))


def test_rows_prefer_what_the_vote_prefers_in_every_form_and_order(survey):
    rng = np.random.default_rng(0)
    votes = np.array([1, -1, 1, 0, -1, 1, 1, -1])
    rows = list(to_preference_dataset(survey, np.tile(votes, (12, 1)), rng))
    asked = [(c, v) for c, v in zip(survey, votes, strict=True) if v]
    assert len(rows) == 12 * len(asked)
    for i, row in enumerate(rows):
        comparison, vote = asked[i // 12]
        preferred, other = comparison.texts[::vote]
        assert content(row, "chosen") == preferred
        assert content(row, "rejected") == other
    assert len({row["prompt"][0]["content"] for row in rows[:12]}) == 4
    letters = [row["chosen"][0]["content"] for row in rows]
    assert {"A", "B", "yes", "no"} < set(letters)


def test_whole_answer_forms_on_request(survey):
    rows = to_preference_dataset(survey[:1], np.ones((30, 1)), np.random.default_rng(0), letters_only=False)
    assert survey[0].texts[0] in {row["chosen"][0]["content"] for row in rows}


def test_lengths_must_agree(survey):
    with pytest.raises(ValueError, match="3 votes for 8 comparisons"):
        to_preference_dataset(survey, np.zeros(3), np.random.default_rng(0))


def test_completions_are_drawn_from_the_probabilities():
    item = load_questionnaire().items[0]
    rng = np.random.default_rng(0)
    rows = [row for _ in range(150) for row in to_completion_dataset([item], [np.array([0.8, 0.2])], rng)]
    chosen = [content({"prompt": row["prompt"], "chosen": row["completion"]}, "chosen") for row in rows]
    assert np.mean([text == item.options[0] for text in chosen]) == pytest.approx(0.8, abs=0.07)
    assert to_completion_dataset([item], [np.array([np.nan, np.nan])], rng).num_rows == 0
