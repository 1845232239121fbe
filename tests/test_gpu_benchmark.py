"""The benchmark for GPUs runs on a processor at a small size, and its report says what it stands for."""

import json
import os
import subprocess
import sys
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
    one_century_s = (
        names["survey_questions"] / rate + 2 * names["evaluation_questions"] / rate + names["pairs"] / pairs_rate + 2 * report["load_s"]
    )
    assert report["episode"]["episode_s"] == pytest.approx(8 * one_century_s)
    assert report["episode"]["formula"].startswith("episode_s = 8 * ")
