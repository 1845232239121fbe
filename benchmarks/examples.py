"""How long the long examples take: ``python benchmarks/examples.py`` writes ``docs/examples.json``.

Each script of ``examples/`` that runs an agent on histtiny, and the one that builds a history of one's own, as they stand, one after
another, each in a process of its own, in an empty folder; reported are the seconds from its start to its end, loading included, and the
score that it prints. The exit code is 1 if one takes longer than ``PROMISED_S`` says, or fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pg_envs.results import versions

ROOT = Path(__file__).parents[1]
AGENTS = ("lifelong_dpo", "extrapolative_dpo", "lifelong_rlhf", "extrapolative_rlhf", "seq2seq_rm", "morlaif")
PROMISED_S = dict.fromkeys(AGENTS, 600) | {"own_history": 900}
"""On two cores."""


def timed(script: Path) -> dict[str, Any]:
    """The seconds that a script takes and the score that it prints; None where it fails."""
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = subprocess.run([sys.executable, str(script)], cwd=folder, env=around, stdout=subprocess.PIPE, text=True, check=False)
        took_s = time.perf_counter() - started
    score = re.search(r"^score ([+-]\d+\.\d+)", done.stdout, re.MULTILINE)
    return {"seconds": round(took_s, 1), "score": float(score.group(1)) if score and done.returncode == 0 else None}


def within_promise(report: dict[str, Any]) -> bool:
    """Whether all examples came to their end in time."""
    return all(found["score"] is not None and found["seconds"] <= PROMISED_S[name] for name, found in report["examples"].items())


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/examples.json"))
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    report: dict[str, Any] = {"cores": len(cores), "promised_s": PROMISED_S, "versions": versions(), "examples": {}}
    for name in PROMISED_S:
        report["examples"][name] = timed(ROOT / "examples" / f"{name}.py")
        print(name, report["examples"][name], flush=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if within_promise(report) else 1)


if __name__ == "__main__":
    main()
