"""The agents fine-tune real models, keep the last good policy, and see nothing of the evaluation."""

import hashlib
import json
import os
import signal

import gymnasium as gym
import pytest

from agents.baselines import SFT, NoOp, Oracle, RandomAgent, SFTConfig
from agents.lifelong_dpo import LifelongDPO, LifelongDPOConfig
from pg_envs.cli import main
from pg_envs.commands import Run
from pg_envs.display import LiveDisplay
from pg_envs.history.live import histtiny_refs
from pg_envs.models.checks import fingerprint
from pg_envs.models.tuning import TrainingError
from pg_envs.one_run import run_and_save
from pg_envs.result_files import read_result


@pytest.fixture(scope="module")
def env(small_questionnaire):
    env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"), questionnaire=small_questionnaire)
    yield env
    env.close()


def test_lifelong_dpo_moves_towards_the_humans(tmp_path):
    env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"))
    rewards = []
    for agent in (LifelongDPO(env, LifelongDPOConfig(seed=0), tmp_path), NoOp(env)):
        observation, _ = env.reset(seed=0)
        rewards.append(env.step(agent.act(observation))[1])
    learnt, still = rewards
    assert learnt > still


@pytest.fixture
def ctrl_c_in_the_second_training(monkeypatch):
    """A real SIGINT, once, a few steps into the second century's training; heeded also where tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    report, begun = LiveDisplay.report, []

    def interrupting(self, what, done, total):
        report(self, what, done, total)
        if what == "direct preference optimisation":
            begun.extend([done] * (done == 1))
            if len(begun) == 2 and done == 4:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(LiveDisplay, "report", interrupting)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_run_stopped_by_ctrl_c_and_resumed_gives_the_result_of_an_undisturbed_one(
    tmp_path, small_questionnaire, ctrl_c_in_the_second_training, monkeypatch
):
    settings = [f"questionnaire={small_questionnaire}", 'centuries=["C019", "C021"]']
    assert not run_and_save(Run(agent="lifelong-dpo", env_args=settings, out=tmp_path, name="again"))
    partial = read_result(tmp_path / "again")
    assert [step["century_label"] for step in partial["steps"]] == ["C020"]
    assert not partial["complete"]
    monkeypatch.undo()
    assert run_and_save(Run(resume=tmp_path / "again"))
    assert run_and_save(Run(agent="lifelong-dpo", env_args=settings, out=tmp_path, name="once"))
    once, again = ((tmp_path / name / "result.json").read_bytes() for name in ("once", "again"))
    assert once == again
    assert json.loads(once)["events"] == []
    assert sorted(path.name for path in (tmp_path / "once" / "policies").iterdir()) == ["C020", "C021"]
    policies = [step["policy"] for step in json.loads(once)["steps"]]
    base = histtiny_refs()[0].base
    assert policies == [{"base": base, "revision": None, "adapter": f"policies/{label}"} for label in ("C020", "C021")]
    first, second = (step["policy_files"] for step in json.loads(once)["steps"])
    for label, files in (("C020", first), ("C021", second)):
        weights = f"policies/{label}/adapter_model.safetensors"
        assert files[weights] == hashlib.sha256((tmp_path / "once" / weights).read_bytes()).hexdigest()
    assert set(first.values()) != set(second.values())
    assert (tmp_path / "once" / "trajectory.png").stat().st_size > 10_000


def test_sft_imitates(env, tmp_path):
    observation, _ = env.reset(seed=0)
    agent = SFT(env, SFTConfig(seed=0), tmp_path)
    policy = agent.act(observation)
    assert env.action_space.contains(policy)
    assert fingerprint(policy) != fingerprint(env.unwrapped.initial_policy)


def test_baselines(env):
    observation, _ = env.reset(seed=0)
    assert NoOp(env).act(observation) == env.unwrapped.history.human(0)
    assert Oracle(env).act(observation) == env.unwrapped.history.human(1)
    assert RandomAgent(env).act(observation) in env.unwrapped.history.refs


def test_an_agent_told_to_stop_stops_and_what_was_finished_is_kept(tmp_path, small_questionnaire, monkeypatch, capsys):
    trainings = []

    def dpo(start, dataset, out, *rest):
        trainings.append(out)
        if len(trainings) == 2:
            raise TrainingError("no finite loss")
        return start

    monkeypatch.setattr("agents.lifelong_dpo.dpo", dpo)
    settings = ["--env-args", f"questionnaire={small_questionnaire}", 'centuries=["C018", "C021"]', "--agent-args", "on_failure=stop"]
    assert main(["run", "--out", str(tmp_path), "--name", "run", *settings]) == 1
    said = capsys.readouterr().err
    assert "the agent stopped: C020: no finite loss" in said
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert len(result["steps"]) == 1
    assert result["events"] == [{"century": "C020", "event": "training failed, the policy is kept: no finite loss"}]
    assert not result["complete"]


def test_an_agent_that_stops_in_the_first_century_says_so_and_the_century_is_tried_again(
    tmp_path, small_questionnaire, monkeypatch, capsys
):
    def dpo(start, dataset, out, *rest):
        raise TrainingError("no finite loss")

    settings = ["--env-args", f"questionnaire={small_questionnaire}", 'centuries=["C019", "C021"]', "--agent-args", "on_failure=stop"]
    with monkeypatch.context() as failing:
        failing.setattr("agents.lifelong_dpo.dpo", dpo)
        assert main(["run", "--out", str(tmp_path), "--name", "run", *settings]) == 1
    said = capsys.readouterr().err
    assert "the agent stopped: C020: no finite loss" in said
    assert not (tmp_path / "run/result.json").exists()
    monkeypatch.setattr("agents.lifelong_dpo.dpo", lambda start, *rest: start)
    assert main(["run", "--resume", str(tmp_path / "run")]) == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["complete"]
    assert result["events"] == []


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="on_failure='weep': choose from 'keep', 'stop'"):
        LifelongDPOConfig(on_failure="weep")


def test_independent_restarts_from_the_initial_policy(env, tmp_path, monkeypatch):
    starts = []
    monkeypatch.setattr("agents.training.learnt_nothing", lambda start, trained: False)
    monkeypatch.setattr("agents.lifelong_dpo.dpo", lambda start, *rest: starts.append(start) or start.with_adapter("elsewhere"))
    observation, _ = env.reset(seed=0)
    for independent in (True, False):
        agent = LifelongDPO(env, LifelongDPOConfig(independent=independent), tmp_path)
        agent.act(observation)
        agent.act(observation)
    initial = env.unwrapped.initial_policy
    assert starts == [initial, initial, initial, initial.with_adapter("elsewhere")]


def test_agents_that_train_models_refuse_simulated_histories(tmp_path):
    simulated = gym.make("ProgressGym/Follow-v0", history="simulated")
    for agent_class in (LifelongDPO, SFT):
        with pytest.raises(TypeError, match="choose history='histtiny'"):
            agent_class(simulated, None, tmp_path)
