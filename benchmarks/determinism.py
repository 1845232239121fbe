"""How far numbers differ where only the machinery does: ``python benchmarks/determinism.py`` writes ``docs/determinism.json``.

The values of a histtiny model are measured on some evaluation items with several batch sizes, numbers of threads and sets of instructions
(those of older processors, which torch and its libraries can be told to keep to), each in a process of its own, and once more with the
same. Reported is the largest difference of any option's probability and of any value from the first measurement. The exit code is 1 if one
is larger than ``PROMISED``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pg_envs.history.live import histtiny_refs
from pg_envs.models.transformers_engine import PROCESSOR_BATCH_TOKENS, TransformersEngine
from pg_envs.values.measure import measure
from pg_envs.values.questionnaire import load_questionnaire

PROMISED = {"torch.float32": 1e-5, "torch.bfloat16": 1e-2}
"""What neither a probability nor a value may differ by, by the type of numbers; docs/reliability.md says so."""
OLDER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
OLDEST = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}


@dataclass(frozen=True)
class Way:
    """A way to measure.

    Attributes:
        name: What it is called.
        batch: Tokens a batch, as a share of the usual number.
        threads: Of torch.
        environment: Variables of the process.
    """

    name: str
    batch: float = 1.0
    threads: int = 1
    environment: dict[str, str] = field(default_factory=dict)


WAYS = (
    Way("the same again"),
    Way("half the batch", batch=1 / 2),
    Way("an eighth of the batch", batch=1 / 8),
    Way("twice the batch", batch=2),
    Way("two threads", threads=2),
    Way("eight threads", threads=8),
    Way("sixteen threads", threads=16),
    Way("a processor's instructions without AVX-512", environment=OLDER),
    Way("a processor's instructions without AVX", environment=OLDEST),
)


def answers(batch_tokens: int, n_threads: int, every: int, path: Path) -> None:
    """Write all options' probabilities, and the 19 centred values."""
    torch.set_num_threads(n_threads)
    engine, ref = TransformersEngine(torch.device("cpu"), batch_tokens=batch_tokens), histtiny_refs()[-1]
    measured = measure(engine, ref, load_questionnaire().split()[1].items[::every])
    np.savez(path, probability=np.concatenate(measured.answers.probabilities), value=measured.centred)


def answers_apart(way: Way, every: int) -> dict[str, np.ndarray]:
    """The same in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.npz"
        asked = [str(round(way.batch * PROCESSOR_BATCH_TOKENS)), str(way.threads), str(every), str(path)]
        subprocess.run([sys.executable, __file__, "--answers", *asked], check=True, env={**os.environ, **way.environment})
        with np.load(path) as found:
            return dict(found)


def processor() -> str:
    """The processor's name, as Linux has it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=4, help="every so many-th evaluation item is asked")
    parser.add_argument("--out", type=Path, default=Path("docs/determinism.json"))
    parser.add_argument("--answers", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answers:
        batch_tokens, threads, every, path = arguments.answers
        answers(int(batch_tokens), int(threads), int(every), Path(path))
        return 0
    first = answers_apart(Way("the first"), arguments.every)
    dtype = str(TransformersEngine(torch.device("cpu")).dtype)
    rows: dict[str, dict[str, float]] = {}
    told: dict[str, Any] = {"options": len(first["probability"]), "dtype": dtype, "torch": torch.__version__, "processor": processor()}
    for way in WAYS:
        found = answers_apart(way, arguments.every)
        rows[way.name] = {key: float(np.abs(found[key] - first[key]).max()) for key in first}
        print(f"{way.name}: {rows[way.name]}", flush=True)
        told |= {"promised": PROMISED[dtype], "largest_differences": rows}
        arguments.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return int(max(difference for row in rows.values() for difference in row.values()) > PROMISED[dtype])


if __name__ == "__main__":
    sys.exit(main())
