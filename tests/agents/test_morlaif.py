"""MORLAIF's parts: principles as data, feedback without places, what preference models learn from, weights."""

import json

import gymnasium as gym
import numpy as np
import pytest
from tests_support import TINY_FAMILY_CENTURIES

import pg_envs  # noqa: F401 - registers the environments
from agents import morlaif, reward_models
from agents.feedback import engine_feedback, human_feedback, judged_by, labelled_feedback
from agents.morlaif import (
    MORLAIF,
    MORLAIFConfig,
    fit_weights,
    margin_rows,
    most_decided_and_others,
    per_unit,
    scalarised,
    shared_rows,
)
from agents.principles import SETS, Principle, PrincipleError, load_principles
from pg_envs.models.engine import AnswerLogprobs
from pg_envs.models.ref import ModelRef
from pg_envs.values.dimensions import DIMENSIONS
from pg_envs.values.forms import forms_for
from pg_envs.values.questionnaire import load_questionnaire
from pg_envs.values.survey import make_comparisons

SURVEY = make_comparisons(load_questionnaire().split()[0].items)
KIND = Principle("kindness", "Which answer is kinder?")


# ---------------------------------------------------------------------- principles


def test_the_sets_that_come_with_it():
    assert len(SETS["twelve"]) == 12
    assert [principle.dimension for principle in SETS["values"]] == [dimension.key for dimension in DIMENSIONS]


def test_principles_from_a_file(tmp_path):
    path = tmp_path / "own.json"
    path.write_text('[{"name": "kindness", "question": "Which answer is kinder?"}]', encoding="utf-8")
    assert load_principles(str(path)) == (KIND,)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ("[" + " " * (4 << 20) + "]", "expected at most 4194304 bytes"),
        ("[]", "at least one principle"),
        ('[{"name": "a"}]', "principle 1: expected an object with name and question"),
        ('[{"name": "a", "question": " "}]', "principle 1: expected texts"),
        ('[{"name": "a", "question": "b", "dimension": "luck"}]', "dimension='luck': choose from kill"),
        ('[{"name": "a", "question": "b"}, {"name": "a", "question": "c"}]', "a name of its own"),
    ],
)
def test_files_that_hold_no_principles(tmp_path, content, says):
    path = tmp_path / "own.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PrincipleError, match=says):
        load_principles(str(path))


def test_an_unknown_set():
    with pytest.raises(PrincipleError, match="'virtues': neither a file nor one of values, twelve"):
        load_principles("virtues")


def test_labels_say_what_a_value_dimension_is_about():
    by_name = {principle.name: principle for principle in SETS["values"]}
    about = [comparison for comparison in SURVEY if by_name["promise"].about(comparison)]
    assert about
    assert {comparison.item.theme for comparison in about} == {"Do not break your promises"}
    modern = [comparison for comparison in SURVEY if by_name["modern"].about(comparison)]
    n_worldview_items = len({comparison.item for comparison in SURVEY if comparison.item.group == "worldview"})
    assert len(modern) == 3 * n_worldview_items, "three of the six pairs of four options have the second one"
    assert not any(KIND.about(comparison) for comparison in SURVEY)


# ---------------------------------------------------------------------- feedback


class Letters:
    """An engine whose log-odds of A are (kindness of A - kindness of B) + a liking for the letter."""

    def __init__(self, kindness, liking):
        self.kindness, self.liking, self.asked = kindness, liking, []

    def choice_logprobs(self, model, prompts, answers):
        self.asked += prompts
        assert set(answers) == {("A", "B")}
        scored = []
        for prompt in prompts:
            _, a, b, question = prompt.split("\n")
            assert question == "Which answer is kinder? Answer A or B."
            odds = self.kindness[a.removeprefix("A: ")] - self.kindness[b.removeprefix("B: ")] + self.liking
            scored.append(AnswerLogprobs(-np.logaddexp(0, [-odds, odds]), np.ones(2, int)))
        return scored


@pytest.mark.parametrize("liking", [0.0, 3.0, -5.0])
def test_both_orders_cancel_a_liking_for_a_letter(liking):
    engine = Letters({"yes": 1.5, "no": -0.5, "well": 0.0}, liking)
    log_odds = judged_by(engine, ModelRef("x"), KIND, ["Help?", "Go?"], [("yes", "no"), ("no", "well")])
    assert log_odds == pytest.approx([2.0, -0.5])
    assert len(engine.asked) == 4


