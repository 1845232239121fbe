"""Reading the reference first changes when it is read, and nothing else."""

import numpy as np
import pytest
from datasets import Dataset
from safetensors.torch import load_file
from tests_support import save_adapter_at_random

from agents.lifelong_dpo import LifelongDPOConfig, dpo
from agents.reference_first import READ_AT_ONCE, ReferenceFirstDPOTrainer
from pg_envs.models.ref import ModelRef

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
    monkeypatch.setattr(ReferenceFirstDPOTrainer, "_read_reference", lambda self: None)
    by_step = load_file(f"{dpo(start, PAIRS, tmp_path / 'by step', 1, config).adapter}/adapter_model.safetensors")
    begun = load_file(f"{start.adapter}/adapter_model.safetensors")
    assert max(float((by_step[name] - begun[name]).abs().max()) for name in begun) > 0.02
    for name in begun:
        np.testing.assert_allclose(first[name], by_step[name], atol=1e-4)
