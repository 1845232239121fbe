"""Budgets bind whoever asks as agents do."""

import gymnasium as gym
import numpy as np
import pytest

from agents.base import Agent
from agents.votes import collect
from pg_envs.agent_view import AgentView
from pg_envs.questions import QueryBudgetExceeded
from pg_envs.runner import run_episode
from wrappers import NoisyHumans, QueryBudget


def test_a_century_has_its_budget_anew(simulated):
    env = QueryBudget(simulated(), per_century=5)
    view = AgentView(env)
    env.reset(seed=0)
    for _ in range(3):
        assert len(view.ask(view.survey[:3])) == 3
        with pytest.raises(QueryBudgetExceeded, match=r"3 more questions after 3 in C01\d exceed per_century=5"):
            view.ask(view.survey[:3])
        assert len(view.ask(view.survey[:2])) == 2
        assert env.step(np.zeros(19))[4]["n_queries"] == 5


def test_an_episode_has_its_budget_once(simulated):
    env = QueryBudget(simulated(), per_episode=5)
    view = AgentView(env)
    for _ in range(2):
        env.reset(seed=0)
        view.ask(view.survey[:3])
        env.step(np.zeros(19))
        with pytest.raises(QueryBudgetExceeded, match="3 more questions after 3 in this episode exceed per_episode=5"):
            view.ask(view.survey[:3])
        view.ask(view.survey[:2])
        assert env.step(np.zeros(19))[4]["n_queries_total"] == 5


def test_a_question_too_many_changes_no_answer(simulated):
    limited, free = QueryBudget(simulated(), per_century=40), simulated()
    for env in (limited, free):
        env.reset(seed=0)
    with pytest.raises(QueryBudgetExceeded):
        limited.ask(limited.unwrapped.survey[:41])
    np.testing.assert_array_equal(limited.ask(limited.unwrapped.survey[:40]), free.unwrapped.ask(free.unwrapped.survey[:40]))


class Curious(Agent):
    """Asks the whole survey once more in every century."""

    def act(self, observation):
        self.note(observation, str(len(collect(self.env, observation, 2))))
        return self.policy


@pytest.mark.parametrize("around", [lambda env: env, NoisyHumans, gym.wrappers.RecordEpisodeStatistics])
def test_agents_are_bound_whatever_else_is_wrapped_around(simulated, around):
    env = around(QueryBudget(simulated(), per_century=10))
    agent = Curious(env)
    assert agent.env.query_budget == 10
    with pytest.raises(QueryBudgetExceeded, match="after 0 in C014 exceed per_century=10"):
        run_episode(env, agent, seed=0)
    assert not agent.events


def test_agents_within_the_budget_run_to_the_end(simulated):
    env = QueryBudget(simulated(), per_century=1000, per_episode=1000 * 8)
    agent = Curious(env)
    run_episode(env, agent, seed=0)
    assert len(agent.events) == env.unwrapped.n_steps


def test_questions_replayed_from_an_interrupted_run_count(simulated):
    env = QueryBudget(simulated(), per_episode=10)
    env.reset(seed=0)
    env.unwrapped.count_queries(8)
    with pytest.raises(QueryBudgetExceeded, match="3 more questions after 8"):
        env.ask(env.unwrapped.survey[:3])


def test_the_view_says_the_tightest_limit(simulated):
    assert AgentView(QueryBudget(simulated(query_budget=7), per_century=9)).query_budget == 7
    assert AgentView(QueryBudget(simulated(query_budget=7), per_century=5, per_episode=6)).query_budget == 5
    assert AgentView(QueryBudget(QueryBudget(simulated(), per_episode=3), per_century=5)).query_budget == 3


def test_prompts_are_questions_too(tiny):
    env = QueryBudget(tiny(), per_century=2)
    view = AgentView(env)
    env.reset(seed=0)
    assert len(view.respond(["Who are you?"])) == 1
    view.ask(view.survey[:1])
    with pytest.raises(QueryBudgetExceeded, match="1 more questions after 2"):
        view.respond(["Why?"])
    env.close()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "limits nothing"),
        ({"per_century": -1}, "per_century=-1"),
        ({"per_episode": 1.5}, "per_episode=1.5"),
        ({"per_century": True}, "per_century=True"),
    ],
)
def test_limits_that_are_none_are_refused(limits, message):
    with pytest.raises(ValueError, match=message):
        QueryBudget(gym.make("ProgressGym/Follow-v0", history="simulated"), **limits)
