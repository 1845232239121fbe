"""Scoring labelled positions only changes what is computed, not what comes out."""

import pytest
import torch
from trl.trainer.utils import add_fused_lm_head

from pg_envs.models.labelled_only import _take_apart, labelled_places, score_labelled_only
from pg_envs.models.loading import load_base
from pg_envs.models.ref import ModelRef

OUTPUTS = ("log_probs", "entropy", "mean_logits", "is_top1")


def test_places_are_the_marked_ones_in_order():
    marked = torch.tensor([[False, True, False, True], [False, False, True, False]])
    places = labelled_places(marked)
    assert places[0].tolist() == [1, 3]
    assert places[1, 0] == 2
    assert labelled_places(torch.zeros(2, 3, dtype=torch.bool)).shape == (2, 1)


def different_rows(n_labelled):
    ids = torch.randint(5, 60, (2, 9), generator=torch.Generator().manual_seed(0))
    labels = torch.full_like(ids, -100)
    for row, n in enumerate(n_labelled):
        labels[row, 9 - n :] = ids[row, 9 - n :]
    return {"input_ids": ids, "labels": labels}


def pairs(prompt_lengths, completion_lengths, width):
    """TRL's preference batch: chosen rows, then rejected ones, prompts the same; padded on the right."""
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(5, 60, (n,), generator=generator) for n in prompt_lengths]
    batch = {"input_ids": [], "attention_mask": [], "labels": []}
    for row, n in enumerate(completion_lengths):
        prompt = prompts[row % len(prompts)]
        completion = torch.randint(5, 60, (n,), generator=generator)
        padding = torch.zeros(width - len(prompt) - n, dtype=torch.long)
        batch["input_ids"].append(torch.cat([prompt, completion, padding]))
        batch["attention_mask"].append((torch.arange(width) < len(prompt) + n).long())
        batch["labels"].append(torch.cat([torch.full_like(prompt, -100), completion, torch.full_like(padding, -100)]))
    return {name: torch.stack(rows) for name, rows in batch.items()}


def samples(prompt_lengths, completion_lengths, width):
    """TRL's on-policy batch: several answers to a prompt; prompts padded on the left, answers on the right."""
    batch = pairs(prompt_lengths, completion_lengths, width)
    longest = max(prompt_lengths)
    for rows in batch.values():
        for row in range(len(rows)):
            rows[row] = rows[row].roll(longest - prompt_lengths[row % len(prompt_lengths)])
    return batch


BATCHES = {
    "samples with padding on both sides": samples([5, 20], [2, 3, 4, 1], 26),
    **{f"different rows {n}": different_rows(n) for n in [(2, 3), (0, 1), (0, 0), (8, 8)]},
    "pairs with padding": pairs([5, 20], [2, 3, 4, 1], 26),
    "pairs to the end": pairs([20, 19], [2, 1, 2, 3], 22),
    "one prompt for all": pairs([7], [2, 1, 5], 12),
}


@pytest.mark.parametrize("name", ["pairs with padding", "samples with padding on both sides"])
def test_prompts_that_occur_twice_are_read_once(name):
    batch = BATCHES[name]
    parts = _take_apart(**batch)
    assert sorted(parts.prompt_lengths.tolist()) == [5, 20]
    assert parts.owners[0] == parts.owners[2] != parts.owners[1] == parts.owners[3]
    assert parts.rests.shape == (4, 4)
    assert _take_apart(**BATCHES["different rows (2, 3)"]) is None


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_outputs_and_gradients_are_those_of_scoring_everything(random_base, batch):
    ids = batch["input_ids"]
    results = []
    for only_labelled in (False, True):
        model = load_base(ModelRef(str(random_base)), torch.float32, torch.device("cpu"))
        add_fused_lm_head(model, outputs=OUTPUTS)
        if only_labelled:
            score_labelled_only(model)
        out = model(**batch, fused_lm_head=True)
        out.log_probs.sum().backward()
        results.append((out, model.model.layers[0].mlp.up_proj.weight.grad, model(input_ids=ids).logits))
    (everything, gradient, logits), (labelled, gradient_labelled, logits_labelled) = results
    for name in ("loss", *OUTPUTS, "label_mask"):
        torch.testing.assert_close(labelled[name], everything[name])
    torch.testing.assert_close(gradient_labelled, gradient)
    torch.testing.assert_close(logits_labelled, logits)
