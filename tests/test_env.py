"""The environments as Gymnasium, Stable-Baselines3 and their users meet them, on simulated histories."""

import copy
import pickle
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from tests_support import COEVOLVE, FOLLOW, PREDICT

import pg_envs
from pg_envs.models.conversation import ConversationError
from pg_envs.models.space import InvalidPolicy
from pg_envs.questions import QueryBudgetExceeded
from pg_envs.values.survey import Comparison, ComparisonError, cast_votes
from wrappers import QueryBudget

HISTORIES = ("simulated", "simulated-random")
each_env = pytest.mark.parametrize(("env_id", "history"), [(i, h) for i in pg_envs.ENV_IDS for h in HISTORIES])


def make(env_id=FOLLOW, history="simulated", **kwargs):
    return gym.make(env_id, history=history, **kwargs)


def episode(env, seed=None, policy_seed=0):
    """Everything that an episode of drawn policies gives; reset without a seed if there is none."""
    rng = np.random.default_rng(policy_seed)
    seen = [env.reset(seed=seed)]
    ended = False
    while not ended:
        seen.append(env.step(rng.uniform(-1, 1, 19)))
        ended = seen[-1][2]
    return seen


def rewards(seen):
    return [step[1] for step in seen[1:]]


def pickled(value):
    """The value after a journey to another process."""
    return pickle.loads(pickle.dumps(value))


# ---------------------------------------------------------------------- checkers


@each_env
def test_gymnasium_checker_has_nothing_to_say(env_id, history):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(env_id, history, disable_env_checker=True).unwrapped, skip_render_check=False)


@each_env
def test_stable_baselines_checker_has_nothing_to_say(env_id, history):
    from stable_baselines3.common.env_checker import check_env as check_for_stable_baselines

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A float64 Box takes float32 actions too, and only so can the humans' own vectors score exactly 1.
        warnings.filterwarnings("ignore", r"Your action space has dtype float64, we recommend using np.float32 to avoid cast errors\.")
        check_for_stable_baselines(make(env_id, history, disable_env_checker=True).unwrapped)


def test_ppo_trains_on_the_plain_environment():
    from stable_baselines3 import PPO

    model = PPO("MultiInputPolicy", make(), n_steps=64, batch_size=32, n_epochs=2, seed=0, device="cpu")
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(256)
    assert any(bool((new != old).any()) for new, old in zip(model.policy.parameters(), before, strict=True))
    assert {e["l"] for e in model.ep_info_buffer} == {8}
    env = make()
    observation, _ = env.reset(seed=0)
    ended, n_steps = False, 0
    while not ended:
        action, _ = model.predict(observation)
        observation, reward, ended, _, _ = env.step(action)
        n_steps += 1
        assert -1 <= reward <= 1
    assert n_steps == 8


# ---------------------------------------------------------------------- vector environments


@pytest.mark.parametrize("other", [FOLLOW, COEVOLVE])
@pytest.mark.parametrize("vector_class", [SyncVectorEnv, AsyncVectorEnv])
def test_vector_environments_without_autoreset(vector_class, other):
    # Predict ends a step before the others, so that one of the two is reset while the other goes on.
    makers = [lambda: make(other), lambda: make(PREDICT)]
    actions = np.random.default_rng(0).uniform(-1, 1, (8, 2, 19))
    alone = []
    for k, maker in enumerate(makers):
        env = maker()
        env.reset(seed=5 + k)
        alone.append([env.step(action) for action in actions[: 8 - k, k]])
    envs = vector_class(makers, autoreset_mode=AutoresetMode.DISABLED)
    try:
        observations, _ = envs.reset(seed=[5, 6])
        assert observations["century"].tolist() == [1, 1]
        for t in range(7):
            observations, reward, terminated, truncated, infos = envs.step(actions[t])
            assert reward.tolist() == [alone[0][t][1], alone[1][t][1]]
            assert terminated.tolist() == [False, t == 6]
            assert not truncated.any()
            for k in (0, 1):
                np.testing.assert_array_equal(observations["votes"][k], alone[k][t][0]["votes"])
                np.testing.assert_array_equal(infos["policy_vector"][k], actions[t, k])
        last_votes = observations["votes"][0].copy()
        observations, _ = envs.reset(options={"reset_mask": np.array([False, True])})
        assert observations["century"].tolist() == [8, 1]
        np.testing.assert_array_equal(observations["votes"][0], last_votes)
        _, reward, terminated, _, _ = envs.step(actions[7])
        assert reward[0] == alone[0][7][1]
        assert terminated.tolist() == [True, False]
    finally:
        envs.close()


