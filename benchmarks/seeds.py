"""Benchmarks that are run seed by seed: finished seeds are kept and not run again, the report is of all that are there."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pg_envs.display import quieten_libraries
from pg_envs.results import write_json

Run = Callable[[int, Path], dict[str, Any]]
"""Given a seed and an empty folder to work in, one seed's results."""
WriteReport = Callable[[list[dict[str, Any]], Path, str], None]
"""Given all results, the folder for reports and the command that asked for it."""


def over_seeds(name: str, description: str, run: Run, write_report: WriteReport) -> None:
    """A benchmark's command line: run the seeds that are missing in ``runs/NAME``, then report.

    Args:
        name: The script's, without ``.py``.
        description: For ``--help``.
        run: One seed.
        write_report: All seeds.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    quieten_libraries()
    folder = Path("runs") / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        path = folder / f"s{seed}.json"
        if not path.exists():
            with tempfile.TemporaryDirectory() as work:
                write_json(path, run(seed, Path(work)))
            print(path.read_text(encoding="utf-8"), flush=True)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    write_report(results, arguments.docs, " ".join(["python", f"benchmarks/{name}.py", *sys.argv[1:]]))
