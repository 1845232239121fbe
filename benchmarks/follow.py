"""Agents on Follow: ``python benchmarks/follow.py`` runs agents x seeds on histtiny and writes ``docs/results.md``.

A call of ``pg-envs benchmark``, which keeps finished runs in ``runs/benchmark``; its table and the first run's picture are the report.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from pg_envs.cli import main as pg_envs
from pg_envs.run_setup import folder_name


def main() -> int:
    """Run what is missing and write the report; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--agents", nargs="+", default=["lifelong-dpo", "sft", "random"])
    parser.add_argument("--history", default="histtiny")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    command = ["benchmark", "--agents", *arguments.agents, "--seeds", *map(str, arguments.seeds), "--history", arguments.history]
    code = pg_envs([*command, "--out", str(arguments.out), "--workers", str(arguments.workers)])
    if code:
        return code
    pictured = arguments.agents[0]
    picture = f"follow-{pictured}.png"
    run = arguments.out / folder_name("Follow", pictured, arguments.history, arguments.seeds[0])
    shutil.copy(run / "trajectory.png", arguments.docs / picture)
    table = (arguments.out / "table.md").read_text(encoding="utf-8").partition("\n")[2]
    planted = "The values are planted ([histtiny.md](histtiny.md)).\n\n" if arguments.history == "histtiny" else ""
    report = f"# Results\n{table}\n{planted}![{pictured}, first seed]({picture})\n"
    (arguments.docs / "results.md").write_text(report, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
