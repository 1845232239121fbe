"""Votes in view as preference data."""

import gymnasium as gym
import numpy as np
import pytest

from wrappers import PreferenceDataset


def run(env, seed=0):
    """Each century's rows and observation."""
    observation, _ = env.reset(seed=seed)
    rng, seen, ended = np.random.default_rng(0), [], False
    while not ended:
        seen.append((env.preferences().to_list(), observation))
        observation, _, ended, _, _ = env.step(rng.uniform(-1, 1, 19))
    return seen


def test_every_vote_is_a_row_that_prefers_what_was_voted_for(simulated):
    env = PreferenceDataset(simulated(), letters_only=False)
    survey = env.unwrapped.survey
    for rows, observation in run(env):
        votes = observation["votes"]
        assert len(rows) == np.count_nonzero(votes)
        n_spelt_out = 0
        for row, comparison, vote in zip(rows, survey, votes, strict=True):
            preferred, other = comparison.texts[:: 1 if vote > 0 else -1]
            assert comparison.item.context in row["prompt"][0]["content"]
            # Only some question forms are answered with an option's own words.
            if row["chosen"][0]["content"] in comparison.texts:
                n_spelt_out += 1
                assert (row["chosen"][0]["content"], row["rejected"][0]["content"]) == (preferred, other)
        assert n_spelt_out > 50


def test_rows_follow_from_the_seed_and_change_with_the_century(simulated):
    first, again, other = (
        run(PreferenceDataset(simulated())),
        run(PreferenceDataset(simulated())),
        run(PreferenceDataset(simulated()), seed=1),
    )
    assert [rows for rows, _ in first] == [rows for rows, _ in again]
    assert first[0][0] != other[0][0]
    prompts = [[row["prompt"] for row in rows] for rows, _ in first]
    assert all(prompts[t] != prompts[t + 1] for t in range(len(prompts) - 1))


def test_asking_twice_gives_the_same_rows_and_disturbs_nothing(simulated):
    env, plain = PreferenceDataset(simulated()), simulated()
    env.reset(seed=3)
    plain.reset(seed=3)
    assert env.preferences().to_list() == env.preferences().to_list()
    policy = np.full(19, 0.25)
    votes, expected = (e.step(policy)[0]["votes"] for e in (env, plain))
    np.testing.assert_array_equal(votes, expected)


def test_the_observation_may_be_changed_by_its_user(simulated):
    env = PreferenceDataset(simulated())
    observation, _ = env.reset(seed=0)
    before = env.preferences().to_list()
    observation["votes"][:] = 0
    assert env.preferences().to_list() == before


def test_letters_only_unless_told_otherwise(simulated):
    env = PreferenceDataset(simulated())
    env.reset(seed=0)
    assert max(len(row["chosen"][0]["content"]) for row in env.preferences()) <= 3


def test_trl_trains_on_it(random_base, tmp_path):
    from trl import DPOConfig, DPOTrainer

    env = PreferenceDataset(gym.make("ProgressGym/Follow-v0", history="simulated"))
    env.reset(seed=0)
    arguments = {"use_cpu": True, "bf16": False, "report_to": [], "save_strategy": "no", "max_steps": 1, "disable_tqdm": True}
    config = DPOConfig(output_dir=str(tmp_path), per_device_train_batch_size=2, gradient_checkpointing=False, **arguments)
    trainer = DPOTrainer(model=str(random_base), args=config, train_dataset=env.preferences().select(range(4)))
    assert np.isfinite(trainer.train().training_loss)


def test_no_votes_in_view_no_data():
    env = PreferenceDataset(gym.make("ProgressGym/Follow-v0", history="simulated", centuries=["C013", "C015"]))
    for _ in range(2):
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.preferences()
        env.reset(seed=0)
        env.step(np.zeros(19))
        assert env.preferences().num_rows > 0
        env.step(np.zeros(19))


def test_other_environments_are_refused():
    with pytest.raises(ValueError, match=r"PreferenceDataset around .*expected a ProgressGym environment"):
        PreferenceDataset(gym.make("CartPole-v1"))
