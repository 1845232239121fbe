"""The benchmark for GPUs runs on a processor at a small size, and its report says what it stands for."""

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    sizes = ["--size", "tiny", "--turns", "1", "--questions", "16", "--pairs", "8", "--peak-seconds", "0.01"]
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *sizes, "--out", str(out)]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(out.read_text())


def test_it_says_on_what_it_was_measured(report):
    assert report["device"]
    assert report["size"] == "tiny"
    lengths = report["asking"]["prompt_tokens"]
    assert 0 < lengths["lowest"] <= lengths["mean"] <= lengths["highest"]
    assert report["asking"]["batch_tokens"] > 0
    assert report["versions"]["torch"]


def test_it_measures_what_it_promises(report):
    asking = report["asking"]
    assert 0 < asking["share_of_peak"]["median"] < 1
    assert asking["questions_per_second"]["median"] == pytest.approx(
        asking["generating_questions_per_second"]["median"] * asking["times_faster_than_generating"]["median"]
    )
    assert report["dpo"]["pairs"] == 8
    assert report["dpo"]["ours_per_second"] > 0 < report["dpo"]["bare_per_second"]
    # Memory is torch's to count on a GPU only.
    assert "ours_peak_bytes" not in report["dpo"]


def test_an_episodes_time_follows_from_its_formula(report):
    names = {name: report["episode"][name] for name in ("survey_questions", "evaluation_questions", "pairs")}
    assert all(count > 100 for count in names.values())
    rate, pairs_rate = report["asking"]["questions_per_second"]["median"], report["dpo"]["ours_per_second"]
    policy_rate, load_s = report["asking_with_adapter"]["questions_per_second"]["median"], report["load_s"]
    humans_s = 9 * (load_s + (names["survey_questions"] + names["evaluation_questions"]) / rate)
    policies_s = 8 * (2 * load_s + names["pairs"] / pairs_rate + names["evaluation_questions"] / policy_rate)
    assert report["episode"]["episode_s"] == pytest.approx(humans_s + policies_s)
    assert report["episode"]["formula"].startswith("episode_s = 9 * (load_s + ")


@pytest.fixture
def benchmarks(monkeypatch):
    """The benchmarks' modules, by name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module
    for name in {"gpu", "training", "speed", "llama3"} - before:
        sys.modules.pop(name, None)


def test_loading_and_saving_do_not_count_as_training(benchmarks, monkeypatch):
    gpu = benchmarks("gpu")
    monkeypatch.setattr(gpu.DPOTrainer, "train", lambda trainer: time.sleep(0.05), raising=False)
    monkeypatch.setattr(gpu.ReferenceFirstDPOTrainer, "_read_reference", lambda trainer: time.sleep(0.2), raising=False)
    monkeypatch.setattr(gpu.ReferenceFirstDPOTrainer, "train", lambda trainer: (trainer._read_reference(), gpu.DPOTrainer.train(trainer)))
    ours = object.__new__(gpu.ReferenceFirstDPOTrainer)

    def step(out):
        time.sleep(0.5)
        ours.train()
        time.sleep(0.5)

    # What is read first is part of it; whoever is timed from outside would get more than a second.
    assert 0.25 <= gpu.training_alone(step, Path()) < 0.75


def test_peak_memory_on_a_gpu_is_the_highest_of_each_ones_turns(benchmarks, monkeypatch):
    training = benchmarks("training")
    allocated, resets = iter([1, 2, 5, 3, 4, 7]), []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", lambda: resets.append(0))
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda: next(allocated))
    report = training.in_turns(None, None, 10, 2, clock=lambda step, out: 5.0)
    assert (report["bare_peak_bytes"], report["ours_peak_bytes"]) == (5, 7)
    assert (report["bare_per_second"], report["ours_per_second"]) == (2.0, 2.0)
    # Before each training, or one's peak would be the other's.
    assert len(resets) == 6
