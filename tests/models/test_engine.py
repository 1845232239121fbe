"""The transformers engine against plain loops, on a random Llama."""

import gc
import json
import os
import shutil

import numpy as np
import pytest
import torch
from tests_support import save_random_family
from transformers import AutoModelForCausalLM

from pg_envs.models import resident as residents
from pg_envs.models.engine import EngineError, make_engine
from pg_envs.models.loading import load_base, training_dtype
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning import sft
from pg_envs.models.tuning_config import TuningConfig, trainer_arguments
from pg_envs.values.forms import make_questions
from pg_envs.values.questionnaire import load_questionnaire


@pytest.fixture(scope="module")
def questions():
    items = load_questionnaire().items
    return make_questions([items[0], items[30], items[-1], items[-2]])


def score(engine, ref, questions):
    return engine.choice_logprobs(ref, [q.prompt for q in questions], [q.answers for q in questions])


def plain_total(model, tokenizer, prompt, answer):
    """One answer's log-probability, one forward pass over prompt and answer."""
    head = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False)
    tail = tokenizer(answer, add_special_tokens=False).input_ids
    with torch.no_grad():
        logprobs = model(torch.tensor([head + tail])).logits.double().log_softmax(-1)[0]
    return sum(logprobs[len(head) - 1 + i, token].item() for i, token in enumerate(tail)), len(tail)


def test_scores_equal_a_plain_loop(random_base, tokenizer, questions):
    model = AutoModelForCausalLM.from_pretrained(random_base)
    scored = score(TransformersEngine(dtype=torch.float32, batch_tokens=300), ModelRef(str(random_base)), questions)
    for question, found in zip(questions, scored, strict=True):
        for k, answer in enumerate(question.answers):
            total, n_tokens = plain_total(model, tokenizer, question.prompt, answer)
            assert found.total[k] == pytest.approx(total, abs=1e-4)
            assert found.n_tokens[k] == n_tokens


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_user_says_what_is_computed_in(random_base, questions, tmp_path, monkeypatch, dtype):
    monkeypatch.setenv("PG_ENVS_DTYPE", dtype)
    engine, device = make_engine("transformers"), torch.device("cpu")
    assert engine.arithmetic() == {"device": "cpu", "dtype": dtype, "threads": torch.get_num_threads()}
    asked = score(engine, ModelRef(str(random_base)), questions)[0].total
    assert (asked == score(TransformersEngine(dtype=getattr(torch, dtype)), ModelRef(str(random_base)), questions)[0].total).all()
    assert trainer_arguments(TuningConfig(), tmp_path, seed=0)["bf16"] == (dtype == "bfloat16")
    assert training_dtype(device) == torch.float32, "a processor's weights are"


def test_what_is_computed_in_is_one_of_three(monkeypatch):
    monkeypatch.setenv("PG_ENVS_DTYPE", "float8")
    with pytest.raises(ValueError, match=r"PG_ENVS_DTYPE='float8': expected one of auto, float32, bfloat16"):
        make_engine("transformers")


@pytest.fixture(scope="module")
def adapters(random_base, questions, tmp_path_factory):
    """Two different adapters on the random base."""
    from datasets import Dataset

    folder = tmp_path_factory.mktemp("adapters")
    refs = []
    for place in (0, 1):
        rows = [
            {"prompt": [{"role": "user", "content": q.prompt}], "completion": [{"role": "assistant", "content": q.answers[place]}]}
            for q in questions
        ]
        config = TuningConfig(learning_rate=3e-2, n_epochs=2, batch_size=8)
        refs.append(sft(ModelRef(str(random_base)), Dataset.from_list(rows), folder / str(place), config=config))
    return refs


SWAPPED, MERGED = 0, 2**28


@pytest.mark.parametrize("merged_up_to_bytes", [SWAPPED, MERGED])
def test_adapters_are_swapped_on_one_resident_base(random_base, adapters, questions, merged_up_to_bytes):
    engine = TransformersEngine(dtype=torch.float32, merged_up_to_bytes=merged_up_to_bytes)
    bare = ModelRef(str(random_base))
    before = score(engine, bare, questions)
    resident = engine._resident._model
    first = score(engine, adapters[0], questions)
    second = score(engine, adapters[1], questions)
    assert engine._resident._model is resident
    assert not np.allclose(first[0].total, before[0].total, atol=1e-2)
    assert not np.allclose(first[0].total, second[0].total, atol=1e-2)
    for again, once in ((score(engine, bare, questions), before), (score(engine, adapters[0], questions), first)):
        for a, b in zip(again, once, strict=True):
            np.testing.assert_allclose(a.total, b.total, atol=1e-4)
    fresh = score(TransformersEngine(dtype=torch.float32), adapters[1], questions)
    np.testing.assert_allclose(fresh[0].total, second[0].total, atol=1e-5)