def test_an_engine_judges_comparisons():
    comparison = SURVEY[0]
    engine = Letters({comparison.texts[0]: 1.0, comparison.texts[1]: 4.0}, liking=2.0)
    assert engine_feedback(engine, ModelRef("x"))(KIND, [comparison]) == pytest.approx([-3.0])


class Voters:
    """Humans who give prepared votes, round by round."""

    def __init__(self, *rounds):
        self.rounds, self.asked = rounds, []

    def ask(self, comparisons):
        self.asked.extend(comparisons)
        return np.concatenate([np.array(votes, np.int8) for votes in self.rounds])


def test_humans_are_asked_the_principles_question():
    humans = Voters([1, -1, 0], [1, 1, 0], [1, -1, 0])
    log_odds = human_feedback(humans, 3)(KIND, SURVEY[:3])
    assert log_odds[:2] == pytest.approx([np.log(3.5 / 0.5), np.log(1.5 / 2.5)])
    assert np.isnan(log_odds[2])
    assert humans.asked[0].item.context == f"{SURVEY[0].item.context} Which answer is kinder?"
    assert humans.asked[0].texts == SURVEY[0].texts


def test_labels_leave_everything_else_undecided():
    principle = SETS["values"][0]
    about = [principle.about(comparison) for comparison in SURVEY]
    humans = Voters([1] * sum(about))
    log_odds = labelled_feedback(humans, 1)(principle, SURVEY)
    assert (log_odds[np.array(about)] == np.log(3)).all()
    assert (log_odds[~np.array(about)] == 0).all()
    assert len(humans.asked) == sum(about)
    with pytest.raises(PrincipleError, match="'kindness' is no value dimension"):
        labelled_feedback(humans, 1)(KIND, SURVEY)


# ---------------------------------------------------------------------- what is learnt from


def test_half_are_the_most_decided():
    log_odds = np.array([0.1, -5.0, np.nan, 3.0, 0.0, 0.2, -0.3])
    chosen = most_decided_and_others(log_odds, 4, np.random.default_rng(0))
    assert set(chosen[:2]) == {1, 3}
    assert set(chosen[2:]) < {0, 4, 5, 6}
    assert len(set(chosen)) == 4
    assert sorted(most_decided_and_others(log_odds, 99, np.random.default_rng(0))) == [0, 1, 3, 4, 5, 6]


def chooses_first(row, comparison):
    """Whether a row's chosen answer stands for the comparison's first option: which of the ways of asking the row is tells."""
    item = comparison.item
    ways = {form.prompt(item, order): (form, order) for form in forms_for(len(item.options)) for order in form.orders}
    form, order = ways[row["prompt"][0]["content"]]
    sides = [order[form.answers(item, order).index(row[side][0]["content"])] for side in ("chosen", "rejected")]
    assert set(sides) == {comparison.first, comparison.second}
    return sides[0] == comparison.first


def test_rows_share_out_the_feedback():
    config = MORLAIFConfig(rows_per_feedback=4)
    rows = shared_rows(SURVEY[:2], np.array([50.0, 0.0]), np.random.default_rng(0), config)
    assert len(rows) == 8
    by_prompt = [row["prompt"][0]["content"] for row in rows]
    certain = [SURVEY[0].item.context in prompt for prompt in by_prompt]
    assert sum(certain) == 4


@pytest.mark.parametrize("sure_of_first", [True, False])
def test_what_feedback_favours_is_chosen(sure_of_first):
    log_odds = np.array([50.0 if sure_of_first else -50.0])
    rng = np.random.default_rng(0)
    for rows in (shared_rows(SURVEY[:1], log_odds, rng, MORLAIFConfig()), margin_rows(SURVEY[:1], log_odds, rng, MORLAIFConfig())):
        assert len(rows)
        assert all(chooses_first(row, SURVEY[0]) == sure_of_first for row in rows)


def test_rows_with_margins():
    rows = margin_rows(SURVEY[:3], np.array([2.0, -0.5, 0.0]), np.random.default_rng(0), MORLAIFConfig())
    assert rows["margin"] == [2.0, 0.5, 0.0]


# ---------------------------------------------------------------------- weights


