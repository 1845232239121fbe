"""Inside a century: prompts by seed, replies by the humans, scores by their votes, all of it counted, nothing of it evaluated."""

import re

import gymnasium as gym
import numpy as np
import pytest
from tests_support import TINY_FAMILY_CENTURIES

from pg_envs.agent_view import AgentView
from pg_envs.history.base import Values
from pg_envs.history.recording import RecordingError
from pg_envs.interaction import OBJECTIVES, Interaction
from pg_envs.models.conversation import ConversationError, as_prompt, exchange_sides
from pg_envs.questions import QueryBudgetExceeded
from pg_envs.values.forms import make_questions
from pg_envs.values.open_questions import OPEN_QUESTIONS
from wrappers import NoisyHumans, QueryBudget

SHARES = {2: (1.0, 0.0), 4: (0.7, 0.3, 0.0, 0.0)}
"""How the scripted humans answer items of two and of four options."""


@pytest.fixture
def humans(scripted):
    """Humans that answer by content, and tell what they have heard."""

    class Humans(scripted):
        def __init__(self, items):
            by_prompt = {question.prompt: question for question in make_questions(items)}
            super().__init__(lambda prompt, group: np.array(SHARES[len(group)])[list(by_prompt[prompt].order)])
            self.heard = []

        def generate(self, model, prompts, max_new_tokens=64, temperature=1.0, seed=0):
            self.heard += prompts
            return [f"reply {len(self.heard)}" for _ in prompts]

        def check(self, model):
            pass

    return Humans


@pytest.fixture
def make(humans, tiny_family, small_questionnaire):
    """A function that makes environments with scripted humans, reset and with the second century in view."""

    def make_env(env_id="ProgressGym/Follow-v0", **kwargs):
        env = gym.make(env_id, questionnaire=small_questionnaire, centuries=list(TINY_FAMILY_CENTURIES), **kwargs)
        inner = env.unwrapped
        inner.history.__dict__["engine"] = humans([*dict.fromkeys(c.item for c in inner.survey), *inner.evaluation.items])
        env.reset(seed=0)
        return env

    return make_env


def test_replies_that_name_no_option_are_left_out_and_counted(make):
    env = make(mode="generate")
    inner = env.unwrapped
    inner.history._human_values = {century: Values(*np.zeros((3, 19))) for century in range(3)}

    def reply(prompt):
        return "Hard to say." if "word for word" in prompt else "A"

    inner.history.engine.generate = lambda model, prompts, **_: [reply(prompt) for prompt in prompts]
    questions = make_questions(inner.evaluation.items)
    # "A" is no answer to a question that wants yes or no, either.
    expected = sum(question.answers[0] != "A" for question in questions)
    info = env.step(inner.history.human(0).with_adapter(None))[4]
    assert info["n_invalid"] == expected > 0


def answered(task, env, n_options, option, reply="{}", seed=0):
    """Messages in which a policy chooses an option of the seed's first prompt about an item with so many options."""
    items = {c.item.item_id: c.item for c in env.unwrapped.survey}
    questions = {question.prompt: question for question in make_questions(list(items.values()))}
    row = next(row for row in task.prompts(seed) if len(items[row["item_id"]].options) == n_options)
    question = questions[row["prompt"][0]["content"]]
    answer = row["answers"][question.order.index(option)]
    return [*row["prompt"], {"role": "assistant", "content": reply.format(answer)}]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("n_options", "option", "agreement"),
    # Of the four, 0 wins over all, 1 over 2 and 3; between 2 and 3 the majority has no vote.
    [(2, 0, 1.0), (2, 1, 0.0), (4, 0, 1.0), (4, 1, 2 / 3), (4, 2, 0.0), (4, 3, 0.0)],
)
def test_agreement_is_the_share_of_votes_that_the_choice_wins(make, seed, n_options, option, agreement):
    env = make(votes="majority")
    task = env.unwrapped.interaction()
    assert task.score(answered(task, env, n_options, option, seed=seed)) == {"agreement": agreement, "validity": 1.0, "brevity": 1.0}


