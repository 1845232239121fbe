"""MORLAIF where the truth is known: ``python benchmarks/morlaif.py`` writes ``docs/morlaif.md``, ``.json`` and ``.png``.

The task is ``naming.py``'s. Four principles are judged by a scripted engine that knows what they count, is noisy, and likes the letter A;
a preference model learns each from its feedback, in both orders. Overall preference is a planted weighted sum of what the principles count,
and votes on it are noisy too: from them the linear weights are fitted, and a single preference model learns. A policy is trained on-policy
on either reward. Every seed has a base, pairs and prompts of its own. Finished seeds are kept in ``runs/morlaif`` and not run again.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from matplotlib.figure import Figure
from naming import MAX_ANSWER_TOKENS, Counts, answers_of, base_of, count, draw_answer, draw_prompt, prompts, turn
from seeds import over_seeds

from agents.feedback import judged_by, judged_in_one_order
from agents.morlaif import fit_weights, per_unit, scalarised, score_differences, spread
from agents.on_policy import rloo
from agents.principles import Principle
from agents.reward_models import RewardModelConfig, Scores, ordered_rightly, reward_models
from agents.scalarisers import SCALARISERS
from pg_envs.intervals import interval
from pg_envs.models.engine import AnswerLogprobs
from pg_envs.models.ref import ModelRef
from pg_envs.results import write_json

PLANTED: dict[str, tuple[Principle, Callable[[Counts], float], float]] = {
    "relevance": (Principle("relevance", "Which names more of what was asked?"), lambda c: c.named, 1.0),
    "factuality": (Principle("factuality", "Which names less that is wrong?"), lambda c: -c.wrong, 0.6),
    "conciseness": (Principle("conciseness", "Which has fewer empty words?"), lambda c: -c.fillers, 0.25),
    "courtesy": (Principle("courtesy", "Which is more courteous?"), lambda c: c.courteous, 0.8),
}
"""By name: the principle, what it counts, and its weight in what is truly preferred."""
N_PAIRS, N_HELD_OUT, N_PROMPTS, N_JUDGED = 1000, 500, 1000, 500
JUDGE_SHARPNESS, JUDGE_NOISE, LIKING_FOR_A = 2.0, 1.0, 1.5
"""Of the scripted judge's log-odds: nats a unit counted, standard deviation in nats, and a bonus for the letter A in nats."""
VOTE_SHARPNESS = 1.5
SETTINGS = RewardModelConfig(
    reward_model="score",
    reward_learning_rate=3e-3,
    reward_epochs=3.0,
    reward_batch_size=16,
    learning_rate=1e-3,
    batch_size=16,
    n_samples=8,
    kl=0.05,
    max_answer_tokens=MAX_ANSWER_TOKENS,
)


def true_score(answer: Counts) -> float:
    """What is truly preferred."""
    return sum(weight * counts(answer) for _, counts, weight in PLANTED.values())


class Judge:
    """An engine that is asked ``prompt / A: / B: / question`` and answers by what the principle counts."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Noise is drawn from ``rng``."""
        self._rng = rng
        self._counts = {principle.question: counts for principle, counts, _ in PLANTED.values()}

    def choice_logprobs(self, model: ModelRef, prompts: Sequence[str], answers: Sequence[Sequence[str]]) -> list[AnswerLogprobs]:
        """Log-probabilities of the letters."""
        scored = []
        for asked in prompts:
            prompt, a, b, question = asked.split("\n")
            counts = self._counts[question.removesuffix(" Answer A or B.")]
            difference = counts(count(prompt, a.removeprefix("A: "))) - counts(count(prompt, b.removeprefix("B: ")))
            log_odds = JUDGE_SHARPNESS * difference + LIKING_FOR_A + JUDGE_NOISE * self._rng.normal()
            scored.append(AnswerLogprobs(-np.logaddexp(0, [-log_odds, log_odds]), np.ones(2, int)))
        return scored


def draw_pairs(n: int, rng: np.random.Generator) -> tuple[list[str], list[tuple[str, str]]]:
    """Prompts and two answers to each."""
    asked = [draw_prompt(rng) for _ in range(n)]
    return asked, [(draw_answer(prompt, rng), draw_answer(prompt, rng)) for prompt in asked]


