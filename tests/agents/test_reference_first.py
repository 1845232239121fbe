"""Reading the reference first changes when it is read, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from safetensors.torch import load_file
from tests_support import save_adapter_at_random
from trl import DPOTrainer

from agents.lifelong_dpo import LifelongDPOConfig, dpo
from agents.reference_first import READ_AT_ONCE, ReferenceFirstDPOTrainer
from pg_envs.models.loading import load_tokenizer
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine

PAIRS = Dataset.from_list(
    [
        {
            "prompt": [{"role": "user", "content": f"Question {i}{' and more' * (i % 7)}?"}],
            "chosen": [{"role": "assistant", "content": "A" if i % 3 else "yes, that one"}],
            "rejected": [{"role": "assistant", "content": "B"}],
        }
        for i in range(READ_AT_ONCE + 5)
    ]
)


@pytest.mark.parametrize("reference", ["century", "base"])
def test_the_policy_is_the_one_of_reading_step_by_step(reference, random_base, tmp_path, monkeypatch):
    start = save_adapter_at_random(ModelRef(str(random_base)), tmp_path / "start", seed=3)
    config = LifelongDPOConfig(learning_rate=1e-2, reference=reference)
    n_read = []
    whole = ReferenceFirstDPOTrainer.compute_ref_log_probs
    monkeypatch.setattr(ReferenceFirstDPOTrainer, "compute_ref_log_probs", lambda *given: n_read.append(1) or whole(*given))
    first = load_file(f"{dpo(start, PAIRS, tmp_path / 'first', 1, config).adapter}/adapter_model.safetensors")
    assert len(n_read) == 2
    monkeypatch.setattr(ReferenceFirstDPOTrainer, "train", DPOTrainer.train)
    by_step = load_file(f"{dpo(start, PAIRS, tmp_path / 'by step', 1, config).adapter}/adapter_model.safetensors")
    begun = load_file(f"{start.adapter}/adapter_model.safetensors")
    assert max(float((by_step[name] - begun[name]).abs().max()) for name in begun) > 0.02
    for name in begun:
        np.testing.assert_allclose(first[name], by_step[name], atol=1e-4)


TWO_ANSWERS = ["A", "B"]


def odds_of_a(policy, prompt):
    """P(A) / P(B) as a whole answer."""
    end = load_tokenizer(policy).eos_token
    scored = TransformersEngine().choice_logprobs(policy, [prompt], [[answer + end for answer in TWO_ANSWERS]])
    return float(np.exp(scored[0].total[0] - scored[0].total[1]))


@pytest.mark.parametrize(("reference", "expected"), [("uniform", 3.0), ("century", 9.0)])
def test_what_a_policy_that_holds_the_voters_odds_already_becomes(reference, expected, random_base, tmp_path):
    """Three of four voters say A. Held to nothing, a policy that says so with odds of 3 stays; held to itself, it multiplies them."""
    prompt = [{"role": "user", "content": "Which one?"}]
    sides = [TWO_ANSWERS, TWO_ANSWERS, TWO_ANSWERS, TWO_ANSWERS[::-1]]
    rows = Dataset.from_list(
        [
            {"prompt": prompt, "chosen": [{"role": "assistant", "content": a}], "rejected": [{"role": "assistant", "content": b}]}
            for a, b in sides
        ]
    )
    config = LifelongDPOConfig(learning_rate=1e-2, n_epochs=60.0)
    start = dpo(ModelRef(str(random_base)), rows, tmp_path / "start", 1, config)
    assert odds_of_a(start, "Which one?") == pytest.approx(3.0, rel=0.1)
    after = dpo(start, rows, tmp_path / "after", 1, replace(config, reference=reference))
    assert odds_of_a(after, "Which one?") == pytest.approx(expected, rel=0.15)
