"""Lifelong and extrapolative learning without a language model, on simulated histories: the fast reference.

What the training of a language model makes of votes is here a formula: the policy is the value vector that the votes, or the
forecast votes, speak for. So what remains of an agent is what it asks and what it forecasts, and hundreds of episodes run in a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box

from agents.base import Agent, AgentConfig, check_numbers
from agents.forecast import ForecastConfig, ForecastingAgent
from agents.votes import collect, mean_vote
from pg_envs.values.reading import reading_matrix


@dataclass(frozen=True)
class SimulatedConfig(AgentConfig):
    """Settings."""

    votes_per_comparison: int = 1
    """Votes gathered on every comparison in a century: the observation's one, the rest asked for (and counted)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        check_numbers(self, at_least_one=("votes_per_comparison",))


class SimulatedLifelong(Agent):
    """Submits the values that this century's votes speak for."""

    Config: ClassVar[type[AgentConfig]] = SimulatedConfig

    def __init__(self, env: Any, config: AgentConfig | None = None, workdir: str | Path = "runs/agent") -> None:
        """As ``Agent``.

        Raises:
            TypeError: If the environment's policies are language models.
        """
        super().__init__(env, config, workdir)
        if not isinstance(self.env.action_space, Box):
            raise TypeError(
                f"{type(self).__name__} submits value vectors, and the policies of history {self.env.history_name!r} are language models; "
                "choose history='simulated' or 'simulated-random', or the agent lifelong-dpo"
            )
        self._reading = reading_matrix(self.env.survey)

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """The (19,) vector that the votes speak for; the last one where nobody voted."""
        config: Any = self.config
        votes = mean_vote(collect(self.env, observation, config.votes_per_comparison))
        expected = self.expected(observation, votes)
        if np.isnan(expected).all():
            self.note(observation, "no valid vote; the policy is kept")
        else:
            self.policy = self.vector(expected)
        return self.policy

    def expected(self, observation: dict[str, Any], votes: np.ndarray) -> np.ndarray:
        """(Q,) mean votes to go by: this century's."""
        return votes

    def vector(self, votes: np.ndarray) -> np.ndarray:
        """(19,) values from (Q,) mean votes; what nobody answered counts as undecided."""
        return np.clip(self._reading @ np.nan_to_num(np.clip(votes, -1, 1)), -1, 1)


@dataclass(frozen=True)
class SimulatedExtrapolativeConfig(SimulatedConfig, ForecastConfig):
    """Settings of the lifelong one and of the forecast."""


class SimulatedExtrapolative(ForecastingAgent, SimulatedLifelong):
    """Submits the values that forecast votes speak for."""

    Config: ClassVar[type[AgentConfig]] = SimulatedExtrapolativeConfig