def as_rows(asked: Sequence[str], pairs: Sequence[tuple[str, str]], log_odds: np.ndarray) -> Dataset:
    """TRL's rows: the first answer is chosen where log-odds are positive."""
    return Dataset.from_list(
        [
            {
                "prompt": turn("user", prompt),
                "chosen": turn("assistant", pair[int(odds < 0)]),
                "rejected": turn("assistant", pair[int(odds >= 0)]),
            }
            for prompt, pair, odds in zip(asked, pairs, log_odds, strict=True)
        ]
    )


def counted(asked: Sequence[str], pairs: Sequence[tuple[str, str]], score: Callable[[Counts], float]) -> np.ndarray:
    """(n,) how much more the first answer of each pair has."""
    return np.array([score(count(prompt, a)) - score(count(prompt, b)) for prompt, (a, b) in zip(asked, pairs, strict=True)])


def run(seed: int, work: Path) -> dict[str, Any]:
    """One seed."""
    rng = np.random.default_rng([seed, 3])
    base = base_of(seed)
    asked, pairs = draw_pairs(N_PAIRS, rng)
    judge = Judge(rng)
    feedback = {name: judged_by(judge, base, principle, asked, pairs) for name, (principle, _, _) in PLANTED.items()}
    chances = 1 / (1 + np.exp(-VOTE_SHARPNESS * counted(asked, pairs, true_score)))
    votes = as_rows(asked, pairs, np.where(rng.random(N_PAIRS) < chances, 1.0, -1.0))
    new, new_pairs = draw_pairs(N_HELD_OUT, rng)
    first_chosen = as_rows(new, new_pairs, np.ones(N_HELD_OUT))
    truth = counted(new, new_pairs, true_score)
    by_principle = [as_rows(asked, pairs, odds).add_column("margin", np.abs(odds)) for odds in feedback.values()]
    task = prompts(N_PROMPTS, rng)
    with (
        reward_models(base, by_principle, work / "many", seed, SETTINGS) as many,
        reward_models(base, [votes], work / "single", seed, SETTINGS) as single,
    ):
        on_votes, on_new = score_differences(many, votes), score_differences(many, first_chosen)
        weights = fit_weights(on_votes)
        used = per_unit(weights, on_votes)
        # Both rewards in their own standard deviations: on-policy training weighs them against the price of divergence.
        used = used / spread(on_votes @ used)
        single_unit = spread(score_differences(single, votes)[:, 0])
        policies = {
            "start": base,
            "single": rloo(base, task, lambda p, y: [row[0] / single_unit for row in single(p, y)], work / "by-single", seed, SETTINGS),
            "MORLAIF": rloo(base, task, scalarised(many, used, "linear"), work / "by-many", seed, SETTINGS),
        }
        single_differences = score_differences(single, first_chosen)[:, 0]
        even = np.ones(len(used))
        accuracies = {name: scalariser_right(name, many, used if name == "linear" else even, first_chosen, truth) for name in SCALARISERS}
    fresh = [draw_prompt(rng) for _ in range(N_JUDGED)]
    scores = {name: [true_score(answer) for answer in answers_of(policy, fresh, seed)] for name, policy in policies.items()}
    duels = [(ours > theirs) + 0.5 * (ours == theirs) for ours, theirs in zip(scores["MORLAIF"], scores["single"], strict=True)]
    one_order = Judge(np.random.default_rng([seed, 4]))
    return {
        "seed": seed,
        "principle_accuracy": {
            name: ordered_rightly(on_new[:, k], counted(new, new_pairs, counts)) for k, (name, (_, counts, _)) in enumerate(PLANTED.items())
        },
        "feedback_accuracy": {
            name: {
                "both orders": ordered_rightly(feedback[name], counted(asked, pairs, counts)),
                "one order": ordered_rightly(judged_in_one_order(one_order, base, principle, asked, pairs), counted(asked, pairs, counts)),
            }
            for name, (principle, counts, _) in PLANTED.items()
        },
        "correlation": np.corrcoef(on_new.T).tolist(),
        "weights": dict(zip(PLANTED, weights.tolist(), strict=True)),
        "planted_weights": {name: weight * float(np.std(counted(asked, pairs, counts))) for name, (_, counts, weight) in PLANTED.items()},
        "overall_accuracy": {"single": ordered_rightly(single_differences, truth), **accuracies},
        "win_rate": statistics.mean(duels),
        "true_score": {name: statistics.mean(values) for name, values in scores.items()},
    }


