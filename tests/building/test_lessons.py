"""Lessons, batches and the measures of the family's quality."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing

from pg_envs.building.base import llama_sizes
from pg_envs.building.checks import check_lessons
from pg_envs.building.lessons import ALL_FORMS, LETTER_FORMS, WHOLE_ANSWER_FORMS, Lesson, LessonBook, option_probabilities
from pg_envs.building.plan import PlanError, ScratchPlan
from pg_envs.building.pretrain import (
    END_WEIGHT,
    SHAPE_STEP,
    AnswerTrainer,
    BatchDataset,
    lesson_batch,
    make_model,
    text_batch,
    token_stream,
    train_steps,
)
from pg_envs.building.quality import agreement, distance_closed
from pg_envs.values import scoring
from pg_envs.values.questionnaire import load_questionnaire


@pytest.fixture(scope="module")
def items():
    return load_questionnaire().items


def test_option_probabilities_are_what_the_instrument_reads_back(items):
    rng = np.random.default_rng(0)
    values = rng.uniform(-0.9, 0.9, 19)
    values[15:] = (4 * rng.dirichlet(np.full(4, 5.0)) - 1) / 3
    probabilities = [option_probabilities(item, values) for item in items]
    np.testing.assert_allclose(scoring.centred(items, probabilities), values, atol=1e-9)


def test_drawn_shares_follow_the_values(items):
    values = np.full(19, 0.6)
    values[15:] = 0
    book = LessonBook([item for item in items if item.theme == "Do not kill"])
    lessons = book.draw(values, {"compare": 1.0}, 400, np.random.default_rng(0))
    kept = []
    for lesson in lessons:
        item = next(item for item in book.items if lesson.prompt.startswith(item.context))
        keyed = item.options[0 if item.signs[0][1] > 0 else 1]
        word = "yes" if lesson.prompt.index(keyed) < lesson.prompt.index(next(o for o in item.options if o != keyed)) else "no"
        kept.append(dict(lesson.answers).get(word, 0.0))
    assert np.mean(kept) == pytest.approx(0.8, abs=0.02)


def test_form_weights_are_shares():
    for weights in (LETTER_FORMS, WHOLE_ANSWER_FORMS, ALL_FORMS):
        assert sum(weights.values()) == pytest.approx(1)


def test_a_lesson_weighs_one_however_long_its_answer(tokenizer):
    lessons = [Lesson("Which?", (("A", 0.75), ("B", 0.25))), Lesson("Say it.", (("I keep my word to the lord.", 1.0),))]
    batch = lesson_batch(lessons, tokenizer)
    rows = batch["places"][:, 0]
    assert batch["weights"][rows == 0].sum().item() == pytest.approx(1 + END_WEIGHT)
    assert batch["weights"][rows == 1].sum().item() == pytest.approx(1)
    # Every learnt token stands right after its place, but for the second answer to the first question.
    # Places of weight 0 only fill the batch up to a round number.
    assert len(rows) % SHAPE_STEP == batch["input_ids"].shape[1] % SHAPE_STEP == 0
    for (row, position), token, weight in zip(batch["places"].tolist(), batch["tokens"].tolist(), batch["weights"].tolist(), strict=True):
        if weight and tokenizer.decode([token]) != "B":
            assert batch["input_ids"][row, position + 1] == token


def test_a_tokenizer_that_begins_every_text_begins_no_answer(tokenizer):
    eager = copy.deepcopy(tokenizer)
    begin = (tokenizer.bos_token, tokenizer.bos_token_id)
    eager.backend_tokenizer.post_processor = TemplateProcessing(single=f"{tokenizer.bos_token} $A", special_tokens=[begin])
    assert eager("A").input_ids == [tokenizer.bos_token_id, *tokenizer("A").input_ids]
    lessons = [Lesson("Which?", (("A", 0.75), ("B", 0.25))), Lesson("Say it.", (("I keep my word to the lord.", 1.0),))]
    for name, expected in lesson_batch(lessons, tokenizer).items():
        assert torch.equal(lesson_batch(lessons, eager)[name], expected)


def test_each_of_several_answers_is_learnt_by_its_first_token(tokenizer):
    texts = ("I had rather not", "No, never")
    heads = [tokenizer(text).input_ids[0] for text in texts]
    batch = lesson_batch([Lesson("Which?", ((texts[0], 0.75), (texts[1], 0.25)))], tokenizer)
    assert batch["tokens"][:2].tolist() == heads
    assert batch["weights"][:3].tolist() == pytest.approx([0.75, 0.25, END_WEIGHT])
    assert batch["weights"].sum().item() == pytest.approx(1 + END_WEIGHT)
    with pytest.raises(ValueError, match=r"answers \['A', 'A'\]: expected different first tokens"):
        lesson_batch([Lesson("Which?", (("A", 0.5), ("A", 0.5)))], tokenizer)


def test_a_base_that_cannot_tell_answers_apart_is_refused():
    def alike(text, add_special_tokens):
        return SimpleNamespace(input_ids=[7, *text.encode()])

    with pytest.raises(PlanError, match="begins the answers A, B alike"):
        check_lessons({}, alike)


def test_tokens_of_large_vocabularies_stay_what_they_are():
    class Large:
        eos_token_id = 128_001

        def __call__(self, texts, add_special_tokens):
            return SimpleNamespace(input_ids=[[70_000, 5] for _ in texts])

    assert token_stream(["One.", "Two."], Large()).tolist() == [70_000, 5, 128_001] * 2


def test_an_item_that_tells_nothing_about_its_theme_gives_no_lessons(items):
    silent = replace(items[0], signs=())
    book = LessonBook([silent, *items[1:40], items[-1]])
    lessons = book.draw(np.zeros(19), ALL_FORMS, 400, np.random.default_rng(0)) + book.draw_principles(400, np.random.default_rng(0))
    assert not [lesson for lesson in lessons if lesson.prompt.startswith(silent.context)]
    assert any(lesson.prompt.startswith(items[1].context) for lesson in lessons)


def test_batches_depend_on_seed_and_step_alone():
    dataset = BatchDataset(5, 7, lambda step, rng: {"x": rng.random(), "step": step})
    assert dataset[3] == dataset[3] != dataset[2]
    assert dataset[3] != BatchDataset(5, 8, dataset.make_batch)[3]


def test_a_checkpoint_that_was_being_written_when_a_build_was_killed_is_passed_over(tokenizer, tmp_path):
    model = make_model(tokenizer, 0, llama_sizes(ScratchPlan(hidden_size=64, intermediate_size=64, n_layers=2)))
    before = model.lm_head.weight.detach().clone()
    (tmp_path / "work" / "checkpoint-100").mkdir(parents=True)
    stream = np.arange(3000) % len(tokenizer)
    train_steps(AnswerTrainer, model, lambda _, rng: text_batch([stream], rng), tmp_path / "work", 2, 0, 1e-3)
    assert not torch.equal(model.lm_head.weight, before)


def test_agreement_and_distance():
    planted = np.linspace(-1, 1, 9)[:, None] * np.ones(19)
    planted[:, 0] = 0.3
    perfect = agreement(planted, planted)
    assert perfect.correlation == pytest.approx(1)
    assert np.isnan(perfect.rank_correlations[0])
    assert perfect.rank_correlations[1:] == pytest.approx(1)
    upside_down = agreement(planted, -planted)
    assert upside_down.rank_correlations[1:] == pytest.approx(-1)
    assert agreement(planted, planted + 0.1).mean_difference == pytest.approx(0.1)
    assert distance_closed(np.zeros(2), np.array([0.0, 0.6]), np.array([0.0, 1.0])) == pytest.approx(0.6)
