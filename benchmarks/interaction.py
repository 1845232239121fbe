"""Whether training inside a century learns: ``python benchmarks/interaction.py`` writes ``docs/interaction.json`` and prints a table.

``examples/trl_custom_loop.py`` as it stands, several seeds, and again with its reward for agreement left out, so that what comes of the
humans' votes can be told from what GRPO does to any policy. A policy that is never trained stands beside both. Rewards are on items that
are not on the survey. What is finished is written at once, and the same command does the rest.
"""

from __future__ import annotations

import argparse
import json
import runpy
import statistics
import tempfile
from pathlib import Path
from typing import Any

from pg_envs.display import quieten_libraries
from pg_envs.intervals import interval
from pg_envs.storage import write_text

EXAMPLE = Path(__file__).parents[1] / "examples" / "trl_custom_loop.py"


def main() -> None:
    """Train and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=16, help="training steps a century")
    parser.add_argument("--out", type=Path, default=Path("docs/interaction.json"))
    arguments = parser.parse_args()
    quieten_libraries()
    example = runpy.run_path(str(EXAMPLE))
    told_nothing = {name: weight for name, weight in example["WEIGHTS"].items() if name != "agreement"}
    ways = {"all objectives": example["WEIGHTS"], "without agreement": told_nothing}
    report: dict[str, Any] = {"steps": arguments.steps, "episodes": {way: {} for way in ways}}
    if arguments.out.exists():
        kept = json.loads(arguments.out.read_text(encoding="utf-8"))
        report = kept if kept["steps"] == arguments.steps else report
    for seed in arguments.seeds:
        for way, weights in ways.items():
            if str(seed) in report["episodes"][way]:
                continue
            with tempfile.TemporaryDirectory() as folder:
                report["episodes"][way][str(seed)] = list(example["episode"](seed, arguments.steps, weights, folder))
            report["summary"] = summary(report["episodes"])
            write_text(arguments.out, json.dumps(report, indent=1) + "\n")
            print(f"seed {seed}, {way}: {report['summary'][way]}", flush=True)


def summary(episodes: dict[str, dict[str, list[dict[str, Any]]]]) -> dict[str, dict[str, str]]:
    """For each way the mean over seeds, with its 95% interval, of an episode's mean and of its difference from never training."""
    found: dict[str, dict[str, str]] = {}
    for way, by_seed in episodes.items():
        found[way] = {"seeds": str(len(by_seed))}
        for what in ("reward", "agreement"):
            trained, never = (means(by_seed, key) for key in (what, f"{what}_of_never"))
            if trained:
                found[way] |= {what: interval(trained), f"{what} of never": interval(never)}
                found[way][f"{what} gained"] = interval([a - b for a, b in zip(trained, never, strict=True)])
    return found


def means(by_seed: dict[str, list[dict[str, Any]]], key: str) -> list[float]:
    """Each episode's mean over its centuries."""
    return [statistics.mean(century[key] for century in episode) for episode in by_seed.values()]


if __name__ == "__main__":
    main()
