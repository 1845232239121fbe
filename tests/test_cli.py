"""The command line: exit codes, messages, interruption and resumption."""

import json
import re
import subprocess
import sys

import pytest

import pg_envs
from pg_envs.cli import main
from pg_envs.history.registry import HISTORIES
from pg_envs.plugins import agent_names
from pg_envs.settings import parse_settings

QUICK = ["run", "--agent", "no-op", "--history", "simulated"]

AGENT_MODULE = '''
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.base import Agent, AgentConfig


@dataclass(frozen=True)
class Config(AgentConfig):
    loudness: float = 1.0
    shy: bool = False


class Stoppable(Agent):
    """Asks, notes, moves on from its last policy, and is stopped while there is a file called stop-in-CENTURY."""

    Config = Config

    def act(self, observation):
        votes = self.env.ask(self.env.survey[:7])
        self.note(observation, f"heard {votes.sum()}")
        if Path(f"stop-in-{observation['century']}").exists():
            raise KeyboardInterrupt
        noise = self.century_rng(observation).normal(size=19)
        self.policy = np.clip(self.policy + 0.1 * self.config.loudness * noise + 0.01 * votes.mean(), -1, 1)
        return self.policy
'''


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty current folder; what main adds to sys.path and what is imported from here is taken back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("COLUMNS", "200")
    yield tmp_path
    sys.modules.pop("stoppable", None)


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing is most of a short run's time."""
    monkeypatch.setattr("pg_envs.one_run.plot_trajectory", lambda result, path: None)


def result_of(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


# ---------------------------------------------------------------------- help and lists


def squeezed(text):
    """Without the frames and line breaks that depend on the terminal's width."""
    return re.sub(r"[\s│]+", " ", text)


def test_help_names_everything_there_is_to_choose_from(workplace, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "--help"])
    assert stop.value.code == 0
    shown = squeezed(capsys.readouterr().out)
    for name in (*pg_envs.ENV_IDS, *HISTORIES, *agent_names()):
        assert name in shown
    assert set(agent_names()) >= {"no-op", "oracle", "random", "sft", "lifelong-dpo"}


def test_list_names_everything_too(workplace, capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for name in (*pg_envs.ENV_IDS, *HISTORIES, *agent_names()):
        assert name in shown
    assert "seed=0" in shown
    environments = squeezed(shown[: shown.index("histories")])
    for argument in ("lookahead=1", "history_epochs=1", "policy_epochs=2", "scoring=centred (or upstream)", "query_budget=None"):
        assert argument in environments


# ---------------------------------------------------------------------- a run that works


def test_run_leaves_a_folder_and_says_so(workplace, capsys):
    assert main([*QUICK, "--seed", "3"]) == 0
    shown = capsys.readouterr().out
    folder = workplace / "runs" / "follow-no-op-simulated-s3"
    assert result_of(folder)["complete"] is True
    assert "skill 0.00" in shown
    assert "follow-no-op-simulated-s3" in shown
    assert shown.count("C014") == 1
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "config.json", "result.json", "trajectory.png", "upstream.json"]


def test_run_on_a_simulated_history_imports_no_model_libraries(workplace):
    code = f"import sys; from pg_envs.cli import main; main({QUICK!r}); print({{'torch', 'transformers', 'datasets'}} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "set()"


def test_env_args_and_agent_args_reach_their_receivers(workplace, no_pictures):
    (workplace / "stoppable.py").write_text(AGENT_MODULE)
    command = ["run", "--env", "ProgressGym/Predict-v0", "--history", "simulated", "--agent", "stoppable:Stoppable", "--name", "it"]
    settings = ["--env-args", "lookahead=2", "votes=majority", 'centuries=["C014", "C021"]', "--agent-args", "loudness=2", "shy=true"]
    assert main([*command, *settings]) == 0
    result = result_of(workplace / "runs" / "it")
    assert result["config"]["env_args"] == {"history": "simulated", "lookahead": 2, "votes": "majority", "centuries": ["C014", "C021"]}
    assert result["config"]["agent_args"] == {"loudness": 2, "shy": True}
    assert [(step["century_label"], step["target_label"]) for step in result["steps"]][-1] == ("C019", "C021")
    assert len(result["steps"]) == 5
    first = result["steps"][0]["policy_vector"]
    # Loudness doubles what the policy is moved by.
    assert main([*command[:-1], "quiet", *settings[:4]]) == 0
    quiet = result_of(workplace / "runs" / "quiet")["steps"][0]["policy_vector"]
    assert max(abs(a - b) for a, b in zip(first, quiet, strict=True)) > 0.05


