"""Flips are as frequent, as steady and as reproducible as promised, and touch nothing but votes."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from pg_envs.agent_view import AgentView
from pg_envs.values.survey import Comparison
from wrappers import NoisyHumans


def episode(env, seed=None, n_asked=0):
    """Everything an episode gives, with answers to some questions in every century."""
    rng = np.random.default_rng(0)
    seen, ended = [env.reset(seed=seed)], False
    while not ended:
        survey = env.unwrapped.survey
        answers = env.get_wrapper_attr("ask")(survey[:n_asked])
        seen.append((answers, *env.step(rng.uniform(-1, 1, 19))))
        ended = seen[-1][3]
    return seen


def votes_of(seen):
    """(T, Q) votes of all observations but the last, which has none."""
    return np.array([seen[0][0]["votes"], *(step[1]["votes"] for step in seen[1:-1])])


@pytest.mark.parametrize("mode", ["random", "adversarial"])
def test_a_share_of_the_votes_is_the_opposite(simulated, mode):
    noisy, plain = votes_of(episode(NoisyHumans(simulated(), 0.2, mode), seed=5)), votes_of(episode(simulated(), seed=5))
    assert noisy.dtype == np.int8
    np.testing.assert_array_equal(np.abs(noisy), np.abs(plain))
    flipped = noisy != plain
    n_comparisons = flipped.shape[1]
    if mode == "adversarial":
        assert (flipped == flipped[0]).all(), "the same comparisons in every century"
        assert flipped[0].sum() == round(0.2 * n_comparisons)
    else:
        assert abs(flipped.mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / flipped.size)
        # Independent of the century before: flipped twice in a row with probability 0.04.
        assert abs((flipped[1:] & flipped[:-1]).mean() - 0.04) < 4 * np.sqrt(0.04 * 0.96 / flipped[1:].size)


@pytest.mark.parametrize("mode", ["random", "adversarial"])
def test_rewards_and_infos_are_the_environments(simulated, mode):
    noisy, plain = (episode(env, seed=5, n_asked=4) for env in (NoisyHumans(simulated(), 0.5, mode), simulated()))
    assert data_equivalence([step[2:] for step in noisy[1:]], [step[2:] for step in plain[1:]])


@pytest.mark.parametrize("mode", ["random", "adversarial"])
def test_seeds_say_which_votes_are_flipped(simulated, mode):
    env = NoisyHumans(simulated(), 0.3, mode)
    first, second = episode(env, seed=7, n_asked=30), episode(env, n_asked=30)
    assert data_equivalence(first, episode(NoisyHumans(simulated(), 0.3, mode), seed=7, n_asked=30))
    assert data_equivalence(first, episode(env, seed=7, n_asked=30))
    assert data_equivalence(second, episode(env, n_asked=30)), "the episode after a seeded one follows from the seed too"
    assert not data_equivalence(first, second)
    assert not data_equivalence(first, episode(env, seed=8, n_asked=30))


def test_the_adversary_chooses_anew_in_every_episode(simulated):
    env = NoisyHumans(simulated(votes="majority"), 0.3, "adversarial")
    plain = simulated(votes="majority")
    flipped = [votes_of(episode(env, seed=seed))[0] != votes_of(episode(plain, seed=seed))[0] for seed in range(2)]
    assert 0.02 < (flipped[0] & flipped[1]).mean() < 0.2, "0.09 if drawn independently"


@pytest.mark.parametrize("mode", ["random", "adversarial"])
def test_nobodys_questions_change_later_votes(simulated, mode):
    quiet, curious = episode(NoisyHumans(simulated(), 0.3, mode), seed=2), episode(NoisyHumans(simulated(), 0.3, mode), seed=2, n_asked=50)
    np.testing.assert_array_equal(votes_of(quiet), votes_of(curious))


def test_asking_again_helps_against_chance_and_not_against_an_adversary(simulated):
    for mode in ("random", "adversarial"):
        env = NoisyHumans(simulated(votes="majority"), 0.2, mode)
        env.reset(seed=0)
        view, truth = AgentView(env), env.unwrapped.ask(env.unwrapped.survey)
        votes = np.array([view.ask(view.survey) for _ in range(101)])
        wrong = np.sign(votes.sum(axis=0)) != truth
        if mode == "random":
            # P(at least 51 of 101 flips at 0.2) is below 1e-11.
            assert not wrong.any()
            assert abs((votes != truth).mean() - 0.2) < 0.01
        else:
            assert wrong.sum() == round(0.2 * len(truth))
            assert (votes == votes[0]).all()


def test_answers_agree_with_the_adversarys_observation(simulated):
    env = NoisyHumans(simulated(votes="majority"), 0.4, "adversarial")
    observation, _ = env.reset(seed=1)
    survey = env.unwrapped.survey
    np.testing.assert_array_equal(env.ask(survey), observation["votes"])
    turned = [Comparison(c.item, c.second, c.first) for c in survey]
    np.testing.assert_array_equal(env.ask(turned), -observation["votes"])


def test_other_comparisons_are_the_adversarys_with_the_same_share(simulated):
    env = NoisyHumans(simulated(votes="majority"), 0.25, "adversarial")
    env.reset(seed=1)
    others = [Comparison(dataclasses.replace(c.item, context=f"{c.item.context} Really."), c.first, c.second) for c in env.unwrapped.survey]
    flipped = env.ask(others) != env.unwrapped.ask(others)
    assert abs(flipped.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(others))
    np.testing.assert_array_equal(env.ask(others) != env.unwrapped.ask(others), flipped)


def test_certain_flips_are_the_opposite_and_twice_is_as_before(simulated):
    plain = votes_of(episode(simulated(), seed=0))
    for mode in ("random", "adversarial"):
        np.testing.assert_array_equal(votes_of(episode(NoisyHumans(simulated(), 1.0, mode), seed=0)), -plain)
        np.testing.assert_array_equal(votes_of(episode(NoisyHumans(simulated(), 0.0, mode), seed=0)), plain)
        np.testing.assert_array_equal(votes_of(episode(NoisyHumans(NoisyHumans(simulated(), 1, mode), 1, mode), seed=0)), plain)


@pytest.mark.parametrize("mode", ["random", "adversarial"])
def test_two_layers_do_not_undo_each_other(simulated, mode):
    plain, twice = (
        votes_of(episode(simulated(), seed=0)),
        votes_of(episode(NoisyHumans(NoisyHumans(simulated(), 0.5, mode), 0.5, mode), seed=0)),
    )
    assert 0.35 < (plain != twice).mean() < 0.65


@pytest.mark.parametrize(
    ("arguments", "message"), [((0.1, "spiteful"), "mode='spiteful'"), ((1.1,), "share=1.1"), ((float("nan"),), "share=nan")]
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoisyHumans(gym.make("ProgressGym/Follow-v0", history="simulated"), *arguments)
