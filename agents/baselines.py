"""The four baselines that every table carries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agents.base import Agent, AgentConfig
from agents.training import TrainingAgent, TrainingConfig
from pg_envs.models.ref import ModelRef


class NoOp(Agent):
    """Keeps the first century's policy for ever; its skill is 0 by construction."""

    def act(self, observation: dict[str, Any]) -> Any:
        """The initial policy."""
        return self.policy


class Oracle(Agent):
    """Submits the very humans it will be compared with. It cheats by design: an upper bound, skill 1 by construction."""

    cheats: ClassVar[bool] = True

    def act(self, observation: dict[str, Any]) -> Any:
        """The humans of the century in view, or of the one looked ahead to."""
        inner = self.env.unwrapped
        return inner.history.human(int(observation["century"]) + (inner.judged_ahead or 0))


class RandomAgent(Agent):
    """Submits the humans of a century drawn at random (it cheats: also of one to come), or a random vector on simulated histories."""

    cheats: ClassVar[bool] = True

    def act(self, observation: dict[str, Any]) -> Any:
        """A policy drawn from the action space."""
        space = self.env.action_space
        examples = getattr(space, "examples", None)
        rng = self.century_rng(observation)
        if examples is not None:
            return examples[rng.integers(len(examples))]
        return rng.uniform(space.low, space.high).astype(space.dtype)


@dataclass(frozen=True)
class SFTConfig(TrainingConfig):
    """Settings of the imitating baseline."""

    learning_rate: float = 5e-4
    """Peak learning rate; imitation needs less than preference learning."""


class SFT(TrainingAgent):
    """Imitates: fine-tunes on the answers that the humans preferred, continuing from the last century's policy."""

    Config: ClassVar[type[AgentConfig]] = SFTConfig

    def train(self, start: ModelRef, preferences: Any, out: Path, seed: int) -> ModelRef:
        """One century's imitation."""
        from pg_envs.models.tuning import sft

        config: Any = self.config
        dataset = preferences.rename_column("chosen", "completion").remove_columns("rejected")
        return sft(start, dataset, out, seed, config.tuning())
