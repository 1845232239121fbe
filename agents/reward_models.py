"""Two kinds of reward model of the same preferences, for on-policy training.

*Implicit* (the default): a policy trained by DPO is a reward model, r(x, y) = beta log(pi(y | x) / pi_start(y | x)) up to a term of
x alone, which a comparison of answers to one prompt does not see (arXiv 2305.18290, section 4). It reads answers where the language
model reads them. Whatever DPO held it to, beta = 1 and a price of 1 for divergence from pi_start make pi the best policy.

*Score*: a score head on the last token, trained with TRL's ``RewardTrainer``, as RLHF has it with large models. histtiny's three layers
do not carry what is at stake from the question to the answer's end: of one century's votes it learnt to get 48% (one pass, two rows a vote)
and 56% (two passes) of the evaluation comparisons right.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from agents.base import check_numbers
from agents.lifelong_dpo import LifelongDPOConfig, dpo
from agents.on_policy import OnPolicyConfig, Reward
from agents.reference import REFERENCES, Reference
from pg_envs.models.ref import ModelRef
from pg_envs.ranks import by_first, is_first, share_of

if TYPE_CHECKING:
    from datasets import Dataset

    from pg_envs.models.engine import Engine
    from pg_envs.models.tuning_config import TuningConfig

RewardKind = Literal["implicit", "score"]


@dataclass(frozen=True)
class RewardTrainingConfig(OnPolicyConfig):
    """What agents can be told that train a reward model before they train on-policy."""

    learning_rate: float = 2e-3
    """Peak learning rate of AdamW, on-policy."""
    batch_size: int = 8
    """Prompts per step, on-policy."""
    reward_learning_rate: float = 2e-3
    """Peak learning rate of the reward model."""
    reward_epochs: float = 1.0
    """Passes of the reward model over the votes."""
    reward_batch_size: int = 4
    """Examples per step of the reward model."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        check_numbers(self, above_zero=("reward_learning_rate", "reward_epochs"), at_least_one=("reward_batch_size",))

    def check_here(self) -> None:
        """As ``AgentConfig``'s."""
        super().check_here()
        share_of(self.reward_batch_size, "reward_batch_size")

    def reward_tuning(self) -> TuningConfig:
        """What ``pg_envs.models.tuning`` needs to know of the reward model."""
        from pg_envs.models.tuning_config import TuningConfig

        return TuningConfig(
            self.reward_learning_rate, self.reward_epochs, self.reward_batch_size, gradient_checkpointing=self.gradient_checkpointing
        )


@dataclass(frozen=True)
class RewardModelConfig(RewardTrainingConfig):
    """What agents can be told that train one of the kinds of reward model here."""

    reward_model: RewardKind = "implicit"
    """``implicit`` or ``score``, see ``agents.reward_models``."""
    reward_reference: Reference = "uniform"
    """What an implicit reward model is held to while it learns, see ``LifelongDPOConfig``. With ``uniform`` the policy that its rewards
    lead to at ``kl`` 1 is as divided as the voters are."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        if self.reward_reference not in REFERENCES:
            raise ValueError(f"reward_reference={self.reward_reference!r}: choose from {', '.join(map(repr, REFERENCES))}")
        if self.reward_model not in KINDS:
            raise ValueError(f"reward_model={self.reward_model!r}: choose from {', '.join(map(repr, KINDS))}")


@contextmanager
def passing_folder(folder: Path) -> Iterator[Path]:
    """A folder that is empty at first and gone afterwards: reward models are not kept."""
    by_first(lambda: shutil.rmtree(folder, ignore_errors=True))
    try:
        yield folder
    finally:
        if is_first():
            shutil.rmtree(folder, ignore_errors=True)


Scores = Callable[[Sequence[str], Sequence[str]], Sequence[Sequence[float]]]
"""For replies to B prompts, K scores each; only differences between replies to one prompt mean something."""


@contextmanager
def reward_models(start: ModelRef, datasets: Sequence[Dataset], folder: Path, seed: int, config: RewardModelConfig) -> Iterator[Scores]:
    """K reward models, one for each dataset of preferences; their weights are in ``folder`` as long as the context lasts.

    Args:
        start: The policy at the century's start; all are adapters of its base.
        datasets: K of TRL's conversational ``prompt``, ``chosen``, ``rejected``; ``score`` models take ``margin`` off the difference.
        folder: Must be the caller's to make and remove.
        seed: The same seed gives the same reward models.
        config: ``reward_model`` says which kind; also rates and sizes.

    Raises:
        TrainingError: If training leaves weights that are not finite.
    """
    with passing_folder(folder):
        yield remembering(KINDS[config.reward_model](start, datasets, folder, seed, config))


@contextmanager
def reward_model(start: ModelRef, preferences: Dataset, folder: Path, seed: int, config: RewardModelConfig) -> Iterator[Reward]:
    """A single one; see ``reward_models``."""
    with reward_models(start, [preferences], folder, seed, config) as scores:
        yield lambda prompts, replies: [row[0] for row in scores(prompts, replies)]


def ordered_rightly(differences: np.ndarray, truth: np.ndarray | float = 1.0) -> float:
    """Share of pairs that (n,) score differences order as the truth's sign says; a tie counts as half, pairs on which truth is 0 not."""
    told = np.broadcast_to(truth != 0, differences.shape)
    return float(np.mean((np.sign(differences) * np.sign(truth) + 1)[told] / 2))