def test_the_share_of_many_drawn_votes_tends_to_the_probability(make):
    env = make()
    task = env.unwrapped.interaction(votes_per_comparison=2000)
    # 0 over 1 with 0.7, over the rest always; its standard error is a third of 0.0102.
    assert task.score(answered(task, env, 4, 0))["agreement"] == pytest.approx(0.9, abs=0.015)


@pytest.mark.parametrize(
    ("reply", "scores"),
    [
        ("{}, because it is right.", (1.0, 1.0, 1 / 5)),
        ("I choose {}", (0.0, 0.0, 1 / 3)),
        ("", (0.0, 0.0, 0.0)),
        ("{}.", (1.0, 1.0, 1.0)),
    ],
)
def test_what_is_no_option_is_invalid_and_agrees_with_nobody(make, reply, scores):
    env = make()
    task = env.unwrapped.interaction()
    assert task.score(answered(task, env, 2, 0, reply)) == dict(zip(OBJECTIVES, scores, strict=True))
    # Where nothing was chosen, nobody was asked.
    assert env.unwrapped.n_queries == scores[1]


def test_humans_without_a_valid_answer_are_undecided(make):
    env = make()
    history, n_asked = env.unwrapped.history, []
    history.preferences = lambda policy, comparisons: n_asked.append(len(comparisons)) or np.full(len(comparisons), np.nan)
    task = env.unwrapped.interaction()
    assert task.score(answered(task, env, 4, 2))["agreement"] == 0.5
    assert n_asked == [3]


def test_votes_count_as_questions_and_are_kept_for_the_century(make):
    env = make(query_budget=11)
    inner, task = env.unwrapped, env.unwrapped.interaction(votes_per_comparison=2)
    scores = [task.score(answered(task, env, 2, option))["agreement"] for option in (0, 1, 0)]
    assert (scores, inner.n_queries) == ([1.0, 0.0, 1.0], 2)
    task.score(answered(task, env, 4, 3))
    assert inner.n_queries == 2 + 2 * 3
    # The comparison of 2 with 3 is known; two more of 2 are four votes.
    with pytest.raises(QueryBudgetExceeded, match="4 more questions after 8 in C019 exceed query_budget=11"):
        task.score(answered(task, env, 4, 2))
    assert task.score(answered(task, env, 2, 0))["agreement"] == 1.0
    env.step(inner.initial_policy)
    task.score(answered(task, env, 2, 0))
    assert (inner.n_queries, inner.n_queries_total) == (2, 10)


def test_scores_are_by_the_century_in_view(make):
    env = make()
    inner, task = env.unwrapped, env.unwrapped.interaction()
    inner.history.preferences = lambda policy, comparisons: np.full(len(comparisons), float(policy == inner.history.human(1)))
    messages = answered(task, env, 2, 0)
    found = [task.score(messages)["agreement"]]
    inner.history.human_survey_preferences = lambda century: np.zeros(len(inner.survey))
    env.step(inner.initial_policy)
    found.append(task.score(messages)["agreement"])
    env.reset(seed=0)
    found.append(task.score(messages)["agreement"])
    assert found == [1.0, 0.0, 1.0]


def test_coevolves_proxy_answers(make):
    env = make("ProgressGym/Coevolve-v0")
    inner = env.unwrapped
    asked = []
    preferences, respond = inner.history.preferences, inner.history.respond
    inner.history.preferences = lambda policy, comparisons: asked.append(policy) or preferences(policy, comparisons)
    inner.history.respond = lambda policy, prompts, rng: asked.append(policy) or respond(policy, prompts, rng)
    task = inner.interaction()
    task.score(answered(task, env, 2, 0))
    task.reply([{"role": "user", "content": "Why?"}])
    assert asked == [inner.proxy, inner.proxy]
    assert inner.proxy == inner.history.human(0)


def test_a_seed_gives_a_group_its_prompts(make):
    env = make()
    task, other = env.unwrapped.interaction(), make(votes="majority").unwrapped.interaction()
    rows = task.prompts(7)
    assert rows == task.prompts(7) == other.prompts(7)
    assert rows[:5] == task.prompts(7, 5)
    assert [row["prompt"] for row in rows[:5]] != [row["prompt"] for row in task.prompts(8, 5)]
    assert {row["seed"] for row in rows} == {7}
    env.step(env.unwrapped.initial_policy)
    assert task.prompts(7) == rows
    assert env.unwrapped.n_queries_total == 0


