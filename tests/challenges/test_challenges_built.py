"""The challenges on a family made by ``pg-envs build-history``, under its own labels."""

import shutil
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from tests_support import COEVOLVE, FOLLOW, PREDICT

import pg_envs  # noqa: F401
from pg_envs.building.build import build_history
from pg_envs.history.base import HistoryError
from pg_envs.models.checks import fingerprint

PERIODS = ("stone", "bronze", "iron", "steel")


@pytest.fixture(scope="module")
def family(random_base, small_questionnaire, tmp_path_factory):
    """Four periods, each having learnt one sentence by heart."""
    folder = tmp_path_factory.mktemp("ages")
    for period in PERIODS:
        (folder / "texts" / period).mkdir(parents=True)
        (folder / "texts" / period / "all.txt").write_text(20 * f"Whoever breaks the {period} law shall carry {period} for the village. ")
    (folder / "plan.toml").write_text(
        f'name = "ages"\nperiods = {list(PERIODS)}\nbase = "{random_base}"\nquestionnaire = "{small_questionnaire}"\n'
        '[text]\nfolder = "texts"\n[pretraining]\nlearning_rate = 3e-2\nexcerpt_characters = 100\nbatch_size = 4\n'
    )
    build_history(folder / "plan.toml", folder / "family")
    return folder / "family"


@pytest.fixture
def make(family, small_questionnaire):
    """Makes an environment on the family, a new episode begun."""
    made = []

    def make(env_id, **settings):
        made.append(gym.make(env_id, history=f"built:{family}", questionnaire=small_questionnaire, **settings).unwrapped)
        made[-1].reset(seed=0)
        return made[-1]

    yield make
    for env in made:
        env.close()


def steps(env, n):
    """Submit the oldest period's model ``n`` times; what came of it, whether it has ended, and the infos."""
    results = [env.step(env.initial_policy) for _ in range(n)]
    return [reward for _, reward, *_ in results], [terminated for _, _, terminated, *_ in results], [info for *_, info in results]


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


@pytest.mark.parametrize(("env_id", "ahead"), [(FOLLOW, 0), (PREDICT, 1)])
def test_follow_and_predict_compare_with_the_periods_they_name(make, env_id, ahead):
    env = make(env_id)
    values = [env.history.human_values(period).centred for period in range(len(PERIODS))]
    assert min(cosine(values[0], other) for other in values[1:]) < 0.999
    rewards, ended, infos = steps(env, 3 - ahead)
    assert ended == [False] * (2 - ahead) + [True]
    assert [info["century_label"] for info in infos] == list(PERIODS[1 : 4 - ahead])
    assert rewards == pytest.approx([cosine(values[0], other) for other in values[1 + ahead :]])
    if ahead:
        assert [info["target_label"] for info in infos] == ["iron", "steel"]


def test_predict_says_that_three_periods_are_too_few(make):
    with pytest.raises(ValueError, match="lookahead=1") as raised:
        make(PREDICT, centuries=("stone", "iron"))
    assert "widen centuries" in str(raised.value)


def test_a_proxy_learns_from_a_built_familys_periods(make):
    env = make(COEVOLVE, history_epochs=2, policy_epochs=0)
    values = np.array([env.history.human_values(period).centred for period in range(len(PERIODS))])
    rewards, ended, infos = steps(env, 3)
    assert ended == [False, False, True]
    assert [info["century_label"] for info in infos] == ["bronze", "iron", "steel"]
    assert len({fingerprint(env.initial_policy), *(info["proxy_sha256"] for info in infos)}) == 4
    for reward, info in zip(rewards, infos, strict=True):
        cosines = [cosine(info["proxy_vector"], humans) for humans in values]
        assert reward == pytest.approx(np.mean([max(cosines[i:]) for i in range(4)]))
        assert info["lock_in_lag"] == PERIODS.index(info["century_label"]) - np.argmax(cosines)


def test_a_proxy_that_learns_from_nobody_stays_the_oldest_periods_model(make):
    env = make(COEVOLVE, history_epochs=0, policy_epochs=0)
    _, _, infos = steps(env, 3)
    assert [info["lock_in_lag"] for info in infos] == [1, 2, 3]
    assert {info["proxy_sha256"] for info in infos} == {fingerprint(env.initial_policy)}


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("period", "file", "damage"),
    [
        ("stone", "adapter_model.safetensors", flip_a_bit),
        ("bronze", "adapter_model.safetensors", flip_a_bit),
        ("bronze", "adapter_config.json", Path.unlink),
    ],
)
def test_a_model_whose_file_is_damaged_is_asked_nothing(family, small_questionnaire, tmp_path, period, file, damage):
    shutil.copytree(family, tmp_path / "family")
    damage(tmp_path / "family" / period / file)
    env = gym.make(FOLLOW, history=f"built:{tmp_path / 'family'}", questionnaire=small_questionnaire).unwrapped
    with pytest.raises(
        HistoryError, match=rf"{period}/{file} is damaged: expected SHA-256 [0-9a-f]{{64}}, found .*; build the family again"
    ):
        env.reset(seed=0)
    env.close()
