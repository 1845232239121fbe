"""Whatever training meets in practice, every agent that trains gets through it. On random models of a few thousand parameters."""

import itertools
import json

import gymnasium as gym
import numpy as np
import pytest
from tests_support import TINY_FAMILY_CENTURIES

import pg_envs  # noqa: F401 - registers the environments
from agents import training
from agents.baselines import SFT
from agents.extrapolative_dpo import ExtrapolativeDPO
from agents.extrapolative_rlhf import ExtrapolativeRLHF
from agents.lifelong_dpo import LifelongDPO
from agents.lifelong_rlhf import LifelongRLHF
from agents.morlaif import MORLAIF
from agents.principles import SETS
from agents.seq2seq_rm import Seq2SeqRM
from pg_envs.cli import main
from pg_envs.models.checks import fingerprint
from pg_envs.models.ref import ModelRef
from pg_envs.result_files import read_result
from pg_envs.runner import AgentStopped

AGENTS = (SFT, LifelongDPO, ExtrapolativeDPO, LifelongRLHF, ExtrapolativeRLHF, Seq2SeqRM, MORLAIF)
N_VOTES = 16
every = pytest.mark.parametrize("agent_class", AGENTS, ids=lambda agent_class: agent_class.__name__)


@pytest.fixture
def env(tiny_family, small_questionnaire):
    env = gym.make("ProgressGym/Follow-v0", centuries=TINY_FAMILY_CENTURIES, questionnaire=small_questionnaire)
    env.reset(seed=0)
    yield env
    env.close()


@pytest.fixture
def make(env, tmp_path):
    """Make an agent with settings; MORLAIF has two principles only."""
    two = tmp_path / "principles.json"
    two.write_text(json.dumps([vars(principle) for principle in SETS["values"][:2]]), encoding="utf-8")

    def make(agent_class, where=env, **settings):
        if agent_class is MORLAIF:
            settings = {"principles": str(two), "comparisons_per_principle": 4, "feedback_votes": 1, **settings}
        return agent_class(where, agent_class.Config(**settings), tmp_path / "work")

    return make


def votes(env, *each):
    """An observation of the century after the second for every tuple of votes on the first comparisons; the rest is not voted on."""
    n = len(env.unwrapped.survey)
    return [{"century": 1 + t, "votes": np.array([*on_first, *[0] * (n - len(on_first))], np.int8)} for t, on_first in enumerate(each)]


def folders(path):
    return sorted(entry.name for entry in path.glob("*") if entry.is_dir())


@every
@pytest.mark.parametrize("vote", [1, -1])
def test_one_sided_votes_and_a_century_in_which_nothing_changes(make, env, agent_class, vote, tmp_path):
    agent = make(agent_class)
    first, second = [agent.act(observation) for observation in votes(env, [vote] * N_VOTES, [vote] * N_VOTES)]
    assert env.action_space.contains(first)
    assert env.action_space.contains(second)
    assert fingerprint(first) != fingerprint(env.unwrapped.initial_policy)
    # A rewriter of one-sided votes may keep all that is sampled: equal rewards teach nothing, which is then said.
    unchanged = [event["century"] for event in agent.events if event["event"] == "training changed no weight"]
    policies = [fingerprint(policy) for policy in (env.unwrapped.initial_policy, first, second)]
    assert unchanged == [label for label, (a, b) in zip(("C019", "C020"), itertools.pairwise(policies), strict=True) if a == b]
    assert agent_class is Seq2SeqRM or not unchanged
    assert -1 <= env.step(second)[1] <= 1
    assert not [event for event in agent.events if "failed" in event["event"]]
    assert folders(tmp_path / "work") == ["C019", "C020"], "nothing but policies is left"