@pytest.mark.parametrize(("merged_up_to_bytes", "n_bases"), [(SWAPPED, 1), (MERGED, 2)])
def test_nine_adapters_are_not_nine_copies_of_the_base(random_base, questions, tmp_path, merged_up_to_bytes, n_bases):
    def embeddings():
        """Tensors as large as the base's embeddings, of which every copy of the base has its own."""
        gc.collect()
        tensors = [thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor) and thing.shape == shape]
        return {tensor.data_ptr() for tensor in tensors}

    base = ModelRef(str(random_base))
    shape = load_base(base, torch.float32, torch.device("cpu")).get_input_embeddings().weight.shape
    before = embeddings()
    engine = TransformersEngine(dtype=torch.float32, merged_up_to_bytes=merged_up_to_bytes)
    family = save_random_family(base, tmp_path)
    for ref in family:
        score(engine, ref, questions[:1])
    # Input and output embeddings of a base are of one shape.
    assert len(embeddings() - before) == 2 * n_bases


def test_merging_and_swapping_give_the_same(adapters, questions):
    swapped, merged = (
        score(TransformersEngine(torch.device("cpu"), torch.float32, 300, n), adapters[0], questions) for n in (SWAPPED, MERGED)
    )
    for a, b in zip(swapped, merged, strict=True):
        np.testing.assert_allclose(a.total, b.total, atol=1e-4)


def test_the_least_recently_used_adapter_leaves_first(adapters, questions, monkeypatch):
    monkeypatch.setattr(residents, "MAX_ADAPTERS", 1)
    engine = TransformersEngine(dtype=torch.float32, merged_up_to_bytes=SWAPPED)
    first = score(engine, adapters[0], questions[:2])
    score(engine, adapters[1], questions[:2])
    assert len(engine._resident._adapters) == 1
    np.testing.assert_allclose(score(engine, adapters[0], questions[:2])[0].total, first[0].total, atol=1e-4)


@pytest.mark.parametrize("merged_up_to_bytes", [SWAPPED, MERGED])
def test_an_adapter_written_anew_in_its_place_is_noticed(adapters, questions, tmp_path, merged_up_to_bytes):
    place = tmp_path / "policy"
    ref = adapters[0].with_adapter(place)
    engine = TransformersEngine(dtype=torch.float32, merged_up_to_bytes=merged_up_to_bytes)
    found = []
    for adapter in adapters:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(adapter.adapter, place)
        found.append(score(engine, ref, questions[:1])[0].total)
    assert not np.allclose(*found)


@pytest.mark.parametrize("merged_up_to_bytes", [SWAPPED, MERGED])
def test_adapters_that_differ_in_scale_only_are_told_apart(adapters, questions, tmp_path, merged_up_to_bytes):
    louder = shutil.copytree(adapters[0].adapter, tmp_path / "louder") / "adapter_config.json"
    config = json.loads(louder.read_text())
    louder.write_text(json.dumps({**config, "lora_alpha": 2 * config["lora_alpha"]}))
    refs = (adapters[0], adapters[0].with_adapter(louder.parent))
    one_engine = TransformersEngine(dtype=torch.float32, merged_up_to_bytes=merged_up_to_bytes)
    found = [score(one_engine, ref, questions[:1])[0].total for ref in refs]
    alone = score(TransformersEngine(dtype=torch.float32), refs[1], questions[:1])[0].total
    np.testing.assert_allclose(found[1], alone, atol=1e-4)
    assert not np.allclose(*found, atol=1e-2)


