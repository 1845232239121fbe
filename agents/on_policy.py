"""On-policy training: the policy answers, a reward judges, RLOO (arXiv 2402.14740) as TRL has it makes good answers likelier.

PPO, which the published framework used, has left TRL; RLOO needs no value network and does as well with short answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.base import check_numbers
from agents.reference import ReferenceConfig, hold_to
from agents.vllm_sampling import VLLMConfig, check_vllm, vllm_arguments
from pg_envs.models.ref import ModelRef
from pg_envs.ranks import share_of

if TYPE_CHECKING:
    from datasets import Dataset

Reward = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""Rewards for replies to B prompts; only differences between replies to one prompt mean something."""


@dataclass(frozen=True)
class OnPolicyConfig(VLLMConfig, ReferenceConfig):
    """What agents that train on-policy can be told."""

    n_samples: int = 4
    """Answers sampled to a prompt; each is judged against the others' mean. At least 2."""
    kl: float = 1.0
    """Price of a nat of divergence from the reference. With an implicit reward model, the best policy at 1 (its own beta) is the one
    that the reward model is made of; below, answers are sharpened beyond the votes (at 0.05 a first century left histtiny's policy with
    a cosine of 0.39 to humans of whom it had been at 0.98)."""
    max_answer_tokens: int = 4
    """Longer answers are cut."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        check_numbers(self, at_least_one=("max_answer_tokens", "n_samples"), not_negative=("kl",))
        if self.n_samples < 2:
            raise ValueError(f"n_samples={self.n_samples}: expected at least 2, since an answer is judged against the others")
        check_vllm(self)

    def check_here(self) -> None:
        """As ``AgentConfig``'s."""
        super().check_here()
        if self.use_vllm:
            vllm_arguments(self)


def on_policy_arguments(config: OnPolicyConfig, scratch: Path, seed: int) -> dict[str, Any]:
    """Arguments that TRL's on-policy trainers take.

    Raises:
        ValueError: If the settings cannot be had here.
    """
    from pg_envs.models.tuning_config import trainer_arguments

    # A base that was saved without its cache would read the prompt again for every token.
    # Nor does a draw from what is not finite end the run, or the GPU's context: the step's loss tells, in all processes.
    sampling = vllm_arguments(config) if config.use_vllm else {"generation_kwargs": {"use_cache": True, "remove_invalid_values": True}}
    return {
        **trainer_arguments(config.tuning(), scratch, seed),
        # TRL counts answers, not prompts; a prompt's are all judged in one process.
        "per_device_train_batch_size": share_of(config.batch_size) * config.n_samples,
        "num_generations": config.n_samples,
        "max_completion_length": config.max_answer_tokens,
        "beta": config.kl,
        "shuffle_dataset": False,
        "pad_to_multiple_of": 16,
        **sampling,
    }


def rloo(start: ModelRef, prompts: Dataset, reward: Reward, out: Path, seed: int, config: OnPolicyConfig) -> ModelRef:
    """One on-policy training with LoRA, from ``start`` to a new adapter in ``out``.

    Args:
        start: The policy.
        prompts: Conversational, in a column ``prompt``, each a single user turn.
        reward: Judges replies to prompts.
        out: Folder for the adapter; must not exist.
        seed: The same seed gives the same policy.
        config: Rates and sizes; a step takes ``batch_size`` prompts, ``n_samples`` answers each.

    Raises:
        TrainingError: If training leaves weights that are not finite.
    """
    from trl import RLOOConfig, RLOOTrainer

    def judge(prompts: list[Any], completions: list[Any], **_: Any) -> list[float | None]:
        rewards = reward([turns[-1]["content"] for turns in prompts], [turns[0]["content"] for turns in completions])
        return [float(value) for value in rewards]

    return train_on_policy(start, prompts, judge, out, seed, config, RLOOTrainer, RLOOConfig)


def filled_up(prompts: Dataset, batch_size: int, seed: int) -> Dataset:
    """The rows, some of them drawn once more so that the last step is a full one: TRL would leave out the rows of one that is not."""
    n, n_missing = len(prompts), -len(prompts) % batch_size
    drawn = np.random.default_rng(seed).choice(n, n_missing, replace=n_missing > n)
    return prompts.select([*range(n), *drawn.tolist()])


def train_on_policy(
    start: ModelRef,
    prompts: Dataset,
    judge: Callable[..., list[float | None]],
    out: Path,
    seed: int,
    config: OnPolicyConfig,
    trainer_class: Any,
    arguments_class: Any,
) -> ModelRef:
    """What all on-policy training here shares; ``judge`` is a reward function as TRL calls it, the classes are TRL's or on top of them."""
    from pg_envs.models.tuning import batches_of_similar_length, finetune

    rows = batches_of_similar_length(filled_up(prompts, config.batch_size, seed), config.batch_size, seed)

    def make_trainer(model: Any, tokenizer: Any, scratch: Path) -> Any:
        arguments = arguments_class(**on_policy_arguments(config, scratch, seed))
        trainer = trainer_class(model=model, reward_funcs=judge, args=arguments, train_dataset=rows, processing_class=tokenizer)
        hold_to(config.reference, model)
        return trainer

    return finetune(start, out, make_trainer, seed, config.tuning(), what="on-policy training")
