"""Nobody is asked for a model because a file names it: whoever sends a recording, a run or a family learns nothing of who reads it."""

import json
import pickle
import shutil
import socket

import gymnasium as gym
import pytest
from datasets import Dataset
from hub_support import files_of, put_in_cache
from huggingface_hub import constants
from tests_support import FOLLOW

import pg_envs  # noqa: F401
from pg_envs.history.base import HistoryError
from pg_envs.history.built import read_family
from pg_envs.models import bases
from pg_envs.models.checks import check_files
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.tuning import sft
from pg_envs.one_run import OneRun

ROWS = Dataset.from_list([{"prompt": [{"role": "user", "content": "May I?"}], "completion": [{"role": "assistant", "content": "yes"}]}])


@pytest.fixture
def attempts(monkeypatch, hub_cache):
    """What was connected to, or looked for; the hub may be asked as far as the settings are concerned, and its cache is empty."""
    tried = []

    def refuse(*arguments, **_):
        tried.append(arguments)
        raise OSError("a socket was opened")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(bases, "_named_by_files", set())
    return tried


@pytest.fixture
def recording(tiny_recording, tmp_path):
    """A recording of four models on the hub."""
    folder = tmp_path / "recording"
    shutil.copytree(tiny_recording, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for label, model in manifest["models"].items():
        model.update(base=f"stranger/{label}", revision=None, adapter=None)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_socket_would_be_seen(attempts):
    """What the user names is asked for; else the other tests could not fail."""
    with pytest.raises(ModelRefError, match="the hub does not give it"):
        check_files(ModelRef("stranger/named-by-the-user"))
    assert attempts


def test_a_recordings_models_are_not_fetched_to_be_trained(recording, small_questionnaire, attempts, tmp_path):
    env = gym.make(FOLLOW, history=f"recorded:{recording}", questionnaire=small_questionnaire)
    env.reset(seed=0)
    start = env.unwrapped.initial_policy
    assert start == ModelRef("stranger/C018")
    with pytest.raises(ModelRefError, match=r"only a file names it, .*; if you want it, fetch it first with: hf download stranger/C018"):
        sft(start, ROWS, tmp_path / "trained")
    assert env.step(env.unwrapped.history.human(1))[1] == pytest.approx(1.0), "nobody needs the models to play with what is recorded"
    env.close()
    assert attempts == []


def test_a_copy_in_another_process_asks_nobody_either(recording, small_questionnaire, attempts):
    env = gym.make(FOLLOW, history=f"recorded:{recording}", questionnaire=small_questionnaire)
    copy = pickle.dumps(env.unwrapped.history)
    bases._named_by_files.clear()
    with pytest.raises(ModelRefError, match="only a file names it"):
        check_files(pickle.loads(copy).human(0))
    assert attempts == []


def test_a_recordings_model_that_is_in_the_cache_is_taken(recording, small_questionnaire, attempts, hub_cache, random_base):
    put_in_cache(hub_cache, "stranger/C018", files_of(random_base))
    env = gym.make(FOLLOW, history=f"recorded:{recording}", questionnaire=small_questionnaire)
    check_files(env.unwrapped.initial_policy)
    assert attempts == []


def test_a_policy_that_only_an_interrupted_runs_file_names_is_not_fetched(recording, small_questionnaire, attempts, tmp_path):
    settings = {"history": f"recorded:{recording}", "questionnaire": small_questionnaire}
    config = {"env": FOLLOW, "env_args": settings, "agent": "no-op", "agent_args": {}, "seed": 0}
    folder = tmp_path / "run"
    folder.mkdir()
    act = {"policy": {"base": "stranger/policy", "revision": None, "adapter": None}, "n_queries": 0, "events": [], "files": {}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "progress.json").write_text(json.dumps({"acts": [act], "baselines": {}, "versions": {}}))
    with pytest.raises(ModelRefError, match="stranger/policy: its base is not on this machine, and only a file names it"):
        OneRun(folder, config).carry_out()
    assert attempts == []


def test_a_familys_base_is_not_fetched(attempts, tmp_path):
    files = {"early": {}, "late": {}}
    family = {"format_version": 2, "name": "x", "periods": [*files], "weights": "lora", "base": "stranger/base", "files": files}
    (tmp_path / "history.json").write_text(json.dumps(family))
    with pytest.raises(HistoryError, match=r"history\.json: base: stranger/base: .* fetch it first with: hf download stranger/base"):
        read_family(tmp_path)
    assert attempts == []
