"""Bases, tokenizers and adapters of strangers: what does not load raises ``ModelRefError``, and nothing loads by halves."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests_support import save_adapter_at_random

from pg_envs.models import bases
from pg_envs.models.checks import check_files
from pg_envs.models.loading import load_base, load_tokenizer
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.trained import Adapter
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning_config import TuningConfig

FLOAT32 = (torch.float32, torch.device("cpu"))


@pytest.fixture
def base(random_base, tmp_path):
    """A copy of the random base."""
    return shutil.copytree(random_base, tmp_path / "base")


@pytest.fixture
def adapted(base, tmp_path):
    """The copy with a random adapter."""
    return save_adapter_at_random(ModelRef(str(base)), tmp_path / "adapter", seed=0)


def change(path, **settings):
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def change_weights(path, change):
    save_file({name: change(name, tensor) for name, tensor in load_file(path).items() if change(name, tensor) is not None}, path)


@pytest.mark.parametrize(
    "settings",
    [
        {"_attn_implementation": "kernels-community/flash-attn"},
        {"attn_implementation": "flash_attention_2"},
        {"text_config": {"attn_implementation": "evil/kernel"}},
        {"attn_implementation": {"text_config": "evil/kernel", "attn_implementation": "evil/kernel"}},
        {"_experts_implementation": "evil/kernel"},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        {"quantization_config": 5},
        {"num_hidden_layers": 2000},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": 1e300},
    ],
)
def test_a_configuration_that_brings_code_or_layers_of_its_own_is_refused(settings, base):
    change(base / "config.json", **settings)
    for read in (check_files, lambda ref: load_base(ref, *FLOAT32)):
        with pytest.raises(ModelRefError, match=r"config\.json has (.*_implementation|quantization_config|num_hidden_layers)="):
            read(ModelRef(str(base)))


def test_what_transformers_computes_by_itself_is_taken(base):
    change(base / "config.json", attn_implementation="eager", quantization_config=None)
    assert load_base(ModelRef(str(base)), *FLOAT32).config._attn_implementation == "eager"


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_size": "x"},
        {"hidden_size": -4},
        {"hidden_size": 2**40},
        {"intermediate_size": 2**31},
        {"vocab_size": 10**6},
        {"num_attention_heads": 0},
        {"model_type": ["llama"]},
        {"hidden_act": "nope"},
        {"hidden_act": 7},
        {"rope_parameters": 5},
        {"dtype": "nope"},
        {"pad_token_id": 10**9},
    ],
)
def test_a_configuration_that_no_model_can_be_made_from_is_refused(settings, base):
    change(base / "config.json", **settings)
    with pytest.raises(ModelRefError, match=f"{base}: the base does not load: "):
        load_base(ModelRef(str(base)), *FLOAT32)


def test_a_base_is_loaded_whole_or_not_at_all(base):
    ref, weights = ModelRef(str(base)), base / "model.safetensors"
    change_weights(weights, lambda name, tensor: None if name == "model.norm.weight" else tensor)
    with pytest.raises(ModelRefError, match=r"does not load: ValueError: config\.json is of a model of .* numbers, and the weights have"):
        load_base(ref, *FLOAT32)
    # As many numbers, under another name.
    save_file({**load_file(weights), "model.layers.0.other.weight": torch.zeros(32)}, weights)
    with pytest.raises(ModelRefError, match=r"the base is damaged: its weights lack model\.norm\.weight \(1 such\)"):
        load_base(ref, *FLOAT32)
    save_file({}, weights)
    with pytest.raises(ModelRefError, match="num_hidden_layers=2; expected 0 to 0"):
        load_base(ref, *FLOAT32)


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(number, base, adapted):
    def spoil(name, tensor):
        return tensor.index_fill(0, torch.tensor([1]), number) if "layers.1.mlp.down_proj" in name else tensor

    for path in (f"{adapted.adapter}/adapter_model.safetensors", base / "model.safetensors"):
        change_weights(path, spoil)
        with pytest.raises(ModelRefError, match=r"is damaged: .*layers\.1\.mlp\.down_proj.* has numbers that are not finite"):
            ask(adapted)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"[" * 100_000, b"\xff", b'{"added_tokens": [1]}'])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_tokenizer_that_is_none_is_refused(name, content, base):
    if name == "tokenizer_config.json" and content.startswith(b"{"):
        pytest.skip("nothing has to stand there")
    (base / name).write_bytes(content)
    with pytest.raises(ModelRefError, match=f"{base}: the tokenizer does not load: "):
        load_tokenizer(ModelRef(str(base)))


@pytest.mark.parametrize("template", ["{% nonsense", "{{ raise_exception('no') }}", "{{ messages[9].content.x }}"])
def test_a_chat_template_that_cannot_be_filled_in_is_found_when_it_is_loaded(template, base):
    (base / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelRefError, match="the tokenizer does not load: "):
        load_tokenizer(ModelRef(str(base)))


def test_files_that_are_too_large_are_not_read(base, monkeypatch):
    monkeypatch.setattr(bases, "MAX_BYTES", 1000)
    for read in (check_files, load_tokenizer):
        with pytest.raises(ModelRefError, match=r"has \S+ of \d+ bytes; expected at most 1000"):
            read(ModelRef(str(base)))


def test_an_adapter_within_a_base_is_not_loaded(base, adapted):
    """transformers would, without looking at what it says."""
    shutil.copytree(adapted.adapter, base, dirs_exist_ok=True)
    with pytest.raises(ModelRefError, match=r"has adapter_config\.json, and is no whole model alone"):
        check_files(ModelRef(str(base)))


# ---------------------------------------------------------------------- adapters


def ask(ref):
    return TransformersEngine(torch.device("cpu"), torch.float32).choice_logprobs(ref, ["Is it?"], [["yes", "no"]])


LOADS = {
    "asked": ask,
    "swapped": lambda ref: TransformersEngine(*FLOAT32[::-1], merged_up_to_bytes=0).choice_logprobs(ref, ["Is it?"], [["yes", "no"]]),
    "trained": lambda ref: Adapter().load(ref, TuningConfig(), None),
}


@pytest.mark.parametrize("load", LOADS)
def test_an_adapter_is_held_to_its_configuration_wherever_it_is_loaded(load, adapted):
    path = f"{adapted.adapter}/adapter_model.safetensors"
    whole = load_file(path)
    change_weights(path, lambda name, tensor: None if "layers.1.mlp" in name else tensor)
    with pytest.raises(ModelRefError, match=r"the adapter is damaged: its weights lack .*layers\.1\.mlp\.down_proj\.lora_A\.weight"):
        LOADS[load](adapted)
    save_file(whole, path)
    config = Path(adapted.adapter) / "adapter_config.json"
    targets = json.loads(config.read_text())["target_modules"]
    change(config, target_modules=[name for name in targets if not name.endswith("down_proj")])
    with pytest.raises(ModelRefError, match=r"the adapter is damaged: its configuration has no place for .*layers\.0\.mlp\.down_proj"):
        LOADS[load](adapted)
    change(config, target_modules=["nowhere"])
    with pytest.raises(ModelRefError, match=r"adapter: the adapter does not load: \w+: Target modules"):
        LOADS[load](adapted)
