"""Forecasts: the published formula's check values, what it is exact for, and what is remembered."""

import json

import gymnasium as gym
import numpy as np
import pytest

from agents.forecast import VoteMemory, centuries_in_a_row, extrapolate, usable_order
from agents.simulated import SimulatedConfig, SimulatedExtrapolative, SimulatedExtrapolativeConfig, SimulatedLifelong
from agents.votes import MOST_REPETITIONS, at_most_per_item, collect, mean_vote, repeat_by_size, share_out
from pg_envs.questions import QueryBudgetExceeded
from pg_envs.runner import run_episode
from pg_envs.values.items import Item
from pg_envs.values.reading import reading_matrix
from pg_envs.values.survey import make_comparisons


@pytest.mark.parametrize(
    ("order", "votes", "expected"), [(1, (-1, 1), 3), (1, (0, 1), 2), (1, (1, 1), 1), (2, (-1, 1, 1), -1), (2, (0, 1, 1), 0)]
)
def test_published_check_values(order, votes, expected):
    assert extrapolate([np.array([vote]) for vote in votes], order, 1).tolist() == [expected]


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("lookahead", [0, 1, 2, 3])
def test_polynomials_of_the_order_are_continued_exactly(order, lookahead):
    polynomial = np.polynomial.Polynomial([0.3, -0.2, 0.05, 0.01][: order + 1])
    seen = [np.array([polynomial(t), -polynomial(t)]) for t in range(6)]
    expected = polynomial(5 + lookahead)
    np.testing.assert_allclose(extrapolate(seen, order, lookahead), [expected, -expected], atol=1e-9)


def test_what_was_not_voted_on_for_a_while_is_forecast_from_where_votes_begin_again():
    nan = np.nan
    seen = [np.array(votes) for votes in ([1.0, nan, 1.0, nan], [nan, 0.0, 0.5, nan], [0.5, 1.0, nan, nan])]
    assert centuries_in_a_row(np.array(seen)).tolist() == [1, 2, 0, 0]
    np.testing.assert_array_equal(extrapolate(seen, 1, 1), [0.5, 2.0, nan, nan])


def test_a_short_history_is_used_as_far_as_it_goes():
    assert usable_order(2, 1) == 0
    assert extrapolate([np.array([1.0])], 2, 3).tolist() == [1.0]
    assert extrapolate([np.array([-1.0]), np.array([1.0])], 2, 1).tolist() == [3.0]


@pytest.mark.parametrize(("order", "lookahead"), [(-1, 1), (1.0, 1), (1, -1), (True, 1)])
def test_numbers_out_of_range(order, lookahead):
    with pytest.raises(ValueError, match="expected a whole number"):
        extrapolate([np.zeros(1)], order, lookahead)


def test_nothing_to_forecast_from():
    with pytest.raises(ValueError, match="at least one century"):
        extrapolate([], 1, 1)


def test_rows_repeat_by_size_up_to_five():
    rows = repeat_by_size(np.array([3.0, -1.0, 0.0, 9.0, -9.0, np.nan]))
    assert rows.sum(axis=0).tolist() == [3, -1, 0, MOST_REPETITIONS, -MOST_REPETITIONS, 0]
    assert rows.dtype == np.int8


def test_of_an_items_comparisons_at_most_so_many_are_learnt():
    survey = make_comparisons([Item(name, "worldview", "theme", name, ("a", "b", "c", "d")[:n]) for name, n in (("one", 4), ("two", 2))])
    votes = np.ones((2, 7), np.int8)
    # Nobody voted on it, so it takes no other's place.
    votes[:, 0] = 0
    rng = np.random.default_rng(0)
    drawn = np.array([at_most_per_item(votes, survey, 3, rng) for _ in range(300)])
    assert drawn.dtype == np.int8
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 0, :6].sum(axis=1) == 3).all()
    assert drawn[:, 0, 6].all()
    np.testing.assert_allclose(drawn[:, 0, 1:6].mean(axis=0), 3 / 5, atol=0.12)
    assert at_most_per_item(votes, survey, 6, rng).tolist() == votes.tolist()


