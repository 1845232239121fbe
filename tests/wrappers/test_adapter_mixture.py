"""Numbers in, language models out."""

import gc
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

import pg_envs
from agents.baselines import RandomAgent
from pg_envs.agent_view import AgentView
from pg_envs.models.checks import check_files
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.space import InvalidPolicy
from wrappers import AdapterMixture

# A sum of adapters that equals one of them is rounded elsewhere than that one.
pytestmark = pytest.mark.usefixtures("float32")


def weights(*numbers):
    return np.array(numbers, np.float32)


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_a_single_one_is_that_adapter(tiny, random_adapters, env_id):
    mixed, plain = AdapterMixture(tiny(env_id), random_adapters[4:6]), tiny(env_id)
    for env in (mixed, plain):
        env.reset(seed=0)
    info, expected = mixed.step(weights(0, 1))[4], plain.step(random_adapters[5])[4]
    np.testing.assert_allclose(info["policy_vector"], expected["policy_vector"], atol=1e-3)
    different = mixed.step(weights(-1, 0.5))[4]["policy_vector"]
    assert np.abs(different - expected["policy_vector"]).max() > 0.01
    for env in (mixed, plain):
        env.close()


def test_zeros_are_the_base(tiny, random_adapters):
    mixed, plain = AdapterMixture(tiny(), random_adapters[4:6]), tiny()
    for env in (mixed, plain):
        env.reset(seed=0)
    base = random_adapters[0].with_adapter(None)
    np.testing.assert_allclose(mixed.step(weights(0, 0))[4]["policy_vector"], plain.step(base)[4]["policy_vector"], atol=1e-3)


@pytest.fixture
def untouched(tiny, monkeypatch):
    """``tiny``, with humans and policies that are never run: every model has the same values and votes."""
    from pg_envs.history.base import Values
    from pg_envs.history.live import LiveHistory

    submitted = []
    values = Values(np.linspace(-1, 1, 19), np.linspace(0, 1, 19), np.zeros(19))
    monkeypatch.setattr(LiveHistory, "_measure", lambda self, policy: values)
    monkeypatch.setattr(LiveHistory, "values", lambda self, policy: submitted.append(policy) or values)
    monkeypatch.setattr(LiveHistory, "preferences", lambda self, policy, comparisons: np.full(len(comparisons), 0.5))
    return lambda **kwargs: tiny(**kwargs), submitted


def test_equal_weights_are_one_model(untouched, random_adapters, tmp_path):
    make, submitted = untouched
    env = AdapterMixture(make(), random_adapters[:2], folder=str(tmp_path))
    infos = []
    for action in (weights(0.501, -0.3), weights(0.499, -0.3), weights(0.001, -0.001), weights(-0.001, 0.0), weights(0.51, -0.3)):
        env.reset(seed=0)
        infos.append(env.step(action)[4]["mixture_weights"].tolist())
    assert infos == [[0.5, -0.3], [0.5, -0.3], [0.0, 0.0], [0.0, 0.0], [0.51, -0.3]]
    assert submitted[0] == submitted[1] != submitted[2] == submitted[3]
    assert len(set(submitted)) == 3 == len(list(tmp_path.iterdir()))
    assert env.policy == submitted[-1]
    for ref in submitted:
        check_files(ref)


def test_a_kept_folder_is_used_again_and_never_written_twice(untouched, random_adapters, tmp_path):
    make, submitted = untouched
    for _ in range(2):
        env = AdapterMixture(make(), random_adapters[:2], folder=str(tmp_path))
        env.reset(seed=0)
        env.step(weights(1, -1))
        env.close()
        for file in Path(submitted[-1].adapter).iterdir():
            file.chmod(0o400)
            age = file.stat().st_mtime_ns
    assert submitted[0] == submitted[1]
    assert file.stat().st_mtime_ns == age
    assert [str(tmp_path / path.name) for path in tmp_path.iterdir()] == [submitted[0].adapter]


