"""Grids on a Ray cluster of two nodes on this machine."""

import shutil
import sys
import threading
import time
from importlib.util import find_spec

import psutil
import pytest

import pg_envs.one_run
from pg_envs.cli import main
from pg_envs.grid.ray_cluster import ray_cluster
from pg_envs.history.recorded import recording_folder

NEEDS_RAY = pytest.mark.skipif(find_spec("ray") is None, reason="needs pg-envs[ray]")

AGENT_MODULE = """
import os
import time
from pathlib import Path

import pg_envs.one_run
from agents.base import Agent

# Drawing is most of a short run's time.
pg_envs.one_run.plot_trajectory = lambda result, path: None


class Counted(Agent):
    \"\"\"In its third century: notes its process, waits while seed S's file wait-S is there, breaks if break-S is.\"\"\"

    def act(self, observation):
        folder, seed = Path(FOLDER), self.config.seed
        if observation["century"] == 3:
            with (folder / f"begun-{seed}").open("a") as file:
                file.write(f"{os.getpid()} ")
            (folder / f"gpus-{seed}").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
            while (folder / f"wait-{seed}").exists():
                time.sleep(0.02)
            if (folder / f"break-{seed}").exists():
                raise RuntimeError("broken on purpose")
        self.policy = 0.9 * self.policy + 0.1 * self.century_rng(observation).uniform(-1, 1, 19)
        return self.policy
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    # The agent's module takes it away wherever it is imported, here too; this puts it back afterwards.
    monkeypatch.setattr(pg_envs.one_run, "plot_trajectory", pg_envs.one_run.plot_trajectory)
    (tmp_path / "counted.py").write_text(AGENT_MODULE.replace("FOLDER", repr(str(tmp_path))))
    yield tmp_path
    sys.modules.pop("counted", None)


@pytest.fixture
def cluster(monkeypatch):
    """A head and another node, with a CPU each; taken down afterwards."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    settings = {"num_cpus": 1, "include_log_monitor": False, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **settings})
    try:
        yield cluster, cluster.add_node(**settings)
    finally:
        ray.shutdown()
        cluster.shutdown()


def until(condition):
    # Ray takes a minute to start where others use the machine.
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@NEEDS_RAY
def test_lost_node_loses_no_run_and_changes_no_number(workplace, cluster, ran, capsys):
    cluster, node = cluster
    command = ["benchmark", "--agents", "counted:Counted", "--seeds", "0", "1", "2", "3", "--history", "simulated", "--out"]
    waits = [workplace / f"wait-{seed}" for seed in (1, 2)]
    for wait in waits:
        wait.touch()
    (workplace / "break-3").touch()

    def processes(seed):
        path = workplace / f"begun-{seed}"
        return [int(word) for word in path.read_text().split()] if path.exists() else []

    def begun():
        return [len(processes(seed)) for seed in range(4)]

    lost = []

    def lose_the_node():
        try:
            # Seed 0 is finished, since 1 and 2 have the two nodes.
            until(lambda: begun()[:3] == [1, 1, 1])
            cluster.remove_node(node, allow_graceful=False)
            lost.append((workplace / "ray-grid" / "follow-counted.Counted-simulated-s0" / "upstream.json").stat().st_mtime_ns)
            # A worker outlives its node by a moment, in which it could finish its run.
            until(lambda: sum(psutil.pid_exists(processes(seed)[0]) for seed in (1, 2)) == 1)
        finally:
            # Whatever went wrong, nobody waits for ever.
            for wait in waits:
                wait.unlink()

    # The command stays in the main thread, as from a shell; what happens to the cluster meanwhile does not.
    thread = threading.Thread(target=lose_the_node)
    thread.start()
    code = main([*command, "ray-grid", "--ray", cluster.address])
    thread.join()
    assert code == 1
    said = capsys.readouterr().err
    # An error of the run itself is not tried again.
    assert "follow-counted.Counted-simulated-s3 failed: RuntimeError: broken on purpose" in said
    times = begun()
    assert (times[0], sorted(times[1:3]), times[3]) == (1, [1, 2], 1)
    assert [(workplace / "ray-grid" / "follow-counted.Counted-simulated-s0" / "upstream.json").stat().st_mtime_ns] == lost
    log = (workplace / "ray-grid" / "logs" / "follow-counted.Counted-simulated-s3.log").read_text()
    assert "counted.py" in log

    assert main([*command, "local-grid"]) == 1
    assert ran[0] == "follow-counted.Counted-simulated-s0"
    for name in ("table.md", "table.json", *(f"{name}/result.json" for name in ran)):
        assert (workplace / "ray-grid" / name).read_bytes() == (workplace / "local-grid" / name).read_bytes()


