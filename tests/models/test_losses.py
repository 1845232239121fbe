"""Losses are watched, and change by that in nothing."""

import contextlib

import torch

from pg_envs.models.losses import Losses


class Trainer:
    """Its loss is the weight times the batch, with outputs where they are asked for."""

    def __init__(self):
        self.weight = torch.tensor(1.0)

    compute_loss_context_manager = contextlib.nullcontext

    def compute_loss(self, model, inputs, return_outputs=False):
        loss = self.weight * inputs
        return (loss, "outputs") if return_outputs else loss


def test_a_loss_that_was_not_finite_is_not_forgotten():
    trainer = Trainer()
    losses = Losses(trainer)
    for batch, finite in ((2.0, True), (float("nan"), False), (3.0, False)):
        torch.testing.assert_close(trainer.compute_loss(None, torch.tensor(batch)), torch.tensor(batch), equal_nan=True)
        assert losses.all_finite == finite


def test_the_last_step_is_judged_by_its_own_batch():
    trainer = Trainer()
    losses = Losses(trainer)
    assert losses.last_is_still_finite(), "nothing was trained"
    assert trainer.compute_loss(None, torch.tensor(0.0), return_outputs=True) == (torch.tensor(0.0), "outputs")
    assert losses.last_is_still_finite()
    trainer.weight = torch.tensor(float("inf"))
    assert losses.all_finite
    assert not losses.last_is_still_finite()
