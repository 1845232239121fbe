"""Sequence-to-sequence reward model (arXiv 2409.00162): learn to rewrite answers, then train on-policy on what would be kept.

A scalar reward model learns one number a reply, and a policy that is trained on it for long finds what raises the number without being
better, such as length. Here the reward model is a language model that learns to *rewrite*: of a rejected answer it makes the chosen one
(correction), of a chosen answer the same again (identity). A sampled answer's tokens are then rewarded as long as the rewriter would have
written them too. Reading from top to bottom: the settings, one century, the rewriter, its rewards.

What the paper's text was not at hand for is reconstructed, and marked [R]. One thing differs on purpose [R]: the price of divergence is a
term of the loss at each token and not of the rewards that earlier tokens are credited with; see ``agents.token_level``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from agents.base import AgentConfig
from agents.reward_models import RewardTrainingConfig, ordered_rightly, passing_folder, remembering
from agents.token_level import TokenReward, train_on_token_rewards
from agents.training import TrainingAgent
from pg_envs.models.ref import ModelRef

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Seq2SeqRMConfig(RewardTrainingConfig):
    """Settings."""

    held_out: float = 0.1
    """Share of the items whose votes the rewriter does not learn from, but is judged by; in [0, 1)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out={self.held_out}: expected a share in [0, 1)")


class Seq2SeqRM(TrainingAgent):
    """Fine-tunes its policy on a rewriter of the votes in view, a century at a time; notes how well the rewriter judges held-out votes."""

    Config: ClassVar[type[AgentConfig]] = Seq2SeqRMConfig

    def train(self, start: ModelRef, preferences: Any, out: Path, seed: int) -> ModelRef:
        """One century's two trainings."""
        config: Any = self.config
        learnt, held_out = split(preferences, config.held_out, seed)
        with passing_folder(out.with_name(f"{out.name}.rewriter")) as folder:
            reward = rewriter_reward(train_rewriter(start, learnt, folder, seed, config))
            if len(held_out):
                self.remarks.append(f"the rewriter got {accuracy(reward, start, held_out):.0%} of {len(held_out)} held-out votes right")
            return train_on_token_rewards(start, preferences.select_columns(["prompt"]), reward, out, seed, config)


def split(preferences: Dataset, held_out: float, seed: int) -> tuple[Dataset, Dataset]:
    """The preferences to learn from, and those on a random share of the items (rounded down) to be judged by.

    By items, since the same vote put in another way, or another comparison of the same options, has been learnt with the first.
    """
    of_row = np.array(preferences["item"])
    items = np.unique(of_row)
    judged = np.isin(of_row, np.random.default_rng(seed).permutation(items)[: int(len(items) * held_out)])
    return preferences.select(np.flatnonzero(~judged)), preferences.select(np.flatnonzero(judged))


def rewriting_prompt(prompt: str, answer: str) -> str:
    """What the rewriter is asked: the answer to be made better, then the prompt, so that it starts from what it would answer itself."""
    return f"Better this answer: {answer}\n{prompt}"


def corrections_and_identities(preferences: Dataset) -> Dataset:
    """Two ``prompt``/``completion`` rows a pair: from the rejected answer to the chosen one, and from the chosen one to itself.

    Learnt with the same weight [R]: L = -E[log pi(y_w | x, y_l) + log pi(y_w | x, y_w)].
    """
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": rewriting_prompt(pair["prompt"][-1]["content"], answer[0]["content"])}],
                "completion": pair["chosen"],
            }
            for pair in preferences
            for answer in (pair["rejected"], pair["chosen"])
        ]
    )


def train_rewriter(start: ModelRef, preferences: Dataset, folder: Path, seed: int, config: RewardTrainingConfig) -> ModelRef:
    """The policy at the century's start, tuned to rewrite answers into better ones; to a new adapter in ``folder``."""
    from pg_envs.models.tuning import sft

    return sft(start, corrections_and_identities(preferences), folder, seed, config.reward_tuning())


def token_rewards(rewritten: Sequence[int], answer: Sequence[int]) -> list[float]:
    """(T,) rewards of an answer's tokens, from what the rewriter would have written in each one's place.

    With tau the first place where the two differ: 1 before tau; from tau on -1 where they differ and 0 where they agree. All
    divided by T [R], so that an answer's sum lies in [-1, 1] however long it is.
    """
    agree = [a == b for a, b in zip(rewritten, answer, strict=True)]
    tau = agree.index(False) if False in agree else len(agree)
    return [(1.0 if place < tau else -1.0 * (not same)) / len(agree) for place, same in enumerate(agree)]


def rewriter_reward(rewriter: ModelRef) -> TokenReward:
    """``token_rewards`` by a rewriter; policy and rewriter must have one tokenizer."""
    from pg_envs.models.loading import load_tokenizer
    from pg_envs.models.transformers_engine import TransformersEngine

    engine, tokenizer = TransformersEngine(), load_tokenizer(rewriter)

    def reward(prompts: Sequence[str], replies: Sequence[tuple[int, ...]]) -> list[list[float]]:
        texts = tokenizer.batch_decode(replies, skip_special_tokens=True)
        asked = [rewriting_prompt(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        rewritten = engine.greedy_tokens(rewriter, asked, replies)
        return [token_rewards(tokens, reply) for tokens, reply in zip(rewritten, replies, strict=True)]

    remembered = remembering(reward)
    return lambda prompts, replies: remembered(prompts, [tuple(reply) for reply in replies])


def accuracy(reward: TokenReward, policy: ModelRef, pairs: Dataset) -> float:
    """P(sum of r(chosen) > sum of r(rejected)) over pairs; a tie counts as half."""
    return ordered_rightly(total_differences(reward, policy, pairs))


def total_differences(reward: TokenReward, policy: ModelRef, pairs: Dataset) -> np.ndarray:
    """(n,) sums of r(chosen) less sums of r(rejected), of the tokens that ``policy`` would write, with the one that ends the answer."""
    from pg_envs.models.loading import load_tokenizer

    tokenizer = load_tokenizer(policy)
    prompts = [pair["prompt"][-1]["content"] for pair in pairs]

    def totals(side: str) -> np.ndarray:
        texts = [pair[side][0]["content"] + tokenizer.eos_token for pair in pairs]
        return np.array([sum(row) for row in reward(prompts, tokenizer(texts, add_special_tokens=False).input_ids)])

    return totals("chosen") - totals("rejected")
