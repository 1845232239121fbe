"""The memory table of docs/scale.md is what its formula gives, and the formula counts weights as the models have them."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def memory(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import memory

    yield memory
    for name in ("memory", "llama3"):
        sys.modules.pop(name)


def test_the_page_shows_the_formulas_table(memory):
    assert memory.table() in (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


def test_weights_are_counted_as_published(memory):
    # Meta-Llama-3-8B's and -70B's numbers of parameters.
    assert memory.n_weights(memory.LLAMA_3_8B) == 8_030_261_248
    assert memory.n_weights(memory.LLAMA_3_70B) == 70_553_706_496


def test_adapters_are_counted_as_peft_makes_them(memory):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    model = {**memory.LLAMA_3_8B, "num_hidden_layers": 2}
    with torch.device("meta"):
        lora = LoraConfig(r=memory.RANK, target_modules="all-linear", task_type="CAUSAL_LM")
        trainable, _ = get_peft_model(LlamaForCausalLM(LlamaConfig(**model)), lora).get_nb_trainable_parameters()
    assert memory.n_adapter_weights(model) == trainable


def test_what_is_split_and_what_is_not(memory):
    alone = memory.Training("", memory.LLAMA_3_8B, 1, 1, 4, False).parts()
    split = memory.Training("", memory.LLAMA_3_8B, 8, 1, 4, False).parts()
    # bfloat16: two bytes a weight, in the training and once more in the engine.
    assert alone["weights"] == alone["engines"] == split["engines"] == 2 * 8_030_261_248
    # An eighth, and two of 32 layers put together.
    assert split["weights"] == pytest.approx(alone["weights"] * (1 / 8 + 2 / 32))
    assert split["optimiser"] == alone["optimiser"] / 8
    assert split["activations"] == alone["activations"]
    again = memory.Training("", memory.LLAMA_3_8B, 1, 1, 4, True).parts()
    assert again["activations"] < alone["activations"] / 10


def test_what_lies_beside_a_training_is_counted(memory):
    rlhf = memory.Training("", memory.LLAMA_3_8B, 1, 3, 2, True, vllm=0.3).parts()
    # The environment's engine, and two of the implicit reward model.
    assert rlhf["engines"] == 3 * rlhf["weights"]
    assert rlhf["vLLM"] == pytest.approx(24e9)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_counted_as_torch_keeps_them(memory, checkpointing):
    """Of layers a sixteenth as wide as the 8B's, with an adapter, in the arithmetic of a GPU: all but lone numbers a token are counted."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    n_tokens, kept_of = 256, {}
    widths = {"hidden_size": 256, "intermediate_size": 896, "vocab_size": 128}
    for n_layers in (1, 3):
        model = {**memory.LLAMA_3_8B, **widths, "num_hidden_layers": n_layers, "num_attention_heads": 8, "num_key_value_heads": 2}
        base = LlamaForCausalLM(LlamaConfig(**model)).to(torch.bfloat16)
        base.config.use_cache = False
        lora = get_peft_model(base, LoraConfig(r=memory.RANK, target_modules="all-linear", task_type="CAUSAL_LM")).train()
        if checkpointing:
            lora.gradient_checkpointing_enable({"use_reentrant": False})
            lora.enable_input_require_grads()
        weights = {parameter.untyped_storage().data_ptr() for parameter in lora.parameters()}
        kept = []

        def keep(tensor, weights=weights, kept=kept):
            kept.extend([] if tensor.untyped_storage().data_ptr() in weights else [tensor])
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
            base.model(input_ids=torch.zeros(1, n_tokens, dtype=torch.long))
        # Storages, since several tensors may be kept that are one; held until here, so that no two have had one place.
        kept_of[n_layers] = sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}.values())
    measured = (kept_of[3] - kept_of[1]) / 2
    trainings = [memory.Training("", {**model, "num_hidden_layers": n}, 1, 0, 1, checkpointing) for n in (1, 2)]
    of_one, of_two = (training.parts()["activations"] * n_tokens / memory.PAIR_TOKENS for training in trainings)
    assert measured == pytest.approx(of_two - of_one, rel=0.1)
