"""Mixtures of adapters are the weighted sums of what the adapters change."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests_support import save_adapter_at_random, save_llama

from pg_envs.models.checks import check_files
from pg_envs.models.merging import merge_adapters, mixture_name
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.transformers_engine import TransformersEngine


@pytest.fixture(scope="module")
def adapters(random_base, tmp_path_factory):
    """Of different ranks, scales and layers."""
    folder = tmp_path_factory.mktemp("adapters")
    base = ModelRef(str(random_base))
    return (
        save_adapter_at_random(base, folder / "one", seed=1, r=4, lora_alpha=8),
        save_adapter_at_random(base, folder / "two", seed=2, r=2, lora_alpha=3, target_modules=["q_proj", "up_proj"]),
        save_adapter_at_random(base, folder / "three", seed=3, r=3, lora_alpha=3, target_modules=["down_proj", "v_proj"]),
    )


def deltas(ref):
    """What an adapter adds to each layer's weights, alpha / r B A in float64, from its files alone."""
    config = json.loads(Path(ref.adapter, "adapter_config.json").read_text())
    weights = load_file(Path(ref.adapter, "adapter_model.safetensors"))
    layers = [name.removesuffix(".lora_A.weight") for name in weights if name.endswith(".lora_A.weight")]
    scale = config["lora_alpha"] / config["r"]
    return {layer: scale * weights[f"{layer}.lora_B.weight"].double() @ weights[f"{layer}.lora_A.weight"].double() for layer in layers}


# Without shrinking, which would mix adapters for minutes.
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_the_mixture_is_the_weighted_sum_of_the_deltas(adapters, tmp_path_factory, weights):
    mixed = deltas(merge_adapters(adapters, weights, tmp_path_factory.mktemp("mixed") / "out"))
    sources = [deltas(ref) for ref in adapters]
    assert set(mixed) == set().union(*sources)
    assert len(mixed) == 14
    for layer, delta in mixed.items():
        expected = sum(weight * source[layer] for weight, source in zip(weights, sources, strict=True) if layer in source)
        torch.testing.assert_close(delta, expected, rtol=1e-5, atol=1e-6)


def test_one_adapter_alone_can_be_scaled(adapters, tmp_path):
    source = deltas(adapters[0])
    for weight in (-0.5, 0.0, 1.0):
        mixed = deltas(merge_adapters(adapters[:1], [weight], tmp_path / str(weight)))
        assert mixed.keys() == source.keys()
        for layer, delta in mixed.items():
            torch.testing.assert_close(delta, weight * source[layer], rtol=1e-5, atol=1e-6)


def test_a_mixture_answers_as_the_model_it_stands_for(adapters, tmp_path):
    engine = TransformersEngine(dtype=torch.float32)
    question = ("Whom do you owe?", ["A", "B", "yes", "no"])

    def answers(ref):
        return engine.choice_logprobs(ref, [question[0]], [question[1]])[0].total

    alone = answers(merge_adapters(adapters, [0.0, 1.0, 0.0], tmp_path / "alone"))
    none = answers(merge_adapters(adapters, [0, 0, 0], tmp_path / "none"))
    np.testing.assert_allclose(alone, answers(adapters[1]), atol=1e-4)
    np.testing.assert_allclose(none, answers(adapters[1].with_adapter(None)), atol=1e-4)
    assert np.abs(alone - none).max() > 0.01


