"""The openai engine through a proxy that spoils what it carries: nothing is lost, nothing asked twice that was answered."""

import json
import re
import threading
import zlib

import numpy as np
import pytest
import torch
from faulty_proxy import AFTER, BEFORE, between
from scoring_server import ScoringServer, serving

from pg_envs.models.engine import EngineError, make_engine
from pg_envs.models.openai_server import OpenAIServer
from pg_envs.models.openai_settings import OpenAISettings
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.values.forms import make_questions
from pg_envs.values.measure import measure
from pg_envs.values.questionnaire import load_questionnaire

FAULTS = (*BEFORE, *AFTER)
TIMEOUT_S = 5
"""Long enough for a machine with much else to do, as an answer that comes too late would be asked for again."""


pytestmark = pytest.mark.usefixtures("straight_to_servers")


@pytest.fixture(scope="module")
def ref(random_base):
    return ModelRef(str(random_base))


@pytest.fixture(scope="module")
def models(ref):
    """What the server serves, loaded without the engines' code."""
    from transformers import AutoModelForCausalLM

    return {str(ref): AutoModelForCausalLM.from_pretrained(ref.base).eval()}


@pytest.fixture(scope="module")
def questions():
    return make_questions(load_questionnaire().items[:3], ("ab", "repeat"))


@pytest.fixture(scope="module")
def expected(ref, questions):
    engine = TransformersEngine(torch.device("cpu"), torch.float32)
    return [scored.total for scored in score(engine, ref, questions)]


def score(engine, ref, questions):
    return engine.choice_logprobs(ref, [q.prompt for q in questions], [q.answers for q in questions])


def each_question_its_fault():
    """The n-th question meets the n-th fault, the first ones the next fault too; the list of models is spoilt once as well."""
    numbers = {}

    def fault(path, body, n_before):
        number = numbers.setdefault((path, body), len(numbers))
        faults = [*FAULTS[number : number + 1], *(FAULTS[number + 1 : number + 2] if number < 2 else [])]
        return faults[n_before] if n_before < len(faults) else None

    return fault


def test_whatever_the_proxy_does_nothing_is_lost_and_nothing_asked_twice_that_was_answered(ref, models, tokenizer, questions, expected):
    with serving(models, tokenizer) as server, between(server, each_question_its_fault()) as proxy:
        engine = make_engine(f"openai:{proxy.url}?backoff_s=0.01&timeout_s={TIMEOUT_S}&retries=2&concurrency=4")
        found = score(engine, ref, questions)
        replies = engine.generate(ref, ["Who goes there?", "Who is there?"], max_new_tokens=4, temperature=0)
        n_answered = sum(fate == "answered" for _, _, _, fate in server.log)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.total, theirs, atol=1e-3)
    assert len(replies) == 2
    met = [fate for fates in proxy.fates.values() for fate in fates]
    assert set(met) == {*FAULTS, "delivered"}
    for fates in proxy.fates.values():
        assert fates.index("delivered") == len(fates) - 1, "the first answer that arrives is the last"
    # What was asked of the server, but for the list of models: every answer that arrived, and those that the proxy spoilt.
    of_questions = [fates for question, fates in proxy.fates.items() if not question.startswith("/v1/models ")]
    assert n_answered == sum(fate in (*AFTER, "delivered") for fates in of_questions for fate in fates)
    assert len(proxy.fates) == 1 + len({(q.prompt, answer) for q in questions for answer in q.answers}) + 2


@pytest.mark.parametrize("fault", ["hangs up", "no HTTP", "hangs up within the answer", "no JSON"])
def test_giving_up_names_the_endpoint_and_keeps_what_arrived(ref, models, tokenizer, questions, expected, fault):
    broken, arrived = threading.Event(), []

    def break_down(path, body, n_before):
        if broken.is_set():
            return fault
        arrived.append(path)
        # The list of models and four questions come through, then no other.
        return None if len(arrived) <= 5 or mended.is_set() else broken.set() or fault

    mended = threading.Event()
    with serving(models, tokenizer) as server, between(server, break_down) as proxy:
        engine = make_engine(f"openai:{proxy.url}?backoff_s=0.01&timeout_s={TIMEOUT_S}&retries=1&concurrency=1")
        endpoint = re.escape(f"{proxy.url}/completions")
        with pytest.raises(EngineError, match=endpoint + ": gave up on a question after asking 2 times; last failure: "):
            score(engine, ref, questions)
        delivered = [question for question, fates in proxy.fates.items() if fates == ["delivered"]]
        assert len(delivered) == 5
        mended.set()
        broken.clear()
        found = score(engine, ref, questions)
        assert all(proxy.fates[question] == ["delivered"] for question in delivered), "and is not asked for again"
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.total, theirs, atol=1e-3)