def test_settings_are_json_where_they_can_be():
    settings = parse_settings(["a=1", "b=1e-3", "c=true", "d=null", 'e=["x", 2]', "f=majority", "g=x=y", "h="])
    assert settings == {"a": 1, "b": 1e-3, "c": True, "d": None, "e": ["x", 2], "f": "majority", "g": "x=y", "h": ""}


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "[NaN]", '{"a": -1e999}'])
def test_numbers_that_json_does_not_have_stay_text(text):
    assert parse_settings([f"a={text}"]) == {"a": text}


@pytest.mark.parametrize("number", ["NaN", "1e999"])
def test_setting_that_is_no_finite_number_is_named_and_leaves_nothing(number, workplace, capsys):
    (workplace / "stoppable.py").write_text(AGENT_MODULE)
    assert main(["run", "--agent", "stoppable:Stoppable", "--history", "simulated", "--agent-args", f"loudness={number}"]) == 2
    assert f"setting loudness='{number}': expected float" in capsys.readouterr().err
    assert not (workplace / "runs").exists()


# ---------------------------------------------------------------------- input at fault


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--agent", "magician"], ["'magician'", "no-op", "oracle", "module:Class"]),
        (["--agent", "no_such_module:Class"], ["'no_such_module:Class'", "No module named"]),
        (["--agent", "json:NoSuchClass"], ["'json:NoSuchClass'", "no attribute"]),
        (["--agent", "json:loads"], ["'json:loads'", "Config", "act()"]),
        (["--agent", ":Class"], ["':Class'"]),
        (["--agent", "lifelong-dpo"], ["'simulated' has none", "histtiny", "no-op"]),
        (["--history", "neolithic"], ["'neolithic'", *HISTORIES]),
        (["--env", "ProgressGym/Fly-v0"], ["'ProgressGym/Fly-v0'", *pg_envs.ENV_IDS]),
        (["--env", "nowhere:Foo-v0"], ["'nowhere:Foo-v0'", "No module named 'nowhere'"]),
        (["--env", "Elsewhere-v3"], ["'Elsewhere-v3'", *pg_envs.ENV_IDS]),
        (["--env", "CartPole-v1"], ["'CartPole-v1'", *pg_envs.ENV_IDS]),
        (["--env-args", "lookahead"], ["'lookahead'", "KEY=VALUE"]),
        (["--env-args", "=2"], ["'=2'", "KEY=VALUE"]),
        (["--env-args", "votes=sample", "scoring=centred", "votes=majority"], ["'votes=majority'", "votes is given twice"]),
        (["--agent-args", "loud"], ["'loud'", "KEY=VALUE"]),
        (["--env-args", "lookahead=2"], ["ProgressGym/Follow-v0", "'lookahead'", "query_budget", "scoring"]),
        (["--env", "ProgressGym/Predict-v0", "--env-args", "ahead=2"], ["'ahead'", "lookahead", "query_budget"]),
        (["--env", "ProgressGym/Predict-v0", "--env-args", "lookahead=far"], ["lookahead='far'", "whole number"]),
        (["--env-args", "votes=loudest"], ["votes='loudest'", "'sample'", "'majority'"]),
        (["--env-args", "centuries=7"], ["centuries=7", "C013", "C021"]),
        (["--agent-args", "learning_rate=3"], ["'learning_rate'", "it has seed"]),
        (["--agent-args", "seed=many"], ["seed='many'", "expected int"]),
        (["--seed", "-1"], ["--seed -1", "0 or more"]),
        (["--resume", "nowhere"], ["nowhere", "no config.json"]),
    ],
    ids=" ".join,
)
def test_bad_input_is_named_with_what_to_choose_from(arguments, words, workplace, capsys):
    assert main([*QUICK, *arguments]) == 2
    said = capsys.readouterr().err
    assert "pg-envs: " in said
    assert "Traceback" not in said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("line", "kind"),
    [("None[0]", TypeError), ("raise ValueError('from elsewhere')", ValueError), ("self.century_rng(None)", TypeError)],
)
def test_bug_of_an_agent_is_shown_with_its_traceback(line, kind, workplace):
    (workplace / "stoppable.py").write_text(AGENT_MODULE.replace("        votes = ", f"        {line}\n        votes = "))
    with pytest.raises(kind) as raised:
        main(["run", "--agent", "stoppable:Stoppable", "--history", "simulated"])
    assert any(entry.path == workplace / "stoppable.py" for entry in raised.traceback)