@NEEDS_RAY
def test_runs_are_shown_the_gpus_they_ask_for(workplace, cluster, capsys):
    """On a node that says it has two, which Ray believes."""
    cluster, _ = cluster
    cluster.add_node(num_cpus=1, num_gpus=2, include_log_monitor=False, object_store_memory=80 * 2**20)
    command = ["benchmark", "--agents", "counted:Counted", "--seeds", "0", "1", "--history", "simulated", "--ray", cluster.address, "--out"]
    assert main([*command, "grid", "--gpus", "3"]) == 2
    assert "no node of the cluster" in capsys.readouterr().err
    assert not (workplace / "grid").exists()
    assert main([*command, "grid", "--gpus", "1"]) == 0
    assert {(workplace / f"gpus-{seed}").read_text() for seed in (0, 1)} <= {"0", "1"}


@NEEDS_RAY
@pytest.mark.parametrize(("threads", "says"), [(1, ""), (2, "--threads 2: no node of the cluster at {} has more than 1 CPUs now")])
def test_waiting_for_a_node_that_is_not_there_is_said(cluster, caplog, threads, says):
    with ray_cluster(cluster[0].address, threads):
        pass
    said = [record.getMessage() for record in caplog.records if record.name == ray_cluster.__module__]
    assert [message.split(";")[0] for message in said] == ([says.format(cluster[0].address)] if says else [])


@NEEDS_RAY
def test_relative_names_mean_the_same_as_without_a_cluster(workplace, cluster, monkeypatch):
    """Nodes are started somewhere else than the grid."""
    here = workplace / "here"
    here.mkdir()
    shutil.copytree(recording_folder("histtiny"), here / "mine")
    monkeypatch.chdir(here)
    command = ["benchmark", "--agents", "oracle", "--seeds", "0", "--history", "recorded:mine", "--ray", cluster[0].address]
    assert main([*command, "--out", "grid"]) == 0
    assert (here / "grid" / "follow-oracle-recorded-mine-s0" / "result.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--ray", "127.0.0.1:1"], ["--ray 127.0.0.1:1", "no Ray cluster answers"], marks=NEEDS_RAY),
        (["--ray", "127.0.0.1:1", "--workers", "2"], ["--workers 2", "leave it out"]),
        (["--ray", "127.0.0.1:1", "--threads", "0"], ["--threads 0", "1 or more"]),
        (["--ray", "127.0.0.1:1", "--gpus", "1.5"], ["--gpus 1.5", "a whole number, or a part of one"]),
        (["--ray", "127.0.0.1:1", "--gpus", "-1"], ["--gpus -1", "a whole number, or a part of one"]),
        (["--gpus", "1"], ["--gpus 1", "only with --ray"]),
    ],
)
def test_what_is_wrong_with_a_cluster_is_said_before_anything_is_written(arguments, words, workplace, capsys):
    assert main(["benchmark", "--agents", "no-op", "--history", "simulated", "--out", "grid", *arguments]) == 2
    said = capsys.readouterr().err
    for word in words:
        assert word in said
    assert not (workplace / "grid").exists()


def test_missing_ray_is_called_by_the_extra_that_brings_it(workplace, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["benchmark", "--agents", "no-op", "--history", "simulated", "--out", "grid", "--ray", "auto"]) == 2
    assert "pip install 'pg-envs[ray]'" in capsys.readouterr().err