def test_what_is_temporary_goes_with_the_episode_the_environment_or_its_owner(untouched, random_adapters):
    make, submitted = untouched
    env = AdapterMixture(make(), random_adapters[:2])
    env.reset(seed=0)
    for end in (env.reset, env.close):
        env.reset(seed=0)
        env.step(weights(1, -1))
        folder = Path(submitted[-1].adapter)
        assert folder.is_dir()
        end()
        assert not folder.parent.exists()
    env.reset(seed=0)
    env.step(weights(1, -1))
    folder = Path(submitted[-1].adapter)
    del env
    end = None
    gc.collect()
    assert not folder.parent.exists()


def test_infos_do_not_depend_on_the_temporary_folder(untouched, random_adapters):
    make, _ = untouched
    infos = []
    for _ in range(2):
        env = AdapterMixture(make(), random_adapters[:2])
        env.reset(seed=0)
        infos.append(env.step(weights(1, -1)))
    assert data_equivalence(*infos)


def test_agents_see_weights(untouched, random_adapters):
    make, _ = untouched
    env = AdapterMixture(make(), random_adapters[:2])
    view = AgentView(env)
    env.reset(seed=0)
    assert view.action_space == gym.spaces.Box(-1, 1, (2,), np.float32)
    assert view.initial_policy.tolist() == [1.0, 0.0], "the first century's humans are the first adapter"
    assert view.initial_policy in view.action_space
    assert AgentView(AdapterMixture(make(), random_adapters[5:7])).initial_policy.tolist() == [0.0, 0.0]


def test_stable_baselines_steers_it(untouched, random_adapters):
    from stable_baselines3 import PPO

    make, submitted = untouched
    env = AdapterMixture(make(), random_adapters[:2], decimals=1)
    PPO("MultiInputPolicy", env, n_steps=4, batch_size=4, n_epochs=1, seed=0, device="cpu").learn(8)
    assert len(submitted) == 8
    env.close()


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_spec_names_the_adapters(tiny, random_adapters, env_id):
    env = AdapterMixture(tiny(env_id), random_adapters[:2], decimals=1)
    spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    again = gym.make(spec)
    assert isinstance(again, AdapterMixture)
    assert (again.adapters, again.decimals, again.action_space) == (random_adapters[:2], 1, env.action_space)


@pytest.mark.filterwarnings("ignore:.*Casting input x to numpy array.:UserWarning")
def test_actions_outside_the_space_change_nothing(untouched, random_adapters, tmp_path):
    make, submitted = untouched
    env = AdapterMixture(make(), random_adapters[:2], folder=str(tmp_path))
    env.reset(seed=0)
    for action in (weights(1.5, 0), weights(1, 0, 0), weights(np.nan, 0), random_adapters[0]):
        with pytest.raises(InvalidPolicy, match="expected a weight for each adapter"):
            env.step(action)
    assert not submitted
    assert not list(tmp_path.iterdir())
    assert env.step(weights(1, 0))[4]["century_label"] == "C014"


def test_what_cannot_be_mixed_is_refused_at_once(tiny, random_adapters, tmp_path):
    env = tiny()
    with pytest.raises(ValueError, match="no adapters to mix"):
        AdapterMixture(env, [])
    with pytest.raises(ModelRefError, match="expected a ModelRef with an adapter"):
        AdapterMixture(env, [random_adapters[0].with_adapter(None)])
    with pytest.raises(ModelRefError, match="no adapter folder"):
        AdapterMixture(env, [random_adapters[0].with_adapter(tmp_path / "nowhere")])
    with pytest.raises(ValueError, match=r"decimals=1\.5"):
        AdapterMixture(env, random_adapters[:2], decimals=1.5)
    with pytest.raises(ValueError, match=r"are on the base pg_envs:histtiny/base; expected one of ModelSpace"):
        AdapterMixture(env, [ModelRef("pg_envs:histtiny/base", adapter="pg_envs:histtiny/C013")])
    with pytest.raises(ValueError, match="expected language models"):
        AdapterMixture(gym.make("ProgressGym/Follow-v0", history="simulated"), random_adapters[:2])


def test_agents_that_cheat_act_through_it_too(tiny, random_adapters):
    env = AdapterMixture(tiny(), random_adapters[4:6])
    observation, _ = env.reset(seed=0)
    weights = RandomAgent(env).act(observation)
    assert env.action_space.contains(weights)
    env.step(weights)
    env.close()
