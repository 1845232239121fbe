"""The base's last lessons: what is at stake becomes a clean feature of the place where a choice is answered.

A base that learns one profile for all answers from "this option is the good one" alone: where it answers, no linear
reading tells which dimension is at stake. Adapters then learn items by heart, and training on votes moves all dimensions
together. Here heads, thrown away afterwards, read at that place: the state before the last layer must tell what is at
stake and which option shown upholds it, and both it and the last state must hold the product of the two along given
directions, so that any profile's answer is a linear function of it, which a low-rank adapter learns from a few votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, one_hot, rms_norm
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from pg_envs.building.lessons import N_STAKES, LessonBook, mixed_profile
from pg_envs.building.plan import ScratchPlan
from pg_envs.building.pretrain import AnswerTrainer, Batch, mixed_batches, train_steps
from pg_envs.values.dimensions import WORLDVIEWS

N_SIGNED = WORLDVIEWS.start
"""Dimensions of two-option items."""
SIGNED_HEIGHT = 3.0
"""How far a state at a root mean square of 1 shall reach along its dimension's direction: the further, the sooner an adapter finds it."""
STAKES_MIX = ("text", "choice", "copy", "choice", "principle", "choice", "choice", "choice")


class StakeHeads(torch.nn.Module):
    """What is at stake, as a class and as signs."""

    before_last_directions: torch.Tensor
    last_directions: torch.Tensor

    def __init__(self, width: int) -> None:
        """For hidden states of ``width`` numbers, at least 2 * N_SIGNED."""
        super().__init__()
        self.classes = torch.nn.Linear(width, N_STAKES)
        # Fixed and orthogonal: learnt directions would grow instead of the states.
        directions, _ = torch.linalg.qr(torch.randn(width, 2 * N_SIGNED, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("before_last_directions", directions[:, :N_SIGNED].contiguous(), persistent=False)
        self.register_buffer("last_directions", directions[:, N_SIGNED:].contiguous(), persistent=False)

    def loss(self, before_last: torch.Tensor, last: torch.Tensor, stakes: torch.Tensor) -> torch.Tensor:
        """Of (B, width) states and (B,) classes: the class's mean cross-entropy, and the squared errors of two-option items.

        The errors are those of either state's reach along the directions, in units of ``SIGNED_HEIGHT``, against ``signs``.
        """
        before_last, last = normalised(before_last), normalised(last)
        named = cross_entropy(self.classes(before_last).float(), stakes)
        two = stakes < 2 * N_SIGNED
        wanted = signs(stakes[two])
        for states, directions in ((before_last, self.before_last_directions), (last, self.last_directions)):
            named = named + ((states[two] @ directions).float() / SIGNED_HEIGHT - wanted).square().sum() / len(stakes)
        return named


def signs(stakes: torch.Tensor) -> torch.Tensor:
    """(B, N_SIGNED) of (B,) classes of two-option items: 1 or -1 for the dimension at stake, 0 for the others.

    1 where the first option shown upholds it, -1 where the second does.
    """
    return one_hot(stakes // 2, N_SIGNED) * (1 - 2 * (stakes % 2))[:, None]


def normalised(states: torch.Tensor) -> torch.Tensor:
    """At a root mean square of 1."""
    return rms_norm(states, states.shape[-1:])


class StakeTrainer(AnswerTrainer):
    """Learns the answers and what is at stake."""

    def loss_of(self, model: Any, states: Any, inputs: Batch) -> torch.Tensor:
        """The answers' loss plus the heads'."""
        loss = super().loss_of(model, states, inputs)
        if "stakes" not in inputs:
            return loss
        rows, places = torch.arange(len(inputs["stakes"])), inputs["answer_places"]
        before_last, last = states.hidden_states[-2][rows, places], states.last_hidden_state[rows, places]
        return loss + model.stake_heads.loss(before_last, last, inputs["stakes"])


def train_stakes(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    token_streams: Sequence[np.ndarray],
    book: LessonBook,
    work: Path,
    seed: int,
    plan: ScratchPlan,
) -> None:
    """Train the base in place on ``STAKES_MIX`` under ``mixed_profile``; see ``train_steps``."""
    make_batch = mixed_batches(STAKES_MIX, mixed_profile(), book, token_streams, tokenizer)
    # Else heads would begin as whatever was drawn before has it, which is another thing in a build that was stopped in between.
    torch.manual_seed(seed)
    model.add_module("stake_heads", StakeHeads(model.config.hidden_size))
    train_steps(StakeTrainer, model, make_batch, work, plan.n_stake_steps, seed, plan.learning_rate)
    del model.stake_heads
