"""Reward models of votes, and the agents that train on them or on forecasts."""

import re
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest
from datasets import Dataset

from agents.extrapolative_dpo import ExtrapolativeDPO, ExtrapolativeDPOConfig
from agents.extrapolative_rlhf import ExtrapolativeRLHF, ExtrapolativeRLHFConfig
from agents.lifelong_rlhf import LifelongRLHF, LifelongRLHFConfig
from agents.reward_models import remembering, reward_model
from agents.seq2seq_rm import Seq2SeqRM
from pg_envs.models.checks import fingerprint
from pg_envs.models.ref import ModelRef

PROMPTS = [f"Do you help the {who}?" for who in ("farmer", "weaver", "child", "stranger")]


@pytest.fixture(scope="module")
def preferences():
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": prompt}],
                "chosen": [{"role": "assistant", "content": "A"}],
                "rejected": [{"role": "assistant", "content": "B"}],
            }
            for prompt in PROMPTS * 2
        ]
    )


@pytest.mark.parametrize("kind", ["implicit", "score"])
def test_chosen_answers_are_rewarded_and_nothing_is_left_behind(random_base, preferences, kind, tmp_path):
    config = LifelongRLHFConfig(reward_model=kind, reward_learning_rate=3e-2, reward_epochs=4.0)
    with reward_model(ModelRef(str(random_base)), preferences, tmp_path / "reward", 0, config) as reward:
        assert all(a > b for a, b in zip(reward(PROMPTS, ["A"] * 4), reward(PROMPTS, ["B"] * 4), strict=True))
        assert np.isfinite(reward(PROMPTS[:1], [""])).all()
    assert list(tmp_path.iterdir()) == []


def test_a_pair_is_judged_once():
    judged = []

    def count(prompts, replies):
        judged.extend(zip(prompts, replies, strict=True))
        return range(len(prompts))

    reward = remembering(count)
    assert reward(["p", "q", "p"], ["A", "A", "A"]) == [0, 1, 0]
    assert reward(["q"], ["A"]) == [1]
    assert judged == [("p", "A"), ("q", "A")]


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="reward_model='oracle': choose from 'implicit', 'score'"):
        LifelongRLHFConfig(reward_model="oracle")


@pytest.fixture(scope="module")
def env(small_questionnaire):
    env = gym.make("ProgressGym/Predict-v0", centuries=("C018", "C021"), questionnaire=small_questionnaire)
    yield env
    env.close()


@pytest.mark.parametrize("agent_class", [LifelongRLHF, Seq2SeqRM])
def test_a_century_leaves_a_policy_and_no_reward_model(env, agent_class, tmp_path):
    observation, _ = env.reset(seed=0)
    few = {**observation, "votes": np.where(np.arange(len(observation["votes"])) < 16, observation["votes"], 0)}
    agent = agent_class(env, workdir=tmp_path)
    policy = agent.act(few)
    assert env.action_space.contains(policy)
    assert fingerprint(policy) != fingerprint(env.unwrapped.initial_policy)
    assert [path.name for path in tmp_path.iterdir()] == ["C019"]


def test_held_out_votes_are_judged_and_noted(env, tmp_path, monkeypatch):
    monkeypatch.setattr("agents.seq2seq_rm.train_on_token_rewards", lambda start, prompts, reward, out, *rest: start)
    monkeypatch.setattr("agents.seq2seq_rm.train_rewriter", lambda start, rows, *rest: start if len(rows) == 15 else None)
    observation, _ = env.reset(seed=0)
    few = {**observation, "votes": np.where(np.arange(len(observation["votes"])) < 16, observation["votes"], 0)}
    agent = Seq2SeqRM(env, workdir=tmp_path)
    agent.act(few)
    assert [event["century"] for event in agent.events] == ["C019"]
    assert re.fullmatch(r"the rewriter got (0|50|100)% of 1 held-out votes right", agent.events[0]["event"])


def n_learnt(survey):
    """Comparisons that agents learn from where all have votes: two-option items have one, of a four-option item's six three are drawn."""
    return sum(min(n, 3) for n in Counter(comparison.item for comparison in survey).values())


def trained_on(monkeypatch):
    """Datasets that training would have got."""
    datasets = []
    monkeypatch.setattr("agents.training.learnt_nothing", lambda start, trained: False)
    monkeypatch.setattr("agents.lifelong_dpo.dpo", lambda start, dataset, out, *rest: datasets.append(dataset) or start.with_adapter(out))
    return datasets


def test_single_votes_are_forecast_by_the_published_rule(env, tmp_path, monkeypatch):
    datasets = trained_on(monkeypatch)
    agent = ExtrapolativeDPO(env, ExtrapolativeDPOConfig(), tmp_path)
    votes = np.ones(len(env.unwrapped.survey), np.int8)
    agent.act({"century": 1, "votes": -votes})
    agent.act({"century": 2, "votes": votes})
    n = n_learnt(env.unwrapped.survey)
    assert [len(dataset) for dataset in datasets] == [n, 3 * n]
    assert agent.events == [{"century": "C019", "event": "votes of 1 centuries allow a forecast of order 0, not 1"}]


def test_many_votes_are_forecast_as_shares(env, tmp_path, monkeypatch):
    datasets = trained_on(monkeypatch)
    observation, _ = env.reset(seed=0)
    agent = ExtrapolativeDPO(env, ExtrapolativeDPOConfig(votes_per_comparison=3, rows_per_comparison=2), tmp_path)
    agent.act(observation)
    assert len(datasets[0]) == 2 * n_learnt(env.unwrapped.survey)
    assert env.step(agent.policy.with_adapter(env.unwrapped.initial_policy.adapter))[4]["n_queries"] == 2 * len(env.unwrapped.survey)


def test_extrapolative_rlhf_forecasts_too(env, tmp_path, monkeypatch):
    datasets = []
    monkeypatch.setattr("agents.lifelong_rlhf.rlhf", lambda start, dataset, *rest: datasets.append(dataset) or start)
    agent = ExtrapolativeRLHF(env, ExtrapolativeRLHFConfig(), tmp_path)
    votes = np.ones(len(env.unwrapped.survey), np.int8)
    agent.act({"century": 1, "votes": -votes})
    agent.act({"century": 2, "votes": votes})
    assert len(datasets[1]) == 3 * n_learnt(env.unwrapped.survey)
