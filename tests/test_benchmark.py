"""Grids of runs: what is run, kept, refused and left behind."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock
from tests_support import TINY_FAMILY_CENTURIES

import pg_envs.one_run
from agents.baselines import NoOp, Oracle
from pg_envs.cli import main

AGENT_MODULE = '''
import os
import time
from pathlib import Path

import pg_envs.one_run
from agents.base import Agent

# Drawing is most of a short run's time.
pg_envs.one_run.plot_trajectory = lambda result, path: None


class Eventful(Agent):
    """Moves with the votes, and in seed S's third century does what a file WHAT-S asks for."""

    def act(self, observation):
        seed = self.config.seed
        if observation["century"] == 3:
            if Path(f"break-{seed}").exists():
                raise RuntimeError("broken on purpose" + Path(f"break-{seed}").read_text())
            if Path(f"die-{seed}").exists():
                os._exit(9)
            while Path(f"wait-{seed}").exists():
                time.sleep(0.02)
        self.policy = 0.9 * self.policy + 0.1 * self.century_rng(observation).uniform(-1, 1, 19)
        return self.policy
'''
EVENTFUL = "eventful:Eventful"


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    # The agent's module takes it away wherever it is imported, here too; this puts it back afterwards.
    monkeypatch.setattr(pg_envs.one_run, "plot_trajectory", pg_envs.one_run.plot_trajectory)
    (tmp_path / "eventful.py").write_text(AGENT_MODULE)
    yield tmp_path
    sys.modules.pop("eventful", None)


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr("pg_envs.one_run.plot_trajectory", lambda result, path: None)


def grid(*arguments, agents=("no-op", "random"), seeds=("0", "1")):
    return ["benchmark", "--agents", *agents, "--seeds", *seeds, "--history", "simulated", "--out", "grid", *arguments]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------------- in this process


def test_a_later_grid_takes_the_baselines_that_are_there(workplace, no_pictures, ran, monkeypatch):
    assert main(grid("--envs", "Follow", agents=["simulated-lifelong"], seeds=["0"])) == 0
    for baseline in (NoOp, Oracle):
        monkeypatch.setattr(baseline, "act", lambda self, observation: pytest.fail("a baseline was run"))
    assert main(grid("--envs", "Follow", agents=["random"], seeds=["0"])) == 0
    first, second = (json.loads((workplace / "grid" / name / "result.json").read_text()) for name in ran)
    assert first["baselines"] == second["baselines"]


def test_baselines_are_run_anew_where_a_folder_is_named_whose_model_may_change(
    workplace, no_pictures, ran, tiny_family, random_base, monkeypatch
):
    name = f"initial_policy={random_base}"
    options = grid("--envs", "Follow", "--env-args", name, f"centuries={json.dumps(TINY_FAMILY_CENTURIES)}", agents=["random"], seeds=["0"])
    options[options.index("simulated")] = "histtiny"
    assert main(options) == 0
    monkeypatch.setattr(NoOp, "act", lambda self, observation: pytest.fail("a baseline was run"))
    options[options.index("random")] = "oracle"
    with pytest.raises(pytest.fail.Exception, match="a baseline was run"):
        main(options)


def test_cells_are_the_same_as_runs(workplace, no_pictures, ran):
    assert main(grid("--envs", "Predict:lookahead=2", "--env-args", "votes=majority", agents=["random"], seeds=["3"])) == 0
    run = ["run", "--env", "ProgressGym/Predict-v0", "--agent", "random", "--seed", "3", "--history", "simulated", "--name", "it"]
    assert main([*run, "--env-args", "votes=majority", "lookahead=2"]) == 0
    assert ran == ["predict-lookahead-2-random-simulated-s3"]
    assert (workplace / "grid" / ran[0] / "result.json").read_bytes() == (workplace / "runs" / "it" / "result.json").read_bytes()


def test_finished_runs_are_kept_and_a_larger_grid_runs_what_is_new(workplace, no_pictures, ran, capsys):
    command = grid("--envs", "Follow", "Predict:lookahead=5", "--pairs", "random", "no-op")
    assert main(command) == 0
    assert len(ran) == 8
    before = contents(workplace / "grid")
    shown = capsys.readouterr().out
    assert (workplace / "grid" / "table.md").read_text() in shown
    assert main(command) == 0
    assert len(ran) == 8
    assert {k: v for k, v in contents(workplace / "grid").items() if k.name not in ("state.json", ".lock")} == {
        k: v for k, v in before.items() if k.name not in ("state.json", ".lock")
    }
    assert main(grid("--envs", "Follow", seeds=["0", "1", "2"])) == 0
    assert ran[8:] == ["follow-no-op-simulated-s2", "follow-random-simulated-s2"]
    table = json.loads((workplace / "grid" / "table.json").read_text())
    assert [(row["environment"], row["agent"], row["seeds"]) for row in table["runs"]] == [
        ("Follow", "no-op", [0, 1, 2]),
        ("Follow", "random", [0, 1, 2]),
    ]
    assert table["command"] == "pg-envs benchmark --agents no-op random --envs Follow --seeds 0 1 2 --history simulated"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--agents", "no-op", "magician"], "'magician'"),
        (["--agents", "no-op:loud=1"], "'loud'"),
        (["--agents", "lifelong-dpo"], "'simulated' has none"),
        (["--envs", "Follow", "Fly"], "'Fly'"),
        (["--envs", "Follow:lookahead=2"], "'lookahead'"),
        (["--env-args", "lookahead"], "KEY=VALUE"),
        (["--pairs", "no-op", "oracle"], "--pairs oracle: expected agents"),
        (["--seeds", "0", "-1"], "--seeds -1"),
        (["--seeds", "0", "0"], "2 runs of the grid"),
        (["--workers", "0"], "--workers 0"),
        (["--threads", "0"], "--threads 0"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_is_written(arguments, words, workplace, capsys):
    assert main(grid(*arguments)) == 2
    assert words in capsys.readouterr().err
    assert not (workplace / "grid").exists()


def test_settings_other_than_those_of_the_run_that_is_there_are_refused(workplace, no_pictures, ran, capsys):
    assert main(grid(agents=["no-op"], seeds=["0"])) == 0
    before = contents(workplace / "grid")
    assert main(grid("--env-args", "votes=majority", agents=["no-op"])) == 2
    assert "another --out" in capsys.readouterr().err
    assert contents(workplace / "grid") == before


def test_second_grid_in_the_same_folder_is_refused(workplace, no_pictures, ran, capsys):
    (workplace / "grid").mkdir()
    command = grid(agents=["no-op"], seeds=["0"])
    with FileLock(workplace / "grid" / ".lock"):
        assert main(command) == 2
    assert "is in use by another process" in " ".join(capsys.readouterr().err.split())
    assert ran == []
    assert main(command) == 0


# ---------------------------------------------------------------------- in processes


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_broken_and_dying_runs_stop_no_other_and_are_gone_on_with(workplace, no_pictures, capsys):
    command = grid("--workers", "2", "--threads", "1", agents=[EVENTFUL], seeds=["0", "1", "2"])
    (workplace / "break-0").touch()
    (workplace / "die-1").touch()
    assert main(command) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "follow-eventful.Eventful-simulated-s0 failed: RuntimeError: broken on purpose" in said
    assert "follow-eventful.Eventful-simulated-s1 failed: the process died with exit code 9" in said
    state = json.loads((workplace / "grid" / "state.json").read_text())
    assert [*state["runs"].values()] == ["failed", "failed", "done"]
    assert "broken on purpose" in (workplace / "grid" / "logs" / "follow-eventful.Eventful-simulated-s0.log").read_text()
    table = json.loads((workplace / "grid" / "table.json").read_text())
    assert table["runs"][0]["seeds"] == [2]
    assert table["missing"] == ["follow-eventful.Eventful-simulated-s0", "follow-eventful.Eventful-simulated-s1"]
    half = json.loads((workplace / "grid" / "follow-eventful.Eventful-simulated-s1" / "result.json").read_text())
    assert len(half["steps"]) == 2
    (workplace / "break-0").unlink()
    (workplace / "die-1").unlink()
    assert main(command) == 0
    assert main(["run", "--agent", EVENTFUL, "--history", "simulated", "--seed", "1", "--name", "it"]) == 0
    resumed = workplace / "grid" / "follow-eventful.Eventful-simulated-s1" / "result.json"
    assert resumed.read_bytes() == (workplace / "runs" / "it" / "result.json").read_bytes()


def test_run_with_a_long_message_does_not_keep_the_grid_waiting(workplace):
    (workplace / "break-0").write_text("!" * 1_000_000)
    command = [sys.executable, "-m", "pg_envs.cli", *grid(agents=[EVENTFUL], seeds=["0"])]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "RuntimeError: broken on purpose!!!" in ran.stderr
    assert len(ran.stderr) < 10_000
    assert "!" * 1_000_000 in (workplace / "grid/logs/follow-eventful.Eventful-simulated-s0.log").read_text(encoding="utf-8")


def test_ctrl_c_keeps_what_is_finished_and_leaves_no_process(workplace):
    command = [sys.executable, "-m", "pg_envs.cli", *grid("--workers", "2", agents=[EVENTFUL], seeds=["0", "1"])]
    (workplace / "wait-1").touch()
    state_file = workplace / "grid" / "state.json"
    # A process that runs in the background would ignore SIGINT, and hand that on.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    grid_process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **heed)
    half = workplace / "grid" / "follow-eventful.Eventful-simulated-s1" / "result.json"
    until(lambda: half.exists() and json.loads(state_file.read_text())["counts"]["done"] == 1)
    os.kill(grid_process.pid, signal.SIGINT)
    said = grid_process.communicate(timeout=60)[1]
    assert grid_process.returncode == 130
    assert "the same command goes on with it" in said
    assert [*json.loads(state_file.read_text())["runs"].values()] == ["done", "interrupted"]
    assert not (workplace / "grid" / "table.md").exists()
    # Were it still there, it would go on now.
    before = half.read_bytes()
    (workplace / "wait-1").unlink()
    time.sleep(0.3)
    assert half.read_bytes() == before


def test_runs_of_a_grid_that_was_killed_do_not_go_on(workplace):
    (workplace / "wait-0").touch()
    grid_process = subprocess.Popen([sys.executable, "-m", "pg_envs.cli", *grid(agents=[EVENTFUL], seeds=["0"])], stderr=subprocess.DEVNULL)
    half = workplace / "grid" / "follow-eventful.Eventful-simulated-s0" / "result.json"
    until(lambda: half.exists() and len(json.loads(half.read_text())["steps"]) == 2)
    grid_process.kill()
    grid_process.wait()
    time.sleep(0.5)
    (workplace / "wait-0").unlink()
    time.sleep(0.3)
    assert len(json.loads(half.read_text())["steps"]) == 2