# ---------------------------------------------------------------------- values that travel


@each_env
def test_spec_survives_json_and_pickle(env_id, history):
    env = make(env_id, history, votes="majority", centuries=("C014", "C020"))
    expected = rewards(episode(env, seed=3))
    for spec in (EnvSpec.from_json(env.spec.to_json()), pickled(env.spec), copy.deepcopy(env.spec)):
        again = gym.make(spec)
        assert again.unwrapped.vote_rule == "majority"
        assert rewards(episode(again, seed=3)) == expected


@each_env
def test_everything_exchanged_pickles(env_id, history):
    env = make(env_id, history)
    observation, info = env.reset(seed=0)
    action = env.action_space.sample()
    step = env.step(action)
    for value in (observation, info, action, step, env.observation_space, env.action_space, env.unwrapped.reward_space):
        assert data_equivalence(pickled(value), value)
    assert pickled(env.observation_space) == env.observation_space


# ---------------------------------------------------------------------- seeds


@each_env
def test_same_seed_same_episode(env_id, history):
    env = make(env_id, history)
    first = episode(env, seed=7)
    second = episode(env)
    assert data_equivalence(first, episode(make(env_id, history), seed=7))
    assert data_equivalence(first, episode(env, seed=7))
    assert data_equivalence(second, episode(env)), "the episode after a seeded one follows from the seed too"
    votes = [[step[0]["votes"] for step in seen[:-1]] for seen in (first, episode(env, seed=8))]
    assert not data_equivalence(*votes)


def test_random_history_is_new_at_every_reset():
    env = make(history="simulated-random").unwrapped
    trajectories = []
    for seed in (0, None, None, 1):
        env.reset(seed=seed)
        trajectories.append([env.history.human(t) for t in range(9)])
    for i in range(4):
        for j in range(i):
            assert np.abs(np.subtract(trajectories[i], trajectories[j])).max() > 0.5
    env.reset(seed=0)
    np.testing.assert_array_equal([env.history.human(t) for t in range(9)], trajectories[0])


def test_random_history_stays_in_the_space_and_moves_smoothly():
    env = make(history="simulated-random").unwrapped
    for seed in range(20):
        env.reset(seed=seed)
        trajectory = np.array([env.history.human(t) for t in range(9)])
        assert all(human in env.action_space for human in trajectory)
        np.testing.assert_allclose(trajectory[:, 15:].sum(axis=1), 0, atol=1e-12)
        assert 0.01 < np.abs(np.diff(trajectory, axis=0)).mean() < 0.3


def test_questions_do_not_change_later_votes():
    quiet, curious = make().unwrapped, make().unwrapped
    quiet.reset(seed=0)
    curious.reset(seed=0)
    for _ in range(7):
        curious.ask(curious.survey[:20])
        expected, *_ = quiet.step(quiet.initial_policy)
        observed, *_ = curious.step(curious.initial_policy)
        np.testing.assert_array_equal(observed["votes"], expected["votes"])


# ---------------------------------------------------------------------- observations and votes


