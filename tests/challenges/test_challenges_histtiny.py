"""The challenges on the bundled language models."""

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from tests_support import COEVOLVE, FOLLOW, PREDICT

from pg_envs.history.live import histtiny_refs
from pg_envs.history.model_history import ModelHistory
from pg_envs.models.checks import fingerprint
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.progress import reporting_to


def once_for_the_same_weights(really):
    """A method of ``ModelHistory`` that asks a policy, and remembers what weights answered to what."""
    known = {}

    def asked(history, policy, *items):
        key = (fingerprint(policy), history.evaluation.content_hash, *map(tuple, items))
        if key not in known:
            known[key] = really(history, policy, *items)
        return known[key]

    return asked


@pytest.fixture(autouse=True, scope="module")
def same_weights_are_asked_once():
    """The tests here make many environments of the same humans and the same questions."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_measure", "_ask"):
            patch.setattr(ModelHistory, name, once_for_the_same_weights(getattr(ModelHistory, name)))
        yield


def check(env_id, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The checker says this of every space that is not one of Gymnasium's own.
        warnings.filterwarnings("ignore", message=".*not a.*recognized.*")
        check_env(gym.make(env_id, disable_env_checker=True, **settings).unwrapped)


@pytest.mark.parametrize(("env_id", "more"), [(FOLLOW, {}), (PREDICT, {}), (COEVOLVE, {"history_epochs": 0, "policy_epochs": 0})])
def test_check_env(env_id, more):
    check(env_id, **more)


# The checker steps often; a proxy that learns for one pass does so as one that learns for two.
def test_check_env_where_a_proxy_learns(small_questionnaire):
    check(COEVOLVE, centuries=("C018", "C021"), questionnaire=small_questionnaire, policy_epochs=1)


def test_bad_models_are_refused_and_the_environment_goes_on(tmp_path, small_questionnaire):
    env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"), questionnaire=small_questionnaire)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="is not in ModelSpace"):
        env.step(ModelRef("another/base"))
    with pytest.raises(ModelRefError, match="no adapter folder"):
        env.step(env.unwrapped.initial_policy.with_adapter(tmp_path / "nowhere"))
    observation, reward, _, _, info = env.step(env.unwrapped.history.human(1))
    assert reward == 1.0
    assert observation["century"] == 2
    assert pickle.loads(pickle.dumps((observation, info)))[1]["century_label"] == "C020"
    env.close()


def test_a_century_of_humans_is_measured_once_whoever_asks(small_questionnaire):
    env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"), questionnaire=small_questionnaire)
    history, measured = env.unwrapped.history, []
    with reporting_to(lambda what, done, total: measured.append(what) if what.startswith("measuring") else None):
        env.reset(seed=0)
        # What never learning does: the first century's humans are judged again and again.
        for _ in range(2):
            env.step(env.unwrapped.initial_policy)
    assert measured == ["measuring the humans of C019", "measuring the humans of C020", "measuring the humans of C021"]
    assert history.values(history.human(0)) is history.human_values(0)
    env.close()


def test_coevolve_moves_the_proxy_and_is_reproducible(small_questionnaire):
    env = gym.make("ProgressGym/Coevolve-v0", centuries=("C019", "C021"), questionnaire=small_questionnaire)
    episodes = []
    for _ in range(2):
        first, _ = env.reset(seed=4)
        second, reward, _, _, info = env.step(env.unwrapped.history.human(1))
        episodes.append((first["votes"].tolist(), second["votes"].tolist(), reward, info["proxy_vector"].tolist(), info["proxy_sha256"]))
        assert info["proxy_sha256"] == fingerprint(env.unwrapped.proxy) != fingerprint(env.unwrapped.history.human(0))
    assert episodes[0] == episodes[1]
    untouched = env.unwrapped.history.human_values(0).centred
    assert np.abs(np.array(episodes[0][3]) - untouched).max() > 0.02
    assert -1 <= info["lock_in_lag"] <= 1
    env.close()


def test_vector_environments_run_a_whole_episode(small_questionnaire):
    arguments = {"history": "histtiny", "centuries": ("C019", "C021"), "questionnaire": small_questionnaire}
    # Forked processes must not use OpenMP after their parent has; spawned ones may.
    for make, options in ((SyncVectorEnv, {}), (AsyncVectorEnv, {"context": "spawn"})):
        makers = [lambda: gym.make("pg_envs:ProgressGym/Follow-v0", **arguments)] * 2
        envs = make(makers, autoreset_mode=AutoresetMode.DISABLED, **options)
        envs.reset(seed=[0, 1])
        refs = histtiny_refs()
        for _ in range(2):
            observations, rewards, terminated, _, _ = envs.step((refs[7], refs[8]))
        assert terminated.all()
        assert rewards[1] == pytest.approx(1.0)
        observations, _ = envs.reset(options={"reset_mask": np.array([True, False])})
        assert observations["century"].tolist() == [1, 2]
        envs.close()


def test_ask_and_respond(small_questionnaire):
    env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"), query_budget=30, questionnaire=small_questionnaire)
    env.reset(seed=0)
    inner = env.unwrapped
    votes = inner.ask(inner.survey[:24])
    assert set(votes.tolist()) <= {-1, 1}
    assert inner.respond([]) == []
    replies = inner.respond(["What do you owe your lord?"])
    assert len(replies) == 1
    assert isinstance(replies[0], str)
    _, _, _, _, info = env.step(inner.initial_policy)
    assert info["n_queries"] == 25
    env.close()