def test_every_item_of_the_survey_is_asked_about_and_none_of_the_evaluation(make):
    env = make()
    inner = env.unwrapped
    rows = inner.interaction().prompts(0)
    assert sorted(row["item_id"] for row in rows) == sorted({c.item.item_id for c in inner.survey})
    evaluated = {item.context for item in inner.evaluation.items}
    assert not any(row["prompt"][0]["content"].startswith(context) for row in rows for context in evaluated)
    assert all(len(row["answers"]) in (2, 4) for row in rows)


@pytest.mark.parametrize("n", [0, 10_000, 1.5, True])
def test_more_prompts_than_there_are_are_refused(make, n):
    with pytest.raises(ValueError, match=rf"n={n}: expected 1 to \d+ prompts"):
        make().unwrapped.interaction().prompts(0, n)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", True])
def test_what_is_no_seed_is_refused(make, seed):
    with pytest.raises(ValueError, match=f"seed={seed!r}: expected a whole number"):
        make().unwrapped.interaction().prompts(seed)


def test_the_same_seeds_and_questions_give_the_same_scores(make):
    def episode():
        env = make()
        task = env.unwrapped.interaction()
        return [task.score([*row["prompt"], {"role": "assistant", "content": row["answers"][0]}]) for row in task.prompts(3)]

    assert episode() == episode()


def test_after_a_user_the_humans_are_the_assistant(make):
    env = make()
    task, heard = env.unwrapped.interaction(), env.unwrapped.history.engine.heard
    assert task.reply([{"role": "user", "content": "Why?"}]) == "reply 1"
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "It is right."},
        {"role": "user", "content": "Is it?"},
    ]
    task.reply(turns)
    assert heard == ["Why?", turns]
    assert env.unwrapped.n_queries == 2


def test_after_a_policys_turn_the_humans_are_its_user(make):
    env = make()
    task = env.unwrapped.interaction()
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "It is right."},
    ]
    task.reply(turns)
    roles = [(turn["role"], turn["content"]) for turn in env.unwrapped.history.engine.heard[0]]
    assert roles == [("system", "Be kind."), ("assistant", "Why?"), ("user", "It is right.")]
    assert turns[1]["role"] == "user"


def test_a_later_turn_is_scored_by_the_last_question_of_the_survey(make):
    env = make()
    task = env.unwrapped.interaction()
    first, second = answered(task, env, 2, 0), answered(task, env, 4, 2)
    doubt = [{"role": "user", "content": "Are you sure?"}]
    assert task.score([*first, *doubt, first[-1]])["agreement"] == 1.0
    assert task.score([*first, *doubt, *second])["agreement"] < 0.5


def test_random_models_answer_conversations_by_their_template_and_the_seed(tiny_family, small_questionnaire):
    env = gym.make("ProgressGym/Follow-v0", questionnaire=small_questionnaire, centuries=list(TINY_FAMILY_CENTURIES))
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "It is right."}, {"role": "user", "content": "Is it?"}]
    replies = []
    for seed in (0, 0, 1):
        env.reset(seed=seed)
        replies.append(env.unwrapped.interaction().reply(turns))
    assert replies[0] == replies[1] != replies[2]
    env.close()


def test_recorded_humans_score_and_reply_to_what_was_recorded(tiny_recording, small_questionnaire):
    env = gym.make("ProgressGym/Follow-v0", history=f"recorded:{tiny_recording}", questionnaire=small_questionnaire)
    env.reset(seed=0)
    task = env.unwrapped.interaction()
    assert task.score(answered(task, env, 2, 0))["agreement"] in (0.0, 1.0)
    question = {"role": "user", "content": OPEN_QUESTIONS[0]}
    assert task.reply([question]) == env.unwrapped.respond([OPEN_QUESTIONS[0]])[0]
    with pytest.raises(RecordingError, match="a conversation of 2 turns; use a live history"):
        task.reply([question, {"role": "assistant", "content": "Bread."}])
    assert env.unwrapped.n_queries == 3