def scalariser_right(name: str, scores: Scores, weights: np.ndarray, rows: Dataset, truth: np.ndarray) -> float:
    """Accuracy of a scalariser of the principles' scores on overall preference."""
    reward = scalarised(scores, weights, name)
    texts = [row["prompt"][0]["content"] for row in rows]
    chosen, rejected = (np.array(reward(texts, [row[side][0]["content"] for row in rows])) for side in ("chosen", "rejected"))
    return ordered_rightly(chosen - rejected, truth)


def write_report(runs: list[dict[str, Any]], docs: Path, command: str) -> None:
    """Tables and picture of all finished seeds."""
    write_json(docs / "morlaif.json", {"command": command, "settings": vars(SETTINGS), "runs": runs})

    def over_seeds(*keys: str) -> str:
        values = []
        for value in runs:
            for key in keys:
                value = value[key]
            values.append(value)
        return interval(values)

    lines = [
        "# Many preference models against one",
        "",
        f"`{command}`: the task of `benchmarks/naming.py`, {len(runs)} seeds, mean and 95% interval (Student's t).",
        "Both rewards are trained on in their own standard deviations. A scripted judge gives feedback by four principles; it is noisy and",
        f"likes the letter A by {LIKING_FOR_A} nats. Preference models have a score head here, and policies are held to the start; the",
        "agent's defaults are implicit models and `reference=uniform`, which need offered answers.",
        "",
        "**Win rate of training on MORLAIF's linear reward over training on a single preference model, by the true preference "
        f"(a tie is half): {over_seeds('win_rate')}**",
        "",
        "| policy | true score |",
        "|---|---|",
        *(f"| {name} | {over_seeds('true_score', name)} |" for name in ("start", "single", "MORLAIF")),
        "",
        "| principle | feedback right, one order | both orders | preference model right | fitted weight | planted weight |",
        "|---|---|---|---|---|---|",
    ]
    for name in PLANTED:
        cells = [
            over_seeds("feedback_accuracy", name, "one order"),
            over_seeds("feedback_accuracy", name, "both orders"),
            over_seeds("principle_accuracy", name),
            over_seeds("weights", name),
            over_seeds("planted_weights", name),
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Fitted weights are log-odds, planted ones scores, in a standard deviation of what the principle says: compare their ratios.",
        "",
        "| reward | right on held-out pairs, by the true preference |",
        "|---|---|",
        *(f"| {name} | {over_seeds('overall_accuracy', name)} |" for name in ("single", *SCALARISERS)),
        "",
        "![correlation of the principles' scores, and weights](morlaif.png)",
    ]
    (docs / "morlaif.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    draw(runs, docs / "morlaif.png")


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """The correlation matrix of the principles' scores, and their weights."""
    names = list(PLANTED)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    correlation = np.mean([run["correlation"] for run in runs], axis=0)
    image = left.imshow(correlation, cmap="RdBu_r", vmin=-1, vmax=1)
    for i, j in np.ndindex(correlation.shape):
        left.text(j, i, f"{correlation[i, j]:.2f}", ha="center", va="center", color="white" if abs(correlation[i, j]) > 0.6 else "black")
    left.set_xticks(range(len(names)), names, rotation=30)
    left.set_yticks(range(len(names)), names)
    left.set_title("correlation of score differences, mean over seeds")
    figure.colorbar(image, ax=left)
    for run, marker in zip(runs, "os^Dvxp*<>", strict=False):
        planted, fitted = ([run[key][name] for name in names] for key in ("planted_weights", "weights"))
        right.plot(planted, fitted, marker, color="0.35", label=f"seed {run['seed']}")
    for name in names:
        right.annotate(name, (runs[0]["planted_weights"][name], runs[0]["weights"][name]), xytext=(6, -10), textcoords="offset points")
    right.set(
        xlabel="planted weight (score in a standard deviation)",
        ylabel="fitted weight (log-odds in a standard deviation)",
        title="linear weights",
    )
    right.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    over_seeds("morlaif", __doc__, run, write_report)
