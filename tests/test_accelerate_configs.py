"""The committed configurations are accelerate's, as its own reader sees them."""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType

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