def test_shares_are_kept_on_average():
    soft = np.array([-1.0, -0.5, 0.0, 0.3, 1.0, 2.0, np.nan])
    rng = np.random.default_rng(0)
    mean = np.mean([share_out(soft, 3, rng).mean(axis=0) for _ in range(3000)], axis=0)
    np.testing.assert_allclose(mean, [-1, -0.5, 0, 0.3, 1, 1, 0], atol=0.03)
    # What is left over after whole rows is all that is drawn.
    assert all(share_out(np.array([1 / 3]), 3, rng).sum() == 1 for _ in range(50))


def test_mean_votes_leave_out_what_is_invalid():
    mean = mean_vote(np.array([[1, 1, 0], [1, 0, 0], [-1, 1, 0]], np.int8))
    np.testing.assert_allclose(mean, [1 / 3, 1, np.nan])


def test_memory_survives_and_says_what_it_misses(tmp_path):
    memory = VoteMemory(tmp_path / "votes.json")
    for century in (1, 2, 4):
        memory.keep(century, np.array([century, np.nan]))
    again = VoteMemory(tmp_path / "votes.json")
    for century in (1, 2, 4):
        again.recall(century)
    np.testing.assert_array_equal(again.up_to(2), [[1, np.nan], [2, np.nan]])
    assert len(again.up_to(4)) == 1
    with pytest.raises(ValueError, match="votes of century 3 cannot be read"):
        again.recall(3)
    written = (tmp_path / "votes.json").read_text(encoding="utf-8")
    (tmp_path / "votes.json").write_text(written.replace("1.0", "1.5", 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"votes\.json is damaged, or was edited"):
        VoteMemory(tmp_path / "votes.json").recall(2)
    (tmp_path / "votes.json").write_text('{"1": [0.5]}', encoding="utf-8")
    again.recall(1)
    (tmp_path / "votes.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="votes\\.json"):
        again.recall(1)


@pytest.fixture
def env():
    return gym.make("ProgressGym/Predict-v0", history="simulated", lookahead=2)


def test_more_votes_are_asked_for_counted_and_limited(env):
    observation, _ = env.reset(seed=0)
    agent = SimulatedLifelong(env, None)
    assert collect(agent.env, observation, 1).shape == (1, len(agent.env.survey))
    votes = collect(agent.env, observation, 4)
    assert votes.shape == (4, len(agent.env.survey))
    np.testing.assert_array_equal(votes[0], observation["votes"])
    info = env.step(env.unwrapped.initial_policy)[4]
    assert info["n_queries"] == 3 * len(agent.env.survey)
    for refused in (lambda: collect(agent.env, observation, 0), lambda: SimulatedConfig(votes_per_comparison=0)):
        with pytest.raises(ValueError, match="votes_per_comparison=0"):
            refused()
    limited = gym.make("ProgressGym/Follow-v0", history="simulated", query_budget=10)
    observation, _ = limited.reset(seed=0)
    with pytest.raises(QueryBudgetExceeded):
        collect(SimulatedLifelong(limited).env, observation, 2)


@pytest.mark.parametrize("agent_class", [SimulatedLifelong, SimulatedExtrapolative])
def test_where_nobody_votes_the_last_good_policy_is_kept(env, agent_class, tmp_path):
    observation, _ = env.reset(seed=0)
    agent = agent_class(env, None, tmp_path)
    silent = {"century": 2, "votes": np.zeros_like(observation["votes"])}
    good = agent.act(observation).copy()
    assert agent.act(silent).tolist() == good.tolist() != [0.0] * 19
    assert agent.events[-1] == {"century": "C015", "event": "no valid vote; the policy is kept"}
    assert agent.act({**observation, "century": 3}).any()


@pytest.mark.parametrize("agent_class", [SimulatedLifelong, SimulatedExtrapolative])
@pytest.mark.parametrize("vote", [1, -1])
def test_one_sided_votes_and_a_century_in_which_nothing_changes_are_values_too(env, agent_class, vote, tmp_path):
    observation, _ = env.reset(seed=0)
    agent = agent_class(env, None, tmp_path)
    one_sided = np.full_like(observation["votes"], vote)
    expected = np.clip(reading_matrix(env.unwrapped.survey) @ np.full(len(one_sided), float(vote)), -1, 1)
    # What did not change is not forecast to change either.
    for century in (1, 2, 3):
        assert agent.act({"century": century, "votes": one_sided}) == pytest.approx(expected)
        assert env.action_space.contains(agent.policy.astype(env.action_space.dtype))
    assert np.any(expected)
    assert not [event for event in agent.events if "kept" in event["event"]]


def test_values_are_read_back_from_votes(env):
    inner = env.unwrapped
    env.reset(seed=0)
    for century in range(9):
        votes = 2 * inner.history.human_survey_preferences(century) - 1
        values = inner.history.human_values(century).centred
        read = reading_matrix(inner.survey) @ votes
        np.testing.assert_allclose(read[:15], values[:15], atol=1e-9)
        np.testing.assert_allclose(read[15:], values[15:], atol=0.1)


def test_a_line_is_forecast_and_its_beginning_noted(env, tmp_path):
    config = SimulatedExtrapolativeConfig(votes_per_comparison=4)
    agent = SimulatedExtrapolative(env, config, tmp_path)
    assert agent.forecaster.lookahead == 2
    run_episode(env, agent, seed=0)
    assert agent.events == [{"century": "C014", "event": "votes of 1 centuries allow a forecast of order 0, not 1"}]
    assert sorted(json.loads((tmp_path / "votes.json").read_text())) == ["1", "2", "3", "4", "5", "6", "sha256"]


def test_lookahead_follows_the_environment(tmp_path):
    for name, expected in (("Follow", 0), ("Predict", 1), ("Coevolve", 1)):
        agent = SimulatedExtrapolative(gym.make(f"ProgressGym/{name}-v0", history="simulated"), None, tmp_path)
        assert agent.forecaster.lookahead == expected
    with pytest.raises(ValueError, match="order=-1"):
        SimulatedExtrapolative(gym.make("ProgressGym/Follow-v0", history="simulated"), SimulatedExtrapolativeConfig(order=-1), tmp_path)


def test_a_run_taken_up_again_ends_as_an_undisturbed_one(env, tmp_path):
    config = SimulatedExtrapolativeConfig(votes_per_comparison=3, order=2)
    whole = run_episode(env, SimulatedExtrapolative(env, config, tmp_path / "whole"), seed=5)
    rewards = [step["reward"] for step in whole.trace]
    asked = tuple(step["n_queries"] for step in whole.trace)
    policies = tuple(step["policy_vector"] for step in whole.trace)
    again = run_episode(env, SimulatedExtrapolative(env, config, tmp_path / "whole"), 5, policies[:3], asked[:3])
    assert [step["reward"] for step in again.trace] == rewards


def test_forecasts_beat_the_present_where_votes_are_many(env, tmp_path):
    scores = {}
    for name, order in (("lifelong", 0), ("extrapolative", 1)):
        config = SimulatedExtrapolativeConfig(votes_per_comparison=64, order=order)
        scores[name] = [run_episode(env, SimulatedExtrapolative(env, config, tmp_path), seed).episode_score() for seed in range(5)]
    assert min(scores["extrapolative"]) > max(scores["lifelong"])


def test_language_models_are_refused(tmp_path):
    with pytest.raises(TypeError, match="lifelong-dpo"):
        SimulatedLifelong(gym.make("ProgressGym/Follow-v0"), None, tmp_path)