@each_env
def test_observations_of_an_episode(env_id, history):
    env = make(env_id, history)
    seen = episode(env, seed=0)
    n_steps = 7 if env_id == PREDICT else 8
    assert [step[0]["century"] for step in seen] == [*range(1, n_steps + 1), n_steps]
    assert [step[2] for step in seen[1:]] == [False] * (n_steps - 1) + [True]
    for observation, *_ in seen:
        assert observation in env.observation_space
    for observation, *_ in seen[:-1]:
        assert set(np.unique(observation["votes"])) == {-1, 1}
    assert not seen[-1][0]["votes"].any()
    assert len(env.unwrapped.survey) == len(seen[0][0]["votes"]) > 100


def test_survey_is_not_what_values_are_measured_on():
    env = make().unwrapped
    survey = {comparison.item.content_hash for comparison in env.survey}
    evaluation = {item.content_hash for item in env.evaluation.items}
    assert survey.isdisjoint(evaluation)
    assert min(len(survey), len(evaluation)) > 200


def test_majority_votes_are_the_larger_side():
    env = make(votes="majority").unwrapped
    observation, _ = env.reset(seed=0)
    preferences = env.history.human_survey_preferences(1)
    np.testing.assert_array_equal(observation["votes"], np.sign(preferences - 0.5))
    np.testing.assert_array_equal(env.ask(env.survey), observation["votes"])


def test_sampled_votes_are_as_frequent_as_preferences_say():
    env = make().unwrapped
    env.reset(seed=0)
    n = 600
    shares = np.mean([env.ask(env.survey) == 1 for _ in range(n)], axis=0)
    preferences = env.history.human_survey_preferences(1)
    error = np.sqrt(preferences * (1 - preferences) / n)
    assert np.all(np.abs(shares - preferences) < 4.5 * error)
    # Not only within the noise of each, but without a lean over all of them.
    assert abs((shares - preferences).mean()) < 4 * np.sqrt((error**2).sum()) / len(error)


@pytest.mark.parametrize("rule", ["sample", "majority"])
def test_votes_at_the_edges(rule):
    edges = np.array([0.0, 1.0, np.nan])
    for seed in range(50):
        votes = cast_votes(edges, rule, np.random.default_rng(seed))
        assert votes.dtype == np.int8
        assert votes.tolist() == [-1, 1, 0]
    assert cast_votes(np.array([0.5]), "majority", np.random.default_rng(0)).tolist() == [0]


# ---------------------------------------------------------------------- infos


@each_env
def test_infos_are_the_users_own(env_id, history):
    spoilt, clean = make(env_id, history), make(env_id, history)
    spoilt.reset(seed=0)
    clean.reset(seed=0)
    policy = np.full(19, 0.3)
    for _ in range(7):
        _, reward, _, _, info = spoilt.step(policy)
        for value in info.values():
            if isinstance(value, np.ndarray):
                value[:] = 9.0
        assert reward == clean.step(policy)[1]
    np.testing.assert_array_equal(policy, np.full(19, 0.3))


@each_env
def test_infos_hold_plain_finite_values(env_id, history):
    for _, reward, terminated, truncated, info in episode(make(env_id, history), seed=0)[1:]:
        assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
        for key, value in info.items():
            assert type(value) in (int, float, str, np.ndarray), key
            assert isinstance(value, str) or np.isfinite(value).all(), key


# ---------------------------------------------------------------------- questions


def test_queries_are_counted_by_century_and_by_episode():
    env = make(query_budget=10).unwrapped
    env.reset(seed=0)
    assert env.ask(env.survey[:4]).shape == (4,)
    assert env.ask([]).shape == (0,)
    env.ask(env.survey[:6])
    info = env.step(env.initial_policy)[4]
    assert (info["n_queries"], info["n_queries_total"]) == (10, 10)
    env.ask(env.survey[:3])
    info = env.step(env.initial_policy)[4]
    assert (info["n_queries"], info["n_queries_total"]) == (3, 13)
    env.reset()
    assert env.step(env.initial_policy)[4]["n_queries_total"] == 0


