"""MORLAIF (arXiv 2406.07295): multi-objective reinforcement learning from AI feedback.

In every century, a preference model for each principle learns from feedback on that principle alone; the models' scores become one reward,
which the policy is trained on. Reading from top to bottom: the settings, one century, what a preference model learns from, the weights.

What differs from the paper by default: feedback is asked in both orders instead of one; preference models are implicit, learnt from
feedback in shares (``reward_model=score`` is the paper's, with its margins); LoRA has rank 8 as there, but alpha 16 (32 there), no dropout
(0.1) and a linear schedule (cosine); rates and batches are histtiny's, 2e-3 and 4 (5e-5 and 32); the policy is trained by RLOO with a price
of 1 for a nat of divergence (PPO, 0.05), since less sharpens answers beyond the votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from agents.base import AgentConfig, check_numbers
from agents.feedback import Feedback, FeedbackKind, engine_feedback, human_feedback, labelled_feedback
from agents.offered_answers import asked_and_answered, judge_ahead, less_what_is_said_already
from agents.on_policy import Reward, rloo
from agents.principles import load_principles
from agents.reference import REFERENCES, Reference
from agents.reward_models import RewardModelConfig, Scores, reward_models
from agents.scalarisers import SCALARISERS
from agents.training import TrainingAgent
from agents.votes import share_out
from pg_envs.models.engine import check_engine_name, make_engine
from pg_envs.models.ref import ModelRef
from pg_envs.progress import report
from pg_envs.values.survey import Comparison, to_preference_dataset

if TYPE_CHECKING:
    from datasets import Dataset

PrincipleWeights = Literal["fitted", "even"]


@dataclass(frozen=True)
class MORLAIFConfig(RewardModelConfig):
    """Settings."""

    references: ClassVar[tuple[Reference, ...]] = REFERENCES
    reference: Reference = "uniform"
    """What the policy is held to. With ``uniform`` it answers comparisons as the weighed principles say; else that comes on top of what
    it answers at the century's start."""
    reward_reference: Reference = "century"
    """What an implicit preference model is held to while it learns. With ``century`` its score is 0 where its principle says nothing."""
    principles: str = "values"
    """``values`` (the nineteen dimensions), ``twelve`` (MORLAIF's own), or a JSON file, see ``agents.principles``."""
    feedback: FeedbackKind = "labels"
    """Who judges by a principle, see ``agents.feedback``: ``humans`` (the century's humans, asked the principle's question), ``policy``
    (the policy itself, likewise), ``model`` (``feedback_model``, likewise), or ``labels`` (humans' votes on what the questionnaire says
    a value dimension is about; histtiny does not understand a principle's question)."""
    feedback_model: str | None = None
    """Who judges with ``feedback=model``: ``BASE``, ``BASE+ADAPTER`` or ``BASE@REVISION+ADAPTER``, folders or on the hub."""
    feedback_engine: str = "transformers"
    """What runs the model that judges (``feedback=policy`` or ``model``), as an environment's ``engine``, e.g.
    ``openai:http://HOST:PORT/v1``."""
    feedback_votes: int = 8
    """Votes that humans give on a comparison, by a principle; counted as questions."""
    comparisons_per_principle: int = 16
    """Comparisons that a preference model learns from: half of them those on which its principle decides most, half drawn from the rest."""
    rows_per_feedback: int = 2
    """Rows an implicit preference model learns from for every comparison: the feedback's probability is shared out over them."""
    scalariser: str = "linear"
    """How scores become one reward, see ``agents.scalarisers``."""
    principle_weights: PrincipleWeights = "fitted"
    """Of the linear scalariser: ``fitted`` to votes, or ``even``."""
    n_weighed: int = 512
    """Rows of votes on which weights are fitted, drawn from all."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        super().__post_init__()
        if self.scalariser not in SCALARISERS:
            raise ValueError(f"scalariser={self.scalariser!r}: choose from {', '.join(SCALARISERS)}")
        if self.principle_weights not in get_args(PrincipleWeights):
            raise ValueError(f"principle_weights={self.principle_weights!r}: choose from {', '.join(get_args(PrincipleWeights))}")
        if self.feedback not in get_args(FeedbackKind):
            raise ValueError(f"feedback={self.feedback!r}: choose from {', '.join(get_args(FeedbackKind))}")
        check_numbers(self, at_least_one=("feedback_votes", "comparisons_per_principle", "rows_per_feedback", "n_weighed"))
        principles = load_principles(self.principles)
        unlabelled = [principle.name for principle in principles if principle.dimension is None]
        if self.feedback == "labels" and unlabelled:
            raise ValueError(
                f"feedback='labels' knows only principles that are value dimensions, and principles={self.principles!r} has "
                f"{', '.join(unlabelled)}; choose feedback='humans', 'policy' or 'model', who are asked each principle's question"
            )
        if (self.feedback == "model") != (self.feedback_model is not None):
            raise ValueError(
                f"feedback={self.feedback!r} and feedback_model={self.feedback_model!r}: expected feedback='model' with the model that "
                "judges, and no feedback_model with any other feedback"
            )
        if self.feedback_model is not None:
            ModelRef.parse(self.feedback_model)

    def check_here(self) -> None:
        """As ``AgentConfig``'s; nothing is loaded, and no server asked."""
        super().check_here()
        check_engine_name(self.feedback_engine)


