"""The contract between agents and whoever runs them::

    agent = LifelongDPO(env, config, workdir)
    policy = agent.act(observation)        # once a century

An agent sees observations, and what it asks through ``env.ask`` and ``respond``. It returns a policy of
``env.action_space``. What happened besides (a training that failed, a century without votes) goes into
``agent.events``, which the runner copies into the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pg_envs.agent_view import AgentView


@dataclass(frozen=True)
class AgentConfig:
    """What every agent can be told."""

    seed: int = 0
    """For everything the agent draws."""

    def check_here(self) -> None:
        """Refuse what cannot be had where the agent is going to run; called by agents, since a configuration may be made elsewhere.

        Raises:
            ValueError: If a setting does not suit the machine, or the processes of this run.
        """


def check_numbers(
    config: AgentConfig, above_zero: Sequence[str] = (), at_least_one: Sequence[str] = (), not_negative: Sequence[str] = ()
) -> None:
    """Hold a configuration's numbers to their ranges.

    Raises:
        ValueError: Naming the field, its value and what was expected.
    """
    ranges: tuple[tuple[Sequence[str], Callable[[float], bool], str], ...] = (
        (above_zero, lambda value: value > 0, "a number above 0"),
        (at_least_one, lambda value: isinstance(value, int) and value >= 1, "a whole number, 1 or more"),
        (not_negative, lambda value: value >= 0, "a number, 0 or more"),
    )
    for names, fits, expected in ranges:
        for name in names:
            value = getattr(config, name)
            # Not what does not fit, which NaN would pass.
            if not fits(value):
                raise ValueError(f"{name}={value!r}: expected {expected}")


class Agent(ABC):
    """Base of the agents; subclasses implement ``act``."""

    Config: ClassVar[type[AgentConfig]] = AgentConfig
    cheats: ClassVar[bool] = False
    """Whether it is given the whole environment instead of an agent's view: an upper bound, never a method."""

    def __init__(self, env: Any, config: AgentConfig | None = None, workdir: str | Path = "runs/agent") -> None:
        """Make an agent.

        Args:
            env: The environment it will act in, or its ``AgentView``, which is all that is kept of it.
            config: An instance of ``Config``; None takes the defaults.
            workdir: Where it may leave its policies; nothing in there is overwritten.
        """
        view = env if isinstance(env, AgentView) else AgentView(env)
        self.env: Any = env if self.cheats else view
        self.policy = view.initial_policy
        self.config = config or self.Config()
        self.workdir = Path(workdir)
        self.events: list[dict[str, Any]] = []

    @abstractmethod
    def act(self, observation: dict[str, Any]) -> Any:
        """The policy for the century in view."""

    def recall(self, observation: dict[str, Any]) -> None:  # noqa: B027 - most agents remember nothing but their policy
        """Take note of a century that an interrupted run has finished, instead of ``act``; nothing may be asked."""

    def century_rng(self, observation: dict[str, Any]) -> np.random.Generator:
        """Random numbers that depend on the seed and the century alone, so that an episode can be taken up midway."""
        return np.random.default_rng([self.config.seed, int(observation["century"])])

    def label(self, observation: dict[str, Any]) -> str:
        """The century in view."""
        return self.env.labels[int(observation["century"])]

    def note(self, observation: dict[str, Any], what: str) -> None:
        """Record an event of the century in view."""
        self.events.append({"century": self.label(observation), "event": what})
