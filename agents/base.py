"""The contract between agents and whoever runs them.

    agent = LifelongDPO(env, config, workdir)
    policy = agent.act(observation)        # once a century

An agent sees observations, and what it asks through ``env.unwrapped.ask`` and ``respond``. It returns a policy
of ``env.action_space``. What happened besides (a training that failed, a century without votes) goes into
``agent.events``, which the runner copies into the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pg_envs.models.ref import ModelRef
from pg_envs.values.survey import to_preference_dataset

if TYPE_CHECKING:
    from datasets import Dataset

    from pg_envs.models.tuning import TuningConfig


@dataclass(frozen=True)
class AgentConfig:
    """What every agent can be told."""

    seed: int = 0
    """For everything the agent draws."""


class Agent(ABC):
    """Base of the agents; subclasses implement ``act``."""

    Config: ClassVar[type[AgentConfig]] = AgentConfig

    def __init__(self, env: Any, config: AgentConfig | None = None, workdir: str | Path = "runs/agent") -> None:
        """Make an agent.

        Args:
            env: The environment it will act in; only its survey, spaces, initial policy and questions are used.
            config: An instance of ``Config``; None takes the defaults.
            workdir: Where it may leave its policies; nothing in there is overwritten.
        """
        self.env = env.unwrapped
        self.config = config or self.Config()
        self.workdir = Path(workdir)
        self.policy = self.env.initial_policy
        self.events: list[dict[str, Any]] = []

    @abstractmethod
    def act(self, observation: dict[str, Any]) -> Any:
        """The policy for the century in view."""

    def century_rng(self, observation: dict[str, Any]) -> np.random.Generator:
        """Random numbers that depend on the seed and the century alone, so that an episode can be taken up midway."""
        return np.random.default_rng([self.config.seed, int(observation["century"])])

    def note(self, observation: dict[str, Any], what: str) -> None:
        """Record an event of the century in view."""
        self.events.append({"century": self.env.history.labels[int(observation["century"])], "event": what})


@dataclass(frozen=True)
class TrainingConfig(AgentConfig):
    """What agents that fine-tune a language model can be told; rates are for histtiny, 8B models want about a thousandth."""

    independent: bool = False
    """Restart from the initial policy in every century instead of continuing from the last."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    n_epochs: float = 1.0
    """Passes over a century's data."""
    batch_size: int = 8
    """Examples per step."""
    rows_per_vote: int = 1
    """In how many forms and orders each vote is put to the policy."""

    def tuning(self) -> TuningConfig:
        """What ``pg_envs.models.tuning`` needs to know of it."""
        from pg_envs.models.tuning import TuningConfig

        return TuningConfig(self.learning_rate, self.n_epochs, self.batch_size)


class TrainingAgent(Agent):
    """Base of the agents that fine-tune once a century; subclasses implement ``train``.

    Where nobody voted, or training fails, the last good policy is kept and the event noted.
    """

    Config: ClassVar[type[AgentConfig]] = TrainingConfig

    def __init__(self, env: Any, config: AgentConfig | None = None, workdir: str | Path = "runs/agent") -> None:
        """As ``Agent``.

        Raises:
            TypeError: If the environment's policies are not language models.
        """
        super().__init__(env, config, workdir)
        if not isinstance(self.env.initial_policy, ModelRef):
            raise TypeError(
                f"{type(self).__name__} fine-tunes language models, and history {self.env.history.name!r} has none; "
                "choose history='histtiny', or an agent for simulated histories (no-op, oracle, random)"
            )

    def act(self, observation: dict[str, Any]) -> Any:
        """The policy after one century's training."""
        from pg_envs.models.tuning import TrainingError

        config: Any = self.config
        rng = self.century_rng(observation)
        votes = observation["votes"]
        if not np.any(votes):
            self.note(observation, "no valid vote; the policy is kept")
            return self.policy
        preferences = to_preference_dataset(self.env.survey, votes, rng, config.rows_per_vote)
        start = self.env.initial_policy if config.independent else self.policy
        out = self.workdir / self.env.history.labels[int(observation["century"])]
        try:
            self.policy = self.train(start, preferences, out, int(rng.integers(2**31)))
        except TrainingError as error:
            self.note(observation, f"training failed, the policy is kept: {error}")
        return self.policy

    @abstractmethod
    def train(self, start: ModelRef, preferences: Dataset, out: Path, seed: int) -> ModelRef:
        """Train from ``start`` on TRL's ``prompt``, ``chosen``, ``rejected`` to a new adapter in ``out``."""
