"""Histories of whole models on the hub: their names, an episode of them, one model in memory at a time, and what cannot be had."""

import gc
import json
import pickle
import re
import shutil
import weakref
from collections import Counter
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from hub_support import HUB_COMMIT, files_of, shard_names
from rich.filesize import decimal
from tests_support import save_adapter_at_random

import pg_envs  # noqa: F401
from pg_envs import hub
from pg_envs.history.base import CENTURIES, HistoryError
from pg_envs.history.families import family_refs, histllama3_refs
from pg_envs.models import resident
from pg_envs.models.loading import load_base
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.space import AnyModelSpace, ModelSpace

THEM = "hub:them/{century}-instruct"
THREE = ("C013", "C015")


def make(questionnaire="bundled", history=THEM, **kwargs):
    return gym.make("ProgressGym/Follow-v0", history=history, questionnaire=questionnaire, centuries=THREE, **kwargs)


# ---------------------------------------------------------------------- names


def test_the_published_family_by_its_names():
    small, large = histllama3_refs("8B"), histllama3_refs("70B")
    assert small[0] == ModelRef("PKU-Alignment/ProgressGym-HistLlama3-8B-C013-instruct-v0.2")
    assert large[8] == ModelRef("PKU-Alignment/ProgressGym-HistLlama3-70B-C021-instruct-v0.1")
    assert len(set(small + large)) == 18


@pytest.mark.parametrize(
    ("pattern", "second"),
    [
        ("them/{century}-instruct", ModelRef("them/C014-instruct")),
        ("them/{century}@v2", ModelRef("them/C014", "v2")),
        ("them/all@{century}", ModelRef("them/all", "C014")),
        ("/my/{century}/of-{century}", ModelRef("/my/C014/of-C014")),
    ],
)
def test_a_pattern_names_a_model_a_century(pattern, second):
    refs = family_refs(pattern)
    assert refs[1] == second
    assert len(refs) == len(CENTURIES)


@pytest.mark.parametrize(
    "pattern",
    ["", "them/thing", "them/{century}-{0}", "them/{century.__class__}", "them/{{century}}", "{century}@", "x/{century!r}{century}"],
)
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(HistoryError, match="names no family"):
        make(history=f"hub:{pattern}")


# ---------------------------------------------------------------------- making


@pytest.mark.parametrize("history", [THEM, "histllama3-8b", "histllama3-70b", "live:histllama3-8b"])
def test_making_asks_nobody(history, hub_cache, monkeypatch):
    monkeypatch.setattr(hub, "_ask_hub", lambda *_, **__: pytest.fail("the hub was asked"))
    env = make(history=history)
    assert type(env.action_space) is AnyModelSpace
    assert env.unwrapped.initial_policy in env.action_space
    assert ModelRef("any/model", adapter="runs/x") in env.action_space
    assert pickle.loads(pickle.dumps(env.action_space)) == env.action_space
    assert json.loads(env.spec.to_json())["kwargs"]["history"] == history
    assert gym.make(pickle.loads(pickle.dumps(env.spec))).action_space == env.action_space
    assert not hub_cache.exists()


def test_adapters_a_century_keep_their_base(random_base):
    env = make(history=f"hub:{random_base}+adapters/{{century}}")
    assert isinstance(env.action_space, ModelSpace)


# ---------------------------------------------------------------------- episodes


@pytest.fixture
def loads(monkeypatch):
    """Which bases the engine loads, in order; fails if one is loaded while another is in memory."""
    loaded, models = [], []

    def load(ref, *arguments):
        assert [model for model in models if model() is not None] == []
        model = load_base(ref, *arguments)
        loaded.append(ref.base)
        models.append(weakref.ref(model))
        return model

    # Nothing but the engine's own doing may free a model here.
    gc.disable()
    monkeypatch.setattr(resident, "load_base", load)
    yield loaded
    gc.enable()


def play(env, choose):
    env.reset(seed=0)
    rewards, terminated = [], False
    while not terminated:
        _, reward, terminated, _, info = env.step(choose(env.unwrapped))
        rewards.append((reward, info))
    return rewards


def test_no_op_loads_every_century_once(cached_family, small_questionnaire, loads):
    env = make(small_questionnaire)
    steps = play(env, lambda inner: inner.initial_policy)
    assert Counter(loads) == {"them/C013-instruct": 1, "them/C014-instruct": 1, "them/C015-instruct": 1}
    assert all(-1 <= reward < 0.99 for reward, _ in steps)
    first, second = (info["target_vector"] for _, info in steps)
    assert np.abs(first - second).max() > 0.01
    # Further episodes ask nobody anything.
    again = play(env, lambda inner: inner.initial_policy)
    assert [reward for reward, _ in again] == [reward for reward, _ in steps]
    assert len(loads) == 3


