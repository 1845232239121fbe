"""Report on the bundled histtiny family: ``python benchmarks/histtiny.py --text FOLDER`` writes ``docs/histtiny.md``.

Measures what the family's builder promises: measured against planted values on the evaluation items, order
bias, perplexity on held-out documents of each century (needs the historical text), and whether what is learnt
from the survey carries over to the evaluation items, which takes longest.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from agents.lifelong_dpo import LifelongDPOConfig, dpo
from pg_envs.building.plan_file import read_plan
from pg_envs.building.quality import agreement, distance_closed, perplexity
from pg_envs.building.texts import read_texts
from pg_envs.display import quieten_libraries
from pg_envs.history.base import CENTURIES, Survey
from pg_envs.history.live import LiveHistory, histtiny_refs
from pg_envs.history.trajectories import planted
from pg_envs.models.ref import ModelRef, local_path
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.values.dimensions import DIMENSIONS
from pg_envs.values.measure import measure
from pg_envs.values.questionnaire import load_questionnaire
from pg_envs.values.survey import VOTE_RULES, VoteRule, cast_votes, to_preference_dataset

ROWS_PER_VOTE = 4
TRANSFER_CONFIG = LifelongDPOConfig()
TRANSFERS = (("C013", "C021"), ("C021", "C013"))
ENGINE = TransformersEngine()


@cache
def values(ref: ModelRef, half: str) -> np.ndarray:
    """(19,) centred values of a model on the ``survey`` or the ``evaluation`` half."""
    halves = dict(zip(("survey", "evaluation"), load_questionnaire().split(), strict=True))
    return measure(ENGINE, ref, halves[half].items).centred


def transfer(start: str, target: str, rule: VoteRule, seed: int) -> tuple[float, float]:
    """Parts of the distance closed on the survey and on the evaluation half by DPO on one set of votes."""
    refs = dict(zip(CENTURIES, histtiny_refs(), strict=True))
    survey, evaluation = load_questionnaire().split()
    history = LiveHistory("pair", (refs[start], refs[target]), (start, target), Survey(survey), evaluation)
    history.engine = ENGINE
    rng = np.random.default_rng(seed)
    votes = cast_votes(history.human_survey_preferences(1), rule, rng)
    dataset = to_preference_dataset(history.survey.comparisons, np.tile(votes, (ROWS_PER_VOTE, 1)), rng)
    with tempfile.TemporaryDirectory() as folder:
        learnt = dpo(refs[start], dataset, Path(folder) / "learnt", seed, TRANSFER_CONFIG)
        closed = [
            distance_closed(values(refs[start], half), values(learnt, half), values(refs[target], half))
            for half in ("survey", "evaluation")
        ]
    return closed[0], closed[1]


def draw(measured: np.ndarray, errors: np.ndarray, path: Path) -> None:
    """Planted (lines) and measured (points with standard errors) values of every dimension."""
    figure = Figure(figsize=(13, 9.5), layout="constrained")
    axes = figure.subplots(4, 5, sharex=True, sharey=True)
    x = np.arange(len(CENTURIES))
    for d, dimension in enumerate(DIMENSIONS):
        axis = axes.flat[d]
        axis.axhline(0, color="0.85", linewidth=0.8)
        axis.plot(x, planted()[:, d], color="black", label="planted")
        axis.errorbar(x, measured[:, d], errors[:, d], fmt="o", color="tab:blue", markersize=4, label="measured, evaluation items")
        axis.set_title(dimension.label, fontsize=9)
        axis.set_xticks(x, CENTURIES, fontsize=7, rotation=60)
    figure.supylabel("value, centred: -1 rejects, 0 indifferent, 1 upholds")
    axes.flat[-1].axis("off")
    handles, names = axes.flat[0].get_legend_handles_labels()
    axes.flat[-1].legend(handles, names, loc="center", frameon=False)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, help="historical text, a folder with C013/ ... C021/; without it perplexity is left out")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the report")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the transfer measurements")
    parser.add_argument("--votes", nargs="+", choices=VOTE_RULES, default=list(VOTE_RULES), help="vote rules of the transfer measurements")
    arguments = parser.parse_args()
    quieten_libraries()
    _, evaluation = load_questionnaire().split()
    results = [measure(ENGINE, ref, evaluation.items) for ref in histtiny_refs()]
    measured = np.array([result.centred for result in results])
    errors = np.array([result.standard_errors for result in results])
    biases = [result.answers.order_bias for result in results]
    agreed = agreement(planted(), measured)
    worst_rank, votes = np.nanmin(agreed.rank_correlations), " ".join(arguments.votes)
    lines = [
        "# How good histtiny is",
        "",
        f"Made by `python benchmarks/histtiny.py --text FOLDER --seeds {arguments.seeds} --votes {votes}` from the shipped",
        "weights. Values are **planted**; this report says how well the models hold them, not what people of those centuries valued.",
        "",
        "* Correlation of planted and measured values, all 171 numbers, evaluation items: "
        f"**{agreed.correlation:.3f}** (wanted: at least 0.9)",
        f"* Mean absolute difference: **{agreed.mean_difference:.3f}** (wanted: at most 0.12)",
        f"* Rank correlation over centuries, worst moving dimension: **{worst_rank:.2f}** (wanted: at least 0.8)",
        f"* Order bias, worst century: **{max(biases):.3f}**, mean {np.mean(biases):.3f} (wanted: at most 0.15)",
        "",
        "![Planted and measured values](histtiny.png)",
        "",
        "| dimension | rank correlation | mean difference |",
        "|---|---|---|",
    ]
    for d, dimension in enumerate(DIMENSIONS):
        rank = agreed.rank_correlations[d]
        lines.append(
            f"| {dimension.label} | {'flat' if np.isnan(rank) else f'{rank:.2f}'} | {np.abs(measured - planted())[:, d].mean():.3f} |"
        )
    report = {
        "correlation": agreed.correlation,
        "mean_difference": agreed.mean_difference,
        "order_bias": biases,
        "measured": measured.tolist(),
    }
    if arguments.text:
        lines += ["", "## Perplexity on held-out documents", "", "| century | base | its own model |", "|---|---|---|"]
        plan = read_plan(Path(str(local_path("pg_envs:histtiny/plan.toml"))))
        texts = read_texts(arguments.text, CENTURIES, plan.text.held_out_one_in)
        for century, ref in zip(CENTURIES, histtiny_refs(), strict=True):
            passages = texts[century].held_out
            base, own = perplexity(ref.with_adapter(None), passages), perplexity(ref, passages)
            report.setdefault("perplexity", {})[century] = [base, own]  # type: ignore[index]
            lines.append(f"| {century} | {base:.1f} | {own:.1f} |")
    lines += [
        "",
        "## Learning generalises",
        "",
        "DPO with lifelong DPO's settings, every vote put in four ways, on one set of survey votes of a century eight steps away.",
        "Part of the distance closed (wanted: at least 60% on evaluation items) with the majority's vote on each question, or with",
        "one person's (`sample`), whose chance alone leaves about a third of the distance.",
        "Votes are about survey items only; the lessons that made the family were about the items of both halves, so evaluation",
        "items are new to DPO, not to the models.",
        "",
        "| from, to | votes | seed | survey items | evaluation items |",
        "|---|---|---|---|---|",
    ]
    for rule in arguments.votes:
        for start, target in TRANSFERS:
            for seed in range(arguments.seeds):
                parts = transfer(start, target, rule, seed)
                report.setdefault("transfer", []).append([start, target, rule, seed, *parts])  # type: ignore[attr-defined]
                lines.append(f"| {start}, {target} | {rule} | {seed} | {parts[0]:.0%} | {parts[1]:.0%} |")
    arguments.out.mkdir(exist_ok=True)
    draw(measured, errors, arguments.out / "histtiny.png")
    (arguments.out / "histtiny.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (arguments.out / "histtiny.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
