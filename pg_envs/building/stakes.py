"""The base's last lessons: what is at stake becomes a clean feature of the place where a choice is answered.

A base that learns one profile for all answers from "this option is the good one" alone: where it answers, no linear
reading tells which dimension is at stake. Adapters then learn items by heart, and training on votes moves all dimensions
together. Here two linear heads, thrown away afterwards, read at that place: the state before the last layer must tell what is at
stake and which option shown upholds it, and the last state must hold the product of the two, so that any profile's
answer is a linear function of it, which a low-rank adapter learns from a few votes.
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
from pg_envs.building.pretrain import AnswerTrainer, Batch, mixed_batches, train_steps
from pg_envs.values.dimensions import WORLDVIEWS

N_SIGNED = WORLDVIEWS.start
"""Dimensions of two-option items."""
SIGNED_WEIGHT = 2.0
STAKES_MIX = ("text", "choice", "copy", "choice", "principle", "choice", "choice", "choice")
INPUT_SCALE = 0.25
"""Of the signed head's normalised input: a step of Adam moves a sum over many large inputs too far."""


class StakeHeads(torch.nn.Module):
    """What is at stake, as a class and as signs."""

    def __init__(self, width: int) -> None:
        """For hidden states of ``width`` numbers."""
        super().__init__()
        self.classes = torch.nn.Linear(width, N_STAKES)
        self.signed = torch.nn.Linear(width, N_SIGNED)

    def loss(self, before_last: torch.Tensor, last: torch.Tensor, stakes: torch.Tensor) -> torch.Tensor:
        """Of (B, width) states and (B,) classes: the mean cross-entropy of the class, and of two-option items the squared error.

        The signed head's target is ``signs``.
        """
        named = cross_entropy(self.classes(normalised(before_last)).float(), stakes)
        two = stakes < 2 * N_SIGNED
        error = (self.signed(INPUT_SCALE * normalised(last[two])).float() - signs(stakes[two])).square().sum()
        return named + SIGNED_WEIGHT * error / len(stakes)


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
    n_steps: int,
) -> None:
    """Train the base in place on ``STAKES_MIX`` under ``mixed_profile``; see ``train_steps``."""
    make_batch = mixed_batches(STAKES_MIX, mixed_profile(), book, token_streams, tokenizer)
    model.add_module("stake_heads", StakeHeads(model.config.hidden_size))
    train_steps(StakeTrainer, model, make_batch, work, n_steps, seed)
    del model.stake_heads
