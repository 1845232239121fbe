"""Two kinds of reward model of the same preferences, for on-policy training.

*Implicit* (the default): a policy trained by DPO is a reward model, r(x, y) = beta log(pi(y | x) / pi_start(y | x)) up to a term of
x alone, which a comparison of answers to one prompt does not see (arXiv 2305.18290, section 4). It reads answers where the language
model reads them.

*Score*: a score head on the last token, trained with TRL's ``RewardTrainer``, as RLHF has it with large models. histtiny's three layers
do not carry what is at stake from the question to the answer's end: of one century's votes it learnt to get 48% (one pass, two rows a vote)
and 56% (two passes) of the evaluation comparisons right.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pg_envs.models.ref import ModelRef

if TYPE_CHECKING:
    from datasets import Dataset

    from agents.lifelong_rlhf import LifelongRLHFConfig

RewardKind = Literal["implicit", "score"]
Reward = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""(B,) rewards for replies to B prompts; only differences between replies to one prompt mean something."""


@contextmanager
def reward_model(start: ModelRef, preferences: Dataset, folder: Path, seed: int, config: LifelongRLHFConfig) -> Iterator[Reward]:
    """A reward model of ``preferences``; its weights are in ``folder`` as long as the context lasts.

    Args:
        start: The policy at the century's start.
        preferences: TRL's conversational ``prompt``, ``chosen``, ``rejected``.
        folder: Must be the caller's to make and remove.
        seed: The same seed gives the same reward model.
        config: ``reward_model`` says which kind; also rates and sizes.

    Raises:
        TrainingError: If training leaves weights that are not finite.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield remembering(KINDS[config.reward_model](start, preferences, folder, seed, config))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remembering(reward: Reward) -> Reward:
    """The same reward, asked once for every pair: answers of a letter come up again and again."""
    known: dict[tuple[str, str], float] = {}

    def remembered(prompts: Sequence[str], replies: Sequence[str]) -> np.ndarray:
        pairs = list(zip(prompts, replies, strict=True))
        new = [pair for pair in dict.fromkeys(pairs) if pair not in known]
        if new:
            known.update(zip(new, reward([p for p, _ in new], [r for _, r in new]).tolist(), strict=True))
        return np.array([known[pair] for pair in pairs])

    return remembered


def _implicit(start: ModelRef, preferences: Dataset, folder: Path, seed: int, config: LifelongRLHFConfig) -> Reward:
    from agents.lifelong_dpo import LifelongDPOConfig, dpo
    from pg_envs.models.loading import load_tokenizer
    from pg_envs.models.transformers_engine import TransformersEngine

    settings = LifelongDPOConfig(
        learning_rate=config.reward_learning_rate, n_epochs=config.reward_epochs, batch_size=config.reward_batch_size
    )
    learnt = dpo(start, preferences, folder, seed, settings)
    end = load_tokenizer(start).eos_token
    # One engine each: small bases have one adapter merged at a time.
    engines = [(learnt, TransformersEngine()), (start, TransformersEngine())]

    def reward(prompts: Sequence[str], replies: Sequence[str]) -> np.ndarray:
        answers = [(reply + end,) for reply in replies]
        after, before = (np.array([s.total[0] for s in engine.choice_logprobs(model, prompts, answers)]) for model, engine in engines)
        return settings.beta * (after - before)

    return reward


def _score(start: ModelRef, preferences: Dataset, folder: Path, seed: int, config: LifelongRLHFConfig) -> Reward:
    from pg_envs.models.reward import RewardModel, train_reward_model
    from pg_envs.models.tuning import TuningConfig

    tuning = TuningConfig(config.reward_learning_rate, config.reward_epochs, config.reward_batch_size)
    model = RewardModel([train_reward_model(start, preferences, folder, seed, tuning)])
    return lambda prompts, replies: model.score(prompts, replies)[:, 0]


KINDS: dict[RewardKind, Any] = {"implicit": _implicit, "score": _score}