def test_file_that_may_not_be_read_is_named(workplace, monkeypatch, capsys):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pg_envs.submission.read_result", refuse)
    assert main(["submit-check", "it"]) == 2
    assert "Permission denied: 'it'" in capsys.readouterr().err


def test_bad_input_leaves_no_folder(workplace):
    for arguments in (["--agent", "magician"], ["--history", "neolithic"], ["--env-args", "lookahead=2"], ["--seed", "-1"]):
        assert main([*QUICK, *arguments]) == 2
    assert not (workplace / "runs").exists()


def test_options_of_the_wrong_type_are_refused(workplace, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*QUICK, "--seed", "many"])
    assert stop.value.code == 2
    assert "many" in capsys.readouterr().err


def test_name_that_is_taken_is_refused(workplace, no_pictures, capsys):
    assert main([*QUICK, "--name", "mine"]) == 0
    before = (workplace / "runs" / "mine" / "result.json").stat().st_mtime_ns
    assert main([*QUICK, "--name", "mine", "--seed", "1"]) == 2
    assert "mine exists and is never overwritten; choose another --name" in squeezed(capsys.readouterr().err)
    assert (workplace / "runs" / "mine" / "result.json").stat().st_mtime_ns == before


# ---------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("env", ["ProgressGym/Follow-v0", "ProgressGym/Coevolve-v0"])
def test_stopped_run_is_resumed_to_the_undisturbed_result(env, workplace, no_pictures, capsys):
    (workplace / "stoppable.py").write_text(AGENT_MODULE)
    command = ["run", "--agent", "stoppable:Stoppable", "--history", "simulated-random", "--env", env, "--seed", "5"]
    assert main([*command, "--name", "whole"]) == 0
    whole = result_of(workplace / "runs" / "whole")
    assert len(whole["events"]) == len(whole["steps"]) == 8

    folder = workplace / "runs" / "parts"
    (workplace / "stop-in-3").touch()
    assert main([*command, "--name", "parts"]) == 130
    assert "2 finished centuries are in" in squeezed(capsys.readouterr().err)
    partial = result_of(folder)
    assert partial["complete"] is False
    assert partial["skill"] is None
    assert partial["steps"] == whole["steps"][:2]
    assert not (folder / "upstream.json").exists()

    # Stopped once more, a century later: what the first part had finished is not lost.
    (workplace / "stop-in-3").rename(workplace / "stop-in-4")
    assert main(["run", "--resume", str(folder)]) == 130
    assert result_of(folder)["steps"] == whole["steps"][:3]

    (workplace / "stop-in-4").unlink()
    assert main(["run", "--resume", str(folder)]) == 0
    assert (folder / "result.json").read_bytes() == (workplace / "runs" / "whole" / "result.json").read_bytes()
    exports = [json.loads((workplace / "runs" / name / "upstream.json").read_text()) for name in ("whole", "parts")]
    durations = [next(iter(export["stoppable:Stoppable"].values())).pop("duration_seconds") for export in exports]
    assert durations[0] > 0
    assert durations[1] is None, "the time before it was resumed is not known"
    assert exports[0] == exports[1]


