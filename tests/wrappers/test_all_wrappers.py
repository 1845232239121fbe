"""What every wrapper owes its users: checkers, specs, pickles, vector environments, and each other's company."""

import functools
import inspect
import pickle
import re
import runpy
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit

import pg_envs
import wrappers
from agents.baselines import NoOp
from pg_envs.runner import run_episode
from wrappers import AdapterMixture, NoisyHumans, PreferenceDataset, QueryBudget, RecordEpisode, ValueReadings, VectorReward, WandbLogger

SCALAR = ("NoisyHumans", "NoisyHumans-adversarial", "PreferenceDataset", "QueryBudget", "RecordEpisode", "WandbLogger")
SIMULATED = (*SCALAR, "ValueReadings")
"""Observing no votes, the last goes around all others."""


@pytest.fixture
def recipes(tmp_path, offline_wandb):
    """How each wrapper is put around a simulated environment."""
    return {
        "NoisyHumans": functools.partial(NoisyHumans, share=0.2),
        "NoisyHumans-adversarial": functools.partial(NoisyHumans, share=0.2, mode="adversarial"),
        "PreferenceDataset": PreferenceDataset,
        "QueryBudget": functools.partial(QueryBudget, per_century=100, per_episode=200),
        "ValueReadings": functools.partial(ValueReadings, memory=1),
        "RecordEpisode": functools.partial(RecordEpisode, folder=str(tmp_path / "records")),
        "WandbLogger": functools.partial(WandbLogger, project="p"),
    }


def check(env):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The checker prefers bare environments; here the wrapper is what is checked.
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")
        check_env(env, skip_render_check=True)
    env.close()


@pytest.mark.parametrize("name", SIMULATED)
def test_gymnasium_checker_has_nothing_to_say(simulated, recipes, name):
    check(recipes[name](simulated(disable_env_checker=True)))


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_gymnasium_checker_has_nothing_to_say_of_mixtures(tiny, random_adapters, env_id):
    check(AdapterMixture(tiny(env_id, disable_env_checker=True), random_adapters[:2]))


@pytest.mark.parametrize("name", SIMULATED)
def test_spec_makes_the_wrapped_environment_again(simulated, recipes, name):
    env = recipes[name](simulated())
    first = env.reset(seed=0), env.step(np.full(19, 0.5))
    env.close()
    for spec in (EnvSpec.from_json(env.spec.to_json()), pickle.loads(pickle.dumps(env.spec)), env.spec):
        again = gym.make(spec)
        assert type(again) is type(env)
        assert data_equivalence((again.reset(seed=0), again.step(np.full(19, 0.5))), first)
        again.close()


@pytest.mark.parametrize("name", SIMULATED)
def test_everything_exchanged_pickles(simulated, recipes, name):
    env = recipes[name](simulated())
    exchanged = (*env.reset(seed=0), *env.step(env.action_space.sample()))
    env.close()
    for value in (*exchanged, env.observation_space, env.action_space):
        assert data_equivalence(pickle.loads(pickle.dumps(value)), value)
    assert pickle.loads(pickle.dumps(env.action_space)) == env.action_space


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary folders go."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.mark.parametrize("name", [*SIMULATED, "VectorReward"])
def test_closing_twice_is_closing_once_and_leaves_nothing(simulated, recipes, temporary, name):
    env = {**recipes, "VectorReward": VectorReward}[name](simulated())
    env.close()
    env.reset(seed=0)
    env.step(env.action_space.sample())
    for _ in range(3):
        env.close()
    assert not list(temporary.glob("pg-envs*"))


@pytest.mark.parametrize("what", ["humans that are taught", "mixtures"])
def test_closing_language_models_twice_is_closing_once_and_leaves_nothing(tiny, random_adapters, temporary, what):
    env = tiny("ProgressGym/Coevolve-v0") if what == "humans that are taught" else AdapterMixture(tiny(), random_adapters[:2])
    env.reset(seed=0)
    env.step(env.unwrapped.initial_policy if what == "humans that are taught" else np.array([0.5, 0.5], np.float32))
    assert list(temporary.glob("pg-envs*")), "proxies and mixtures are kept as long as they may be needed"
    for _ in range(3):
        env.close()
    assert not list(temporary.glob("pg-envs*"))
    env.reset(seed=0)
    env.close()


def test_closing_environments_in_processes_twice_is_closing_once():
    envs = gym.make_vec("ProgressGym/Coevolve-v0", 2, vectorization_mode="async", history="simulated")
    envs.reset(seed=0)
    processes = envs.unwrapped.processes
    for _ in range(3):
        envs.close()
    assert not any(process.is_alive() for process in processes)


def goes_on_alike(env, actions):
    """Whether pickles of the environment, made before every step, take that step as it does."""
    for action in actions:
        again = pickle.loads(pickle.dumps(env))
        if not data_equivalence(again.step(action), env.step(action)):
            return False
        again.close()
    return True


