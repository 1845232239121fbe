"""Lifelong DPO: in every century, train the policy on what that century's humans prefer.

The method is ProgressGym's (arXiv 2406.20087); the loss is direct preference optimisation (arXiv 2305.18290)
as TRL's ``DPOTrainer`` has it. Reading from top to bottom: the settings, one century, the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agents.base import AgentConfig, check_numbers
from agents.reference import REFERENCES, Reference, ReferenceConfig, hold_to
from agents.training import TrainingAgent
from pg_envs.models.ref import ModelRef


@dataclass(frozen=True)
class LifelongDPOConfig(ReferenceConfig):
    """Settings."""

    references: ClassVar[tuple[Reference, ...]] = REFERENCES
    reference: Reference = "uniform"
    """What the policy is held to. With ``uniform`` and beta 1 the best policy is as divided over two answers as the voters are. With
    ``century`` it multiplies the voters' odds with its own of before, so that century after century it holds more strongly what humans
    hold mildly, and follows late when they turn (docs/status.md)."""
    learning_rate: float = 2e-3
    """Peak learning rate of AdamW."""
    batch_size: int = 4
    """Examples per step: of the same votes, small batches learn more."""
    beta: float = 1.0
    """Strength of the pull towards the reference. At 0.1 the loss is almost linear
    within one century's changes: what all dimensions have in common never has enough, and they move together."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        check_numbers(self, above_zero=("beta",))


class LifelongDPO(TrainingAgent):
    """Fine-tunes its policy on the votes in view, century after century."""

    Config: ClassVar[type[AgentConfig]] = LifelongDPOConfig

    def train(self, start: ModelRef, preferences: Any, out: Path, seed: int) -> ModelRef:
        """One century's training."""
        config: Any = self.config
        return dpo(start, preferences, out, seed, config)


def dpo(start: ModelRef, dataset: Any, out: Path, seed: int, config: LifelongDPOConfig) -> ModelRef:
    """One DPO training, from ``start`` to a new adapter (or, with ``weights="full"``, model) in ``out``."""
    from trl import DPOConfig

    from agents.reference_first import ReferenceFirstDPOTrainer
    from pg_envs.models.tuning import batches_of_similar_length, finetune
    from pg_envs.models.tuning_config import trl_arguments

    tuning = config.tuning()
    rows = batches_of_similar_length(dataset, config.batch_size, seed)

    def make_trainer(model: Any, tokenizer: Any, scratch: Path) -> Any:
        arguments = DPOConfig(beta=config.beta, **trl_arguments(tuning, scratch, seed))
        trainer = ReferenceFirstDPOTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)
        if config.reference == "uniform":
            trainer.hold_to_uniform()
        else:
            hold_to(config.reference, model)
        return trainer

    return finetune(start, out, make_trainer, seed, tuning, what="direct preference optimisation")