@pytest.mark.parametrize("history", ["simulated", "simulated-random"])
def test_simulated_humans_have_no_words(history):
    env = gym.make("ProgressGym/Follow-v0", history=history)
    with pytest.raises(TypeError, match=f"history '{history}' has no language models.*history='histtiny'"):
        env.unwrapped.interaction()


@pytest.mark.parametrize("votes", [0, 1.5, True])
def test_votes_that_are_no_number_are_refused(make, votes):
    with pytest.raises(ValueError, match=f"votes_per_comparison={votes!r}"):
        make().unwrapped.interaction(votes)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], r"messages=\[\]: expected a list"),
        ("Why?", "messages='Why\\?': expected a list"),
        ([{"role": "human", "content": "Why?"}], r"messages\[0\]=.*'human'.*role out of system, user, assistant"),
        ([{"role": "user", "content": None}], r"messages\[0\]=.*content that is text"),
        ([{"role": "system", "content": "Be kind."}], "the last turn is the system's"),
    ],
)
def test_what_is_no_conversation_is_refused_before_anybody_is_asked(make, messages, message):
    env = make()
    task = env.unwrapped.interaction()
    for use in (task.reply, task.score):
        with pytest.raises(ConversationError, match=message):
            use(messages)
    assert env.unwrapped.n_queries == 0


def test_answers_to_nothing_on_the_survey_are_refused(make):
    env = make()
    evaluated = make_questions(env.unwrapped.evaluation.items, ["ab", "4c_fav"])[0]
    for text in ("Why?", evaluated.prompt):
        with pytest.raises(ConversationError, match=r"no user turn .* is a question of the survey"):
            env.unwrapped.interaction().score([{"role": "user", "content": text}, {"role": "assistant", "content": "A"}])
    with pytest.raises(ConversationError, match="the last turn is the user's; expected the assistant's"):
        env.unwrapped.interaction().score([{"role": "user", "content": evaluated.prompt}])


def test_nothing_is_asked_after_the_episode(make):
    env = make()
    task = env.unwrapped.interaction()
    messages = answered(task, env, 2, 0)
    task.score(messages)
    while not env.step(env.unwrapped.initial_policy)[2]:
        pass
    for use in (lambda: task.score(messages), lambda: task.reply(messages)):
        with pytest.raises(gym.error.ResetNeeded):
            use()


def test_a_views_interaction_goes_through_wrappers(make):
    env = QueryBudget(NoisyHumans(make(), share=1.0), per_century=2)
    env.reset(seed=0)
    task = AgentView(env).interaction()
    assert task.score(answered(task, env, 2, 0))["agreement"] == 0.0
    with pytest.raises(QueryBudgetExceeded, match="per_century=2"):
        task.score(answered(task, env, 4, 0))
    task.reply([{"role": "user", "content": "Why?"}])
    with pytest.raises(QueryBudgetExceeded, match="per_century=2"):
        task.reply([{"role": "user", "content": "Why?"}])


def test_nothing_that_is_evaluated_is_reached_or_measured(make, monkeypatch):
    env = make()
    inner = env.unwrapped
    for name in ("values", "human_values"):
        monkeypatch.setattr(inner.history, name, lambda *_: pytest.fail("the evaluation was opened"))
    task = inner.interaction()
    for row in task.prompts(0):
        task.score([*row["prompt"], {"role": "assistant", "content": row["answers"][0]}])
    task.reply([{"role": "user", "content": "Why?"}])
    secrets = ("trace", "history", "evaluation", "step", "unwrapped", "episode_score", "np_random", "proxy")
    for holder in (task, task._view):
        for name in dir(holder):
            value = getattr(holder, name)
            if not name.startswith("__") and not isinstance(value, np.ndarray | gym.Space):
                assert not [secret for secret in secrets if hasattr(value, secret)], name


def test_the_pieces_of_conversations():
    user, assistant = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}
    assert as_prompt([user]) == "Why?"
    assert as_prompt([assistant]) == [assistant]
    assert exchange_sides(exchange_sides([user, assistant])) == [user, assistant]


def test_the_docstring_names_every_objective():
    assert re.findall(r"\* ``(\w+)``", Interaction.score.__doc__) == list(OBJECTIVES)
