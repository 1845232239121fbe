"""vLLM against transformers: ``python benchmarks/engines.py`` writes ``docs/engines.json``; needs an environment with vLLM.

Both answer the same questions of a histtiny century in float32, in turns, because machines are noisy; reported are
medians over turns, the lowest and the highest, and by how much the values differ. The first turn is not counted: it
starts and warms up both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from pg_envs.models.engine import Engine, make_engine
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.values.forms import make_questions
from pg_envs.values.measure import measure
from pg_envs.values.questionnaire import load_questionnaire


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--century", default="C013")
    parser.add_argument("--every", type=int, default=8, help="ask every so many-th item")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--engine", default="vllm?dtype=float32&kv_cache_gib=0.25")
    parser.add_argument("--out", type=Path, default=Path("docs/engines.json"))
    args = parser.parse_args()
    items = load_questionnaire().items[:: args.every]
    ref = ModelRef("pg_envs:histtiny/base", adapter=f"pg_envs:histtiny/{args.century}")
    engines: dict[str, Engine] = {
        args.engine: make_engine(args.engine),
        "transformers": TransformersEngine(torch.device("cpu"), torch.float32),
    }
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    values: dict[str, np.ndarray] = {}
    for turn in range(args.turns + 1):
        for name, engine in engines.items():
            started = time.perf_counter()
            values[name] = measure(engine, ref, items).centred
            print(f"turn {turn}, {name}: {time.perf_counter() - started:.1f} s", flush=True)
            if turn:
                seconds[name].append(time.perf_counter() - started)
    n_questions = len(make_questions(items))
    rates = {name: sorted(n_questions / s for s in each) for name, each in seconds.items()}
    found = {
        "threads": torch.get_num_threads(),
        "questions": n_questions,
        "turns": args.turns,
        "largest_difference_of_values": float(np.abs(np.subtract(*values.values())).max()),
        "questions_per_second": {
            name: {"median": statistics.median(each), "lowest": each[0], "highest": each[-1]} for name, each in rates.items()
        },
    }
    print(json.dumps(found, indent=1))
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
