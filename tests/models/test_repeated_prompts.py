"""A prompt that is sampled from several times is read once, and what comes of it is the same."""

import pytest
import torch
from tests_support import save_other_architecture

from pg_envs.models.loading import load_base
from pg_envs.models.ref import ModelRef
from pg_envs.models.repeated_prompts import read_repeated_prompts_once


@pytest.fixture(scope="module", params=["llama", "gpt2", "qwen3"])
def folder(request, tokenizer, random_base, tmp_path_factory):
    if request.param == "llama":
        return random_base
    return save_other_architecture(tmp_path_factory.mktemp("models") / request.param, tokenizer, request.param)


def load(folder):
    return load_base(ModelRef(str(folder)), torch.float32, torch.device("cpu"))


def rows_read(model):
    """How many rows every call of the model's body gets."""
    rows = []

    def count(_, args, kwargs):
        rows.append(len(args[0] if args else kwargs["input_ids"]))

    model.base_model.register_forward_pre_hook(count, with_kwargs=True)
    return rows


def padded(prompts):
    """Token rows padded on the left, as generation wants them."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    return {"input_ids": ids, "attention_mask": mask}


# The last two have the same tokens, of which one begins with padding.
PROMPTS = [[7, 8, 9, 10]] * 3 + [[20, 21]] * 2 + [[0, 0, 20, 21]]


@pytest.mark.parametrize("sampling", [{"do_sample": False}, {"do_sample": True, "top_k": 0}])
def test_answers_are_the_same_and_prompts_are_read_once(folder, sampling):
    answers, rows = [], []
    for change in (lambda model: None, read_repeated_prompts_once):
        model = load(folder)
        change(model)
        rows.append(rows_read(model))
        torch.manual_seed(0)
        answers.append(model.generate(**padded(PROMPTS), max_new_tokens=5, min_new_tokens=5, pad_token_id=0, **sampling))
    assert answers[1].tolist() == answers[0].tolist()
    assert rows[0] == [6] * 5
    assert rows[1] == [3] + [6] * 4


def test_what_does_not_begin_to_generate_goes_through(folder):
    model, inputs = load(folder), padded(PROMPTS)
    expected = model(**inputs, labels=inputs["input_ids"])
    read_repeated_prompts_once(model)
    rows = rows_read(model)
    for kwargs in ({}, {"use_cache": False}, {"labels": inputs["input_ids"]}):
        torch.testing.assert_close(model(**inputs, **kwargs).logits, expected.logits)
    assert model(**inputs, labels=inputs["input_ids"]).loss.requires_grad
    assert rows == [6] * 4


def test_prompts_that_all_differ_are_all_read(folder):
    model = load(folder)
    read_repeated_prompts_once(model)
    rows = rows_read(model)
    model.generate(**padded([[7, 8], [8, 7]]), max_new_tokens=2, min_new_tokens=2, do_sample=False, pad_token_id=0)
    assert rows == [2, 2]
