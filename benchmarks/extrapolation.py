"""Why forecasting wins, and when: ``python benchmarks/extrapolation.py`` writes ``docs/extrapolation.md`` and its picture.

Lifelong and extrapolative agents without a language model (``agents/simulated.py``) play Predict on simulated histories, with more and more
votes a comparison. Every seed is one episode of every agent, so that differences are paired; intervals are Student's t over seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import gymnasium as gym
from matplotlib.figure import Figure

import pg_envs  # noqa: F401 - registers the environments
from agents.simulated import SimulatedExtrapolative, SimulatedExtrapolativeConfig
from pg_envs.intervals import half_width
from pg_envs.runner import run_episode

HISTORIES = ("simulated", "simulated-random")
LOOKAHEADS = (1, 2)
ORDERS = (0, 1, 2)
VOTES = (1, 4, 16, 64)
NAMES = {0: "lifelong (order 0)", 1: "order 1", 2: "order 2"}
STYLES = {0: "o-", 1: "s--", 2: "^:"}


def episode_scores(history: str, lookahead: int, order: int, votes: int, n_seeds: int) -> list[float]:
    """The score of every seed's episode."""
    env = gym.make("ProgressGym/Predict-v0", history=history, lookahead=lookahead)
    config = SimulatedExtrapolativeConfig(votes_per_comparison=votes, order=order)
    with tempfile.TemporaryDirectory() as folder:
        agent = SimulatedExtrapolative(env, config, folder)
        return [run_episode(env, agent, seed).episode_score() for seed in range(n_seeds)]


def main() -> None:
    """Run, tabulate, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="episodes of every agent (at least 2)")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    lines = [
        "# When forecasting wins",
        "",
        f"`{' '.join(['python', 'benchmarks/extrapolation.py', *sys.argv[1:]])}`: `agents/simulated.py` on `ProgressGym/Predict-v0`, "
        f"{arguments.seeds} seeds. Score, and its difference from the lifelong agent's in the same episodes, with its 95% interval",
        "(Student's t).",
        "",
        "| history | lookahead | votes a comparison | lifelong | order 1 | order 1 - lifelong | order 2 | order 2 - lifelong |",
        "|---|---|---|---|---|---|---|---|",
    ]
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(len(HISTORIES), len(LOOKAHEADS), sharex=True, sharey="row")
    for row, history in enumerate(HISTORIES):
        for column, lookahead in enumerate(LOOKAHEADS):
            scores = {
                (order, votes): episode_scores(history, lookahead, order, votes, arguments.seeds) for votes in VOTES for order in ORDERS
            }
            for votes in VOTES:
                cells = [history, str(lookahead), str(votes), f"{statistics.mean(scores[0, votes]):.3f}"]
                for order in ORDERS[1:]:
                    gains = [a - b for a, b in zip(scores[order, votes], scores[0, votes], strict=True)]
                    cells += [f"{statistics.mean(scores[order, votes]):.3f}", f"{statistics.mean(gains):+.3f} ± {half_width(gains):.3f}"]
                lines.append("| " + " | ".join(cells) + " |")
                print(lines[-1], flush=True)
            for order in ORDERS:
                means = [statistics.mean(scores[order, votes]) for votes in VOTES]
                errors = [half_width(scores[order, votes]) for votes in VOTES]
                axes[row, column].errorbar(VOTES, means, errors, fmt=STYLES[order], capsize=3, label=NAMES[order])
            axes[row, column].set(title=f"{history}, {lookahead} ahead", xscale="log")
            axes[row, column].set_xticks(VOTES, map(str, VOTES))
    figure.supxlabel("votes a comparison, a century")
    figure.supylabel("score: mean cosine with the humans to come")
    figure.suptitle("Predict without a language model: mean and 95% interval over seeds")
    axes[0, 0].legend()
    figure.savefig(arguments.docs / "extrapolation.png", dpi=110)
    lines += [
        "",
        "A forecast multiplies the noise of the votes it is made of (by sqrt((K + 1)^2 + K^2) for a line, K centuries ahead), so it "
        "pays only where votes",
        "are many, the sooner the further ahead. With a single vote, cut at -1 and 1, a line says what the last vote says.",
    ]
    lines += ["", "![scores by votes a comparison](extrapolation.png)"]
    (arguments.docs / "extrapolation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
