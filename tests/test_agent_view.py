"""Agents see observations and what they ask, never what is evaluated."""

import contextlib
import json
import os
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from tests_support import TINY_FAMILY_CENTURIES

import pg_envs.one_run
from agents.base import Agent
from agents.baselines import NoOp, Oracle
from pg_envs.agent_view import AgentView
from pg_envs.commands import Run
from pg_envs.history.base import History
from pg_envs.one_run import run_and_save
from pg_envs.values.questionnaire import load_questionnaire
from pg_envs.values.survey import Comparison, ComparisonError, make_comparisons
from pg_envs.withheld import withheld
from wrappers import NoisyHumans, PreferenceDataset, QueryBudget, RecordEpisode, VectorReward

SECRETS = ("trace", "history", "evaluation", "step", "unwrapped", "episode_score", "np_random", "proxy", "_century")


class Snoop(Agent):
    """Looks for the evaluation wherever it can reach by attributes, and leaves what it found in its events."""

    def act(self, observation):
        """Keeps the policy, having looked around."""
        found = [name for name in SECRETS if hasattr(self.env, name)]
        for name in dir(self.env):
            value = getattr(self.env, name, None)
            # An array has a method ``trace``, a space a generator of its own.
            if not name.startswith("__") and not isinstance(value, (np.ndarray, gym.Space)):
                found += [f"{name}.{secret}" for secret in SECRETS if hasattr(value, secret)]
        assert set(observation) == {"century", "votes"}
        self.note(observation, ", ".join(found))
        return self.policy


def test_an_agent_that_looks_for_the_evaluation_cannot_find_it(tmp_path, monkeypatch):
    handed_over = []
    monkeypatch.setattr(pg_envs.one_run, "find_agent", lambda name: {"snoop": Snoop, "no-op": NoOp, "oracle": Oracle}[name])
    monkeypatch.setattr(Snoop, "__init__", lambda self, env, *rest: (handed_over.append(env), Agent.__init__(self, env, *rest))[1])
    assert run_and_save(Run(agent="snoop", history="simulated", out=tmp_path, name="run"))
    assert isinstance(handed_over[0], AgentView)
    events = json.loads((tmp_path / "run" / "result.json").read_text())["events"]
    assert [event["event"] for event in events] == [""] * 8
    agent = Snoop(gym.make("ProgressGym/Follow-v0", history="simulated"))
    agent.act({"century": 1, "votes": np.zeros(1)})
    assert [event["event"] for event in agent.events] == [""]