def stop_before_judging(monkeypatch, century):
    """Ctrl-C reaches a Follow environment as it begins to judge a century's policy."""
    from pg_envs.challenges.follow import FollowEnv

    judge = FollowEnv._judge

    def stopped(self, policy):
        if self.century == century:
            raise KeyboardInterrupt
        return judge(self, policy)

    monkeypatch.setattr(FollowEnv, "_judge", stopped)


def test_century_whose_policy_is_not_judged_is_not_said_to_be_finished(workplace, monkeypatch, capsys):
    stop_before_judging(monkeypatch, century=3)
    assert main([*QUICK, "--name", "it"]) == 130
    assert "Stopped: 2 finished centuries are in" in squeezed(capsys.readouterr().err)


def test_run_stopped_again_while_it_is_replayed_keeps_what_it_had(workplace, monkeypatch):
    (workplace / "stoppable.py").write_text(AGENT_MODULE)
    folder = workplace / "runs" / "it"
    (workplace / "stop-in-4").touch()
    assert main(["run", "--agent", "stoppable:Stoppable", "--history", "simulated", "--name", "it"]) == 130
    before = (folder / "result.json").read_bytes()
    stop_before_judging(monkeypatch, century=2)
    assert main(["run", "--resume", str(folder)]) == 130
    assert (folder / "result.json").read_bytes() == before


def test_run_stopped_during_its_baselines_is_finished_by_resuming(workplace, no_pictures, monkeypatch):
    command = ["run", "--agent", "random", "--history", "simulated", "--name"]
    assert main([*command, "whole"]) == 0
    from agents.baselines import Oracle

    with monkeypatch.context() as patched:
        patched.setattr(Oracle, "act", lambda self, observation: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main([*command, "parts"]) == 130
    folder = workplace / "runs" / "parts"
    assert result_of(folder)["skill"] is None
    assert main(["run", "--resume", str(folder)]) == 0
    assert (folder / "result.json").read_bytes() == (workplace / "runs" / "whole" / "result.json").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", "3"], "whose seed is 0, and 3 was asked for; leave that out"),
        (["--agent", "random"], "whose agent is 'no-op', and 'random' was asked for"),
        (["--env", "Predict"], "whose env is 'ProgressGym/Follow-v0', and 'ProgressGym/Predict-v0'"),
        (["--env-args", "votes=majority"], "whose env_args: votes is None, and 'majority'"),
        (["--name", "other"], "--resume runs/it names the run's folder, and --name or --out another; leave them out"),
        (["--out", "elsewhere"], "--resume runs/it names the run's folder"),
    ],
)
def test_who_resumes_a_run_as_another_one_is_told(options, message, workplace, no_pictures, capsys):
    begun = ["--env", "Follow", "--agent", "no-op", "--history", "simulated", "--env-args", "query_budget=3"]
    assert main(["run", *begun, "--name", "it"]) == 0
    assert json.loads((workplace / "runs/it/config.json").read_text())["env"] == "ProgressGym/Follow-v0"
    before = (workplace / "runs/it/result.json").read_bytes()
    assert main(["run", "--resume", "runs/it", *options]) == 2
    assert message in capsys.readouterr().err
    assert main(["run", "--resume", "runs/it", *begun]) == 0
    assert (workplace / "runs/it/result.json").read_bytes() == before


def test_run_stopped_before_its_first_century_can_be_resumed(workplace, no_pictures, capsys):
    (workplace / "stoppable.py").write_text(AGENT_MODULE)
    (workplace / "stop-in-1").touch()
    assert main(["run", "--agent", "stoppable:Stoppable", "--history", "simulated", "--name", "it"]) == 130
    assert "no century was finished" in squeezed(capsys.readouterr().err)
    (workplace / "stop-in-1").unlink()
    assert main(["run", "--resume", "runs/it"]) == 0
    assert result_of(workplace / "runs" / "it")["complete"] is True


def test_stop_outside_the_episode_is_no_traceback_either(workplace, capsys):
    (workplace / "stoppable.py").write_text(
        AGENT_MODULE.replace("    def act", "    def __init__(self, *args):\n        raise KeyboardInterrupt\n\n    def act")
    )
    assert main(["run", "--agent", "stoppable:Stoppable", "--history", "simulated"]) == 130
    assert "pg-envs: stopped" in capsys.readouterr().err
