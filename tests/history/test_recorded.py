"""Episodes from a recording are those of the live history, and need no human model."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from architectures import ARCHITECTURES, save_as_published
from datasets import Dataset
from gymnasium.utils.env_checker import check_env, data_equivalence
from peft import PeftModel
from tests_support import COEVOLVE, FOLLOW, PREDICT, TINY_FAMILY_CENTURIES
from transformers import AutoConfig, AutoModelForCausalLM

from pg_envs.history.live import histtiny_refs
from pg_envs.history.recorded import RecordedHistory
from pg_envs.history.recording import RecordingError
from pg_envs.models.checks import fingerprint
from pg_envs.models.encoding import encode_prompts
from pg_envs.models.loading import load_tokenizer
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.space import InvalidPolicy
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning import sft
from pg_envs.models.tuning_config import TuningConfig
from pg_envs.record import REPLY_SEED, record
from pg_envs.values.open_questions import OPEN_QUESTIONS
from pg_envs.values.survey import Comparison


@pytest.fixture
def make(tiny_recording, tiny_family, small_questionnaire):
    """Make an environment on the random family: ``history`` is ``live`` or ``recorded``."""

    def make(history, env_id=FOLLOW, **kwargs):
        kwargs = {"questionnaire": small_questionnaire, "disable_env_checker": True, **kwargs}
        if history == "live":
            return gym.make(env_id, **{"history": "histtiny", "centuries": TINY_FAMILY_CENTURIES, **kwargs})
        return gym.make(env_id, history=f"recorded:{tiny_recording}", **kwargs)

    return make


def episode(env, policies, seed):
    """Everything an episode gives, questions in every century included."""
    inner = env.unwrapped
    seen = [env.reset(seed=seed)]
    for policy in policies:
        for comparisons in (inner.survey[3:4], inner.survey[::-2], inner.survey):
            seen.append(inner.ask(comparisons))
        seen.append(env.step(policy))
    assert seen[-1][2], "the episode has ended"
    return seen


# ---------------------------------------------------------------------- the same episodes


@pytest.mark.parametrize(
    ("env_id", "settings", "n_steps"),
    [(FOLLOW, {}, 3), (FOLLOW, {"centuries": ("C019", "C021"), "votes": "majority"}, 2), (PREDICT, {"scoring": "upstream"}, 2)],
)
def test_an_episode_is_the_live_one_bit_for_bit(make, tiny_family, env_id, settings, n_steps):
    base = tiny_family[0].with_adapter(None)
    # A policy that is measured, one that is nobody's copy for long, one that is a century's humans.
    policies = [base, tiny_family[1], tiny_family[3]][:n_steps]
    live, recorded = (episode(make(kind, env_id, **settings), policies, seed=5) for kind in ("live", "recorded"))
    assert data_equivalence(live, recorded, exact=True)
    assert len({tuple(step[0]["votes"]) for step in recorded[::4][:-1]}) == n_steps, "centuries differ, so that equality says something"


def test_an_episode_of_sampled_answers_is_the_live_one_too(small_questionnaire, tmp_path):
    """Of models that can answer: random ones name no option in words."""
    settings = {"centuries": ("C019", "C021"), "mode": "generate", "questionnaire": small_questionnaire}
    folder = record(tmp_path / "recorded", "live:histtiny", **settings)
    envs = [gym.make(FOLLOW, history=history, disable_env_checker=True, **settings) for history in ("live:histtiny", f"recorded:{folder}")]
    # A century's humans, whose values are recorded; measuring another policy would say nothing more.
    live, recorded = (episode(env, [env.unwrapped.history.human(t) for t in (1, 1)], seed=5) for env in envs)
    assert data_equivalence(live, recorded, exact=True)
    assert recorded[-1][4]["n_invalid"] > 0


def test_replies_are_those_of_the_live_history_and_later_draws_too(make):
    replies, votes = [], []
    for kind in ("live", "recorded"):
        env = make(kind).unwrapped
        env.reset(seed=0)
        replies.append(env.history.respond(env.history.human(1), OPEN_QUESTIONS, np.random.default_rng(REPLY_SEED)))
        env.respond(OPEN_QUESTIONS[:2])
        votes.append(env.ask(env.survey).tolist())
    assert replies[0] == replies[1]
    assert len(set(replies[0])) > 1
    assert votes[0] == votes[1]


def test_coevolve_is_the_live_one_too(make, tiny_family):
    policies = [tiny_family[3], tiny_family[0]]
    settings = {"centuries": ("C019", "C021"), "policy_epochs": 0}
    live, recorded = (episode(make(kind, COEVOLVE, **settings), policies, seed=2) for kind in ("live", "recorded"))
    assert data_equivalence(live, recorded, exact=True)
    assert not np.array_equal(recorded[4][4]["proxy_vector"], recorded[8][4]["proxy_vector"])


def test_a_policy_that_is_a_centurys_humans_has_their_recorded_values(make):
    history = make("recorded").unwrapped.history
    assert history.values(history.human(2)) is history.human_values(2)
    assert history.human_values(2).centred.dtype == np.float64


def test_other_weights_under_a_recorded_name_are_refused(make, tiny_family):
    """As a policy, and as the proxy; the humans are the recorded ones all the same."""
    _, second, third, _ = tiny_family
    weights = Path(second.adapter) / "adapter_model.safetensors"
    before, expected = weights.read_bytes(), fingerprint(second)
    env = make("recorded")
    env.reset(seed=0)
    human = env.unwrapped.history.human_values(1)
    try:
        weights.write_bytes((Path(third.adapter) / weights.name).read_bytes())
        with pytest.raises(RecordingError, match=f"other weights here than were recorded of C019: expected {expected}, found .*another"):
            env.step(second)
        coevolve = make("recorded", COEVOLVE, proxy=str(second), policy_epochs=0)
        coevolve.reset(seed=0)
        with pytest.raises(RecordingError, match="other weights here than were recorded of C019"):
            coevolve.step(third)
        _, reward, _, _, info = env.step(third)
        assert reward < 0.99
        np.testing.assert_array_equal(info["target_vector"], human.centred)
    finally:
        weights.write_bytes(before)
    assert env.step(second)[1] < 1.0


# ---------------------------------------------------------------------- without the human models


def test_humans_need_neither_their_models_nor_the_libraries():
    code = (
        "import sys, gymnasium as gym\n"
        "env = gym.make('pg_envs:ProgressGym/Follow-v0', history='recorded:histtiny', centuries=('C019', 'C021'))\n"
        "env.reset(seed=0)\n"
        "inner = env.unwrapped\n"
        "inner.ask(inner.survey[:9]), inner.respond(['When is it right to break a promise?'])\n"
        "print([env.step(inner.history.human(t))[1] for t in (1, 1)])\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'peft', 'trl') if name in sys.modules])"
    )
    rewards, loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    first, second = json.loads(rewards)
    assert first == 1.0
    assert 0.5 < second < 1.0
    assert loaded == "[]"


@pytest.fixture(scope="module", params=ARCHITECTURES)
def published(request, tmp_path_factory):
    """A random model of an architecture, as published ones are laid out, with a tokenizer of its own."""
    return ModelRef(str(save_as_published(tmp_path_factory.mktemp("published") / request.param, request.param)))


@pytest.fixture(scope="module")
def learnt(published, tmp_path_factory):
    """An adapter that was trained on that model, in more than one step: the first one only warms up."""
    rows = [(f"Who goes there, {n}?", "A" if n % 2 else "It is nobody") for n in range(8)]
    said = [{"prompt": [{"role": "user", "content": q}], "completion": [{"role": "assistant", "content": a}]} for q, a in rows]
    config = TuningConfig(learning_rate=1e-2, batch_size=2)
    return sft(published, Dataset.from_list(said), tmp_path_factory.mktemp("learnt") / "it", 0, config)


def logprob_by_transformers(ref, prompt, answer):
    """The same as the engine's, by a plain pass of a plain model through the whole row."""
    tokenizer = load_tokenizer(ref)
    head = encode_prompts(tokenizer, [prompt])[0]
    tail = tokenizer(answer, add_special_tokens=False).input_ids
    model = AutoModelForCausalLM.from_pretrained(ref.base, dtype=torch.float32)
    model = model if ref.adapter is None else PeftModel.from_pretrained(model, ref.adapter)
    with torch.no_grad():
        logprobs = model.eval()(input_ids=torch.tensor([head + tail])).logits[0].log_softmax(-1)
    return sum(float(logprobs[len(head) - 1 + place, token]) for place, token in enumerate(tail))


