"""Several processes that do one run: the same policy as one alone, one that writes, and none left waiting when another fails."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import two_processes
from datasets import Dataset
from safetensors.torch import load_file, save_file

from pg_envs import ranks
from pg_envs.building.build import build_history
from pg_envs.models.engine import make_engine
from pg_envs.models.ref import ModelRef

ROOT = Path(__file__).parents[1]

NEEDS_DEEPSPEED = pytest.mark.skipif(find_spec("deepspeed") is None, reason="needs DeepSpeed: pip install 'pg-envs[deepspeed]'")
# One process and two add up the same numbers in another order, which bfloat16 rounds to other weights.
pytestmark = pytest.mark.usefixtures("float32")


def in_two(config, *what, place):
    """How two processes of accelerate's are started: arguments for ``subprocess``. ``place`` is for what is written by the way."""
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(ROOT / "examples" / "accelerate" / config)]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    here, passing = place / "here", place / "tmp"
    for folder in (here, passing):
        folder.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "TMPDIR": str(passing),
        "DS_ACCELERATOR": "cpu",
    }
    return {
        "args": [*accelerate, "--num_processes", "2", "--main_process_port", "0", *map(str, what)],
        "env": environment,
        "cwd": here,
    }


def launch(config, script, *arguments, place):
    """Run a script of this folder in two processes; the finished command."""
    started = in_two(config, ROOT / "tests" / script, *arguments, place=place)
    return subprocess.run(**started, capture_output=True, text=True, timeout=1800, check=False)