@every
def test_a_century_without_a_valid_vote_keeps_the_policy_and_the_next_goes_on(make, env, agent_class):
    agent = make(agent_class)
    silent, speaking = votes(env, [], [1, -1] * (N_VOTES // 2))
    assert agent.act(silent) == env.unwrapped.initial_policy
    assert agent.events[0] == {"century": "C019", "event": "no valid vote; the policy is kept"}
    assert agent.act(speaking) != env.unwrapped.initial_policy
    with pytest.raises(AgentStopped, match="C019: no valid vote"):
        make(agent_class, on_failure="stop").act(silent)


@pytest.mark.parametrize("agent_class", [ExtrapolativeDPO, ExtrapolativeRLHF])
def test_after_a_silent_century_a_forecast_is_made_of_what_came_since(make, env, agent_class):
    agent = make(agent_class, order=2, lookahead=1)
    silent, speaking, again = votes(env, [], [1, -1] * (N_VOTES // 2), [-1, -1] * (N_VOTES // 2))
    agent.act(silent)
    rows = [agent.votes_to_learn(observation, np.random.default_rng(0)).sum(axis=0)[:2].tolist() for observation in (speaking, again)]
    assert rows == [[1, -1], [-3, -1]]
    short = f"{N_VOTES} of {len(env.unwrapped.survey)} comparisons have votes in too few centuries in a row for order"
    assert [event["event"] for event in agent.events if event["event"].startswith(short)] == [f"{short} 1", f"{short} 2"]


@pytest.mark.parametrize("agent_class", [ExtrapolativeDPO, ExtrapolativeRLHF])
def test_shares_are_forecast_before_they_become_rows(make, env, agent_class, monkeypatch):
    """From 0 a century ago and a half now a line goes on to 1: all rows are for the first text, where of the half a quarter is against."""
    n = len(env.unwrapped.survey)
    monkeypatch.setattr(training, "collect", lambda *args: np.repeat([[1], [1], [1], [-1]], n, axis=1))
    agent = make(agent_class, order=1, lookahead=1, votes_per_comparison=4, rows_per_comparison=8)
    agent.forecaster._memory.keep(0, np.zeros(n))
    (observation,) = votes(env, [1] * N_VOTES)
    rows = agent.votes_to_learn({**observation, "century": 1}, np.random.default_rng(0))
    assert rows.shape == (8, n)
    assert (rows == 1).all()
    as_it_is = make(LifelongDPO, votes_per_comparison=4, rows_per_comparison=8).votes_to_learn(observation, np.random.default_rng(0))
    assert as_it_is.mean() == pytest.approx(0.5)


@pytest.mark.parametrize("on_failure", ["keep", "stop"])
def test_a_forecast_that_is_for_nobody_is_not_called_a_century_without_votes(make, env, on_failure):
    agent = make(ExtrapolativeDPO, order=2, lookahead=1, on_failure=on_failure)
    # A parabola through 0, 1 and 1 comes back to 0.
    for century, share in enumerate((0.0, 1.0)):
        agent.forecaster._memory.keep(century, np.full(len(env.unwrapped.survey), share))
    (observation,) = votes(env, [1] * N_VOTES)
    if on_failure == "stop":
        with pytest.raises(AgentStopped, match="C020: the forecast is for neither side of any comparison"):
            agent.act({**observation, "century": 2})
    else:
        assert agent.act({**observation, "century": 2}) == env.unwrapped.initial_policy
    assert agent.events[-1] == {"century": "C020", "event": "the forecast is for neither side of any comparison; the policy is kept"}


@every
@pytest.mark.parametrize("n_votes", [1, 9])
def test_votes_that_fill_no_batch_are_learnt_from(make, env, agent_class, n_votes):
    agent = make(agent_class)
    (observation,) = votes(env, [1] * n_votes)
    policy = agent.act(observation)
    assert not [event for event in agent.events if "failed" in event["event"]]
    # In a single step the rate is still 0, from where it warms up; that nothing was learnt is said.
    assert agent_class is Seq2SeqRM or ("training changed no weight" in str(agent.events)) == (n_votes == 1)
    assert agent_class is Seq2SeqRM or (n_votes > 1) == (fingerprint(policy) != fingerprint(env.unwrapped.initial_policy))


RATES = [(agent_class, "learning_rate") for agent_class in AGENTS] + [
    (agent_class, "reward_learning_rate") for agent_class in AGENTS if hasattr(agent_class.Config(), "reward_learning_rate")
]


@pytest.mark.parametrize(("agent_class", "broken"), RATES, ids=[f"{agent_class.__name__}-{rate}" for agent_class, rate in RATES])
def test_a_loss_that_is_not_finite_keeps_the_policy_or_stops_the_run(make, env, agent_class, broken, tmp_path):
    (observation,) = votes(env, [1, -1] * (N_VOTES // 2))
    agent = make(agent_class, **{broken: float("inf")})
    assert agent.act(observation) == env.unwrapped.initial_policy
    assert agent.events[0]["event"].startswith("training failed, the policy is kept: ")
    assert "not finite" in agent.events[0]["event"]
    assert folders(tmp_path / "work") == []
    with pytest.raises(AgentStopped, match=r"C019: .*not finite"):
        make(agent_class, **{broken: float("inf")}, on_failure="stop").act(observation)


@pytest.mark.parametrize("n_votes", [6, 16])
@pytest.mark.parametrize(("agent_class", "broken"), RATES, ids=[f"{agent_class.__name__}-{rate}" for agent_class, rate in RATES])
def test_steps_that_leave_finite_weights_and_answers_that_are_not(make, env, agent_class, broken, n_votes):
    """Whichever step loses the model, the last one too: what is not kept has its event, and what is kept can be judged."""
    (observation,) = votes(env, [1, -1] * (n_votes // 2))
    agent = make(agent_class, **{broken: 1e20})
    policy = agent.act(observation)
    failed = [event["event"] for event in agent.events if event["event"].startswith("training failed, the policy is kept: ")]
    if failed:
        assert policy == env.unwrapped.initial_policy
        assert "not finite" in failed[0]
    # Whether a random model's answers stay finite is chance; these agents' do not, after the last step or before it.
    assert failed or not isinstance(agent, LifelongDPO | ExtrapolativeDPO)
    assert -1 <= env.step(policy)[1] <= 1


def test_a_run_whose_trainings_all_end_in_a_lost_model_goes_on_to_its_end(tiny_family, small_questionnaire, tmp_path):
    lost = ["--agent-args", "learning_rate=1e10", "n_epochs=0.15"]
    where = ["--env-args", f'questionnaire="{small_questionnaire}"', 'centuries=["C019", "C021"]']
    assert main(["run", *lost, *where, "--out", str(tmp_path), "--name", "run"]) == 0
    result = read_result(tmp_path / "run")
    assert result["complete"]
    assert [event["century"] for event in result["events"]] == ["C020", "C021"]
    assert all("loss" in event["event"] and "not finite" in event["event"] for event in result["events"])


@every
def test_all_weights_where_policies_may_be_models_of_their_own(make, env, agent_class, tiny_recording, small_questionnaire, tmp_path):
    with pytest.raises(TypeError, match=r"weights='full'.*recorded:histtiny"):
        make(agent_class, weights="full")
    recorded = gym.make("ProgressGym/Follow-v0", history=f"recorded:{tiny_recording}", questionnaire=small_questionnaire)
    recorded.reset(seed=0)
    agent = make(agent_class, recorded, weights="full")
    for observation in votes(env, [1, -1] * (N_VOTES // 2), [-1] * N_VOTES):
        policy = agent.act(observation)
        assert policy == ModelRef(str(tmp_path / "work" / agent.label(observation)))
        assert -1 <= recorded.step(policy)[1] <= 1


@pytest.mark.parametrize(
    ("agent_class", "name", "value", "expected"),
    [
        (LifelongDPO, "learning_rate", 0, "a number above 0"),
        (LifelongDPO, "n_epochs", float("nan"), "a number above 0"),
        (LifelongDPO, "batch_size", 0, "a whole number, 1 or more"),
        (LifelongDPO, "votes_per_comparison", 0, "a whole number, 1 or more"),
        (LifelongDPO, "votes_per_comparison", 1.5, "a whole number, 1 or more"),
        (MORLAIF, "n_weighed", 0, "a whole number, 1 or more"),
        (LifelongDPO, "rows_per_comparison", -1, "a whole number, 1 or more"),
        (LifelongDPO, "comparisons_per_item", 0, "a whole number, 1 or more"),
        (LifelongDPO, "comparisons_per_item", 2.5, "a whole number, 1 or more"),
        (LifelongRLHF, "n_samples", 1, "at least 2"),
        (LifelongRLHF, "n_samples", 2.5, "a whole number, 1 or more"),
        (LifelongDPO, "beta", -1, "a number above 0"),
        (ExtrapolativeDPO, "beta", 0, "a number above 0"),
        (LifelongRLHF, "kl", -0.1, "a number, 0 or more"),
        (LifelongRLHF, "max_answer_tokens", 0, "a whole number, 1 or more"),
        (ExtrapolativeRLHF, "reward_epochs", 0, "a number above 0"),
        (Seq2SeqRM, "reward_batch_size", 0, "a whole number, 1 or more"),
        (MORLAIF, "reward_learning_rate", -1, "a number above 0"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_runs(agent_class, name, value, expected):
    with pytest.raises(ValueError, match=rf"{name}={value}: expected {expected}"):
        agent_class.Config(**{name: value})


@pytest.mark.parametrize("name", ["lifelong-rlhf", "extrapolative-dpo", "extrapolative-rlhf", "seq2seq-rm", "morlaif"])
def test_a_run_from_the_command_line(tiny_family, small_questionnaire, tmp_path, name):
    (tmp_path / "two.json").write_text(json.dumps([vars(principle) for principle in SETS["values"][:2]]), encoding="utf-8")
    few = ["--agent-args", f"principles={tmp_path / 'two.json'}", "comparisons_per_principle=4"] if name == "morlaif" else []
    where = ["--env-args", f'questionnaire="{small_questionnaire}"', 'centuries=["C019", "C021"]']
    assert main(["run", "--agent", name, *few, *where, "--out", str(tmp_path), "--name", "run"]) == 0
    result = read_result(tmp_path / "run")
    assert result["complete"]
    assert result["skill"] is not None
    assert "failed" not in str(result["events"])
    policies = [step["policy"]["adapter"] for step in result["steps"]]
    assert policies == ["policies/C020", "policies/C021"]