def test_a_policy_may_have_any_architecture_and_tokenizer_and_learns(make, published, learnt):
    env = make("recorded", initial_policy=published.base)
    env.reset(seed=0)
    assert env.unwrapped.initial_policy == published
    vectors = []
    for policy in (published, learnt):
        assert policy in env.action_space
        _, reward, _, _, info = env.step(policy)
        assert -1 < reward < 1
        vectors.append(info["policy_vector"])
    assert np.abs(vectors[0]).max() > 0.001
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01, "what was learnt is measured"
    np.testing.assert_array_equal(info["target_vector"], env.unwrapped.history.human_values(2).centred)


def test_its_answers_are_those_of_the_plain_model(published, learnt):
    """Read from shared beginnings with a merged adapter, or with the adapter beside the base."""
    prompts, answers = ["Whom do you owe?", "Whom do you owe, and why?"], [["A", "nobody at all"]] * 2
    for merged_up_to_bytes in (1 << 30, 0):
        engine = TransformersEngine(torch.device("cpu"), torch.float32, merged_up_to_bytes=merged_up_to_bytes)
        for policy in (published, learnt):
            found = engine.choice_logprobs(policy, prompts, answers)
            for prompt, group, scored in zip(prompts, answers, found, strict=True):
                np.testing.assert_allclose(scored.total, [logprob_by_transformers(policy, prompt, answer) for answer in group], atol=1e-3)