@pytest.mark.parametrize(("status", "says"), [("400", "refused a question"), ("500", "gave up on a question after asking 2 times")])
def test_what_is_under_way_when_a_question_is_given_up_is_waited_for_and_kept(
    ref, models, tokenizer, questions, expected, status, says, monkeypatch
):
    given_up, mended, four, here, doomed = threading.Event(), threading.Event(), threading.Barrier(4), threading.local(), []
    ask = OpenAIServer._ask

    async def ask_and_tell(self, *arguments):
        try:
            return await ask(self, *arguments)
        except EngineError:
            given_up.set()
            raise

    def note(path, body, n_before):
        here.body, here.waits = body, bool(body) and n_before == 0
        if body and not doomed:
            doomed.append(body)

    def gate():
        """Four questions come together; the first one's answers, which are refusals, then overtake the others'."""
        if not given_up.is_set() and here.waits:
            four.wait(60)
            if here.body != doomed[0]:
                given_up.wait(60)

    monkeypatch.setattr(OpenAIServer, "_ask", ask_and_tell)

    def spoil(body):
        return status if not mended.is_set() and body == json.loads(doomed[0]) else None

    with serving(models, tokenizer, spoil) as server, between(server, note, gate) as proxy:
        engine = make_engine(f"openai:{proxy.url}?backoff_s=0.01&retries=1&concurrency=4")
        with pytest.raises(EngineError, match=says):
            score(engine, ref, questions)
        assert len([question for question in proxy.fates if "prompt" in question]) == 4, "no further question was begun"
        mended.set()
        found = score(engine, ref, questions)
        fates = server.fates()
    assert sorted(map(len, fates.values()))[-2:] == [1, 2 if status == "400" else 3], "all but the one are asked once"
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.total, theirs, atol=1e-3)


def test_no_more_questions_are_under_way_than_asked_for(ref, models, tokenizer, questions):
    three = threading.Barrier(3)
    waiting = []

    def gate():
        # The list of models comes alone; then three questions wait for each other, and a fourth would be seen.
        waiting.append(None)
        if 1 < len(waiting) <= 4:
            three.wait(60)

    with serving(models, tokenizer) as server, between(server, gate=gate) as proxy:
        score(make_engine(f"openai:{proxy.url}?concurrency=3"), ref, questions)
    assert proxy.most_at_once == 3


def test_pauses_double_up_to_a_minute_and_are_left_to_chance_by_half():
    server = OpenAIServer(OpenAISettings("http://127.0.0.1/v1", backoff_s=0.5))
    for n_failed in (*range(1, 12), 1000):
        longest = min(60.0, 0.5 * 2.0 ** (min(n_failed, 60) - 1))
        pauses = [server._pause_s(n_failed, 0.0) for _ in range(200)]
        assert longest / 2 <= min(pauses) < 0.6 * longest, "callers that failed together do not come back together"
        assert 0.9 * longest < max(pauses) <= longest
    assert server._pause_s(1, 7.0) == 7.0
    assert server._pause_s(1, 1e9) == 60.0


def test_a_question_that_fails_again_and_again_is_waited_for_longer_and_longer(ref, models, tokenizer, questions):
    with serving(models, tokenizer, lambda body: "500") as server:
        with pytest.raises(EngineError, match="after asking 4 times"):
            score(make_engine(f"openai:{server.url}?backoff_s=0.2&retries=3&concurrency=1"), ref, questions[:1])
        times = [when for when, *_ in server.log]
    assert len(times) == 4
    assert (np.diff(times) >= [0.1, 0.2, 0.4]).all()


def test_a_server_that_gives_no_logprobs_is_asked_to_generate(ref, models, tokenizer, small_questionnaire, monkeypatch):
    items, forms = load_questionnaire(small_questionnaire).items, ("ab", "4c_fav")

    def letter(prompt):
        return "AB"[zlib.crc32(prompt.encode()) % 2]

    class Told:
        """Whoever writes the same letters, without a server."""

        def generate(self, model, prompts, **_):
            return [letter(prompt) for prompt in prompts]

    def chat(self, body):
        return {"choices": [{"message": {"role": "assistant", "content": letter(body["messages"][-1]["content"])}}]}

    monkeypatch.setattr(ScoringServer, "chat", chat)
    with serving(models, tokenizer, lambda body: "400" if "prompt" in body else None) as server:
        engine = make_engine(f"openai:{server.url}?retries=0")
        with pytest.raises(EngineError, match="mode='generate'"):
            measure(engine, ref, items, forms)
        found = measure(engine, ref, items, forms, mode="generate")
    expected = measure(Told(), ref, items, forms, mode="generate")
    np.testing.assert_array_equal(found.centred, expected.centred)
    assert np.abs(found.centred).max() > 0.1