class MORLAIF(TrainingAgent):
    """Fine-tunes its policy on a preference model for every principle, century after century; notes weights that it fits."""

    Config: ClassVar[type[AgentConfig]] = MORLAIFConfig

    def train(self, start: ModelRef, preferences: Any, out: Path, seed: int) -> ModelRef:
        """One century's trainings."""
        from pg_envs.models.tuning import TrainingError

        config: Any = self.config
        principles = load_principles(config.principles)
        rng = np.random.default_rng(seed)
        feedback = self._feedback()
        datasets = {}
        for number, principle in enumerate(principles):
            report(f"feedback by {principle.name}", number, len(principles))
            datasets[principle.name] = self._dataset(feedback(principle, self.env.survey), rng)
        learnt = {name: rows for name, rows in datasets.items() if len(rows)}
        if not learnt:
            raise TrainingError("no valid feedback on any principle")
        with reward_models(start, list(learnt.values()), out.with_name(f"{out.name}.preferences"), seed, config) as scores:
            judge_ahead(scores, preferences)
            reward = self._reward(list(learnt), scores, draw_rows(preferences, config.n_weighed, seed))
            if config.reference == "uniform":
                reward = less_what_is_said_already(reward, start, preferences, config.kl)
            return rloo(start, preferences.select_columns(["prompt"]), reward, out, seed, config)

    def _dataset(self, log_odds: np.ndarray, rng: np.random.Generator) -> Dataset:
        """What a principle's preference model learns from its (Q,) feedback on the survey."""
        config: Any = self.config
        chosen = most_decided_and_others(log_odds, config.comparisons_per_principle, rng)
        comparisons = [self.env.survey[index] for index in chosen]
        return ROWS[config.reward_model](comparisons, log_odds[chosen], rng, config)

    def _feedback(self) -> Feedback:
        config: Any = self.config
        if config.feedback in ("policy", "model"):
            judge = self.policy if config.feedback_model is None else ModelRef.parse(config.feedback_model)
            return engine_feedback(make_engine(config.feedback_engine), judge)
        ask = human_feedback if config.feedback == "humans" else labelled_feedback
        return ask(self.env, config.feedback_votes)

    def _reward(self, names: Sequence[str], scores: Scores, weighed: Dataset) -> Reward:
        """One reward of many scores; weights that are fitted to votes are noted."""
        config: Any = self.config
        weights = np.ones(len(names))
        if config.scalariser == "linear" and config.principle_weights == "fitted":
            differences = score_differences(scores, weighed)
            fitted = fit_weights(differences)
            self.remarks.append("weights " + ", ".join(f"{name} {w:.2f}" for name, w in zip(names, fitted, strict=True)))
            weights = per_unit(fitted, differences)
        return scalarised(scores, weights, config.scalariser)


