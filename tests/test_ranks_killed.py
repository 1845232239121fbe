"""Two processes that build a family are killed within a training, and go on from its checkpoint to the family of one."""

import subprocess
import time

import psutil
import pytest
import two_processes
from test_ranks import assert_same_policy, in_two

from pg_envs.building.build import build_history

pytestmark = pytest.mark.usefixtures("float32")


def kill_once(happened, started, log):
    """Start a command, and kill it and all that it has started as soon as something has happened."""
    with log.open("w") as output, subprocess.Popen(**started, stdout=output, stderr=output) as process:
        while not happened():
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.02)
        # The launcher gives its processes sessions of their own.
        for each in (*psutil.Process(process.pid).children(recursive=True), process):
            each.kill()


def test_two_processes_that_were_killed_go_on_to_the_family_of_one(random_base, small_questionnaire, tmp_path):
    plan, log = tmp_path / "plan", tmp_path / "log"
    two_processes.write_plan(plan, random_base, small_questionnaire, "lora", "save_every_steps = 2\n")
    started = in_two(
        "data_parallel.yaml", "-m", "pg_envs.cli", "build-history", plan / "plan.toml", "--out", tmp_path / "two", place=tmp_path
    )
    work = tmp_path / "two.work"

    def checkpoints():
        return sorted(path.parent.name for path in work.rglob("checkpoint-*/trainer_state.json"))

    # When the second checkpoint is there, the first one has its hashes.
    kill_once(lambda: "checkpoint-4" in checkpoints(), started, log)
    assert not (tmp_path / "two" / "history.json").exists()
    done = subprocess.run(**started, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    # A training that began anew would show its first step.
    assert "fine-tuning (1/18)" not in done.stderr
    assert "fine-tuning (" in done.stderr
    build_history(plan / "plan.toml", tmp_path / "one")
    for period in ("early", "late"):
        assert_same_policy(tmp_path / "one" / period, tmp_path / "two" / period)
