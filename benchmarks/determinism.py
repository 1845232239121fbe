"""How far numbers differ where only the machinery does: ``python benchmarks/determinism.py`` writes ``docs/determinism.json``.

The values of a histtiny model are measured on some evaluation items with several batch sizes and numbers of threads, and once more with
the same. Reported is the largest difference of any option's probability and of any value from the first measurement.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pg_envs.history.live import histtiny_refs
from pg_envs.models.transformers_engine import PROCESSOR_BATCH_TOKENS, TransformersEngine
from pg_envs.values.measure import measure
from pg_envs.values.questionnaire import load_questionnaire


def answers(batch_tokens: int, n_threads: int, items: Any) -> tuple[np.ndarray, np.ndarray]:
    """All options' probabilities, and the 19 centred values."""
    torch.set_num_threads(n_threads)
    engine, ref = TransformersEngine(torch.device("cpu"), batch_tokens=batch_tokens), histtiny_refs()[-1]
    measured = measure(engine, ref, items)
    return np.concatenate(measured.answers.probabilities), measured.centred


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=4, help="every so many-th evaluation item is asked")
    parser.add_argument("--out", type=Path, default=Path("docs/determinism.json"))
    arguments = parser.parse_args()
    items = load_questionnaire().split()[1].items[:: arguments.every]
    usual = PROCESSOR_BATCH_TOKENS
    first = answers(usual, 1, items)
    rows = {}
    for name, batch_tokens, n_threads in (
        ("the same again", usual, 1),
        ("half the batch", usual // 2, 1),
        ("an eighth of the batch", usual // 8, 1),
        ("twice the batch", usual * 2, 1),
        ("two threads", usual, 2),
    ):
        found = answers(batch_tokens, n_threads, items)
        rows[name] = {k: float(np.abs(a - b).max()) for k, a, b in zip(("probability", "value"), found, first, strict=True)}
        print(f"{name}: {rows[name]}", flush=True)
        told = {
            "items": len(items),
            "dtype": str(TransformersEngine(torch.device("cpu")).dtype),
            "torch": torch.__version__,
            "largest_differences": rows,
        }
        arguments.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