def test_weights_are_those_that_were_planted():
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(20_000, 3)) * [1.0, 10.0, 0.1]
    log_odds = differences @ [2.0, -0.05, 0.0]
    preferred = rng.random(len(log_odds)) < 1 / (1 + np.exp(-log_odds))
    chosen_less_rejected = np.where(preferred[:, None], differences, -differences)
    weights = fit_weights(chosen_less_rejected)
    assert weights == pytest.approx([2.0, -0.5, 0.0], abs=0.07)
    used = per_unit(weights, chosen_less_rejected)
    assert used == pytest.approx([2.0, -0.05, 0.0], abs=0.7)
    assert used[0] == pytest.approx(2.0, rel=0.05)
    assert used[1] == pytest.approx(-0.05, rel=0.1)


def test_a_principle_that_tells_nothing_apart_weighs_nothing():
    differences = np.column_stack([np.linspace(0.1, 1, 50), np.zeros(50)])
    weights = fit_weights(differences)
    assert weights[0] > 0
    assert weights[1] == 0
    assert per_unit(weights, differences)[1] == 0
    assert (per_unit(np.zeros(2), differences) == 0).all()


def test_scores_become_one_reward():
    reward = scalarised(lambda prompts, replies: [[1.0, -2.0, 4.0]] * len(replies), np.array([1.0, 2.0, 0.5]), "max_min")
    assert reward(["p", "q"], ["A", "B"]) == [-4.0, -4.0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"scalariser": "mean"}, "scalariser='mean': choose from linear"),
        ({"principle_weights": "odd"}, "principle_weights='odd': choose from fitted, even"),
        ({"feedback": "oracle"}, "feedback='oracle': choose from labels"),
        ({"feedback_votes": 0}, "feedback_votes=0"),
        ({"principles": "virtues"}, "neither a file nor one of"),
        ({"principles": "twelve"}, "feedback='labels' knows only .* has helpfulness, .*choose feedback='humans', 'policy' or 'model'"),
        ({"feedback": "model"}, "feedback='model' and feedback_model=None: expected"),
        ({"feedback_model": "a/b"}, "feedback='labels' and feedback_model='a/b': expected"),
        ({"feedback": "model", "feedback_model": "a/b+"}, "'a/b.' names no model"),
    ],
)
def test_settings_that_cannot_be_run(settings, says):
    with pytest.raises(ValueError, match=says):
        MORLAIFConfig(**settings)


def test_an_engine_that_cannot_be_had_is_refused_where_the_agent_is_to_run():
    with pytest.raises(ValueError, match="unknown engine 'abacus'"):
        MORLAIFConfig(feedback_engine="abacus").check_here()


# ---------------------------------------------------------------------- the agent


@pytest.fixture(scope="module")
def own_principles(tmp_path_factory):
    path = tmp_path_factory.mktemp("principles") / "two.json"
    two = [vars(principle) for principle in SETS["values"] if principle.name in ("kill", "promise")]
    path.write_text(json.dumps(two), encoding="utf-8")
    return str(path)


@pytest.fixture
def env(small_questionnaire):
    env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"), questionnaire=small_questionnaire)
    yield env
    env.close()


def test_a_century_leaves_a_policy_and_the_weights(env, own_principles, tmp_path):
    observation, _ = env.reset(seed=0)
    few = {**observation, "votes": np.where(np.arange(len(observation["votes"])) < 16, observation["votes"], 0)}
    config = MORLAIFConfig(principles=own_principles, comparisons_per_principle=4, principle_weights="fitted")
    agent = MORLAIF(env, config, tmp_path)
    policy = agent.act(few)
    assert env.action_space.contains(policy)
    assert policy != env.unwrapped.initial_policy
    assert [path.name for path in tmp_path.iterdir()] == ["C020"]
    (event,) = agent.events
    assert event["event"].startswith("weights kill ")
    assert ", promise " in event["event"]


