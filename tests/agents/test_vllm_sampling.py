"""What is said of vLLM reaches TRL's configuration, and what cannot work is refused before anything is asked. vLLM itself is not run."""

import re

import pytest
import torch

from agents import vllm_sampling
from agents.lifelong_rlhf import LifelongRLHF, LifelongRLHFConfig
from agents.morlaif import MORLAIFConfig
from agents.on_policy import OnPolicyConfig, on_policy_arguments
from agents.seq2seq_rm import Seq2SeqRMConfig

SERVER = "http://127.0.0.1:8000"


@pytest.fixture
def on_a_gpu(monkeypatch):
    """As where vLLM is installed and there is a GPU."""
    monkeypatch.setattr(vllm_sampling, "find_spec", lambda name: object())
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    # Trainings themselves stay on the processor.
    monkeypatch.setattr("pg_envs.models.tuning_config.default_device", lambda: torch.device("cpu"))


def told_to_trl(tmp_path, **settings):
    from trl import RLOOConfig

    return RLOOConfig(**on_policy_arguments(OnPolicyConfig(**settings), tmp_path, seed=0))


def test_without_it_transformers_samples(tmp_path):
    told = told_to_trl(tmp_path)
    assert not told.use_vllm
    assert told.generation_kwargs == {"use_cache": True, "remove_invalid_values": True}


def test_colocated(on_a_gpu, tmp_path):
    told = told_to_trl(tmp_path, use_vllm=True, vllm_gpu_memory_utilization=0.4)
    assert (told.use_vllm, told.vllm_mode) == (True, "colocate")
    assert (told.vllm_gpu_memory_utilization, told.vllm_tensor_parallel_size) == (0.4, 1)
    # transformers' words are none of vLLM's: it would refuse them.
    assert told.generation_kwargs is None


def test_on_a_server(on_a_gpu, tmp_path):
    told = told_to_trl(tmp_path, use_vllm=True, vllm_mode="server", vllm_server_url=SERVER)
    assert (told.use_vllm, told.vllm_mode, told.vllm_server_base_url) == (True, "server", SERVER)


def test_token_level_training_is_told_the_same(on_a_gpu, tmp_path):
    from trl import GRPOConfig

    told = GRPOConfig(**on_policy_arguments(Seq2SeqRMConfig(use_vllm=True, vllm_gpu_memory_utilization=0.2), tmp_path, seed=0))
    assert (told.use_vllm, told.vllm_mode, told.vllm_gpu_memory_utilization) == (True, "colocate", 0.2)


@pytest.mark.parametrize("config", [OnPolicyConfig, LifelongRLHFConfig, Seq2SeqRMConfig, MORLAIFConfig])
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"use_vllm": True, "vllm_mode": "remote"}, "vllm_mode='remote': choose from 'colocate', 'server'"),
        ({"use_vllm": True, "vllm_mode": "server"}, "vllm_server_url='': vllm_mode='server' needs the server's address"),
        ({"use_vllm": True, "vllm_mode": "server", "vllm_server_url": "localhost:8000"}, "vllm_server_url='localhost:8000': "),
        ({"use_vllm": True, "vllm_server_url": SERVER}, f"vllm_server_url='{SERVER}': only with vllm_mode='server'"),
        (
            {"use_vllm": True, "vllm_mode": "server", "vllm_server_url": SERVER, "vllm_tensor_parallel_size": 2},
            "vllm_tensor_parallel_size=2: with vllm_mode='server' tell the server",
        ),
        ({"use_vllm": True, "vllm_gpu_memory_utilization": 1.5}, "vllm_gpu_memory_utilization=1.5: expected a share"),
        ({"use_vllm": True, "vllm_tensor_parallel_size": 0}, "vllm_tensor_parallel_size=0: expected at least 1"),
        ({"vllm_mode": "server", "vllm_server_url": SERVER}, "vllm_mode='server': without use_vllm=True it does nothing"),
        ({"vllm_gpu_memory_utilization": 0.5}, "vllm_gpu_memory_utilization=0.5: without use_vllm=True it does nothing"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(config, settings, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        config(**settings)


def test_groups_of_gpus_must_come_out_even(on_a_gpu, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    OnPolicyConfig(use_vllm=True, vllm_tensor_parallel_size=2).check_here()
    with pytest.raises(ValueError, match="vllm_tensor_parallel_size=3: 4 processes"):
        OnPolicyConfig(use_vllm=True, vllm_tensor_parallel_size=3).check_here()


def test_what_is_not_here_is_said_before_anything_is_asked(tiny_family, small_questionnaire, tmp_path, monkeypatch):
    import gymnasium as gym

    env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"), questionnaire=small_questionnaire)
    config = LifelongRLHFConfig(use_vllm=True)
    monkeypatch.setattr(vllm_sampling, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs the package vllm, which is not installed: pip install"):
        LifelongRLHF(env, config, tmp_path)
    monkeypatch.setattr(vllm_sampling, "find_spec", lambda name: object())
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="needs a GPU, and there is none here"):
        LifelongRLHF(env, config, tmp_path)