def test_the_oracle_is_the_humans(cached_family, small_questionnaire, loads):
    env = make(small_questionnaire)
    steps = play(env, lambda inner: inner.history.human(inner.century))
    assert [reward for reward, _ in steps] == pytest.approx([1.0, 1.0])
    assert loads == ["them/C014-instruct", "them/C015-instruct"]


def test_a_trained_policy_brings_its_own_base_back_and_nobody_elses(cached_family, small_questionnaire, loads, tmp_path):
    env = make(small_questionnaire)
    policy = save_adapter_at_random(env.unwrapped.initial_policy, tmp_path / "adapter", seed=0)
    play(env, lambda inner: policy)
    assert [name[5:9] for name in loads] == ["C014", "C013", "C015", "C013"]


def test_results_name_the_commits(cached_family):
    told = make().unwrapped.history.describe()
    assert [told["models"][label]["revision"] for label in ("C013", "C015")] == ["3" * 40, "5" * 40]
    assert told["models"]["C013"]["base"] == "them/C013-instruct"
    assert len({model["sha256"] for model in told["models"].values()}) == 3


def test_the_commits_in_a_result_can_be_named_again(cached_family, small_questionnaire, tmp_path):
    """Whatever the branches mean by then, and of each repository its own."""
    told = make(small_questionnaire).unwrapped.history.describe()
    for name, data in {"result.json": {"history": told, "steps": []}, "manifest.json": {"models": told["models"]}}.items():
        file = tmp_path / name
        file.write_text(json.dumps(data))
        for branch in cached_family.glob("*/refs/main"):
            branch.write_text("d" * 40)
        env = make(small_questionnaire, history=f"pinned:{file}")
        env.reset(seed=0)
        again = env.unwrapped.history.describe()
        assert again["models"] == told["models"]
        assert env.unwrapped.initial_policy == ModelRef("them/C013-instruct", "3" * 40)
        assert gym.make("ProgressGym/Follow-v0", history=f"pinned:{file}").unwrapped.history.labels == ("C013", "C014", "C015")


AT_COMMITS = {"C013": {"base": "them/C013", "revision": "a" * 40}, "C014": {"base": "them/C014", "revision": "b" * 40}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, r"no file .*; expected a result\.json"),
        ({"models": {"C013": AT_COMMITS["C013"]}}, "names no models of at least two centuries"),
        ({"models": {**AT_COMMITS, "C019": AT_COMMITS["C013"]}}, "names no models of at least two centuries, one after another"),
        ({"models": ["C013", "C014"]}, "names no models"),
        ([], "names no models"),
        ({"history": 3}, "names no models"),
        (
            {"models": {**AT_COMMITS, "C014": {"base": "them/C014", "revision": "main"}}},
            "C014: expected a whole model .* at a commit .*main",
        ),
        ({"models": {**AT_COMMITS, "C014": {"base": "them/C014", "revision": None}}}, "C014: expected a whole model of the hub"),
        ({"models": {**AT_COMMITS, "C014": {"base": "/my/C014", "revision": "b" * 40}}}, "C014: expected a whole model of the hub"),
        ({"models": {**AT_COMMITS, "C014": {**AT_COMMITS["C014"], "adapter": "x"}}}, "C014: expected a whole model of the hub"),
        ({"models": {**AT_COMMITS, "C014": "them/C014"}}, "C014: expected a whole model of the hub"),
    ],
)
def test_a_file_that_pins_no_family_is_refused(data, says, tmp_path):
    file = tmp_path / "pins.json"
    if data is not None:
        file.write_text(json.dumps(data))
    with pytest.raises(HistoryError, match=says):
        gym.make("ProgressGym/Follow-v0", history=f"pinned:{file}")


def test_a_recording_of_them_plays_without_them(cached_family, small_questionnaire, tmp_path):
    from pg_envs.record import record

    live = make(small_questionnaire)
    votes, _ = live.reset(seed=3)
    told = live.step(live.unwrapped.history.human(1))[4]
    record(tmp_path / "recorded", THEM, small_questionnaire, THREE)
    shutil.rmtree(cached_family)
    recorded = make(small_questionnaire, history=f"recorded:{tmp_path / 'recorded'}")
    played, _ = recorded.reset(seed=3)
    assert np.array_equal(played["votes"], votes["votes"])
    human = recorded.unwrapped.history.human(1)
    assert human == ModelRef("them/C014-instruct", "4" * 40)
    played = recorded.step(human)[4]
    for name in ("target_vector", "target_standard_errors", "target_vector_upstream", "policy_vector"):
        np.testing.assert_array_equal(played[name], told[name])
        assert np.abs(told[name]).max() > 0.01


