"""Lifelong DPO: in every century, train the policy on what that century's humans prefer.

The method is ProgressGym's (arXiv 2406.20087); the loss is direct preference optimisation (arXiv 2305.18290)
as TRL's ``DPOTrainer`` has it. Reading from top to bottom: the settings, one century, the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from agents.base import Agent, AgentConfig, require_models
from pg_envs.models.ref import ModelRef
from pg_envs.values.survey import to_preference_dataset


@dataclass(frozen=True)
class LifelongDPOConfig(AgentConfig):
    """Settings; learning rates are for histtiny, 8B models want about a thousandth of them."""

    independent: bool = False
    """Restart from the initial policy in every century instead of continuing from the last."""
    beta: float = 0.1
    """Strength of the pull towards the reference, which is the policy at the century's start."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    n_epochs: float = 1.0
    """Passes over a century's preferences."""
    batch_size: int = 16
    """Preference pairs per step."""
    rows_per_vote: int = 1
    """In how many forms and orders each vote is put to the policy."""


class LifelongDPO(Agent):
    """Fine-tunes its policy on the votes in view, century after century."""

    Config: ClassVar[type[AgentConfig]] = LifelongDPOConfig

    def act(self, observation: dict[str, Any]) -> Any:
        """The policy after one century's training; the last good one where there is nothing to learn or training fails."""
        from pg_envs.models.tuning import TrainingError

        require_models(self)
        config: Any = self.config
        rng = self.century_rng(observation)
        votes = observation["votes"]
        if not np.any(votes):
            self.note(observation, "no valid vote; the policy is kept")
            return self.policy
        dataset = to_preference_dataset(self.env.survey, votes, rng, config.rows_per_vote)
        start = self.env.initial_policy if config.independent else self.policy
        label = self.env.history.labels[int(observation["century"])]
        try:
            self.policy = dpo(start, dataset, self.workdir / label, int(rng.integers(2**31)), config)
        except TrainingError as error:
            self.note(observation, f"training failed, the policy is kept: {error}")
        return self.policy


def dpo(start: ModelRef, dataset: Any, out: Path, seed: int, config: LifelongDPOConfig) -> ModelRef:
    """One DPO training with LoRA, from ``start`` to a new adapter in ``out``; the reference is ``start``."""
    from trl import DPOConfig, DPOTrainer

    from pg_envs.models.tuning import TuningConfig, finetune, trainer_arguments

    tuning = TuningConfig(config.learning_rate, config.n_epochs, config.batch_size)

    def make_trainer(model: Any, tokenizer: Any, scratch: Path) -> Any:
        arguments = DPOConfig(beta=config.beta, **trainer_arguments(tuning, scratch, seed))
        return DPOTrainer(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer)

    return finetune(start, out, make_trainer, seed, tuning, what="direct preference optimisation")
