"""Agents see observations and what they ask, never what is evaluated."""

import json

import gymnasium as gym
import numpy as np
import pytest
from tests_support import TINY_FAMILY_CENTURIES

import pg_envs.one_run
from agents.base import Agent
from agents.baselines import NoOp, Oracle
from pg_envs.agent_view import AgentView
from pg_envs.commands import Run
from pg_envs.one_run import run_and_save
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