def test_rotary_embeddings_that_are_scaled_change_the_answers(tmp_path):
    """So that the comparison above says something about them."""
    scaled = save_as_published(tmp_path / "scaled", "llama3")
    config = AutoConfig.from_pretrained(scaled)
    assert config.rope_parameters["rope_type"] == "llama3"
    plain = shutil.copytree(scaled, tmp_path / "plain")
    config.rope_parameters = {"rope_type": "default", "rope_theta": config.rope_parameters["rope_theta"]}
    config.save_pretrained(plain)
    first, second = (logprob_by_transformers(ModelRef(str(folder)), "Whom do you owe, and why?", "A") for folder in (scaled, plain))
    assert abs(first - second) > 0.01


def test_a_proxy_may_have_any_architecture_and_tokenizer(make, published, tiny_family):
    env = make("recorded", COEVOLVE, proxy=published.base, policy_epochs=0)
    env.reset(seed=0)
    untouched = env.unwrapped.history.values(published).centred
    _, _, _, _, info = env.step(tiny_family[1])
    assert env.unwrapped.proxy.base == published.base
    assert np.abs(info["proxy_vector"] - untouched).max() > 0.001, "it has learnt from the recorded humans"


def test_a_policy_that_does_not_load_is_refused_and_the_environment_goes_on(make, tmp_path):
    env = make("recorded")
    env.reset(seed=0)
    with pytest.raises(ModelRefError, match="no model folder at"):
        env.step(ModelRef(str(tmp_path / "nowhere")))
    assert env.step(env.unwrapped.history.human(1))[1] == 1.0


@pytest.mark.parametrize("argument", ["initial_policy", "proxy"])
def test_a_named_model_must_be_in_the_action_space(argument):
    for history, name in (("simulated", "some/base"), ("histtiny", "some/base+adapter")):
        with pytest.raises(InvalidPolicy, match=rf"{argument}='{name}'".replace("+", r"\+") + " is not in"):
            gym.make(COEVOLVE, history=history, **{argument: name})