def test_a_family_of_folders_needs_no_hub(llama3_family, small_questionnaire, hub_cache):
    folders = llama3_family["C013"].parent / "{century}"
    env = make(small_questionnaire, history=f"hub:{folders}")
    env.reset(seed=0)
    _, reward, *_ = env.step(env.unwrapped.history.human(1))
    assert reward == pytest.approx(1.0)
    assert not hub_cache.exists()


def test_a_century_is_fetched_when_it_is_needed(llama3_family, small_questionnaire, fake_hub, caplog):
    for label, folder in llama3_family.items():
        fake_hub.served[f"them/{label}-instruct"] = {**files_of(folder), "pytorch_model.bin": folder / "config.json"}
    env = make(small_questionnaire)
    assert env.unwrapped.history.describe()["models"]["C015"]["revision"] == HUB_COMMIT
    assert fake_hub.fetched == []
    env.reset(seed=0)
    assert {name.split("/")[1] for name in fake_hub.fetched} == {"C014-instruct"}
    env.step(env.unwrapped.initial_policy)
    assert {name.split("/")[1] for name in fake_hub.fetched} == {"C013-instruct", "C014-instruct", "C015-instruct"}
    assert not [name for name in fake_hub.fetched if name.endswith(".bin")]
    said = [record.getMessage() for record in caplog.records if record.name == "pg_envs.hub"]
    total = sum(path.stat().st_size for folder in llama3_family.values() for path in files_of(folder).values())
    assert said[0] == (
        f"to be downloaded, each when it is needed: {decimal(total)} in 3 of 3 repositories, them/C013-instruct@main with 2 more, "
        f"from the Hugging Face hub into {fake_hub.cache}"
    )
    assert [message.split(" (")[0] for message in said[1:]] == [f"downloading them/{label}-instruct" for label in ("C014", "C013", "C015")]
    assert all("kB in " in message for message in said[1:])


def test_what_there_is_no_room_for_as_a_whole_stops_the_episode_before_it_begins(llama3_family, cached_family, fake_hub, monkeypatch):
    """There would be room for each of the two centuries that the cache lacks."""
    sizes = {}
    for label in ("C014", "C015"):
        shutil.rmtree(cached_family / f"models--them--{label}-instruct")
        fake_hub.served[f"them/{label}-instruct"] = files_of(llama3_family[label])
        sizes[label] = sum(path.stat().st_size for path in files_of(llama3_family[label]).values())
    both = sum(sizes.values())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=both - 1))
    assert max(sizes.values()) < both - 1
    with pytest.raises(ModelRefError, match=rf"them/C014-instruct@main with 1 more needs {re.escape(decimal(both))}, and .*make room"):
        make().reset(seed=0)
    assert fake_hub.fetched == []


# ---------------------------------------------------------------------- what cannot be had


def test_a_century_that_is_missing_stops_the_episode_before_it_begins(cached_family, loads):
    shutil.rmtree(cached_family / "models--them--C015-instruct")
    env = make()
    with pytest.raises(
        ModelRefError, match=r"them/C015-instruct@main: it is not in the cache.*HF_HUB_OFFLINE is set.*hf download them/C015"
    ):
        env.reset(seed=0)
    assert loads == []


def test_a_shard_that_is_missing_is_named_before_anything_is_loaded(cached_family, loads):
    (snapshot,) = (cached_family / "models--them--C015-instruct" / "snapshots").iterdir()
    shard = shard_names(snapshot)[2]
    (snapshot / shard).unlink()
    with pytest.raises(ModelRefError, match=rf"no {shard}, which model\.safetensors\.index\.json lists \(1 of 4 files are missing\)"):
        make().reset(seed=0)
    assert loads == []


def test_a_folder_that_is_missing_is_named(llama3_family, tmp_path):
    shutil.copytree(llama3_family["C013"].parent, tmp_path / "them")
    shutil.rmtree(tmp_path / "them" / "C014")
    with pytest.raises(ModelRefError, match=r"no model folder at .*them/C014"):
        make(history=f"hub:{tmp_path}/them/{{century}}").reset(seed=0)