class Spy(Agent):
    """Goes after the evaluation on every way that it is handed: files, functions and what they hold, questions."""

    def act(self, observation):
        """Keeps the policy, having tried."""
        self.note(observation, f"files: {self.in_files()}; objects: {self.in_objects()}; asked: {self.by_asking()}")
        return self.policy

    def in_files(self):
        """Numbers of the evaluation in files around the agent's folder, its links included."""
        folder = self.workdir.parent.resolve()
        for link, make in (("soft", os.symlink), ("hard", os.link)):
            if (folder / "result.json").exists() and not (folder / link).exists():
                with contextlib.suppress(PermissionError):
                    make(folder / "result.json", folder / link)
        found = []
        for path in folder.rglob("*"):
            with contextlib.suppress(PermissionError, IsADirectoryError):
                found += [name for name in ("target_vector", "policy_vector", '"reward"') if name in path.read_text()]
        return found

    def in_objects(self):
        """Environments that attributes, containers, closures and bound methods lead to from the view."""
        seen, waiting, found = set(), [self.env], []
        while waiting:
            value = waiting.pop()
            if id(value) in seen or isinstance(value, (str, bytes, int, float, np.ndarray, type, ModuleType)):
                continue
            seen.add(id(value))
            if isinstance(value, gym.Env | History):
                found.append(type(value).__name__)
                continue
            slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if name != "__weakref__"]
            waiting += [getattr(value, name) for name in slots if hasattr(value, name)]
            waiting += [*getattr(value, "__dict__", {}).values()]
            waiting += [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
            waiting += [getattr(value, name) for name in ("__self__", "__func__") if hasattr(value, name)]
            if value is self.env:
                waiting += [getattr(value, name) for name in dir(value) if not name.startswith("__")]
            waiting += [*value.values()] if isinstance(value, dict) else [*value] if isinstance(value, (list, tuple, set)) else []
        return found

    def by_asking(self):
        """Votes on items that policies are evaluated on, whole or on some of their options."""
        _, evaluation = load_questionnaire().split()
        votes = []
        for comparison in make_comparisons(evaluation.items):
            for asked in (comparison, Comparison(replace(comparison.item, options=comparison.texts), 0, 1)):
                with contextlib.suppress(ComparisonError):
                    votes += self.env.ask([asked]).tolist()
        return votes


def test_a_spy_finds_nothing_in_files_functions_and_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(pg_envs.one_run, "find_agent", lambda name: {"spy": Spy, "no-op": NoOp, "oracle": Oracle}[name])
    options = {"agent": "spy", "history": "simulated", "env_args": ('centuries=["C018", "C021"]',)}
    assert run_and_save(Run(**options, out=tmp_path, name="run"))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [event["event"] for event in result["events"]] == ["files: []; objects: []; asked: []"] * 3
    assert [step["n_queries"] for step in result["steps"]] == [0] * 3


def test_the_spy_would_find_what_is_not_withheld(tmp_path):
    env = gym.make("ProgressGym/Follow-v0", history="simulated")
    env.reset(seed=0)
    spy = Spy(env, workdir=tmp_path / "policies")
    (tmp_path / "result.json").write_text('{"target_vector": 0}')
    assert set(spy.in_files()) == {"target_vector"}
    with withheld(tmp_path / "result.json"):
        assert spy.in_files() == []
        with pytest.raises(PermissionError, match=r"result\.json holds what is evaluated"):
            (tmp_path / "result.json").read_bytes()
    assert set(spy.in_files()) == {"target_vector"}
    spy.env = SimpleNamespace(ask=lambda comparisons: env.unwrapped.ask(comparisons))
    assert spy.in_objects()
    assert spy.by_asking()


def test_an_agent_that_is_taken_up_again_does_not_read_what_was_judged_before(tmp_path, monkeypatch):
    """Neither when it is made, nor when it recalls."""

    class Reader(Spy):
        def __init__(self, *args):
            super().__init__(*args)
            self.read = self.in_files()

        def recall(self, observation):
            self.read += self.in_files()

        def act(self, observation):
            if self.label(observation) == "C020" and not (self.workdir / "again").exists():
                (self.workdir / "again").mkdir(parents=True)
                raise KeyboardInterrupt
            self.note(observation, str(self.read))
            return self.policy

    monkeypatch.setattr(pg_envs.one_run, "find_agent", lambda name: {"reader": Reader, "no-op": NoOp, "oracle": Oracle}[name])
    options = {"agent": "reader", "history": "simulated", "env_args": ('centuries=["C018", "C021"]',)}
    assert not run_and_save(Run(**options, out=tmp_path, name="run"))
    assert "target_vector" in (tmp_path / "run" / "result.json").read_text()
    assert run_and_save(Run(resume=tmp_path / "run"))
    assert [event["event"] for event in json.loads((tmp_path / "run" / "result.json").read_text())["events"]] == ["[]"] * 3


def test_an_item_of_ones_own_may_be_asked_about_though_it_is_like_one_that_is_evaluated():
    env = gym.make("ProgressGym/Follow-v0", history="simulated")
    env.reset(seed=0)
    _, evaluation = load_questionnaire().split()
    comparison = make_comparisons(evaluation.items)[0]
    with pytest.raises(ComparisonError, match="is one that policies are evaluated on"):
        AgentView(env).ask([comparison])
    assert AgentView(env).ask([Comparison(replace(comparison.item, context="Another?"), 0, 1)]).shape == (1,)
    assert env.unwrapped.ask([comparison]).shape == (1,), "who has the environment itself may ask it"


def test_wrappers_give_an_agent_nothing_more(tmp_path):
    env = gym.make("ProgressGym/Follow-v0", history="simulated")
    env = PreferenceDataset(QueryBudget(NoisyHumans(RecordEpisode(env, str(tmp_path))), per_century=1))
    agent = Snoop(VectorReward(env))
    agent.act({"century": 1, "votes": np.zeros(1)})
    assert [event["event"] for event in agent.events] == [""]


def test_the_view_asks_through_wrappers():
    class Contrary(gym.Wrapper):
        """Turns every vote round and has words of its own."""

        def ask(self, comparisons):
            return -self.env.get_wrapper_attr("ask")(comparisons)

        def respond(self, prompts):
            return ["No." for _ in prompts]

    env = gym.make("ProgressGym/Follow-v0", history="simulated", votes="majority")
    view = AgentView(gym.wrappers.RecordEpisodeStatistics(Contrary(env)))
    observation, _ = env.reset(seed=0)
    np.testing.assert_array_equal(view.ask(view.survey), -observation["votes"])
    assert view.respond(["Yes?"]) == ["No."]
    assert env.unwrapped.n_queries == len(view.survey)


def test_the_view_asks_and_is_counted():
    env = gym.make("ProgressGym/Coevolve-v0", history="simulated")
    view = AgentView(env.unwrapped)
    assert view.lookahead is None
    env.reset(seed=0)
    assert set(np.unique(view.ask(view.survey[:50]))) <= {-1, 1}
    assert env.step(view.initial_policy)[4]["n_queries"] == 50
    with pytest.raises(TypeError, match="no language model"):
        view.respond(["Who are you?"])


def test_a_random_history_gives_the_view_its_new_first_humans():
    env = gym.make("ProgressGym/Follow-v0", history="simulated-random")
    view = AgentView(env.unwrapped)
    env.reset(seed=1)
    first = view.initial_policy
    env.reset(seed=2)
    assert not np.array_equal(first, view.initial_policy)


def test_no_humans_to_come_are_named(tiny_family):
    env = gym.make("ProgressGym/Follow-v0", centuries=TINY_FAMILY_CENTURIES)
    view = AgentView(env)
    assert len(env.action_space.examples) > 1
    assert view.action_space.examples == (view.initial_policy,)
    assert {view.action_space.sample() for _ in range(20)} == {view.initial_policy}
    for ref in env.action_space.examples:
        assert view.action_space.contains(ref) == env.action_space.contains(ref)
    env.close()
