"""The reward as a vector."""

import gymnasium as gym
import numpy as np
import pytest

import pg_envs
from wrappers import VectorReward


@pytest.fixture(params=pg_envs.ENV_IDS)
def env(request):
    return VectorReward(gym.make(request.param, history="simulated"))


def test_parts_sum_to_the_scalar_reward(env):
    plain = env.env
    env.reset(seed=0)
    plain_rewards, ended = [], False
    while not ended:
        action = env.action_space.sample()
        _, reward, ended, _, info = env.step(action)
        assert reward in env.reward_space
        assert reward.sum() == pytest.approx(info["scalar_reward"], abs=1e-12)
        plain_rewards.append(info["scalar_reward"])
    assert plain_rewards == [step["reward"] for step in plain.unwrapped.trace]


def test_reward_is_nobody_elses_array(env):
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.unwrapped.initial_policy)
    before = info["reward_vector"].copy()
    reward += 1.0
    np.testing.assert_array_equal(info["reward_vector"], before)
    np.testing.assert_array_equal(env.unwrapped.trace[0]["reward_vector"], before)


def test_episode_statistics_inside_it_count_scalars(env):
    env = VectorReward(gym.wrappers.RecordEpisodeStatistics(env.env))
    env.reset(seed=0)
    ended, total = False, 0.0
    while not ended:
        _, _, ended, _, info = env.step(env.unwrapped.initial_policy)
        total += info["scalar_reward"]
    assert info["episode"]["r"] == pytest.approx(total)


def test_spec_makes_the_wrapped_environment_again(env):
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, VectorReward)
    again.reset(seed=0)
    assert again.step(again.unwrapped.initial_policy)[1].shape == (19,)


def test_mo_gymnasiums_wrappers_go_around_it(env):
    mo = pytest.importorskip("mo_gymnasium.wrappers")
    env = mo.LinearReward(mo.MORecordEpisodeStatistics(env), weight=np.ones(19))
    env.reset(seed=0)
    ended, vectors = False, []
    while not ended:
        _, reward, ended, _, info = env.step(env.unwrapped.initial_policy)
        assert reward == pytest.approx(info["scalar_reward"])
        vectors.append(info["vector_reward"])
    np.testing.assert_allclose(info["episode"]["r"], np.sum(vectors, axis=0), rtol=1e-5)


def test_mo_gymnasium_sums_vectors_over_skipped_steps(env):
    mo = pytest.importorskip("mo_gymnasium.wrappers")
    plain = VectorReward(gym.make(env.spec.id, history="simulated"))
    skipping = mo.MOMaxAndSkipObservation(gym.wrappers.FlattenObservation(env), skip=2)
    for each in (plain, skipping):
        each.reset(seed=0)
    action = np.full(19, 0.3)
    expected = plain.step(action)[1] + plain.step(action)[1]
    np.testing.assert_allclose(skipping.step(action)[1], expected, rtol=1e-5)


def test_mo_gymnasiums_vector_environment_takes_it(env):
    vector = pytest.importorskip("mo_gymnasium.wrappers.vector")
    envs = vector.MOSyncVectorEnv([lambda: VectorReward(gym.make(env.spec.id, history="simulated"))] * 2)
    envs.reset(seed=[0, 1])
    actions = np.array([np.full(19, 0.3), np.full(19, -0.3)])
    rewards = envs.step(actions)[1]
    for seed, action in enumerate(actions):
        env.reset(seed=seed)
        np.testing.assert_allclose(rewards[seed], env.env.step(action)[4]["reward_vector"], rtol=1e-5)
    envs.close()


def test_other_environments_are_refused():
    with pytest.raises(ValueError, match="no reward_space"):
        VectorReward(gym.make("CartPole-v1"))
