"""Agents of every kind of training do whole runs in two processes, with the settings and the command that one process has."""

import json
from pathlib import Path

import numpy as np
import pytest
import two_processes_agents
from test_ranks import NEEDS_DEEPSPEED, launch

from pg_envs.history.registry import LIVE
from pg_envs.models.ref import ModelRef

# One process and two add up the same numbers in another order, which bfloat16 rounds to other weights.
pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture(scope="module")
def task(tiny_family_refs, small_questionnaire, tmp_path_factory):
    folder = tmp_path_factory.mktemp("task")
    two_processes_agents.write_principles(folder / "principles.json")
    return {
        "refs": [ref.to_json() for ref in tiny_family_refs],
        "questionnaire": small_questionnaire,
        "principles": str(folder / "principles.json"),
    }


@pytest.fixture(scope="module", params=["data_parallel", "fsdp2", pytest.param("deepspeed_zero3", marks=NEEDS_DEEPSPEED)])
def launched(request, float32, task, tmp_path_factory):
    """The folder of the runs, and what each of the two processes wrote down."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "task.json").write_text(json.dumps(task))
    (folder / "runs").mkdir()
    done = launch(f"{request.param}.yaml", "two_processes_agents.py", folder / "task.json", folder / "runs", place=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "runs", [json.loads((folder / "runs" / f"rank{n}.json").read_text()) for n in (0, 1)]


@pytest.fixture(scope="module")
def alone(task, tmp_path_factory):
    """The folder of the run that one process does too."""
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(LIVE, "histtiny", lambda: tuple(ModelRef.from_json(ref) for ref in task["refs"]))
        assert two_processes_agents.run("lifelong-dpo", task, folder) == 0
    return folder


def result(folder, agent):
    return json.loads(Path(folder, agent, "result.json").read_text())


@pytest.mark.parametrize("agent", two_processes_agents.RUNS)
def test_an_agent_runs_unchanged(launched, agent):
    folder, reports = launched
    assert [report["codes"][agent] for report in reports] == [0, 0]
    found = result(folder, agent)
    assert found["complete"]
    policies = [step["policy"]["adapter"] for step in found["steps"]]
    assert policies == ["policies/C020", "policies/C021"], "each century has trained one"
    hashes = [step["policy_files"][f"{policy}/adapter_model.safetensors"] for step, policy in zip(found["steps"], policies, strict=True)]
    assert len(set(hashes)) == 2


def test_what_two_processes_teach_is_what_one_does(launched, alone):
    """A policy, and Coevolve's proxy, which learns from rows whose number does not come out even."""
    folder, _ = launched
    for one, two in zip(result(alone, "lifelong-dpo")["steps"], result(folder, "lifelong-dpo")["steps"], strict=True):
        for what in ("policy_vector", "proxy_vector", "reward"):
            np.testing.assert_allclose(two[what], one[what], atol=5e-5)


def test_only_the_first_writes(launched):
    folder, (first, second) = launched
    assert second["written"] == []
    assert any("result.json" in what for what in first["written"])
    assert {entry.name for entry in folder.iterdir()} == {*two_processes_agents.RUNS, "rank0.json", "rank1.json"}
