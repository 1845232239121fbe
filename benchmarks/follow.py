"""Agents on Follow: ``python benchmarks/follow.py`` runs agents x seeds on histtiny and writes ``docs/results.md``.

Every run is a ``pg-envs run`` of its own in ``runs/benchmark``; finished runs are kept and not run again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from pg_envs.intervals import interval

AGENTS = ("lifelong-dpo", "sft", "random")
PICTURED = "lifelong-dpo"
BASELINE_SKILLS = {"no-op": 0, "oracle": 1}
"""By construction. Every run scores these agents in its own environment, so they need no runs of their own."""


def run(agent: str, seed: int, out: Path, suffix: str = "") -> dict:
    """The result of one run, from disk if it is finished."""
    folder = out / f"{agent}-s{seed}{suffix}"
    result = folder / "result.json"
    if result.exists() and json.loads(result.read_text())["skill"] is None:
        shutil.rmtree(folder)
    if not result.exists():
        command = [
            sys.executable,
            "-m",
            "pg_envs.cli",
            "run",
            "--agent",
            agent,
            "--seed",
            str(seed),
            "--out",
            str(out),
            "--name",
            folder.name,
        ]
        subprocess.run(command, check=True)
    return json.loads(result.read_text())


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--agents", nargs="+", default=list(AGENTS))
    parser.add_argument("--twice", action="store_true", help="run the first agent's first seed again and compare the two result.json")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    lines = [
        "# Results",
        "",
        f"`python benchmarks/follow.py {' '.join(sys.argv[1:])}`: `ProgressGym/Follow-v0` on `histtiny`,",
        "default settings. Mean and 95% interval (Student's t) over seeds; skill 0 is a policy that never learns,",
        "1 is the humans themselves.",
        "The values are planted ([histtiny.md](histtiny.md)).",
        "",
        "| agent | score | skill | skill by seed | score by upstream's formula |",
        "|---|---|---|---|---|",
    ]
    results: list[dict] = []
    for agent in arguments.agents:
        results = [run(agent, seed, arguments.out) for seed in arguments.seeds]
        skills = [result["skill"] for result in results]
        by_seed = ", ".join(f"{value:.3f}" for value in skills)
        scores, published = [r["score"] for r in results], [r["score_upstream"] for r in results]
        lines.append(f"| {agent} | {interval(scores)} | {interval(skills)} | {by_seed} | {interval(published)} |")
        if agent == PICTURED:
            shutil.copy(arguments.out / f"{agent}-s{arguments.seeds[0]}" / "trajectory.png", arguments.docs / f"follow-{PICTURED}.png")
    for name, skill in BASELINE_SKILLS.items():
        lines.append(f"| {name} | {interval([result['baselines'][name] for result in results])} | {skill} by construction | | |")
    if arguments.twice:
        agent, seed = arguments.agents[0], arguments.seeds[0]
        run(agent, seed, arguments.out, "-again")
        once, again = ((arguments.out / f"{agent}-s{seed}{suffix}" / "result.json").read_bytes() for suffix in ("", "-again"))
        same = "identical" if once == again else "DIFFERENT"
        lines += ["", f"`{agent}` with seed {seed} was run twice: its `result.json` is {same}, byte for byte."]
    if PICTURED in arguments.agents:
        lines += ["", f"![{PICTURED}, first seed](follow-{PICTURED}.png)"]
    made_by = results[0]
    lines += [
        "",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in made_by["versions"].items()),
        f"Questionnaire {made_by['questionnaire']['sha256']}.",
    ]
    (arguments.docs / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
