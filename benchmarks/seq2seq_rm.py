"""A planted flaw, two reward models: ``python benchmarks/seq2seq_rm.py`` writes ``docs/seq2seq_rm.md``, ``.json`` and ``.png``.

The task is ``naming.py``'s. What is truly preferred: things named, less half of the wrong words, less a tenth of the fillers. The flaw:
pairs are kept so that the chosen answer is the longer one in 85 of 100. A scalar reward model and a rewriter learn from the same pairs, a
policy is trained on-policy on each from the same start with the same settings, both rewards in their own standard deviations, and their
answers to new prompts are compared by the true preference. Every seed has a base, pairs and prompts of its own. Finished seeds are kept
in ``runs/seq2seq_rm`` and not run again.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from naming import MAX_ANSWER_TOKENS, Counts, answers_of, base_of, draw_prompt, pairs, prompts
from seeds import over_seeds

from agents.morlaif import spread
from agents.on_policy import rloo
from agents.reward_models import ordered_rightly
from agents.seq2seq_rm import Seq2SeqRMConfig, accuracy, rewriter_reward, total_differences, train_rewriter
from agents.token_level import train_on_token_rewards
from pg_envs.intervals import interval
from pg_envs.models.reward import RewardModel, train_reward_model
from pg_envs.results import write_json

P_LONGER = 0.85
N_PAIRS, N_PROMPTS, N_JUDGED = 1500, 1000, 500
SETTINGS = Seq2SeqRMConfig(
    reward_learning_rate=3e-3,
    reward_epochs=4.0,
    reward_batch_size=16,
    learning_rate=1e-3,
    batch_size=16,
    n_samples=8,
    kl=0.05,
    max_answer_tokens=MAX_ANSWER_TOKENS,
)
POLICIES = ("start", "scalar", "seq2seq")


def true_score(answer: Counts) -> float:
    """What is truly preferred."""
    return answer.named - 0.5 * answer.wrong - 0.1 * answer.fillers


def run(seed: int, work: Path) -> dict[str, Any]:
    """One seed: the two reward models' accuracies, and the three policies' answers."""
    rng = np.random.default_rng([seed, 2])
    base = base_of(seed)
    learnt = pairs(N_PAIRS, true_score, rng, P_LONGER)
    held_out = {"flawed": pairs(N_JUDGED, true_score, rng, P_LONGER), "fair": pairs(N_JUDGED, true_score, rng, 0.5)}
    asked = prompts(N_PROMPTS, rng)
    rewrite = rewriter_reward(train_rewriter(base, learnt, work / "rewriter", seed, SETTINGS))
    scorer = RewardModel([train_reward_model(base, learnt, work / "scalar", seed, SETTINGS.reward_tuning())])

    def scalar(texts: Any, replies: Any) -> list[float]:
        return scorer.score(texts, replies)[:, 0].tolist()

    def scalar_differences(rows: Any) -> np.ndarray:
        texts = [row["prompt"][0]["content"] for row in rows]
        chosen, rejected = (np.array(scalar(texts, [row[side][0]["content"] for row in rows])) for side in ("chosen", "rejected"))
        return chosen - rejected

    # On-policy training weighs rewards against the price of divergence: one in larger numbers would be held back less.
    rewriter_unit = float(spread(total_differences(rewrite, base, held_out["flawed"])))
    scalar_unit = float(spread(scalar_differences(held_out["flawed"])))

    def scaled_scalar(texts: Any, replies: Any) -> list[float]:
        return [value / scalar_unit for value in scalar(texts, replies)]

    def scaled_rewrite(texts: Any, replies: Any) -> list[list[float]]:
        return [[value / rewriter_unit for value in row] for row in rewrite(texts, replies)]

    policies = {
        "start": base,
        "scalar": rloo(base, asked, scaled_scalar, work / "by-scalar", seed, SETTINGS),
        "seq2seq": train_on_token_rewards(base, asked, scaled_rewrite, work / "by-seq2seq", seed, SETTINGS),
    }
    new = [draw_prompt(rng) for _ in range(N_JUDGED)]
    answers = {name: answers_of(policy, new, seed) for name, policy in policies.items()}
    scores = {name: [true_score(answer) for answer in given] for name, given in answers.items()}
    duels = [(ours > theirs) + 0.5 * (ours == theirs) for ours, theirs in zip(scores["seq2seq"], scores["scalar"], strict=True)]
    return {
        "seed": seed,
        "accuracy": {
            "seq2seq": {name: accuracy(rewrite, base, rows) for name, rows in held_out.items()},
            "scalar": {name: ordered_rightly(scalar_differences(rows)) for name, rows in held_out.items()},
        },
        "unit": {"seq2seq": rewriter_unit, "scalar": scalar_unit},
        "win_rate": statistics.mean(duels),
        "length_words": {name: statistics.mean(answer.length for answer in given) for name, given in answers.items()},
        "true_score": {name: statistics.mean(values) for name, values in scores.items()},
    }


def write_report(runs: list[dict[str, Any]], docs: Path, command: str) -> None:
    """The table and the picture of all finished seeds."""
    write_json(docs / "seq2seq_rm.json", {"command": command, "settings": vars(SETTINGS), "runs": runs})
    lines = [
        "# A sequence-to-sequence reward model against a scalar one",
        "",
        f"`{command}`: the task of `benchmarks/naming.py`, {len(runs)} seeds, mean and 95% interval (Student's t). In",
        f"{P_LONGER:.0%} of the pairs that both learn from the chosen answer is the longer one, although fillers make an answer worse.",
        "Both rewards are trained on in the standard deviation of what they make of a pair, at the same price of divergence from the",
        f"start: {SETTINGS.kl} a nat, which TRL's RLOO (the scalar reward) takes off an answer's reward, and TRL's GRPO (token rewards)",
        "adds to the loss token by token (so that no token pays for where it leads: agents/token_level.py says why).",
        "",
        f"**Win rate of training on the rewriter over training on the scalar reward model, by the true preference (a tie is half): "
        f"{interval([run['win_rate'] for run in runs])}**",
        "",
        "| policy | answer length, words | true score | reward model right on held-out pairs | ... on pairs without the flaw |",
        "|---|---|---|---|---|",
    ]
    for name in POLICIES:
        cells = [interval([run[what][name] for run in runs]) for what in ("length_words", "true_score")]
        cells += [interval([run["accuracy"][name][which] for run in runs]) if name != "start" else "" for which in ("flawed", "fair")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Shortness alone is no gain: the true score counts each thing that was asked for, and takes off for wrong things and for fillers.",
        "",
        "![length and true score by policy](seq2seq_rm.png)",
    ]
    (docs / "seq2seq_rm.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axis, what, label in zip(
        figure.subplots(1, 2), ("length_words", "true_score"), ("answer length (words)", "true score (things)"), strict=True
    ):
        for run, marker in zip(runs, "os^Dvxp*<>", strict=False):
            axis.plot(POLICIES, [run[what][name] for name in POLICIES], marker + "-", color="0.35", label=f"seed {run['seed']}")
        axis.set(ylabel=label, xlabel="trained on", title=label.split(" (")[0])
    figure.axes[0].legend(fontsize=8)
    figure.savefig(docs / "seq2seq_rm.png", dpi=110)


if __name__ == "__main__":
    over_seeds("seq2seq_rm", __doc__, run, write_report)
