"""An engine for which memory does not do: half the batch once, then an error that says what to do."""

import numpy as np
import pytest
import torch

from pg_envs.cli import EXIT_BROKEN, main
from pg_envs.models.memory import NotEnoughMemory, is_out_of_memory
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine

ON_PROCESSOR = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
)
SAYS_SO = [ON_PROCESSOR, MemoryError(), torch.OutOfMemoryError("CUDA out of memory")]
PROMPTS, ANSWERS = ["Is it right to lie? " * n for n in (1, 3, 5)], [["yes", "no"]] * 3


@pytest.fixture
def engine(monkeypatch):
    """One that tries batch after batch; several at once are tested in test_side_by_side.py."""
    monkeypatch.setattr("pg_envs.models.transformers_engine.MOST_AT_ONCE", 1)
    return TransformersEngine(torch.device("cpu"), torch.float32, batch_tokens=64)


@pytest.mark.parametrize("error", SAYS_SO, ids=lambda error: type(error).__name__)
def test_half_the_batch_is_tried_once_and_said(error, engine, random_base, monkeypatch, caplog):
    ref = ModelRef(str(random_base))
    expected = engine.choice_logprobs(ref, PROMPTS, ANSWERS)
    score, sizes = engine._score, []

    def first_batch_does_not_fit(*args):
        sizes.append(engine.batch_tokens)
        if len(sizes) == 1:
            raise error
        return score(*args)

    monkeypatch.setattr(engine, "_score", first_batch_does_not_fit)
    found = engine.choice_logprobs(ref, PROMPTS, ANSWERS)
    assert sizes[:2] == [64, 32]
    assert set(sizes[1:]) == {32}
    assert "half the batch, 32 tokens" in caplog.text
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.total, theirs.total, atol=1e-4)


def test_what_does_not_fit_in_half_either_fails_with_what_to_do(engine, random_base, monkeypatch):
    tried = []

    def nothing_fits(*args):
        tried.append(engine.batch_tokens)
        raise ON_PROCESSOR

    monkeypatch.setattr(engine, "_score", nothing_fits)
    for _ in range(2):
        with pytest.raises(
            NotEnoughMemory, match=rf"not enough memory for {random_base} with a batch of 32 tokens, halved once already; use"
        ):
            engine.choice_logprobs(ModelRef(str(random_base)), PROMPTS, ANSWERS)
    assert tried == [64, 32, 32], "halved once in an engine's life"


def test_other_errors_are_left_alone(engine, random_base, monkeypatch):
    monkeypatch.setattr(engine, "_score", lambda *args: (_ for _ in ()).throw(RuntimeError("shapes do not fit")))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        engine.choice_logprobs(ModelRef(str(random_base)), PROMPTS, ANSWERS)
    assert engine.batch_tokens == 64


def test_real_refusal_of_the_processors_allocator_is_known():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    assert not is_out_of_memory(RuntimeError("anything else"))


def test_command_says_it_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("agents.baselines.NoOp.act", lambda self, observation: (_ for _ in ()).throw(ON_PROCESSOR))
    assert main(["run", "--agent", "no-op", "--history", "simulated", "--out", str(tmp_path)]) == EXIT_BROKEN
    said = capsys.readouterr().err
    assert "DefaultCPUAllocator" in said
    assert "Traceback" not in said