def test_a_proxy_that_is_not_here_is_refused_and_one_that_is_learns(make, tiny_family, monkeypatch):
    away = ModelRef("/nowhere/base", adapter="/nowhere/C018")
    env = make("recorded", COEVOLVE, policy_epochs=0)
    monkeypatch.setattr(env.unwrapped.history, "refs", (away, *tiny_family[1:]))
    env.reset(seed=0)
    with pytest.raises(RecordingError, match="pass proxy="):
        env.step(tiny_family[1])
    env = make("recorded", COEVOLVE, policy_epochs=0, proxy=tiny_family[0].base)
    env.reset(seed=0)
    inner = env.unwrapped
    assert inner.proxy == tiny_family[0].with_adapter(None)
    untouched = inner.history.values(inner.proxy).centred
    np.testing.assert_array_equal(inner.untouched_values.centred, untouched)
    _, _, _, _, info = env.step(tiny_family[1])
    assert np.abs(info["proxy_vector"] - untouched).max() > 0.001


# ---------------------------------------------------------------------- what was not recorded


def test_an_item_or_a_prompt_that_was_not_recorded_is_named(make):
    env = make("recorded", query_budget=3).unwrapped
    env.reset(seed=0)
    item = env.evaluation.items[0]
    with pytest.raises(RecordingError, match=rf"no answer of C019 to item '{item.item_id}'.*use a live history"):
        env.ask([env.survey[0], Comparison(item, 0, 1)])
    with pytest.raises(RecordingError, match=r"no reply of C019 to 'Why me.'.*use a live history"):
        env.respond([OPEN_QUESTIONS[0], "Why me?"])
    assert env.step(env.history.human(1))[4]["n_queries"] == 0, "what was not answered is not counted"


# A proxy that learns nothing is the recorded humans', which need no model.
@pytest.mark.parametrize(("env_id", "more"), [(FOLLOW, {}), (PREDICT, {}), (COEVOLVE, {"history_epochs": 0, "policy_epochs": 0})])
def test_gymnasium_checker_has_nothing_to_say(env_id, more):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The checker says this of every space that is not one of Gymnasium's own.
        warnings.filterwarnings("ignore", message=".*not a.*recognized.*")
        check_env(gym.make(env_id, history="recorded:histtiny", disable_env_checker=True, **more).unwrapped)


# ---------------------------------------------------------------------- the bundled recording


def bundled():
    return gym.make(FOLLOW, history="recorded:histtiny").unwrapped.history


def test_the_bundled_recording_is_of_the_bundled_weights_and_small():
    history = bundled()
    assert isinstance(history, RecordedHistory)
    assert history.refs == histtiny_refs()
    assert [model["sha256"] for model in history.describe()["models"].values()] == [fingerprint(ref) for ref in histtiny_refs()]
    assert sum(path.stat().st_size for path in history.folder.rglob("*")) < 1_000_000


# ---------------------------------------------------------------------- histtiny has its own recording


def test_histtiny_takes_its_humans_from_the_bundled_recording():
    history = gym.make(FOLLOW, centuries=("C019", "C021")).unwrapped.history
    recorded = gym.make(FOLLOW, history="recorded:histtiny", centuries=("C019", "C021")).unwrapped.history
    assert all((history.human_values(t).centred == recorded.human_values(t).centred).all() for t in range(3))
    assert (history.human_survey_preferences(1) == recorded.human_survey_preferences(1)).all()
    assert "engine" not in vars(history), "nothing was run"
    assert history.describe()["recording"] == recorded.describe()["recording"]


@pytest.mark.parametrize("settings", [{"history": "live:histtiny"}, {"mode": "generate"}, {"questionnaire": "small"}])
def test_other_questions_are_asked_anew(settings, small_questionnaire):
    settings = {key: small_questionnaire if value == "small" else value for key, value in settings.items()}
    assert gym.make(FOLLOW, **settings).unwrapped.history.recording is None


def test_other_weights_are_asked_anew_and_said_so(tiny_family, caplog):
    """The bundled recording is of other models than these."""
    history = gym.make(FOLLOW, centuries=("C018", "C021")).unwrapped.history
    anew = gym.make(FOLLOW, history="live:histtiny", centuries=("C018", "C021")).unwrapped.history
    comparisons = history.survey.comparisons[:40]
    assert (history.preferences(tiny_family[1], comparisons) == anew.preferences(tiny_family[1], comparisons)).all()
    assert "other weights" in caplog.text
