"""On-policy training on token-level rewards: each token is credited with what follows it, compared with the other answers to its prompt.

TRL's GRPO trainer takes advantages of shape (B, T) from subclasses; that is all that is overridden here. So the price of divergence
is TRL's own, a term of the loss at each token: it is not part of the return that earlier tokens are credited with, where the method has
r_t - beta log(pi / pi_ref) as the reward [R]. A token pays for how far the policy has moved at its own place, and not for leading to places
where it has moved far; with answers of a few tokens there is little of that. How much it is with long ones was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from agents.on_policy import OnPolicyConfig, train_on_policy
from pg_envs.models.ref import ModelRef

if TYPE_CHECKING:
    from datasets import Dataset

TokenReward = Callable[[Sequence[str], Sequence[Sequence[int]]], Sequence[Sequence[float]]]
"""For B prompts and the tokens of the replies to them, a reward for every token."""


def token_advantages(rewards: torch.Tensor, mask: torch.Tensor, group: int) -> torch.Tensor:
    """(B, T) advantages from (B, T) token rewards: return to go, less the mean of the group's at the same place.

    Args:
        rewards: (B, T) float; B is a multiple of ``group``, the answers to one prompt stand together.
        mask: (B, T) bool, which places are tokens.
        group: Answers to a prompt.

    Returns:
        (B, T) sums of the rewards from a token on, less the mean of that over the answers to the same prompt; an answer that has
        ended counts with 0. Zero outside of the mask.
    """
    to_go = torch.where(mask, rewards, 0.0).flip(1).cumsum(1).flip(1)
    baseline = to_go.view(-1, group, to_go.shape[1]).mean(1).repeat_interleave(group, dim=0)
    return torch.where(mask, to_go - baseline, 0.0)


def train_on_token_rewards(
    start: ModelRef, prompts: Dataset, reward: TokenReward, out: Path, seed: int, config: OnPolicyConfig
) -> ModelRef:
    """One on-policy training with LoRA on token-level rewards, from ``start`` to a new adapter in ``out``; see ``agents.on_policy.rloo``.

    Raises:
        TrainingError: If training leaves weights that are not finite.
    """
    from trl import GRPOConfig, GRPOTrainer

    judged: list[Sequence[float]] = []

    def judge(prompts: list[Any], completions: list[Any], completion_ids: list[list[int]], **_: Any) -> list[float | None]:
        """Totals for TRL's log; the token rewards are kept for the trainer below, which asks for them right after."""
        judged[:] = reward([turns[-1]["content"] for turns in prompts], completion_ids)
        return [float(sum(row)) for row in judged]

    class TokenLevelGRPO(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            output = super()._generate_and_score_completions(inputs)
            mask = output["completion_mask"].bool()
            rewards = torch.zeros(mask.shape, device=mask.device)
            for row, values in enumerate(judged):
                rewards[row, : len(values)] = torch.tensor(list(values))
            output["advantages"] = token_advantages(rewards, mask, config.n_samples)
            return output

    return train_on_policy(start, prompts, judge, out, seed, config, TokenLevelGRPO, GRPOConfig)