def test_environment_survives_a_question_too_many():
    env = make(query_budget=5).unwrapped
    env.reset(seed=0)
    env.ask(env.survey[:4])
    with pytest.raises(QueryBudgetExceeded, match="2 more questions after 4 in C014 exceed query_budget=5"):
        env.ask(env.survey[:2])
    assert len(env.ask(env.survey[:1])) == 1
    assert env.step(env.initial_policy)[4]["n_queries"] == 5
    assert len(env.ask(env.survey[:5])) == 5


def test_simulated_humans_have_no_words_and_nothing_is_counted():
    env = make(query_budget=1).unwrapped
    env.reset(seed=0)
    with pytest.raises(TypeError, match=r"'simulated' has no language model.*histtiny"):
        env.respond(["What do you owe a stranger?"])
    assert len(env.ask(env.survey[:1])) == 1


# ---------------------------------------------------------------------- misuse


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"history": "neolithic"}, "'neolithic'; choose from histtiny, live:histtiny, simulated"),
        ({"questionnaire": "/no/such/folder"}, "'/no/such/folder': expected 'bundled', a folder"),
        ({"engine": "abacus"}, "'abacus'; choose from .*transformers"),
        ({"mode": "telepathy"}, "'telepathy'; choose from .*logprob"),
        ({"scoring": "golf"}, "scoring='golf': choose from 'centred', 'upstream'"),
        ({"votes": "loudest"}, "votes='loudest': choose from 'sample', 'majority'"),
        ({"render_mode": "oil"}, "render_mode='oil': choose from None, 'ansi', 'rgb_array'"),
        ({"centuries": ("C013", "C999")}, "'C999'.*expected a first and a last label out of C013"),
        ({"centuries": ("C020", "C014")}, "the last century must come after the first"),
        ({"centuries": 5}, "centuries=5: expected a first and a last label"),
        ({"query_budget": -1}, "query_budget=-1: expected a whole number"),
        ({"query_budget": 2.5}, "query_budget=2.5"),
        ({"query_budget": True}, "query_budget=True"),
    ],
)
@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
@pytest.mark.filterwarnings("ignore:.*The environment is being initialised with render_mode='oil':UserWarning")
def test_bad_arguments_are_named_with_what_to_choose_from(env_id, kwargs, message):
    with pytest.raises(ValueError, match=message):
        gym.make(env_id, **{"history": "simulated", **kwargs})


@pytest.mark.parametrize("wrap", [lambda env: env, lambda env: QueryBudget(env, per_century=9)], ids=["bare", "budget"])
@pytest.mark.parametrize(
    ("comparisons", "message"),
    [
        ([1], r"comparisons\[0\]=1: expected a Comparison, such as env.unwrapped.survey\[0\]"),
        ("abc", r"comparisons\[0\]='a': expected a Comparison"),
        (None, r"comparisons=None: expected a list of Comparison"),
        (iter([]), r"comparisons=<.*: expected a list of Comparison"),
        (np.zeros(3), r"comparisons=array.*: expected a list of Comparison"),
    ],
)
def test_what_is_no_comparison_is_refused_before_anybody_is_asked(wrap, comparisons, message):
    env = wrap(make(FOLLOW))
    env.reset(seed=0)
    with pytest.raises(ComparisonError, match=message):
        env.get_wrapper_attr("ask")(comparisons)
    with pytest.raises(ComparisonError, match=r"comparisons\[1\]=None: "):
        env.get_wrapper_attr("ask")([env.unwrapped.survey[0], None])
    assert env.unwrapped.n_queries == 0


@pytest.mark.parametrize(("first", "second"), [(0, 9), (-1, 0), (1, 1), (None, 0)])
def test_a_comparison_is_of_two_of_its_items_options(first, second):
    item = make(FOLLOW).unwrapped.survey[0].item
    with pytest.raises(ComparisonError, match=f"options {first!r} and {second!r}: expected two different ones out of 0 to"):
        Comparison(item, first, second)
    with pytest.raises(ComparisonError, match="expected an Item"):
        Comparison("H_001", 0, 1)


