"""Lifelong RLHF: in every century, a reward model of that century's votes, then on-policy training on its rewards.

The method is ProgressGym's (arXiv 2406.20087), with RLOO in the place of PPO (see ``agents.on_policy``) and, by default, an implicit
reward model (see ``agents.reward_models``). Reading from top to bottom: the settings, one century, the two trainings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agents.base import AgentConfig
from agents.offered_answers import judge_ahead
from agents.on_policy import rloo
from agents.reward_models import RewardModelConfig, reward_model
from agents.training import TrainingAgent
from pg_envs.models.ref import ModelRef


@dataclass(frozen=True)
class LifelongRLHFConfig(RewardModelConfig):
    """Settings."""


class LifelongRLHF(TrainingAgent):
    """Fine-tunes its policy on a reward model of the votes in view, century after century."""

    Config: ClassVar[type[AgentConfig]] = LifelongRLHFConfig

    def train(self, start: ModelRef, preferences: Any, out: Path, seed: int) -> ModelRef:
        """One century's two trainings."""
        config: Any = self.config
        return rlhf(start, preferences, out, seed, config)


def rlhf(start: ModelRef, preferences: Any, out: Path, seed: int, config: LifelongRLHFConfig) -> ModelRef:
    """The policy that RLOO makes of ``start`` with a reward model of the preferences; the reward model is not kept."""
    prompts = preferences.remove_columns([name for name in preferences.column_names if name != "prompt"])
    with reward_model(start, preferences, out.with_name(f"{out.name}.reward"), seed, config) as reward:
        judge_ahead(reward, preferences)
        return rloo(start, prompts, reward, out, seed, config)