QUIET = tuple(name for name in SCALAR if name != "WandbLogger")
"""W&B takes a second for every run that it begins, and every copy begins one; ``test_wandb_logger.py`` has one."""


@pytest.mark.parametrize("name", [*QUIET, "ValueReadings", "VectorReward", "all"])
def test_wrapped_environments_pickle_at_any_moment_and_go_on(simulated, recipes, name):
    names = QUIET if name == "all" else [name]
    env = simulated()
    for each in names:
        env = {**recipes, "VectorReward": VectorReward}[each](env)
    env = pickle.loads(pickle.dumps(env))
    env.reset(seed=0)
    assert goes_on_alike(env, np.random.default_rng(0).uniform(-1, 1, (3, 19)))
    env.close()
    pickle.loads(pickle.dumps(env)).reset(seed=0)
    env.close()
    env.reset(seed=0)
    env.close()


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_mixtures_around_models_in_memory_pickle_and_go_on(tiny, random_adapters, env_id):
    env = AdapterMixture(NoisyHumans(tiny(env_id)), random_adapters[:2])
    env.reset(seed=0)
    env.step(np.array((0.5, 0.5), np.float32))
    assert goes_on_alike(env, np.array([(1, -1)], np.float32))
    # The copy has removed its own temporary files, not these.
    assert Path(env.policy.adapter).is_dir()
    env.reset(seed=0)
    env.step(np.array((0.5, 0.5), np.float32))
    env.close()


def test_a_copy_leaves_the_originals_proxies_alone(tiny, tmp_path):
    env = QueryBudget(tiny("ProgressGym/Coevolve-v0"), per_century=3)
    env.unwrapped.history._scratch = tmp_path / "proxies"
    (tmp_path / "proxies").mkdir()
    pickle.loads(pickle.dumps(env)).close()
    assert (tmp_path / "proxies").is_dir()
    env.close()
    assert not (tmp_path / "proxies").exists()


def test_all_of_them_together_in_a_vector_environment(simulated, recipes, tmp_path):
    def all_at_once(env):
        for name in SCALAR:
            env = recipes[name](env)
        return VectorReward(RecordEpisodeStatistics(TimeLimit(env, 3)))

    def alone(seed):
        env = all_at_once(simulated())
        yield env.reset(seed=seed)[0]
        for t in range(3):
            yield env.step(actions[t, seed])
        env.close()

    actions = np.random.default_rng(0).uniform(-1, 1, (3, 2, 19))
    expected = [list(alone(seed)) for seed in (0, 1)]
    spec = simulated().spec
    envs = gym.make_vec(
        spec.id,
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.DISABLED},
        wrappers=[*(recipes[name] for name in SCALAR), lambda env: TimeLimit(env, 3), RecordEpisodeStatistics],
        **spec.kwargs,
    )
    observations, _ = envs.reset(seed=[0, 1])
    assert [data.num_rows for data in envs.call("preferences")] == [len(envs.envs[0].unwrapped.survey)] * 2
    assert [len(answers) for answers in envs.call("ask", envs.envs[0].unwrapped.survey[:5])] == [5, 5]
    for t in range(3):
        for k in (0, 1):
            np.testing.assert_array_equal(observations["votes"][k], expected[k][0]["votes"] if t == 0 else expected[k][t][0]["votes"])
        observations, reward, _, truncated, infos = envs.step(actions[t])
        np.testing.assert_allclose(reward, [expected[k][t + 1][1].sum() for k in (0, 1)])
        assert truncated.tolist() == [t == 2] * 2
    np.testing.assert_allclose(infos["episode"]["r"], [sum(step[1].sum() for step in expected[k][1:]) for k in (0, 1)])
    envs.close()
    # Two environments alone and two side by side.
    assert len(list((tmp_path / "records").iterdir())) == 4


@pytest.mark.parametrize("inside", [ValueReadings, gym.wrappers.FlattenObservation])
@pytest.mark.parametrize("wrapper", [PreferenceDataset, NoisyHumans, ValueReadings])
def test_what_reads_votes_says_so_where_a_wrapper_inside_replaced_them(simulated, wrapper, inside):
    with pytest.raises(
        ValueError,
        match=rf"{wrapper.__name__} around .*: its observations are not .*; put it inside the wrapper that",
    ):
        wrapper(inside(simulated()))


def test_wrappers_that_read_votes_go_into_each_other_in_both_orders(simulated, recipes):
    # Every pair of them in both orders.
    for names in (QUIET, QUIET[::-1]):
        env = simulated()
        for name in names:
            env = recipes[name](env)
        env = ValueReadings(env)
        env.reset(seed=0)
        assert len(env.get_wrapper_attr("ask")(env.unwrapped.survey[:3])) == 3
        assert env.get_wrapper_attr("preferences")().num_rows > 300
        env.step(np.full(19, 0.1))
        env.close()


READ_VOTES = ("NoisyHumans", "NoisyHumans-adversarial", "PreferenceDataset", "ValueReadings")