@pytest.mark.parametrize("wrap", [lambda env: env, lambda env: QueryBudget(env, per_century=9)], ids=["bare", "budget"])
@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        # As many questions as it has letters.
        ("Why?", r"prompts='Why\?': expected a list of prompts; a single one is a list of one"),
        ({"role": "user", "content": "Why?"}, "expected a list of prompts"),
        (None, "prompts=None: expected a list of prompts"),
        ([1], r"prompts\[0\]=1: expected a text, or a list of turns"),
        ([{"role": "user", "content": "Why?"}], r"prompts\[0\]=.*: expected a text, or a list of turns"),
        (["Why?", []], r"messages=\[\]: expected a list of at least one turn"),
        ([[{"role": "user", "content": 5}]], r"messages\[0\]=.*a content that is text"),
        (["half \ud800"], r"messages\[0\]=.*a content that is text"),
    ],
)
def test_what_is_no_prompt_is_refused_before_anybody_is_asked(wrap, prompts, message):
    env = wrap(make(FOLLOW))
    env.reset(seed=0)
    with pytest.raises(ConversationError, match=message):
        env.get_wrapper_attr("respond")(prompts)
    assert env.unwrapped.n_queries == 0


def test_no_steps_or_questions_outside_an_episode():
    env = make(FOLLOW).unwrapped
    for moment in ("before reset", "after the end"):
        for misuse in (lambda: env.step(np.zeros(19)), lambda: env.ask(env.survey[:1]), lambda: env.respond(["Why?"])):
            with pytest.raises(gym.error.ResetNeeded, match="call reset"):
                misuse()
        assert len(episode(env, seed=0)) == 9, moment


@pytest.mark.parametrize(
    "action",
    [np.zeros(18), np.zeros((1, 19)), np.full(19, 1.01), np.full(19, np.nan), np.zeros(19, complex), "C014", None],
    ids=["short", "batch", "large", "nan", "complex", "text", "none"],
)
@pytest.mark.filterwarnings("ignore:.*Casting input x to numpy array:UserWarning")
@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_action_outside_the_space_changes_nothing(env_id, action):
    tried, plain = make(env_id).unwrapped, make(env_id).unwrapped
    tried.reset(seed=0)
    plain.reset(seed=0)
    with pytest.raises(InvalidPolicy, match=r"is not in Box\(.*start from env.unwrapped.initial_policy"):
        tried.step(action)
    assert data_equivalence(tried.step(np.full(19, 0.5)), plain.step(np.full(19, 0.5)))


@pytest.mark.parametrize("votes", ["sample", "majority"])
@pytest.mark.parametrize("env_id", [FOLLOW, PREDICT])
def test_step_whose_next_humans_cannot_be_asked_can_be_tried_again(env_id, votes, monkeypatch):
    disturbed, plain = make(env_id, votes=votes).unwrapped, make(env_id, votes=votes).unwrapped
    for env in (disturbed, plain):
        env.reset(seed=0)
        env.step(np.full(19, 0.1))
        env.ask(env.survey[:3])

    def fail(century):
        raise ConnectionError(f"the humans of {century} do not answer")

    with monkeypatch.context() as patched:
        patched.setattr(disturbed.history, "human_survey_preferences", fail)
        with pytest.raises(ConnectionError, match="the humans of 3"):
            disturbed.step(np.full(19, 0.5))
    assert (disturbed.century, len(disturbed.trace), disturbed.n_queries) == (2, 1, 3)
    for _ in range(plain.n_steps - 1):
        assert data_equivalence(disturbed.step(np.full(19, 0.5)), plain.step(np.full(19, 0.5)))
    assert len(disturbed.trace) == disturbed.n_steps
    assert disturbed.episode_score() == plain.episode_score()


