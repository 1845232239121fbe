"""The openai engine against a real small server: the transformers engine's numbers, through whatever goes wrong on the way."""

import json
import os
import random
import re
import signal
import threading
import time
import traceback
import zlib

import numpy as np
import pytest
import torch
from scoring_server import FAULTS, serving
from tests_support import save_adapter_at_random

from pg_envs.history.base import Survey
from pg_envs.history.registry import make_history
from pg_envs.models.engine import EngineError, make_engine
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.progress import reporting_to
from pg_envs.values.forms import make_questions
from pg_envs.values.measure import measure
from pg_envs.values.questionnaire import load_questionnaire

QUICK = "?backoff_s=0.01"


@pytest.fixture(scope="module")
def refs(random_base, tmp_path_factory):
    """The random base, and an adapter on it."""
    base = ModelRef(str(random_base))
    return base, save_adapter_at_random(base, tmp_path_factory.mktemp("served") / "adapter", seed=1)


@pytest.fixture(scope="module")
def models(refs):
    """What the server serves, loaded without the engines' code."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base, adapted = refs
    load = AutoModelForCausalLM.from_pretrained
    adapter = PeftModel.from_pretrained(load(base.base), adapted.adapter)
    return {str(base): load(base.base).eval(), str(adapted): adapter.eval()}


@pytest.fixture(scope="module")
def questions():
    """One-letter and whole answers, two and four options."""
    items = load_questionnaire().items
    return make_questions([items[0], items[30], items[-1]])


pytestmark = pytest.mark.usefixtures("straight_to_servers")


def score(engine, ref, questions):
    return engine.choice_logprobs(ref, [q.prompt for q in questions], [q.answers for q in questions])


def local():
    return TransformersEngine(torch.device("cpu"), torch.float32)


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.total, theirs.total, atol=1e-3)
        assert ours.n_tokens.tolist() == theirs.n_tokens.tolist()


def test_base_and_adapter_score_as_with_transformers(refs, models, tokenizer, questions):
    with serving(models, tokenizer) as server:
        engine, expected = make_engine(f"openai:{server.url}"), local()
        found = [score(engine, ref, questions) for ref in refs]
    for ref, scores in zip(refs, found, strict=True):
        assert_same(scores, score(expected, ref, questions))
    assert not np.allclose(found[0][0].total, found[1][0].total, atol=1e-2)


def test_measured_values_are_those_of_transformers(refs, models, tokenizer, small_questionnaire):
    items, forms = load_questionnaire(small_questionnaire).items, ("ab", "4c_fav")
    with serving(models, tokenizer) as server:
        found = measure(make_engine(f"openai:{server.url}"), refs[0], items, forms)
    expected = measure(local(), refs[0], items, forms)
    np.testing.assert_allclose(found.centred, expected.centred, atol=1e-3)
    np.testing.assert_allclose(found.upstream, expected.upstream, atol=1e-3)


def faults_by_prompt(seed):
    """Two in five questions fail once or twice, each in ways that its own tokens draw; the rest are answered at once."""
    left = {}

    def fault(body):
        prompt = str(body["prompt"])
        if prompt not in left:
            rng = random.Random(zlib.crc32(prompt.encode()) + seed)
            left[prompt] = rng.choices(FAULTS, k=rng.choice((1, 2))) if rng.random() < 0.4 else []
        return left[prompt].pop() if left[prompt] else None

    return fault


def test_whatever_fails_results_are_complete_and_nothing_is_asked_again_that_was_answered(refs, models, tokenizer):
    questions = make_questions(load_questionnaire().items[:6], ("ab", "repeat"))
    with serving(models, tokenizer, faults_by_prompt(seed=0)) as server:
        engine = make_engine(f"openai:{server.url}{QUICK}&concurrency=16&timeout_s=4&retries=3")
        found = score(engine, refs[0], questions)
        fates = server.fates()
    assert_same(found, score(local(), refs[0], questions))
    assert {fate for each in fates.values() for fate in each} == {*FAULTS, "answered"}
    for each in fates.values():
        assert each.index("answered") == len(each) - 1
    assert len(fates) == len({(q.prompt, answer) for q in questions for answer in q.answers})


def test_a_call_that_failed_goes_on_where_it_stopped(refs, models, tokenizer, questions):
    broken = threading.Event()
    broken.set()
    doomed = 5

    def fault(body):
        return "500" if broken.is_set() and len(server.fates()) >= doomed else None

    with serving(models, tokenizer, fault) as server:
        engine = make_engine(f"openai:{server.url}{QUICK}&concurrency=1&retries=1")
        where = re.escape(f"{server.url}/completions")
        with pytest.raises(EngineError, match=where + r": gave up on a question after asking 2 times; last failure: status 500: .*not now"):
            score(engine, refs[0], questions)
        n_first = len(server.fates())
        broken.clear()
        found = score(engine, refs[0], questions)
        fates = list(server.fates().values())
    assert fates[: n_first - 1] == [["answered"]] * (n_first - 1)
    assert fates[n_first - 1] == ["500", "500", "answered"]
    assert n_first > doomed
    assert_same(found, score(local(), refs[0], questions))


def test_a_server_that_is_not_there_is_named(refs):
    with serving({}, None) as gone:
        pass
    with pytest.raises(EngineError, match=re.escape(f"{gone.url}/models: gave up") + ".*ConnectError.*see that the server runs"):
        make_engine(f"openai:{gone.url}{QUICK}&retries=1").check(refs[0])


def test_retry_after_is_waited_for(refs, models, tokenizer, questions):
    fates = iter(["429"])
    with serving(models, tokenizer, lambda body: next(fates, None)) as server:
        score(make_engine(f"openai:{server.url}{QUICK}&concurrency=1"), refs[0], questions[:1])
        first, second = (when for when, *_ in server.log[:2])
    assert second - first >= 1.0


@pytest.mark.parametrize(("fault", "said"), [("400", "refused a question with status 400"), ("no logprobs", "an answer of another shape")])
def test_a_server_without_prompt_logprobs_is_told_of_generate(refs, models, tokenizer, questions, fault, said):
    with serving(models, tokenizer, lambda body: fault) as server:
        engine = make_engine(f"openai:{server.url}{QUICK}&retries=0&concurrency=1")
        with pytest.raises(EngineError, match=said + ".*mode='generate'"):
            score(engine, refs[0], questions)
        assert len(server.log) == 1


def test_the_key_is_sent_and_told_nobody_else(refs, models, tokenizer, questions, monkeypatch, caplog, small_questionnaire):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    caplog.set_level("DEBUG")
    with serving(models, tokenizer, lambda body: "400") as server:
        name = f"openai:{server.url}{QUICK}"
        with pytest.raises(EngineError, match=r"echo is not supported; Bearer \[OPENAI_API_KEY\]") as raised:
            score(make_engine(name), refs[0], questions)
        assert server.keys_seen == {"Bearer sk-secret"}
    assert "sk-secret" not in "".join(traceback.format_exception(raised.value)) + caplog.text
    survey, evaluation = load_questionnaire(small_questionnaire).split()
    described = make_history("histtiny", Survey(survey), evaluation, ("C019", "C021"), name).describe()
    assert described["engine"] == name
    assert "sk-secret" not in json.dumps(described)


def test_a_history_asks_its_policies_on_the_server(refs, models, tokenizer, small_questionnaire):
    survey, evaluation = load_questionnaire(small_questionnaire).split()
    items = survey.items[:2]

    def history(engine):
        return make_history("histtiny", Survey(survey), evaluation, ("C019", "C021"), engine)

    here = history("transformers")
    here.engine = local()
    expected = here.option_probabilities(refs[0], items)
    with serving(models, tokenizer) as server:
        asking = history(f"openai:{server.url}")
        found = asking.option_probabilities(refs[0], items)
        with pytest.raises(ModelRefError, match="does not serve it"):
            asking.check_policy(asking.human(0))
    for item in items:
        np.testing.assert_allclose(found[item], expected[item], atol=1e-3)


def test_a_model_that_is_not_served_is_refused_with_what_is(refs, models, tokenizer):
    base, adapted = refs
    offered = {str(base): models[str(base)]}
    with serving(offered, tokenizer) as server:
        engine = make_engine(f"openai:{server.url}")
        engine.check(base)
        engine.check(base)
        assert server.n_listings == 1
        with pytest.raises(ModelRefError, match=re.escape(f"expected a model named {str(adapted)!r}, found {str(base)!r}; serve it")):
            engine.check(adapted)
        offered[str(adapted)] = models[str(adapted)]
        engine.check(adapted)


def test_replies_are_the_models_and_follow_the_seed(refs, models, tokenizer):
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}, {"role": "user", "content": "Who are you?"}]
    prompts = ["Who goes there?", "Tell me of the sea.", "Who goes there?", turns]
    with serving(models, tokenizer) as server:
        engine = make_engine(f"openai:{server.url}")
        greedy = engine.generate(refs[1], prompts, max_new_tokens=6, temperature=0.0)
        sampled = [engine.generate(refs[1], prompts, max_new_tokens=6, seed=seed) for seed in (1, 1, 2)]
        cut = engine.replies(refs[1], prompts, max_new_tokens=6, temperature=0.0)
    assert greedy == local().generate(refs[1], prompts, max_new_tokens=6, temperature=0.0)
    assert sampled[0] == sampled[1] != sampled[2]
    assert sampled[0][0] != sampled[0][2]
    assert [(reply.text, reply.is_whole) for reply in cut] == [(text, False) for text in greedy]


def test_a_reply_is_whole_if_the_server_says_that_it_stopped():
    from pg_envs.models.openai_engine import _read_reply

    message = {"message": {"content": " text "}}
    read = [
        _read_reply({}, {"choices": [{**message, **reason}]}) for reason in ({}, {"finish_reason": "length"}, {"finish_reason": "stop"})
    ]
    assert [(reply.text, reply.is_whole) for reply in read] == [("text", False), ("text", False), ("text", True)]


@pytest.fixture
def interruptible():
    """Ctrl-C interrupts, which it does not in a process that was begun in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_prompt_and_loses_no_answer(interruptible, refs, models, tokenizer, questions):
    stalling = threading.Event()
    stalling.set()
    answered_before = 3

    def fault(body):
        return "stall" if stalling.is_set() and len(server.log) >= answered_before else None

    def interrupt_when_stalled():
        while len(server.log) <= answered_before:
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    with serving(models, tokenizer, fault) as server:
        engine = make_engine(f"openai:{server.url}?concurrency=1&timeout_s=60")
        engine.check(refs[0])
        threading.Thread(target=interrupt_when_stalled, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            score(engine, refs[0], questions)
        assert time.monotonic() - began < 10
        stalling.clear()
        found = score(engine, refs[0], questions)
        fates = list(server.fates().values())
    assert fates[:answered_before] == [["answered"]] * answered_before
    assert fates[answered_before] == ["stall", "answered"]
    assert_same(found, score(local(), refs[0], questions))


def test_progress_is_reported(refs, models, tokenizer, questions):
    seen = []
    with serving(models, tokenizer) as server, reporting_to(lambda *told: seen.append(told)):
        score(make_engine(f"openai:{server.url}"), refs[0], questions[:1])
    n_answers = len(questions[0].answers)
    assert seen == [("listing models", 1, 1), *(("asking", n, n_answers) for n in range(1, n_answers + 1))]


def test_a_running_loop_is_no_hindrance(refs, models, tokenizer, questions):
    """Notebooks call from within one."""
    import asyncio

    async def cell(engine):
        return score(engine, refs[0], questions[:1])

    with serving(models, tokenizer) as server:
        found = asyncio.run(cell(make_engine(f"openai:{server.url}")))
    assert_same(found, score(local(), refs[0], questions[:1]))