def test_generation_is_seeded_and_greedy_at_temperature_zero(random_base, tokenizer):
    engine, ref = TransformersEngine(dtype=torch.float32), ModelRef(str(random_base))
    prompts = ["Who goes there?", "Tell me of the sea."]
    state = torch.random.get_rng_state()
    sampled = engine.generate(ref, prompts, max_new_tokens=12, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert sampled == engine.generate(ref, prompts, max_new_tokens=12, seed=1)
    assert sampled != engine.generate(ref, prompts, max_new_tokens=12, seed=2)
    greedy = engine.generate(ref, prompts, max_new_tokens=1, temperature=0)
    model = AutoModelForCausalLM.from_pretrained(random_base)
    head = tokenizer.apply_chat_template([{"role": "user", "content": prompts[0]}], add_generation_prompt=True, return_dict=False)
    with torch.no_grad():
        token = model(torch.tensor([head])).logits[0, -1].argmax()
    assert greedy[0] == tokenizer.decode([token], skip_special_tokens=True).strip()


def test_a_reply_is_whole_if_the_model_ended_it(random_base, tmp_path, tokenizer):
    folder = shutil.copytree(random_base, tmp_path / "brief")
    settings = json.loads((folder / "generation_config.json").read_text())
    prompts = ["Who goes there?", "Tell me of the sea."]
    endless = TransformersEngine(dtype=torch.float32)
    cut = endless.replies(ModelRef(str(random_base)), prompts, max_new_tokens=5, temperature=0)
    assert [reply.is_whole for reply in cut] == [False, False]
    assert [reply.text for reply in cut] == endless.generate(ModelRef(str(random_base)), prompts, max_new_tokens=5, temperature=0)
    for ends, whole in (([7, *range(len(tokenizer))], True), (None, False)):
        (folder / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": ends}))
        replies = TransformersEngine(dtype=torch.float32).replies(ModelRef(str(folder)), prompts, max_new_tokens=5, temperature=0)
        assert [reply.is_whole for reply in replies] == [whole, whole]


def test_a_bases_own_habits_of_sampling_do_not_apply(random_base, tmp_path):
    folder = shutil.copytree(random_base, tmp_path / "sure")
    habits = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**habits, "do_sample": True, "top_p": 1e-6, "repetition_penalty": 5.0}))
    replies = [
        [TransformersEngine(dtype=torch.float32).generate(ModelRef(str(base)), ["Who goes there?"], 8, seed=seed) for seed in range(3)]
        for base in (folder, random_base)
    ]
    assert replies[0] == replies[1]
    assert len({reply for (reply,) in replies[0]}) == 3


def test_a_conversation_is_read_as_the_template_writes_it(tokenizer):
    from pg_envs.models.encoding import encode_prompts

    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "It is right."}, {"role": "user", "content": "Is it?"}]
    alone, together = encode_prompts(tokenizer, ["Is it?", turns])
    assert tokenizer.decode(together) == "<|begin|><|user|>Why?<|assistant|>It is right.<|end|><|user|>Is it?<|assistant|>"
    assert together[-len(alone) + 1 :] == alone[1:]


def test_a_base_without_chat_template_gets_alpacas(random_base, tmp_path, tokenizer):
    plain = tmp_path / "plain"
    shutil.copytree(random_base, plain)
    (plain / "chat_template.jinja").unlink()
    engine = TransformersEngine(dtype=torch.float32)
    engine.generate(ModelRef(str(plain)), ["Hello"], max_new_tokens=1)
    hello = [{"role": "user", "content": "Hello"}]
    text = engine._resident.tokenizer.apply_chat_template(hello, add_generation_prompt=True, tokenize=False)
    assert text.endswith("### Instruction:\nHello\n\n### Response:\n")


def test_unknown_engine():
    with pytest.raises(EngineError, match="unknown engine 'vlm'; choose from transformers"):
        make_engine("vlm")


def test_more_kernels_are_kept_unless_the_user_says_how_many(random_base, monkeypatch):
    for asked, kept in ((None, "4096"), ("100", "100")):
        monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
        if asked is not None:
            monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", asked)
        load_base(ModelRef(str(random_base)), torch.float32, torch.device("cpu"))
        assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == kept


def test_attention_is_plain_in_small_models_in_bfloat16_on_a_processor_only(random_base):
    for dtype, up_to, expected in ((torch.bfloat16, 2**28, "eager"), (torch.float32, 2**28, "sdpa"), (torch.bfloat16, 0, "sdpa")):
        engine = TransformersEngine(torch.device("cpu"), dtype, merged_up_to_bytes=up_to)
        with engine._loaded(ModelRef(str(random_base))) as model:
            assert model.config._attn_implementation == expected