def test_coevolve_step_whose_preferences_cannot_be_asked_has_its_draws_again(monkeypatch):
    disturbed, plain = make(COEVOLVE).unwrapped, make(COEVOLVE).unwrapped
    for env in (disturbed, plain):
        # A proxy that learns by chance, as one that is a language model does; the simulated one has no use for draws.
        monkeypatch.setattr(env.history, "influence", lambda proxy, source, n_epochs, rng: proxy + rng.normal(0, 0.1, 19))
        env.reset(seed=0)
        env.step(np.full(19, 0.1))

    def fail(policy, comparisons):
        raise ConnectionError("the proxy does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(disturbed.history, "preferences", fail)
        with pytest.raises(ConnectionError, match="the proxy"):
            disturbed.step(np.full(19, 0.5))
    for _ in range(plain.n_steps - 1):
        assert data_equivalence(disturbed.step(np.full(19, 0.5)), plain.step(np.full(19, 0.5)))


def test_float32_actions_are_taken():
    # Stable-Baselines3 and other learners act in float32.
    env = make().unwrapped
    env.reset(seed=0)
    policy = np.linspace(-1, 1, 19)
    _, reward, *_ = env.step(policy.astype(np.float32))
    env.reset(seed=0)
    assert reward == pytest.approx(env.step(policy)[1], abs=1e-6)


def test_closed_environment_can_be_reset_again():
    env = make()
    first = episode(env, seed=0)
    env.close()
    env.close()
    with pytest.raises(gym.error.ResetNeeded):
        env.unwrapped.step(np.zeros(19))
    assert data_equivalence(episode(env, seed=0), first)


# ---------------------------------------------------------------------- rendering


@each_env
def test_ansi_tells_century_score_and_every_dimension(env_id, history):
    env = make(env_id, history, render_mode="ansi")
    env.reset(seed=0)
    assert "C014 in view, step 0" in env.render()
    _, reward, *_ = env.step(env.unwrapped.initial_policy)
    text = env.render()
    assert "C015 in view, step 1" in text
    assert f"C014 judged: reward {reward:+.3f}" in text
    assert text.count("policy") == 19
    assert "Do not deceive" in text


@each_env
def test_picture_changes_with_the_state(env_id, history):
    env = make(env_id, history, render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    env.step(env.action_space.sample())
    after = env.render()
    for picture in (before, after):
        assert (picture.shape, picture.dtype) == ((480, 640, 3), np.uint8)
    assert (before != after).mean() > 0.001


def test_rendering_without_a_mode_is_a_warning():
    env = make(disable_env_checker=True)
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="pass render_mode='ansi' or 'rgb_array'"):
        assert env.unwrapped.render() is None


# ---------------------------------------------------------------------- fresh processes

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "matplotlib", "accelerate", "rich", "tyro")


def fresh_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_quick_and_light():
    code = (
        "import sys, time; whole = time.process_time(); import gymnasium, numpy;"
        "own = time.perf_counter(); import pg_envs; print(time.perf_counter() - own, time.process_time() - whole);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    durations_s = []
    for _ in range(3):
        durations, loaded = fresh_process(code).splitlines()
        assert loaded == "[]"
        durations_s.append([float(duration) for duration in durations.split()])
    # By the clock on its own, and of the processor with the two libraries that it needs.
    assert np.less(np.min(durations_s, axis=0), 0.5).all()


def test_gym_make_imports_what_it_needs_and_nothing_heavy():
    out = fresh_process(
        "import sys, gymnasium as gym\n"
        "env = gym.make('pg_envs:ProgressGym/Follow-v0', history='simulated')\n"
        "env.reset(seed=0)\n"
        "print(env.step(env.unwrapped.history.human(1))[1])\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert out.splitlines() == ["1.0", "[]"]
