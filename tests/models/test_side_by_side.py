"""Batches computed at once: the same numbers whatever the number of threads, and nothing of one met by another."""

import threading
import time

import pytest
import torch

from pg_envs.models import transformers_engine as engines
from pg_envs.models.loading import load_base
from pg_envs.models.memory import NotEnoughMemory
from pg_envs.models.ref import ModelRef
from pg_envs.models.reuse import last_feed_forward_at
from pg_envs.models.side_by_side import side_by_side
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.values.forms import make_questions
from pg_envs.values.questionnaire import load_questionnaire


@pytest.fixture
def threads():
    """Sets the number of torch's threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(random_base):
    return load_base(ModelRef(str(random_base)), torch.float32, torch.device("cpu"))


@pytest.fixture(scope="module")
def asked():
    items = load_questionnaire().items
    questions = make_questions([*items[::40], items[-1]])
    return [q.prompt for q in questions], [q.answers for q in questions]


def totals(base, asked, dtype=torch.float32):
    scored = TransformersEngine(torch.device("cpu"), dtype, batch_tokens=400).choice_logprobs(ModelRef(str(base)), *asked)
    return [each.total.tolist() for each in scored]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_numbers_are_the_same_to_the_last_bit_with_one_to_three_threads(random_base, asked, threads, dtype):
    threads(1)
    expected = totals(random_base, asked, dtype)
    for n in (2, 3):
        threads(n)
        assert totals(random_base, asked, dtype) == expected
        assert torch.get_num_threads() == n, "given back"


def test_a_batch_has_one_thread_however_few_there_are(random_base, asked, threads, monkeypatch):
    threads(2)
    engine, found = TransformersEngine(torch.device("cpu"), torch.float32), []
    score = engine._score
    monkeypatch.setattr(engine, "_score", lambda *args: found.append(torch.get_num_threads()) or score(*args))
    engine.choice_logprobs(ModelRef(str(random_base)), asked[0][:1], asked[1][:1])
    engine.choice_logprobs(ModelRef(str(random_base)), *asked)
    assert set(found) == {1}


def test_results_come_in_order_from_several_threads(model, threads):
    threads(2)
    met = threading.Barrier(2, timeout=20)

    def work(body, task):
        # Only two at once get past this.
        met.wait()
        time.sleep(0.05 * (task % 2))
        return threading.get_ident(), torch.get_num_threads(), torch.is_inference_mode_enabled()

    made = list(side_by_side(work, model, range(6), 2))
    assert [task for task, _ in made] == list(range(6))
    assert len({thread for _, (thread, _, _) in made}) == 2
    assert {(n, without_gradients) for _, (_, n, without_gradients) in made} == {(1, True)}


def test_each_thread_has_hooks_of_its_own_on_the_same_weights(model, threads):
    threads(2)
    met, ids = threading.Barrier(2, timeout=20), torch.arange(3, 11).view(1, 8)

    def at(body, place):
        with last_feed_forward_at(body, torch.tensor([[place]])):
            met.wait()
            return body, body(input_ids=ids, logits_to_keep=torch.tensor([place])).logits

    bodies = dict(side_by_side(at, model, [0, 1], 2))
    assert bodies[0][0] is not bodies[1][0]
    with torch.inference_mode():
        expected = model(input_ids=ids).logits[0]
    for place, (body, logits) in bodies.items():
        torch.testing.assert_close(logits[0, 0], expected[place])
        assert [tensor.data_ptr() for tensor in body.parameters()] == [tensor.data_ptr() for tensor in model.parameters()]


@pytest.fixture
def begun(threads):
    """Tasks that were begun on two threads; afterwards few of fifty were, and no thread is left."""
    threads(2)
    tasks = []
    yield tasks
    assert 0 < len(tasks) < 10
    assert torch.get_num_threads() == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batch")]


def test_an_error_comes_out_and_nothing_more_is_begun(model, begun):
    def fails(body, task):
        begun.append(task)
        time.sleep(0.05)
        raise ValueError(f"task {task}")

    with pytest.raises(ValueError, match="task 0"):
        list(side_by_side(fails, model, range(50), 2))


def test_whoever_stops_reading_waits_for_no_more_than_what_is_being_computed(model, begun):
    def work(body, task):
        begun.append(task)
        time.sleep(0.05)

    reading = side_by_side(work, model, range(50), 2)
    next(reading)
    reading.close()


def test_one_batch_at_a_time_where_models_are_large_or_there_is_one_thread(model, threads):
    threads(3)
    assert TransformersEngine(torch.device("cpu"))._at_once(model) == 3
    assert TransformersEngine(torch.device("cpu"), merged_up_to_bytes=0)._at_once(model) == 1
    threads(64)
    assert TransformersEngine(torch.device("cpu"))._at_once(model) == engines.MOST_AT_ONCE
    threads(1)
    assert TransformersEngine(torch.device("cpu"))._at_once(model) == 1


def test_memory_that_a_thread_does_not_get_is_said(random_base, asked, threads, monkeypatch, caplog):
    threads(2)
    engine = TransformersEngine(torch.device("cpu"), torch.float32, batch_tokens=400)

    def nothing_fits(*args):
        raise MemoryError

    monkeypatch.setattr(engine, "_score", nothing_fits)
    with pytest.raises(NotEnoughMemory, match="with a batch of 200 tokens, halved once already"):
        engine.choice_logprobs(ModelRef(str(random_base)), *asked)
    assert "half the batch, 200 tokens" in caplog.text
    monkeypatch.undo()
    at_once = []
    monkeypatch.setattr(engines, "side_by_side", lambda *args: at_once.append(args[-1]) or side_by_side(*args))
    engine.choice_logprobs(ModelRef(str(random_base)), *asked)
    assert at_once == [1], "from then on it does with less"


def test_questions_asked_before_are_not_encoded_again(random_base, asked, monkeypatch):
    engine = TransformersEngine(torch.device("cpu"), torch.float32)
    first = engine.choice_logprobs(ModelRef(str(random_base)), *asked)
    monkeypatch.setattr("pg_envs.models.batching.encode_prompts", lambda *args: pytest.fail("encoded again"))
    again = engine.choice_logprobs(ModelRef(str(random_base)), *asked)
    assert [each.total.tolist() for each in again] == [each.total.tolist() for each in first]
    with pytest.raises(pytest.fail.Exception, match="encoded again"):
        engine.choice_logprobs(ModelRef(str(random_base)), asked[0][1:], asked[1][1:])