def test_what_is_saved_is_a_whole_adapter_and_nothing_else_is_left(adapters, tmp_path):
    mixed = merge_adapters(adapters, [0.5, 0.25, -1.0], tmp_path / "new" / "mixed")
    check_files(mixed)
    assert mixed == adapters[0].with_adapter(tmp_path / "new" / "mixed")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mixed"]
    assert sorted(path.name for path in Path(mixed.adapter).iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads(Path(mixed.adapter, "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (4 + 2 + 3, adapters[0].base)


def test_mixtures_can_be_mixed_again(adapters, tmp_path):
    half = merge_adapters(adapters[:2], [1.0, 1.0], tmp_path / "half")
    whole = deltas(merge_adapters((half, adapters[2]), [0.5, -1.0], tmp_path / "whole"))
    expected = deltas(merge_adapters(adapters, [0.5, 0.5, -1.0], tmp_path / "expected"))
    for layer, delta in whole.items():
        torch.testing.assert_close(delta, expected[layer], rtol=1e-5, atol=1e-6)


def test_nothing_is_overwritten(adapters, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "precious").write_text("data")
    with pytest.raises(FileExistsError, match="never overwritten"):
        merge_adapters(adapters, [1, 1, 1], tmp_path / "taken")
    assert (tmp_path / "taken" / "precious").read_text() == "data"


def test_whoever_comes_second_leaves_the_first_alone(adapters, tmp_path, monkeypatch):
    import pg_envs.models.trained

    def save_while_another_finishes(model, ref, folder):
        folder.mkdir()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "precious").write_text("data")

    monkeypatch.setattr(pg_envs.models.trained, "save_adapter", save_while_another_finishes)
    with pytest.raises(FileExistsError, match="made by another process"):
        merge_adapters(adapters, [1, 1, 1], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "precious").read_text() == "data"


# ---------------------------------------------------------------------- names


def test_a_name_changes_with_what_the_mixture_is_made_of(adapters, tmp_path):
    one, two, _ = adapters
    names = {
        mixture_name((one, two), (0.5, 0.25)),
        mixture_name((one, two), (0.25, 0.5)),
        mixture_name((two, one), (0.5, 0.25)),
        mixture_name((one,), (0.5,)),
    }
    assert len(names) == 4
    shutil.copytree(one.adapter, tmp_path / "copy")
    copy = one.with_adapter(tmp_path / "copy")
    assert mixture_name((copy, two), (0.5, 0.25)) == mixture_name((one, two), (0.5, 0.25)), "the place of a file is not its content"
    config = tmp_path / "copy" / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 9'))
    assert mixture_name((copy, two), (0.5, 0.25)) not in names


# ---------------------------------------------------------------------- misuse


@pytest.mark.parametrize("weights", [[1.0], [1.0] * 4, [1.0, float("nan"), 0.0], [float("inf"), 0.0, 0.0]])
def test_weights_that_cannot_be_are_refused(adapters, tmp_path, weights):
    with pytest.raises(ValueError, match="expected 3 finite numbers"):
        merge_adapters(adapters, weights, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [("use_dora", True), ("use_rslora", True), ("bias", "all"), ("modules_to_save", ["lm_head"]), ("peft_type", "IA3")],
)
def test_adapters_that_are_more_than_a_product_are_refused(adapters, tmp_path, setting, value):
    shutil.copytree(adapters[0].adapter, tmp_path / "odd")
    config = json.loads((tmp_path / "odd" / "adapter_config.json").read_text())
    (tmp_path / "odd" / "adapter_config.json").write_text(json.dumps({**config, setting: value}))
    with pytest.raises(ModelRefError, match=f"only plain LoRA.*{setting}={value!r}".replace("[", r"\[")):
        merge_adapters((adapters[1], adapters[0].with_adapter(tmp_path / "odd")), [1, 1], tmp_path / "out")


def test_what_is_no_adapter_of_the_same_base_is_refused(adapters, tokenizer, tmp_path):
    other = ModelRef(str(save_llama(tmp_path / "other", tokenizer, seed=9)))
    with pytest.raises(ValueError, match="no adapters to mix"):
        merge_adapters((), [], tmp_path / "out")
    with pytest.raises(ModelRefError, match="expected a ModelRef with an adapter"):
        merge_adapters((adapters[0].with_adapter(None),), [1], tmp_path / "out")
    with pytest.raises(ModelRefError, match="only adapters of one base"):
        merge_adapters((adapters[0], other.with_adapter(adapters[1].adapter)), [1, 1], tmp_path / "out")
    with pytest.raises(ModelRefError, match="no adapter folder"):
        merge_adapters((adapters[0].with_adapter(tmp_path / "nowhere"),), [1], tmp_path / "out")
