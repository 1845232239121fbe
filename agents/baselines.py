"""The four baselines that every table carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from agents.base import Agent, AgentConfig, require_models
from agents.lifelong_dpo import LifelongDPOConfig
from pg_envs.values.survey import to_preference_dataset


class NoOp(Agent):
    """Keeps the first century's policy for ever; its skill is 0 by construction."""

    def act(self, observation: dict[str, Any]) -> Any:
        """The initial policy."""
        return self.policy


class Oracle(Agent):
    """Submits the very humans it will be compared with. It cheats by design: an upper bound, skill 1 by construction."""

    def act(self, observation: dict[str, Any]) -> Any:
        """The humans of the century in view, or of the one looked ahead to."""
        return self.env.history.human(int(observation["century"]) + getattr(self.env, "lookahead", 0))


class RandomAgent(Agent):
    """Submits the humans of a century drawn at random, or a random vector where the history is simulated."""

    def act(self, observation: dict[str, Any]) -> Any:
        """A policy drawn from the action space."""
        space = self.env.action_space
        examples = getattr(space, "examples", None)
        rng = self.century_rng(observation)
        if examples is not None:
            return examples[rng.integers(len(examples))]
        return rng.uniform(space.low, space.high)


@dataclass(frozen=True)
class SFTConfig(LifelongDPOConfig):
    """Settings of the imitating baseline; as lifelong DPO's, ``beta`` unused."""

    learning_rate: float = 5e-4
    """Peak learning rate; imitation needs less than preference learning."""


class SFT(Agent):
    """Imitates: fine-tunes on the answers that the humans preferred, continuing from the last century's policy."""

    Config: ClassVar[type[AgentConfig]] = SFTConfig

    def act(self, observation: dict[str, Any]) -> Any:
        """The policy after one century's imitation."""
        from pg_envs.models.tuning import TuningConfig, sft

        require_models(self)
        rng = self.century_rng(observation)
        votes = observation["votes"]
        if not np.any(votes):
            self.note(observation, "no valid vote; the policy is kept")
            return self.policy
        config: Any = self.config
        preferences = to_preference_dataset(self.env.survey, votes, rng, config.rows_per_vote)
        dataset = preferences.rename_column("chosen", "completion").remove_columns("rejected")
        label = self.env.history.labels[int(observation["century"])]
        tuning = TuningConfig(config.learning_rate, config.n_epochs, config.batch_size)
        start = self.env.initial_policy if config.independent else self.policy
        self.policy = sft(start, dataset, self.workdir / label, seed=int(rng.integers(2**31)), config=tuning)
        return self.policy