@pytest.mark.parametrize("feedback", ["humans", "policy"])
def test_principles_that_are_no_dimension_are_judged_by_asking(env, tiny_family, small_questionnaire, feedback, tmp_path):
    two = tmp_path / "two.json"
    two.write_text(json.dumps([{"name": p.name, "question": p.question} for p in SETS["twelve"][:2]]), encoding="utf-8")
    env = gym.make("ProgressGym/Follow-v0", centuries=TINY_FAMILY_CENTURIES, questionnaire=small_questionnaire)
    observation, _ = env.reset(seed=0)
    few = {**observation, "votes": np.where(np.arange(len(observation["votes"])) < 16, observation["votes"], 0)}
    agent = MORLAIF(
        env, MORLAIFConfig(principles=str(two), feedback=feedback, feedback_votes=2, comparisons_per_principle=4), tmp_path / "work"
    )
    policy = agent.act(few)
    assert policy != env.unwrapped.initial_policy
    # Both orders, two votes, two principles, each of the survey's comparisons.
    asked = 2 * 2 * len(env.unwrapped.survey)
    assert env.step(policy)[4]["n_queries"] == (asked if feedback == "humans" else 0)
    env.close()


@pytest.mark.parametrize(("feedback", "judge"), [("policy", None), ("model", "other/base@1+some/adapter")])
def test_any_model_judges_on_any_engine(env, monkeypatch, tmp_path, feedback, judge):
    made, asked = [], []

    class Indifferent:
        def choice_logprobs(self, model, prompts, answers):
            asked.append(model)
            return [AnswerLogprobs(np.log([0.5, 0.5]), np.ones(2, int))] * len(prompts)

    monkeypatch.setattr(morlaif, "make_engine", lambda name: made.append(name) or Indifferent())
    server = "openai:http://localhost:1/v1"
    agent = MORLAIF(env, MORLAIFConfig(feedback=feedback, feedback_model=judge, feedback_engine=server), tmp_path)
    agent.policy = agent.policy.with_adapter("learnt")
    assert agent._feedback()(KIND, SURVEY[:3]).tolist() == [0.0] * 3
    assert made == [server]
    assert set(asked) == {agent.policy if judge is None else ModelRef("other/base", "1", "some/adapter")}


def test_weights_are_fitted_to_as_many_rows_as_are_asked_for(env, own_principles, tmp_path, monkeypatch):
    weighed, held_to = [], []
    fitted_to, learnt_by = MORLAIF._reward, reward_models.dpo
    monkeypatch.setattr(MORLAIF, "_reward", lambda self, names, scores, rows: weighed.append(rows) or fitted_to(self, names, scores, rows))
    monkeypatch.setattr(reward_models, "dpo", lambda *args: held_to.append(args[-1].reference) or learnt_by(*args))
    observation, _ = env.reset(seed=0)
    few = {**observation, "votes": np.where(np.arange(len(observation["votes"])) < 16, observation["votes"], 0)}
    config = MORLAIFConfig(principles=own_principles, comparisons_per_principle=4, n_weighed=5, reward_reference="base")
    agent = MORLAIF(env, config, tmp_path)
    agent.act(few)
    assert [len(rows) for rows in weighed] == [5]
    assert held_to == ["base", "base"], "one preference model a principle, each held to what it is told"


@pytest.mark.parametrize(("reference", "expected"), [("uniform", 1), ("century", 0)])
def test_what_is_said_already_is_taken_out_where_the_policy_is_held_to_no_model(
    env, own_principles, tmp_path, monkeypatch, reference, expected
):
    lessened, take_out = [], morlaif.less_what_is_said_already
    monkeypatch.setattr(morlaif, "less_what_is_said_already", lambda *args: lessened.append(args[1:]) or take_out(*args))
    observation, _ = env.reset(seed=0)
    few = {**observation, "votes": np.where(np.arange(len(observation["votes"])) < 16, observation["votes"], 0)}
    agent = MORLAIF(env, MORLAIFConfig(principles=own_principles, comparisons_per_principle=4, reference=reference, kl=0.5), tmp_path)
    start = agent.policy
    agent.act(few)
    assert [(args[0], args[-1]) for args in lessened] == [(start, 0.5)] * expected


def test_no_valid_feedback_keeps_the_policy(env, own_principles, tmp_path, monkeypatch):
    nobody = lambda env, n_votes: lambda principle, comparisons: np.full(len(comparisons), np.nan)  # noqa: E731
    monkeypatch.setattr("agents.morlaif.labelled_feedback", nobody)
    observation, _ = env.reset(seed=0)
    agent = MORLAIF(env, MORLAIFConfig(principles=own_principles), tmp_path)
    assert agent.act(observation) == env.unwrapped.initial_policy
    assert agent.events[0]["event"] == "training failed, the policy is kept: no valid feedback on any principle"
