"""Grids on a Ray cluster of two nodes on this machine."""

import json
import sys
import threading
import time

import pytest

from pg_envs.cli import main

ray = pytest.importorskip("ray", reason="needs pg-envs[ray]")

AGENT_MODULE = """
import time
from pathlib import Path

import pg_envs.one_run
from agents.base import Agent

# Drawing is most of a short run's time.
pg_envs.one_run.plot_trajectory = lambda result, path: None


class Counted(Agent):
    \"\"\"Notes that it was begun, and waits in its third century while there is a file called wait.\"\"\"

    def act(self, observation):
        folder = Path(FOLDER)
        if observation["century"] == 3:
            with (folder / f"begun-{self.config.seed}").open("a") as file:
                file.write("again ")
            while (folder / "wait").exists():
                time.sleep(0.02)
            if (folder / f"break-{self.config.seed}").exists():
                raise RuntimeError("broken on purpose")
        self.policy = 0.9 * self.policy + 0.1 * self.century_rng(observation).uniform(-1, 1, 19)
        return self.policy
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "counted.py").write_text(AGENT_MODULE.replace("FOLDER", repr(str(tmp_path))))
    yield tmp_path
    sys.modules.pop("counted", None)


@pytest.fixture
def cluster(monkeypatch):
    """A head without CPUs and two nodes of one each; taken down afterwards."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    memory = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **memory})
    try:
        nodes = [cluster.add_node(num_cpus=1, **memory) for _ in range(2)]
        yield cluster, nodes
    finally:
        ray.shutdown()
        cluster.shutdown()


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_lost_node_loses_no_run_and_changes_no_number(workplace, cluster, capsys):
    cluster, nodes = cluster
    command = ["benchmark", "--agents", "counted:Counted", "--seeds", "0", "1", "2", "--history", "simulated"]
    on_ray = [*command, "--ray", cluster.address, "--out"]
    (workplace / "wait").touch()
    # The command stays in the main thread, as from a shell; what happens to the cluster meanwhile does not.
    lost = []

    def lose_a_node():
        until(lambda: len(list(workplace.glob("begun-*"))) == 2)
        cluster.remove_node(nodes[1], allow_graceful=False)
        lost.append(True)
        (workplace / "wait").unlink()

    thread = threading.Thread(target=lose_a_node)
    thread.start()
    code = main([*on_ray, "ray-grid"])
    thread.join()
    assert lost == [True]
    assert code == 0
    begun = sorted(path.read_text().count("again") for path in workplace.glob("begun-*"))
    assert begun == [1, 1, 2]
    assert main([*command, "--out", "local-grid", "--threads", "1"]) == 0
    for name in ("table.md", "table.json"):
        assert (workplace / "ray-grid" / name).read_bytes() == (workplace / "local-grid" / name).read_bytes()
    results = [path.relative_to(workplace / "ray-grid") for path in (workplace / "ray-grid").glob("*/result.json")]
    assert len(results) == 3
    for path in results:
        assert (workplace / "ray-grid" / path).read_bytes() == (workplace / "local-grid" / path).read_bytes()
    # A larger grid keeps them, and an error of the run itself is not tried again.
    (workplace / "break-3").touch()
    capsys.readouterr()
    assert main([*on_ray, "ray-grid", "--seeds", "0", "1", "2", "3"]) == 1
    assert "follow-counted.Counted-simulated-s3 failed: RuntimeError: broken on purpose" in capsys.readouterr().err
    assert sorted(path.read_text().count("again") for path in workplace.glob("begun-*"))[-1] == 3
    assert (workplace / "begun-3").read_text() == "again "
    assert json.loads((workplace / "ray-grid" / "table.json").read_text())["missing"] == ["follow-counted.Counted-simulated-s3"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ray", "127.0.0.1:1"], ["--ray 127.0.0.1:1", "no Ray cluster answers"]),
        (["--ray", "127.0.0.1:1", "--workers", "2"], ["--workers 2", "leave it out"]),
        (["--ray", "127.0.0.1:1", "--threads", "0"], ["--threads 0", "1 or more"]),
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
