"""Speed of measuring values: ``python benchmarks/measure.py`` writes ``docs/measure.json`` and prints a table.

In turns, several times over, because machines are noisy: the machine's matrix-product peak (the best of several square
sizes), one value measurement of a histtiny century by log-probabilities, and the same questions answered by generating
16 tokens. Ratios are taken within a turn; reported are medians over turns, and the lowest and highest. The share of the
peak counts the products that the model makes (``speed.count_flops``).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from speed import ask_in_turns

from pg_envs.display import quieten_libraries
from pg_envs.history.live import histtiny_refs
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.values.forms import make_questions
from pg_envs.values.questionnaire import load_questionnaire


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3, help="how often everything is timed")
    parser.add_argument("--out", type=Path, default=Path("docs/measure.json"))
    arguments = parser.parse_args()
    quieten_libraries()
    _, evaluation = load_questionnaire().split()
    questions = make_questions(evaluation.items)
    report: dict[str, Any] = {"threads": torch.get_num_threads(), "questions": len(questions), "turns": arguments.turns}
    for dtype in dict.fromkeys((TransformersEngine().dtype, torch.float32)):
        name = str(dtype).removeprefix("torch.")
        report[name] = ask_in_turns(TransformersEngine(dtype=dtype), histtiny_refs()[8], questions, arguments.turns, peak_s=1.0)
        for key, each in report[name].items():
            print(f"{name}: {key} {each['median']:.3g} ({each['lowest']:.3g} to {each['highest']:.3g})", flush=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
