"""Extrapolative RLHF: in every century, a reward model of what humans are forecast to prefer, then on-policy training.

The method is ProgressGym's (arXiv 2406.20087); what is said of noise in ``agents.extrapolative_dpo`` holds here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agents.base import AgentConfig
from agents.forecast import ForecastConfig
from agents.lifelong_rlhf import LifelongRLHFConfig, rlhf
from agents.training import ForecastingAgent
from pg_envs.models.ref import ModelRef


@dataclass(frozen=True)
class ExtrapolativeRLHFConfig(LifelongRLHFConfig, ForecastConfig):
    """Settings of lifelong RLHF and of the forecast."""


class ExtrapolativeRLHF(ForecastingAgent):
    """Fine-tunes its policy on a reward model of forecast votes, century after century."""

    Config: ClassVar[type[AgentConfig]] = ExtrapolativeRLHFConfig

    def train(self, start: ModelRef, preferences: Any, out: Path, seed: int) -> ModelRef:
        """One century's two trainings."""
        config: Any = self.config
        return rlhf(start, preferences, out, seed, config)
