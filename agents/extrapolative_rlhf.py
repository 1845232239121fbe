"""Extrapolative RLHF: in every century, a reward model of what humans are forecast to prefer, then on-policy training.

The method is ProgressGym's (arXiv 2406.20087); what is said of noise in ``agents.extrapolative_dpo`` holds here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agents.base import AgentConfig
from agents.forecast import ForecastConfig
from agents.lifelong_rlhf import LifelongRLHF, LifelongRLHFConfig
from agents.training import ForecastTrainingAgent


@dataclass(frozen=True)
class ExtrapolativeRLHFConfig(LifelongRLHFConfig, ForecastConfig):
    """Settings of lifelong RLHF and of the forecast."""


class ExtrapolativeRLHF(ForecastTrainingAgent, LifelongRLHF):
    """Fine-tunes its policy on a reward model of forecast votes, century after century."""

    Config: ClassVar[type[AgentConfig]] = ExtrapolativeRLHFConfig
