"""Environments for wrappers: simulated ones, and one of random language models of a few thousand parameters."""

from __future__ import annotations

import itertools

import gymnasium as gym
import pytest
from tests_support import save_adapter_at_random

import pg_envs
from pg_envs.history.registry import LIVE
from pg_envs.models.ref import ModelRef

SIMULATED = tuple(itertools.product(pg_envs.ENV_IDS, ("simulated", "simulated-random")))


@pytest.fixture(params=SIMULATED, ids=lambda pair: "-".join(pair).removeprefix("ProgressGym/"))
def simulated(request):
    """A function that makes the environment, for every challenge and every simulated history."""
    env_id, history = request.param
    return lambda **kwargs: gym.make(env_id, history=history, **kwargs)


@pytest.fixture(scope="session")
def random_adapters(random_base, tmp_path_factory):
    """Nine random adapters on the random base."""
    folder, base = tmp_path_factory.mktemp("nine"), ModelRef(str(random_base))
    return tuple(save_adapter_at_random(base, folder / f"adapter-{seed}", seed) for seed in range(9))


@pytest.fixture
def tiny(random_adapters, small_questionnaire, monkeypatch):
    """A function that makes environments whose four centuries' humans are the first four random adapters."""
    monkeypatch.setitem(LIVE, "histtiny", lambda: random_adapters)
    arguments = {"questionnaire": small_questionnaire, "centuries": ["C013", "C016"]}
    return lambda env_id="ProgressGym/Follow-v0", **kwargs: gym.make(env_id, **arguments, **kwargs)


@pytest.fixture
def offline_wandb(tmp_path, monkeypatch):
    """W&B writes into a temporary folder and sends nothing; gives that folder."""
    import wandb

    folder = tmp_path / "wandb-files"
    folder.mkdir()
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(folder))
    yield folder
    # The client reads its settings once a process, unless it is torn down.
    wandb.teardown()