@pytest.mark.parametrize("inner", [*QUIET, "ValueReadings", "VectorReward"])
@pytest.mark.parametrize("outer", [*QUIET, "ValueReadings", "VectorReward"])
@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_every_two_of_them_go_around_each_other(recipes, env_id, outer, inner):
    recipes = {**recipes, "VectorReward": VectorReward}
    env = recipes[inner](gym.make(env_id, history="simulated", centuries=("C018", "C021")))
    if inner == "ValueReadings" and outer in READ_VOTES:
        with pytest.raises(ValueError, match="put it inside the wrapper that"):
            recipes[outer](env)
        return
    env = recipes[outer](env)
    env.reset(seed=0)
    ended, rewards = False, []
    while not ended:
        # A copy goes on alike, whichever is inside.
        copied, action = pickle.loads(pickle.dumps(env)), np.full(19, 0.3)
        expected = copied.step(action)
        copied.close()
        assert len(env.get_wrapper_attr("ask")(env.unwrapped.survey[:2])) == 2
        told = env.step(action)
        assert data_equivalence(told[1:4], expected[1:4])
        rewards.append(np.sum(told[1]))
        ended = told[2]
    assert rewards == pytest.approx([step["reward"] for step in env.unwrapped.trace])
    env.close()


# In Coevolve a step trains the proxy for seconds: there all of them go around and inside at once.
WITH_MIXTURES = [([name], env_id) for env_id in pg_envs.ENV_IDS[:2] for name in (*QUIET, "ValueReadings", "VectorReward")]


@pytest.mark.parametrize(("names", "env_id"), [*WITH_MIXTURES, ([*QUIET, "VectorReward"], pg_envs.ENV_IDS[2])], ids=str)
def test_they_go_around_and_inside_mixtures_of_models(tiny, recipes, random_adapters, tmp_path, names, env_id):
    def mixed(env):
        return AdapterMixture(env, random_adapters[:2], folder=str(tmp_path / "mixtures"))

    recipes = {**recipes, "VectorReward": VectorReward}
    wraps, action, rewards = [recipes[name] for name in names], np.array((0.5, -0.5), np.float32), []
    for order in ((mixed, *wraps), (*wraps, mixed)):
        env = tiny(env_id)
        for each in order:
            env = each(env)
        assert env.action_space.shape == (2,)
        env.reset(seed=0)
        assert len(env.get_wrapper_attr("ask")(env.unwrapped.survey[:2])) == 2
        _, reward, _, _, info = env.step(action)
        assert info["mixture_weights"].tolist() == [0.5, -0.5]
        rewards.append(np.sum(reward))
        env.close()
    assert rewards[0] == pytest.approx(rewards[1])


def test_agents_run_through_all_of_them(simulated, recipes):
    env = simulated(centuries=("C018", "C021"))
    plain = run_episode(env, NoOp(env), seed=0).episode_score()
    for name in SCALAR:
        env = recipes[name](env)
    assert run_episode(env, NoOp(env), seed=0).episode_score() == plain
    env.close()


def test_agents_steer_mixtures(tiny, random_adapters):
    env = AdapterMixture(QueryBudget(PreferenceDataset(tiny()), per_century=3), random_adapters[:2])
    mixed = run_episode(env, NoOp(env), seed=0).episode_score()
    env.close()
    plain = tiny()
    # Weights (1, 0) are the first century's humans, which never learning submits.
    assert mixed == pytest.approx(run_episode(plain, NoOp(plain), seed=0).episode_score(), abs=1e-3)
    plain.close()


@pytest.mark.parametrize("name", wrappers.__all__)
def test_examples_of_the_docstrings_run(name, tiny, small_questionnaire, offline_wandb, tmp_path, monkeypatch):
    if name == "ValueReadings":
        pytest.importorskip("stable_baselines3")
    (code,) = re.findall(r"^## Example\n```python\n(.*?)^```", inspect.getdoc(getattr(wrappers, name)), re.MULTILINE | re.DOTALL)
    (tmp_path / "example.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    # As they stand, but on few items.
    monkeypatch.setattr(gym, "make", functools.partial(gym.make, questionnaire=small_questionnaire))
    found = runpy.run_path("example.py")
    assert isinstance(found["env"], getattr(wrappers, name))
    shown = {"VectorReward": "reward", "NoisyHumans": "observation", "QueryBudget": "votes", "PreferenceDataset": "data"}
    assert shown.get(name, "env") in found
    assert (tmp_path / "episodes/episode-00000.jsonl").exists() == (name == "RecordEpisode")


def test_importing_wrappers_loads_nothing_heavy():
    heavy = ("torch", "transformers", "peft", "datasets", "wandb", "matplotlib", "trl")
    code = f"import sys, wrappers; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_all_are_exported():
    assert set(wrappers.__all__) == {name.split("-")[0] for name in SCALAR} | {"AdapterMixture", "ValueReadings", "VectorReward"}
    assert all(hasattr(wrappers, name) for name in wrappers.__all__)
