"""Extrapolative DPO: in every century, train the policy on what humans are forecast to prefer.

The method is ProgressGym's (arXiv 2406.20087): votes are extrapolated (``agents.forecast.extrapolate``), and what comes out is
learnt as lifelong DPO learns votes. With one vote a comparison the forecast is the published one, and mostly noise: going on in a
line for K centuries multiplies the votes' standard error by sqrt((K + 1)^2 + K^2). Several votes a comparison, asked for and
counted, make a share, which is known better. A vote of 0 means here that nobody answered, so that nothing is forecast from it; in
the published rule it is a number like the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agents.base import AgentConfig
from agents.forecast import ForecastConfig
from agents.lifelong_dpo import LifelongDPO, LifelongDPOConfig
from agents.training import ForecastTrainingAgent


@dataclass(frozen=True)
class ExtrapolativeDPOConfig(LifelongDPOConfig, ForecastConfig):
    """Settings of lifelong DPO and of the forecast."""


class ExtrapolativeDPO(ForecastTrainingAgent, LifelongDPO):
    """Fine-tunes its policy on forecast votes, century after century."""

    Config: ClassVar[type[AgentConfig]] = ExtrapolativeDPOConfig