def draw_rows(preferences: Dataset, n: int, seed: int) -> Dataset:
    """Up to ``n`` of the rows. They come in the survey's order, of which the beginning is about few of the values."""
    return preferences.shuffle(seed=seed).select(range(min(n, len(preferences))))


def most_decided_and_others(log_odds: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of up to ``n`` comparisons with valid feedback: half the most decided ones, the rest drawn from the others."""
    valid = np.flatnonzero(~np.isnan(log_odds))
    n = min(n, len(valid))
    # Shuffled first, so that among equally decided ones chance decides.
    valid = rng.permutation(valid)
    ordered = valid[np.argsort(-np.abs(log_odds[valid]), kind="stable")]
    n_most = (n + 1) // 2
    return np.concatenate([ordered[:n_most], rng.permutation(ordered[n_most:])[: n - n_most]])


def shared_rows(comparisons: Sequence[Comparison], log_odds: np.ndarray, rng: np.random.Generator, config: MORLAIFConfig) -> Dataset:
    """Preference rows in the shares that feedback gives: P(first) = 1 / (1 + exp(-log-odds))."""
    return to_preference_dataset(comparisons, share_out(np.tanh(log_odds / 2), config.rows_per_feedback, rng), rng)


def margin_rows(comparisons: Sequence[Comparison], log_odds: np.ndarray, rng: np.random.Generator, config: MORLAIFConfig) -> Dataset:
    """A preference row a comparison, with ``margin`` = |log-odds|: loss -log sigmoid(r_c - r_r - m). Ties are drawn."""
    drawn = rng.choice([-1, 1], len(log_odds))
    votes = np.where(log_odds == 0, drawn, np.sign(log_odds)).astype(np.int8)
    rows = to_preference_dataset(comparisons, votes, rng)
    return rows.add_column("margin", np.abs(log_odds)) if len(rows) else rows


ROWS = {"implicit": shared_rows, "score": margin_rows}
"""What a preference model learns from, by its kind: DPO knows no margins."""


def score_differences(scores: Scores, pairs: Dataset) -> np.ndarray:
    """(n, K) scores of the chosen answers, less those of the rejected ones."""
    chosen, rejected = np.array(scores(*asked_and_answered(pairs))).reshape(2, len(pairs), -1)
    return chosen - rejected


def fit_weights(differences: np.ndarray) -> np.ndarray:
    """(K,) weights of principles in overall preference, from (n, K) score differences of chosen and rejected answers.

    Logistic regression on standardised differences, every pair with both signs (so that there is no intercept), ridge penalty 1. A
    principle that never tells answers apart weighs 0.
    """
    from sklearn.linear_model import LogisticRegression

    sizes = spread(differences)
    standardised = np.divide(differences, sizes, out=np.zeros_like(differences), where=sizes > 0)
    both = np.concatenate([standardised, -standardised])
    labels = np.repeat([1, 0], len(differences))
    return LogisticRegression(fit_intercept=False).fit(both, labels).coef_[0]


def per_unit(weights: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """(K,) weights for scores as they come instead of standardised ones: the reward is then in log-odds of the votes, and at a price of 1
    the best policy is as divided as the voters are.
    """
    sizes = spread(differences)
    return np.divide(weights, sizes, out=np.zeros_like(weights), where=sizes > 0)


def spread(differences: np.ndarray) -> np.ndarray:
    """(K,) standard deviations of (n, K) differences taken with both signs, whose mean is 0; a scalar of (n,)."""
    return np.sqrt(np.mean(differences**2, axis=0))


def scalarised(scores: Scores, weights: np.ndarray, scalariser: str) -> Reward:
    """One reward: the scalariser of s_k = w_k PM_k(x, y)."""
    import torch

    combine = SCALARISERS[scalariser]
    return lambda prompts, replies: combine(torch.tensor(np.array(scores(prompts, replies)) * weights)).tolist()