Reply = TypeVar("Reply", bound=Hashable)
Judgement = TypeVar("Judgement")


def remembering(
    judge: Callable[[Sequence[str], Sequence[Reply]], Sequence[Judgement]],
) -> Callable[[Sequence[str], Sequence[Reply]], list[Judgement]]:
    """The same judgements, asked once for every prompt and reply: answers of a letter come up again and again."""
    known: dict[tuple[str, Reply], Judgement] = {}

    def remembered(prompts: Sequence[str], replies: Sequence[Reply]) -> list[Judgement]:
        pairs = list(zip(prompts, replies, strict=True))
        new = [pair for pair in dict.fromkeys(pairs) if pair not in known]
        if new:
            known.update(zip(new, judge([p for p, _ in new], [r for _, r in new]), strict=True))
        return [known[pair] for pair in pairs]

    return remembered


def _implicit(start: ModelRef, datasets: Sequence[Dataset], folder: Path, seed: int, config: RewardModelConfig) -> Scores:
    from pg_envs.models.loading import load_tokenizer
    from pg_envs.models.transformers_engine import TransformersEngine

    settings = LifelongDPOConfig(
        learning_rate=config.reward_learning_rate,
        n_epochs=config.reward_epochs,
        batch_size=config.reward_batch_size,
        gradient_checkpointing=config.gradient_checkpointing,
        reference=config.reward_reference,
    )
    learnt = [dpo(start, dataset, folder / str(k), seed, settings) for k, dataset in enumerate(datasets)]
    end = load_tokenizer(start).eos_token
    # An engine each: small bases have one adapter merged at a time. Of many, each is sooner swapped than merged.
    engine_before = TransformersEngine()
    engine_after = TransformersEngine() if len(learnt) == 1 else TransformersEngine(merged_up_to_bytes=0)

    def score(prompts: Sequence[str], replies: Sequence[str]) -> list[list[float]]:
        answers = [reply + end for reply in replies]
        before = _log_probabilities(engine_before, start, prompts, answers)
        after = np.array([_log_probabilities(engine_after, model, prompts, answers) for model in learnt])
        return (settings.beta * (after - before)).T.tolist()

    return score


def _log_probabilities(engine: Engine, model: ModelRef, prompts: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    """(B,) log-probabilities of answers; a prompt is read once for all of its own."""
    pairs = list(zip(prompts, answers, strict=True))
    by_prompt: dict[str, list[str]] = {}
    for prompt, answer in pairs:
        by_prompt.setdefault(prompt, []).append(answer)
    scored = engine.choice_logprobs(model, list(by_prompt), list(by_prompt.values()))
    totals = {
        (prompt, answer): total
        for (prompt, given), each in zip(by_prompt.items(), scored, strict=True)
        for answer, total in zip(given, each.total, strict=True)
    }
    return np.array([totals[pair] for pair in pairs])


def _score(start: ModelRef, datasets: Sequence[Dataset], folder: Path, seed: int, config: RewardModelConfig) -> Scores:
    from pg_envs.models.reward import RewardModel, train_reward_model

    tuning = config.reward_tuning()
    model = RewardModel([train_reward_model(start, dataset, folder / str(k), seed, tuning) for k, dataset in enumerate(datasets)])
    return lambda prompts, replies: model.score(prompts, replies).tolist()


KINDS: dict[RewardKind, Any] = {"implicit": _implicit, "score": _score}
