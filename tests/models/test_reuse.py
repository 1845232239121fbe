"""Reading shared beginnings once, and finishing only states that are read, changes no number."""

import pytest
import torch

from pg_envs.models.batching import STEM_STEP_TOKENS, batches, group_by_stem
from pg_envs.models.loading import load_base
from pg_envs.models.ref import ModelRef
from pg_envs.models.reuse import going_on, inside, last_feed_forward_at

STEM = list(range(100, 100 + STEM_STEP_TOKENS))


@pytest.fixture(scope="module")
def model(random_base):
    return load_base(ModelRef(str(random_base)), torch.float32, torch.device("cpu"))


def test_prompts_with_one_beginning_are_grouped():
    prompts = [[*STEM, 1], [7, 8], [*STEM, 2, 3], [*STEM, 1, 9]]
    groups = {tuple(sorted(group.members)): group.stem for group in group_by_stem(prompts, ["a"] * 4)}
    assert groups == {(0, 2, 3): STEM_STEP_TOKENS, (1,): 0}


def test_different_kinds_are_not_grouped():
    groups = group_by_stem([[*STEM, 1], [*STEM, 2]], ["a", "b"])
    assert [(group.stem, group.members) for group in groups] == [(0, [0]), (0, [1])]


def test_a_prompt_that_is_another_ones_beginning_keeps_a_token_of_its_own():
    (group,) = group_by_stem([[*STEM, *STEM], [*STEM, *STEM, 5]], ["a", "a"])
    assert group.stem == STEM_STEP_TOKENS


def test_a_long_stem_is_not_given_up_for_a_short_one():
    prompts = [[*STEM, *STEM, *STEM, 1], [*STEM, *STEM, *STEM, 2], [*STEM, 200]]
    assert sorted((group.stem, group.members) for group in group_by_stem(prompts, [0] * 3)) == [(0, [2]), (3 * STEM_STEP_TOKENS, [0, 1])]


@pytest.mark.parametrize("batch_tokens", [1, 60, 10_000])
def test_batches_hold_every_prompt_once_and_whole(batch_tokens):
    prompts = [[*STEM[: i % 17], *range(1 + i % 5)] for i in range(40)] + [[*STEM, i] for i in range(30)]
    found = list(batches(prompts, [i % 2 for i in range(70)], batch_tokens))
    assert sorted(index for batch in found for index in batch.members) == list(range(70))
    for batch in found:
        assert len({len(stem) for stem in batch.stems}) == 1
        assert batch.width >= max(map(len, batch.rests))
        for index, owner, rest in zip(batch.members, batch.owners, batch.rests, strict=True):
            assert [*batch.stems[owner], *rest] == prompts[index]
    assert len(found) < 70


def test_states_where_the_last_block_ran_are_the_usual_ones(model):
    ids = torch.arange(24).view(2, 12) + 5
    places = torch.tensor([[3, 11], [0, 7]])
    usual = model.base_model(ids).last_hidden_state
    with last_feed_forward_at(model, places):
        partly = model.base_model(ids).last_hidden_state
    rows = torch.arange(2)[:, None]
    torch.testing.assert_close(partly[rows, places], usual[rows, places])
    assert not torch.allclose(partly, usual)
    torch.testing.assert_close(model.base_model(ids).last_hidden_state, usual)


def test_going_on_after_a_gap_equals_reading_in_one_go(model):
    ids = torch.arange(9)[None] + 5
    padded = torch.tensor([[*ids[0, :4].tolist(), 0, 0]])
    cache = model(padded, use_cache=True).past_key_values
    out = model(ids[:, 4:], past_key_values=cache, **going_on(inside(torch.tensor([4]), 6), 5))
    torch.testing.assert_close(out.logits, model(ids).logits[:, 4:])
