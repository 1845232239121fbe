"""What is at stake in a choice, and the lessons that make it a feature of the base."""

import math

import numpy as np
import pytest
import torch

from pg_envs.building.base import llama_sizes
from pg_envs.building.lessons import LETTER_FORMS, N_STAKES, LessonBook, mixed_profile, option_probabilities, stake, strong_profile
from pg_envs.building.plan import ScratchPlan
from pg_envs.building.pretrain import lesson_batch, make_model
from pg_envs.building.stakes import N_SIGNED, SIGNED_HEIGHT, StakeHeads, train_stakes
from pg_envs.values.questionnaire import load_questionnaire


@pytest.fixture(scope="module")
def items():
    return load_questionnaire().items


def test_a_stake_names_the_dimension_and_the_place_of_the_option_that_upholds_it(items):
    upheld = strong_profile()
    seen = set()
    for item in items:
        if item.group == "worldview":
            shown = [[(start + place) % 4 for place in range(4)] for start in range(4)]
            assert {stake(item, order) for order in shown} == set(range(2 * N_SIGNED, N_STAKES))
            continue
        for order in ((0, 1), (1, 0)):
            number = stake(item, order)
            shown_probabilities = option_probabilities(item, upheld)[list(order)]
            assert number % 2 == int(shown_probabilities[1] > shown_probabilities[0])
            assert number // 2 in dict(item.signs)
            seen.add(number)
    assert seen == set(range(2 * N_SIGNED))


def test_half_of_the_mixed_profile_is_turned_round():
    strong, mixed = strong_profile(), mixed_profile()
    np.testing.assert_array_equal(np.abs(strong), np.abs(mixed))
    assert (np.sign(strong[:N_SIGNED]) != np.sign(mixed[:N_SIGNED])).sum() == N_SIGNED // 2
    np.testing.assert_array_equal(strong[N_SIGNED:], mixed[N_SIGNED:])


def test_choices_carry_their_stake_to_the_place_where_the_answer_is_read(items, tokenizer):
    lessons = LessonBook(items).draw(mixed_profile(), LETTER_FORMS, 6, np.random.default_rng(0))
    batch = lesson_batch(lessons, tokenizer)
    assert batch["stakes"].tolist() == [lesson.stake for lesson in lessons]
    for row, lesson in enumerate(lessons):
        answer = batch["input_ids"][row, batch["answer_places"][row] + 1]
        assert lesson.answers[0][0].startswith(tokenizer.decode([answer]).strip())
    assert "stakes" not in lesson_batch(LessonBook(items).draw_principles(2, np.random.default_rng(0)), tokenizer)


def test_heads_that_know_nothing_pay_for_it_and_heads_that_know_pay_nothing():
    width = 64
    heads = StakeHeads(width)
    stakes = torch.tensor([4, 5, 2 * N_SIGNED + 1])
    torch.nn.init.zeros_(heads.classes.weight), torch.nn.init.zeros_(heads.classes.bias)
    nothing = torch.zeros(3, width)
    # Nothing known: the cross-entropy of N_STAKES classes, and in either state an error of 1 for either of the two two-option items.
    assert heads.loss(nothing, nothing, stakes).item() == pytest.approx(math.log(N_STAKES) + 2 * 2 / 3, rel=1e-5)
    directions = torch.cat([heads.before_last_directions, heads.last_directions], dim=1)
    torch.testing.assert_close(directions.T @ directions, torch.eye(2 * N_SIGNED), atol=1e-5, rtol=0)
    # Filled up by what lies across all directions, so that the root mean square is 1.
    across = torch.linalg.svd(directions)[0][:, 2 * N_SIGNED]
    filling = (width - SIGNED_HEIGHT**2) ** 0.5 * across

    def knowing(directions):
        upheld = SIGNED_HEIGHT * directions[:, 2]
        return torch.stack([upheld + filling, -upheld + filling, width**0.5 * across])

    before_last, last = knowing(heads.before_last_directions), knowing(heads.last_directions)
    with torch.no_grad():
        for number, sign in ((4, 1), (5, -1)):
            heads.classes.weight[number] = 100 * sign * heads.before_last_directions[:, 2]
        heads.classes.weight[2 * N_SIGNED + 1], heads.classes.bias[2 * N_SIGNED + 1] = 100 * across, -780
    assert heads.loss(before_last, last, stakes).item() == pytest.approx(0, abs=1e-4)
    assert heads.loss(last, before_last, stakes).item() > 1


def test_the_base_learns_and_the_heads_are_thrown_away(items, tokenizer, tmp_path):
    plan = ScratchPlan(hidden_size=64, intermediate_size=128, n_heads=4, n_stake_steps=2)
    model = make_model(tokenizer, 0, llama_sizes(plan))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    streams = [np.arange(3000, dtype=np.uint16) % len(tokenizer)]
    train_stakes(model, tokenizer, streams, LessonBook(items), tmp_path / "work", seed=0, plan=plan)
    assert {name for name, _ in model.named_parameters()} == set(before)
    assert any(not torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_what_was_drawn_before_makes_no_difference(items, tokenizer, tmp_path):
    """A build that was stopped before this stage goes on in a process that has drawn nothing."""
    plan = ScratchPlan(hidden_size=64, intermediate_size=64, n_layers=2, n_heads=4, n_text_steps=1, n_lesson_steps=1, n_stake_steps=3)
    made = []
    for n_drawn in (0, 7):
        model = make_model(tokenizer, 0, llama_sizes(plan))
        torch.rand(n_drawn)
        train_stakes(model, tokenizer, [np.arange(400, dtype=np.uint32) % 50], LessonBook(items), tmp_path / str(n_drawn), 0, plan)
        made.append(model.state_dict())
    assert all(torch.equal(tensor, made[1][name]) for name, tensor in made[0].items())
