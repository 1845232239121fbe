"""The committed configurations are accelerate's, as its own reader sees them."""

from pathlib import Path

import pytest
from accelerate.commands import launch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DeepSpeedPlugin, DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from torch.distributed.fsdp import StateDictType

from pg_envs import ranks

FOLDER = Path(__file__).parents[1] / "examples" / "accelerate"
KINDS = {"data_parallel": DistributedType.MULTI_GPU, "fsdp2": DistributedType.FSDP, "deepspeed_zero3": DistributedType.DEEPSPEED}


def read(name):
    return load_config_from_file(str(FOLDER / f"{name}.yaml"))


@pytest.mark.parametrize("name", KINDS)
def test_accelerate_reads_them(name):
    config = read(name)
    assert config.distributed_type == KINDS[name]
    assert (config.num_machines, config.num_processes) == (1, 8)


def test_there_are_no_others():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(KINDS)


def test_split_models_are_loaded_whole_by_every_process():
    """Or the engine, which loads models in the same processes, would measure empty or split ones."""
    assert read("fsdp2").fsdp_config["fsdp_cpu_ram_efficient_loading"] is False
    assert read("deepspeed_zero3").deepspeed_config["zero3_init_flag"] is False


def test_whole_weights_can_be_had_to_be_saved():
    assert read("fsdp2").fsdp_config["fsdp_version"] == 2
    assert read("deepspeed_zero3").deepspeed_config["zero3_save_16bit_model"] is True


def told_to_processes(name, launcher, prepare, monkeypatch):
    """Put what ``accelerate launch`` tells its processes into this one's environment."""
    prepared = []
    monkeypatch.setattr(launch, launcher, lambda arguments: prepared.append(prepare(arguments)))
    command = ["--config_file", str(FOLDER / f"{name}.yaml"), "--num_processes", "2", "-m", "pg_envs.cli", "run"]
    launch.launch_command(launch.launch_command_parser().parse_args(command))
    for variable, value in prepared[0].items():
        monkeypatch.setenv(variable, value)


def test_deepspeed_is_told_to_split_all_and_load_whole(monkeypatch):
    """As far as it goes without DeepSpeed: from the committed file to the configuration that DeepSpeed would be given."""
    told_to_processes("deepspeed_zero3", "deepspeed_launcher", lambda arguments: prepare_deepspeed_cmd_env(arguments)[1], monkeypatch)
    plugin = DeepSpeedPlugin()
    given = plugin.deepspeed_config["zero_optimization"]
    assert (given["stage"], given["stage3_gather_16bit_weights_on_model_save"]) == (3, True)
    assert (given["offload_optimizer"]["device"], given["offload_param"]["device"]) == ("none", "none")
    # What transformers' trainer sets, or it and DeepSpeed would contradict each other.
    assert (plugin.deepspeed_config["gradient_clipping"], plugin.deepspeed_config["gradient_accumulation_steps"]) == (1.0, 1)
    assert plugin.zero3_init_flag is False
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert ranks.weights_in_parts()


def test_fsdp2_is_told_to_split_layers_and_gather_all(monkeypatch):
    told_to_processes("fsdp2", "multi_gpu_launcher", prepare_multi_gpu_env, monkeypatch)
    plugin = FullyShardedDataParallelPlugin()
    assert (plugin.fsdp_version, plugin.reshard_after_forward, plugin.cpu_ram_efficient_loading) == (2, True, False)
    assert plugin.state_dict_type == StateDictType.FULL_STATE_DICT
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert ranks.weights_in_parts()