@pytest.fixture(scope="module")
def task(float32, random_base, tiny_family_refs, small_questionnaire, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    refs = [ref.to_json() for ref in tiny_family_refs]
    return {"base": str(random_base), "refs": refs, "questionnaire": small_questionnaire, "folder": str(folder)}


@pytest.fixture(scope="module")
def launched(task):
    """The finished command, and what each of its two processes wrote down."""
    folder = Path(task["folder"])
    (folder / "taken1").mkdir()
    (folder / "task.json").write_text(json.dumps(task))
    done = launch("data_parallel.yaml", "two_processes.py", folder / "task.json", place=folder)
    reports = [json.loads((folder / f"rank{n}.json").read_text()) for n in (0, 1) if (folder / f"rank{n}.json").exists()]
    assert len(reports) == 2, done.stderr[-4000:]
    return done, reports


@pytest.fixture(scope="module")
def alone(task, tmp_path_factory):
    """What one process makes of the same work."""
    folder = tmp_path_factory.mktemp("one")
    two_processes.train(task["base"], folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(two_processes.LIVE, "histtiny", two_processes.LIVE["histtiny"])
        assert two_processes.run(task["refs"], task["questionnaire"], folder) == 0
    return folder


def assert_same_policy(one, two, base=None):
    """Of adapters, or of whole models that began as ``base``."""
    file = "model.safetensors" if base else "adapter_model.safetensors"
    one, two = (load_file(folder / file) for folder in (one, two))
    assert one.keys() == two.keys()
    # An adapter's B begins as zeros.
    start = load_file(base / file) if base else {name: torch.zeros(()) for name in one if "lora_B" in name}
    moved = max(float((one[name] - weights).abs().max()) for name, weights in start.items())
    apart = max(float((one[name] - two[name]).abs().max()) for name in one)
    # Tight, since both have learnt the very same examples in every step; a step of other examples moves weights by a few hundredths.
    assert moved > 0.015
    assert apart < 1e-4


@pytest.mark.parametrize("weights", ["lora", "full"])
def test_two_processes_build_the_family_of_one(launched, task, tmp_path, weights):
    _, reports = launched
    assert [report[f"built {weights}"] for report in reports] == [0, 0]
    two_processes.write_plan(tmp_path / "plan", task["base"], task["questionnaire"], weights)
    build_history(tmp_path / "plan" / "plan.toml", tmp_path / "family")
    built, base = Path(task["folder"]) / "work" / f"family-{weights}", Path(task["base"]) if weights == "full" else None
    for period in ("early", "late"):
        assert_same_policy(tmp_path / "family" / period, built / period, base)
        assert (built.with_name(f"{built.name}.work") / period / "instructed").exists()


@pytest.mark.parametrize("trained", two_processes.TRAINED)
def test_two_processes_make_the_policy_of_one(launched, alone, task, trained):
    assert_same_policy(alone / trained, Path(task["folder"]) / "work" / trained)


@pytest.mark.parametrize(
    ("config", "kind", "adapters"),
    [("fsdp2", "DTensor", torch.float32), pytest.param("deepspeed_zero3", "Parameter", torch.bfloat16, marks=NEEDS_DEEPSPEED)],
)
def test_a_model_that_is_split_becomes_the_same_policy(alone, task, tmp_path, config, kind, adapters):
    done = launch(f"{config}.yaml", "two_processes_in_parts.py", task["base"], tmp_path, place=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    for report in (json.loads((tmp_path / f"rank{n}.json").read_text()) for n in (0, 1)):
        assert report["kinds"] == {kind: 0.5}
        # As docs/scale.md says: nobody makes the base float32 for the training, and DeepSpeed makes everything bfloat16.
        assert report["types"] == {"base": ["torch.bfloat16"], "adapters": [str(adapters)], "trained": [str(adapters)]}
    assert {weights.dtype for weights in load_file(tmp_path / "bfloat16" / "adapter_model.safetensors").values()} == {adapters}
    for trained in two_processes.TRAINED:
        assert_same_policy(alone / trained, tmp_path / trained)


def test_on_policy_training_shares_out_prompts_with_all_their_answers(launched):
    _, reports = launched
    n_samples, per_process = two_processes.ON_POLICY.n_samples, two_processes.ON_POLICY.batch_size // 2
    judged = []
    for report in reports:
        for prompts in report["judged"]:
            groups = [prompts[i : i + n_samples] for i in range(0, len(prompts), n_samples)]
            assert len(groups) == per_process
            assert all(len(set(group)) == 1 for group in groups)
            judged += [group[0] for group in groups]
    assert sorted(judged) == sorted(row["prompt"][0]["content"] for row in two_processes.PAIRS)


def test_a_whole_run_gives_the_result_of_one(launched, alone, task):
    _, reports = launched
    assert [report["exit_code"] for report in reports] == [0, 0]
    one, two = (json.loads((folder / "run" / "result.json").read_text()) for folder in (alone, Path(task["folder"]) / "work"))
    assert two["complete"]
    assert two["config"] == one["config"]
    assert two["baselines"] == pytest.approx(one["baselines"], abs=1e-6)
    for a, b in zip(one["steps"], two["steps"], strict=True):
        np.testing.assert_allclose(a["policy_vector"], b["policy_vector"], atol=5e-5)


def test_only_the_first_writes(launched, task):
    _, (first, second) = launched
    assert second["written"] == []
    assert any("result.json" in what for what in first["written"])
    assert not list((Path(task["folder"]) / "here").iterdir())
    left = {entry.name for entry in (Path(task["folder"]) / "work").iterdir()}
    assert left == {*two_processes.TRAINED, "rloo", "run", "family-lora", "family-lora.work", "family-full", "family-full.work"}


def test_the_second_could_not_have_written_by_any_library(tmp_path):
    with two_processes.no_bytes_written():
        with pytest.raises(Exception, match="File too large"):
            save_file({"weights": torch.zeros(3)}, tmp_path / "a.safetensors")
        with pytest.raises(OSError, match="File too large"):
            Dataset.from_dict({"x": [1]}).to_parquet(tmp_path / "a.parquet")
        with pytest.raises(OSError, match="File too large"):
            (tmp_path / "a.txt").write_text("x")


def test_questions_are_shared_out_and_all_are_told_all_answers(launched, task):
    _, reports = launched
    model, asked = ModelRef(task["base"]), (two_processes.QUESTIONS, two_processes.ANSWERS)
    expected = [scored.total for scored in make_engine("transformers").choice_logprobs(model, *asked)]
    assert reports[0]["logprobs of 5"] == reports[1]["logprobs of 5"]
    np.testing.assert_allclose(reports[0]["logprobs of 5"], expected, atol=1e-4)
    assert reports[0]["logprobs of 1"] == reports[1]["logprobs of 1"]
    assert reports[0]["replies"] == reports[1]["replies"]


def test_what_is_exchanged(launched):
    _, (first, second) = launched
    assert [first["n_ranks"], second["n_ranks"]] == [2, 2]
    assert first["others"] == second["others"] == [0, 1]
    assert first["first"] == second["first"] == first["process"] != second["process"]
    assert first["in_any"] == second["in_any"] == [True, False]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("different questions", "EngineError: the processes of this run asked different questions"),
        ("in the second", "EngineError: the second has no model"),
        ("in the first", "FileNotFoundError: "),
        ("taken for the second", "FileExistsError: "),
        ("weights lost in the second", "TrainingError: direct preference optimisation from "),
        ("odd batch", "ValueError: batch_size=3: a step's examples cannot be shared out evenly over 2 processes"),
        ("vllm", "EngineError: engine 'vllm' starts a vLLM of its own"),
    ],
)
def test_what_one_raises_all_raise(launched, task, what, says):
    _, reports = launched
    for report in reports:
        assert report["raised"][what].startswith(says)
    for folder in ("taken0", "lost", "lost.tmp", "odd"):
        assert not (Path(task["folder"]) / folder).exists()


def test_commands_other_than_run_are_refused(launched, task):
    done, reports = launched
    assert [report["benchmark"] for report in reports] == [2, 2]
    assert "Benchmark: launched in 2 processes" in done.stderr
    assert not (Path(task["folder"]) / "grid").exists()


def test_a_process_that_dies_ends_the_one_that_waits_for_it(launched):
    # The fixture's time limit is what would be exceeded.
    done, _ = launched
    assert done.returncode != 0


def test_a_single_process_needs_no_connections(monkeypatch):
    monkeypatch.setattr(ranks, "_state", lambda: pytest.fail("set up"))
    assert (ranks.n_ranks(), ranks.rank(), ranks.is_first(), ranks.local_rank()) == (1, 0, True, 0)
    assert ranks.by_first(lambda: 5) == 5
    assert ranks.by_all(lambda: 5) == [5]
    assert ranks.in_any(True)
    assert not ranks.in_any(False)
    assert ranks.share_of(7) == 7
    with pytest.raises(ValueError, match="mine"):
        ranks.by_all(lambda: int("mine"))


@pytest.mark.parametrize(("batch_size", "n", "share"), [(8, 2, 4), (8, 8, 1), (12, 3, 4)])
def test_a_steps_examples_are_shared_out_evenly(monkeypatch, batch_size, n, share):
    monkeypatch.setenv("WORLD_SIZE", str(n))
    assert ranks.share_of(batch_size) == share
    with pytest.raises(ValueError, match=f"reward_batch_size={batch_size + 1}: .* a multiple of {n}"):
        ranks.share_of(batch_size + 1, "reward_batch_size")


def test_agents_refuse_a_batch_that_does_not_come_out_even_before_they_ask_anything(monkeypatch):
    from agents.lifelong_rlhf import LifelongRLHFConfig

    monkeypatch.setenv("WORLD_SIZE", "4")
    LifelongRLHFConfig().check_here()
    with pytest.raises(ValueError, match="reward_batch_size=6"):
        LifelongRLHFConfig(reward_batch_size=6).check_here()
    with pytest.raises(ValueError, match="batch_size=3"):
        LifelongRLHFConfig(batch_size=3).check_here()
