"""Scoring labelled positions only changes what is computed, not what comes out."""

import pytest
import torch
from trl.trainer.utils import add_fused_lm_head

from pg_envs.models.labelled_only import labelled_places, score_labelled_only
from pg_envs.models.loading import load_base
from pg_envs.models.ref import ModelRef

OUTPUTS = ("log_probs", "entropy", "mean_logits", "is_top1")


def test_places_are_the_marked_ones_in_order():
    marked = torch.tensor([[False, True, False, True], [False, False, True, False]])
    places = labelled_places(marked)
    assert places[0].tolist() == [1, 3]
    assert places[1, 0] == 2
    assert labelled_places(torch.zeros(2, 3, dtype=torch.bool)).shape == (2, 1)


@pytest.mark.parametrize("n_labelled", [(2, 3), (0, 1), (0, 0), (8, 8)])
def test_outputs_and_gradients_are_those_of_scoring_everything(random_base, n_labelled):
    ids = torch.randint(5, 60, (2, 9), generator=torch.Generator().manual_seed(0))
    labels = torch.full_like(ids, -100)
    for row, n in enumerate(n_labelled):
        labels[row, 9 - n :] = ids[row, 9 - n :]
    results = []
    for only_labelled in (False, True):
        model = load_base(ModelRef(str(random_base)), torch.float32, torch.device("cpu"))
        add_fused_lm_head(model, outputs=OUTPUTS)
        if only_labelled:
            score_labelled_only(model)
        out = model(input_ids=ids, labels=labels, fused_lm_head=True)
        out.log_probs.sum().backward()
        results.append((out, model.model.layers[0].mlp.up_proj.weight.grad, model(input_ids=ids).logits))
    (everything, gradient, logits), (labelled, gradient_labelled, logits_labelled) = results
    for name in ("loss", *OUTPUTS, "label_mask"):
        torch.testing.assert_close(labelled[name], everything[name])
    torch.testing.assert_close(gradient_labelled, gradient)
    torch.testing.assert_close(logits_labelled, logits)
