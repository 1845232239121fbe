"""The rewriter: what it learns from, what its tokens are worth, and that a policy follows them."""

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from agents.seq2seq_rm import (
    Seq2SeqRMConfig,
    accuracy,
    corrections_and_identities,
    rewriter_reward,
    split,
    token_rewards,
    train_rewriter,
)
from agents.token_level import train_on_token_rewards
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning import sft
from pg_envs.models.tuning_config import TuningConfig

PROMPTS = [f"Do you help the {who}?" for who in ("farmer", "weaver", "child", "stranger")]


def turn(role, text):
    return [{"role": role, "content": text}]


def pairs(good="ABAB", n_each=1):
    """Whoever is asked about, the good answer stands in ``good``."""
    rows = [
        {"prompt": turn("user", prompt), "chosen": turn("assistant", good), "rejected": turn("assistant", bad)}
        for prompt, good, bad in zip(PROMPTS, good, good.translate(str.maketrans("AB", "BA")), strict=True)
    ]
    return Dataset.from_list(rows * n_each)


@pytest.mark.parametrize(
    ("rewritten", "answer", "expected"),
    [
        ([7, 8, 9], [7, 8, 9], [1, 1, 1]),
        ([7, 8, 9, 3], [7, 5, 9, 4], [1, -1, 0, -1]),
        ([1, 8], [2, 8], [-1, 0]),
        ([4], [5], [-1]),
    ],
)
def test_hand_made_token_rewards(rewritten, answer, expected):
    assert token_rewards(rewritten, answer) == pytest.approx([value / len(answer) for value in expected])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12))
def test_the_sum_lies_between_minus_one_and_one_and_only_agreement_throughout_gives_one(places):
    rewritten, answer = zip(*places, strict=True)
    total = sum(token_rewards(rewritten, answer))
    assert -1 - 1e-9 <= total <= 1 + 1e-9
    assert (total == pytest.approx(1)) == (rewritten == answer)


def test_a_pair_gives_a_correction_and_an_identity():
    rows = list(corrections_and_identities(pairs().select([1])))
    assert [row["completion"][0]["content"] for row in rows] == ["B", "B"]
    correction, identity = (row["prompt"][0]["content"] for row in rows)
    assert correction.startswith("Better this answer: A\n")
    assert identity.startswith("Better this answer: B\n")
    assert correction.endswith(PROMPTS[1])


def test_what_is_held_out_is_not_learnt_from():
    items = [str(number % 5) for number in range(20)]
    rows = Dataset.from_dict({"number": range(20), "item": items})
    learnt, held_out = split(rows, 0.5, seed=3)
    assert sorted([*learnt["number"], *held_out["number"]]) == list(range(20))
    assert len(set(held_out["item"])) == 2
    assert not set(held_out["item"]) & set(learnt["item"])
    assert len({frozenset(split(rows, 0.5, seed)[1]["item"]) for seed in range(8)}) > 1
    assert len(split(rows, 0.0, seed=3)[1]) == 0


@pytest.mark.parametrize("held_out", [-0.1, 1.0])
def test_a_share_that_leaves_nothing_is_refused(held_out):
    with pytest.raises(ValueError, match="held_out"):
        Seq2SeqRMConfig(held_out=held_out)


def test_greedy_tokens_are_what_the_model_itself_would_write(random_base, tokenizer):
    """One token at a time, each after the reply so far, without a batch or padding."""
    from transformers import AutoModelForCausalLM

    prompts = [PROMPTS[0], "Do you?", PROMPTS[3]]
    replies = [tokenizer(text, add_special_tokens=False).input_ids for text in ("the old farmer went", "A", "no, never again, friend")]
    model = AutoModelForCausalLM.from_pretrained(random_base)
    found = TransformersEngine(batch_tokens=40).greedy_tokens(ModelRef(str(random_base)), prompts, replies)
    for prompt, reply, tokens in zip(prompts, replies, found, strict=True):
        start = tokenizer.apply_chat_template(turn("user", prompt), add_generation_prompt=True, return_dict=False)
        with torch.inference_mode():
            expected = [int(model(torch.tensor([start + reply[:n]])).logits[0, -1].argmax()) for n in range(len(reply))]
        assert tokens == expected


TUNING = {"reward_learning_rate": 3e-2, "reward_epochs": 40.0, "reward_batch_size": 8}


def test_a_rewriter_tells_good_answers_from_bad_ones_by_the_prompt(random_base, tmp_path):
    start = ModelRef(str(random_base))
    reward = rewriter_reward(train_rewriter(start, pairs(), tmp_path / "rewriter", 0, Seq2SeqRMConfig(**TUNING)))
    assert accuracy(reward, start, pairs()) == 1.0
    assert accuracy(reward, start, pairs("BABA")) == 0.0


def test_a_policy_follows_what_the_rewriter_has_learnt(random_base, tmp_path):
    letters = [{"prompt": turn("user", prompt), "completion": turn("assistant", letter)} for prompt in PROMPTS for letter in "AB"]
    tuning = TuningConfig(learning_rate=3e-2, n_epochs=12, batch_size=8)
    start = sft(ModelRef(str(random_base)), Dataset.from_list(letters), tmp_path / "start", config=tuning)
    # At three times this rate the model forgets to answer with a letter at all, sooner or later as arithmetic is rounded.
    config = Seq2SeqRMConfig(**TUNING, learning_rate=1e-2, batch_size=8, n_samples=6, kl=0.0)
    reward = rewriter_reward(train_rewriter(start, pairs("BBBB"), tmp_path / "rewriter", 0, config))
    prompts = pairs("BBBB", 20).select_columns(["prompt"])
    learnt = train_on_token_rewards(start, prompts, reward, tmp_path / "learnt", 0, config)

    def p_b(ref):
        scored = TransformersEngine().choice_logprobs(ref, PROMPTS, [("A", "B")] * len(PROMPTS))
        return sum(float(torch.tensor(s.total).softmax(0)[1]) for s in scored) / len(scored)

    assert p_b(start) == pytest.approx(0.75, abs=0.05)
    assert p_b(learnt) > 0.85
