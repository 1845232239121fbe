"""Values read from votes: close to what was meant, and remembered in the right order."""

import gymnasium as gym
import numpy as np
import pytest

from pg_envs.values.reading import reading_matrix
from wrappers import ValueReadings


def test_what_humans_are_sure_of_is_read_as_they_mean_it():
    # By majority there is no noise: rules are read by their sign.
    env = ValueReadings(gym.make("ProgressGym/Follow-v0", history="simulated", votes="majority"), memory=0)
    observation, _ = env.reset(seed=0)
    humans = env.unwrapped.history.human(1)
    clear = np.flatnonzero(np.abs(humans[:10]) > 0.3)
    assert len(clear)
    assert np.sign(observation["readings"][0, clear]).tolist() == np.sign(humans[clear]).tolist()


def test_earlier_readings_follow_and_the_oldest_fills_what_is_missing():
    plain = gym.make("ProgressGym/Follow-v0", history="simulated-random")
    env = ValueReadings(gym.make("ProgressGym/Follow-v0", history="simulated-random"), memory=2)
    matrix, policy = reading_matrix(plain.unwrapped.survey), np.full(19, 0.5)
    for seed in (0, 1):
        votes, shown = [plain.reset(seed=seed)[0]["votes"]], [env.reset(seed=seed)[0]["readings"]]
        for _ in range(3):
            votes.append(plain.step(policy)[0]["votes"])
            shown.append(env.step(policy)[0]["readings"])
        read = [np.clip(matrix @ vote, -1, 1) for vote in votes]
        for t, expected in enumerate([(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 2, 1)]):
            np.testing.assert_allclose(shown[t], [read[i] for i in expected], atol=1e-6)


@pytest.mark.parametrize("memory", [-1, 1.5, True])
def test_memory_that_is_none_is_refused(memory):
    with pytest.raises(ValueError, match="memory="):
        ValueReadings(gym.make("ProgressGym/Follow-v0", history="simulated"), memory)
