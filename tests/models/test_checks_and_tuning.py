"""What does not load is said before anything starts; training overwrites nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from architectures import save_as_published
from datasets import Dataset
from safetensors.torch import load_file, save_file
from tests_support import save_adapter_at_random, save_llama

from pg_envs.models.checks import check_files, fingerprint
from pg_envs.models.ref import ModelRef, ModelRefError, local_path
from pg_envs.models.tuning import TrainingError, sft
from pg_envs.models.tuning_config import TuningConfig
from pg_envs.progress import reporting_to

ROWS = [
    {"prompt": [{"role": "user", "content": f"Question {i}?"}], "completion": [{"role": "assistant", "content": "yes"}]} for i in range(24)
]
FAST = TuningConfig(learning_rate=1e-2, batch_size=8)


@pytest.fixture(scope="module")
def adapter(random_base, tmp_path_factory):
    return sft(ModelRef(str(random_base)), Dataset.from_list(ROWS), tmp_path_factory.mktemp("a") / "adapter", seed=1, config=FAST)


def test_training_makes_a_new_adapter_of_safetensors(adapter, random_base):
    check_files(adapter)
    weights = load_file(f"{adapter.adapter}/adapter_model.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in weights.items() if "lora_B" in name)
    config = json.loads(Path(adapter.adapter, "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(random_base)
    assert config["target_modules"] == sorted(config["target_modules"]), "a set's order is another one in every process"


def test_the_same_seed_gives_the_same_adapter(adapter, tmp_path):
    start = adapter.with_adapter(None)
    same = sft(start, Dataset.from_list(ROWS), tmp_path / "same", seed=1, config=FAST)
    other = sft(start, Dataset.from_list(ROWS), tmp_path / "other", seed=2, config=FAST)
    assert fingerprint(same) == fingerprint(adapter) != fingerprint(other)


def test_training_goes_on_from_an_adapter_and_leaves_it_as_it_was(adapter, tmp_path):
    before = fingerprint(adapter)
    reports = []
    with reporting_to(lambda *report: reports.append(report)):
        further = sft(adapter, Dataset.from_list(ROWS), tmp_path / "further", seed=1, config=FAST)
    assert fingerprint(adapter) == before != fingerprint(further)
    assert reports[-1] == ("supervised fine-tuning", 3, 3)


def test_activations_computed_anew_change_nothing(adapter, tmp_path):
    again = sft(adapter.with_adapter(None), Dataset.from_list(ROWS), tmp_path / "again", 1, replace(FAST, gradient_checkpointing=True))
    kept, anew = (load_file(f"{ref.adapter}/adapter_model.safetensors") for ref in (adapter, again))
    for name, weights in kept.items():
        torch.testing.assert_close(anew[name], weights, atol=1e-4, rtol=0)


def test_training_raises_the_answers_probability(adapter):
    from pg_envs.models.transformers_engine import TransformersEngine

    engine = TransformersEngine(dtype=torch.float32)
    before, after = (engine.choice_logprobs(ref, ["Question 99?"], [["yes"]])[0].total[0] for ref in (adapter.with_adapter(None), adapter))
    assert after > before + 1


def test_nothing_is_overwritten(adapter, tmp_path):
    out = tmp_path / "taken"
    out.mkdir()
    (out / "precious").write_text("data")
    with pytest.raises(FileExistsError, match="never overwritten"):
        sft(adapter, Dataset.from_list(ROWS), out)
    assert (out / "precious").read_text() == "data"


def test_weights_that_are_not_finite_are_not_saved(adapter, tmp_path):
    mad = TuningConfig(learning_rate=float("inf"), batch_size=8)
    with pytest.raises(TrainingError, match="not finite"):
        sft(adapter, Dataset.from_list(ROWS), tmp_path / "mad", config=mad)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def copies(adapter, random_base, tmp_path):
    """Copies of base and adapter to be damaged."""
    shutil.copytree(random_base, tmp_path / "base")
    shutil.copytree(adapter.adapter, tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(random_base), str(tmp_path / "base")))
    return ModelRef(str(tmp_path / "base"), adapter=str(tmp_path / "adapter")), tmp_path


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def test_an_adapter_for_matrices_that_are_input_first_fits_those_of_its_width_only(tmp_path):
    """GPT-2's, whose names moreover lack the model's as published ones do."""
    base = ModelRef(str(save_as_published(tmp_path / "gpt2", "gpt2")))
    fitting = save_adapter_at_random(base, tmp_path / "fitting", seed=0)
    check_files(fitting)
    weights = load_file(f"{fitting.adapter}/adapter_model.safetensors")
    name = "base_model.model.transformer.h.0.mlp.c_fc.lora_B.weight"
    save_file({**weights, name: torch.zeros(96, 4)}, f"{fitting.adapter}/adapter_model.safetensors")
    with pytest.raises(ModelRefError, match=r"c_fc.lora_B.weight has shape \(96, 4\), .*c_fc.weight has \(32, 128\)"):
        check_files(fitting)
    config = Path(fitting.adapter, "adapter_config.json")
    save_file(weights, f"{fitting.adapter}/adapter_model.safetensors")
    config.write_text(config.read_text().replace('"fan_in_fan_out": true', '"fan_in_fan_out": false'))
    with pytest.raises(ModelRefError, match="the adapter is for another base"):
        check_files(fitting)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: shutil.rmtree(folder / "base"), "no model folder at"),
        (lambda folder: (folder / "base/config.json").unlink(), "no file .*config.json"),
        (lambda folder: truncate(folder / "base/model.safetensors"), r"model.safetensors is damaged"),
        (lambda folder: (folder / "base/model.safetensors").unlink(), r"no \*.safetensors"),
        (lambda folder: shutil.rmtree(folder / "adapter"), "no adapter folder"),
        (lambda folder: (folder / "adapter/adapter_config.json").write_text("{"), "adapter_config.json is damaged"),
        (lambda folder: truncate(folder / "adapter/adapter_model.safetensors"), "adapter_model.safetensors is damaged"),
        (lambda folder: (folder / "adapter/adapter_model.safetensors").unlink(), "no file .*adapter_model.safetensors"),
    ],
)
def test_what_is_missing_or_damaged_is_named_before_training(copies, damage, says, tmp_path):
    ref, folder = copies
    check_files(ref)
    damage(folder)
    with pytest.raises(ModelRefError, match=says) as caught:
        sft(ref, Dataset.from_list(ROWS), tmp_path / "out")
    assert str(ref) in str(caught.value)
    assert not (tmp_path / "out").exists()


QUERY = "base_model.model.model.layers.0.self_attn.q_proj"
NORM = "base_model.model.model.norm"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({f"{QUERY}.lora_A.weight": (32,)}, r"q_proj.lora_A.weight has shape \(32,\); expected two axes"),
        ({f"{QUERY}.lora_B.weight": ()}, r"q_proj.lora_B.weight has shape \(\); expected two axes"),
        ({f"{QUERY}.lora_B.weight": (32, 4)}, r"q_proj.lora_B.weight has shape \(32, 4\); expected rank 8"),
        ({f"{QUERY}.lora_A.weight": (4, 32), f"{QUERY}.lora_B.weight": (32, 4)}, r"has shape \S+ \S+; expected rank 8"),
        ({f"{NORM}.lora_A.weight": (8, 32), f"{NORM}.lora_B.weight": (32, 8)}, r"for another base: .*norm.weight has \(32,\)"),
    ],
)
def test_matrices_that_are_none_or_of_another_rank_are_refused(copies, changes, says):
    ref, folder = copies
    path = folder / "adapter" / "adapter_model.safetensors"
    save_file({**load_file(path), **{name: torch.zeros(shape) for name, shape in changes.items()}}, path)
    with pytest.raises(ModelRefError, match=says):
        check_files(ref)


def test_layers_may_have_ranks_of_their_own(copies):
    ref, folder = copies
    path, config = folder / "adapter" / "adapter_model.safetensors", folder / "adapter" / "adapter_config.json"
    narrow = {f"{QUERY}.lora_A.weight": torch.zeros(4, 32), f"{QUERY}.lora_B.weight": torch.zeros(32, 4)}
    save_file({**load_file(path), **narrow}, path)
    config.write_text(json.dumps({**json.loads(config.read_text()), "rank_pattern": {"layers.0.self_attn.q_proj": 4}}))
    check_files(ref)


def test_an_adapter_of_another_base_is_refused(adapter, tokenizer, tmp_path):
    twin = save_llama(tmp_path / "twin", tokenizer, seed=5)
    with pytest.raises(ModelRefError, match="trained on another base"):
        check_files(ModelRef(str(twin), adapter=adapter.adapter))
    shutil.copytree(adapter.adapter, tmp_path / "nameless")
    config = json.loads((tmp_path / "nameless/adapter_config.json").read_text())
    config["base_model_name_or_path"] = None
    (tmp_path / "nameless/adapter_config.json").write_text(json.dumps(config))
    wide = save_llama(tmp_path / "wide", tokenizer, hidden_size=64)
    with pytest.raises(ModelRefError, match=r"for another base: .* has shape"):
        check_files(ModelRef(str(wide), adapter=str(tmp_path / "nameless")))


@pytest.mark.parametrize("weights", ["lora", "full"])
def test_a_stopped_training_goes_on_from_its_last_checkpoint_to_the_same_weights(weights, random_base, tmp_path):
    start, rows = ModelRef(str(random_base)), Dataset.from_list(ROWS)
    config = TuningConfig(learning_rate=1e-2, batch_size=4, save_every_steps=2, weights=weights)
    undisturbed = sft(start, rows, tmp_path / "undisturbed", seed=1, config=config)
    steps = []

    def stop_in_the_fifth(_, done, total):
        steps.append(done)
        if done == 5:
            raise KeyboardInterrupt

    with reporting_to(stop_in_the_fifth), pytest.raises(KeyboardInterrupt):
        sft(start, rows, tmp_path / "stopped", seed=1, config=config)
    assert not (tmp_path / "stopped").exists()
    with reporting_to(lambda _, done, total: steps.append(done)):
        stopped = sft(start, rows, tmp_path / "stopped", seed=1, config=config)
    assert steps == [1, 2, 3, 4, 5, 5, 6]
    assert fingerprint(stopped) == fingerprint(undisturbed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stopped", "undisturbed"]


def test_a_folder_where_work_would_be_kept_is_not_emptied(adapter, tmp_path):
    (tmp_path / "x.tmp").mkdir()
    (tmp_path / "x.tmp" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"x\.tmp, where this training would keep its work, exists and is not its own; rename it"):
        sft(adapter, Dataset.from_list(ROWS), tmp_path / "x", config=FAST)
    assert (tmp_path / "x.tmp" / "mine.txt").read_text() == "mine"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="link exists and is never overwritten"):
        sft(adapter, Dataset.from_list(ROWS), tmp_path / "link", config=FAST)


def test_an_adapter_of_a_model_of_the_hub_is_none_of_the_bundled_base(tmp_path):
    bundled = ModelRef("pg_envs:histtiny/base", adapter="pg_envs:histtiny/C014")
    check_files(bundled)
    shutil.copytree(local_path(bundled.adapter), tmp_path / "other")
    config = tmp_path / "other" / "adapter_config.json"
    config.write_text(config.read_text().replace('"histtiny/base"', '"meta/llama"'))
    with pytest.raises(ModelRefError, match="trained on another base, 'meta/llama'"):
        check_files(replace(bundled, adapter=str(tmp_path / "other")))
