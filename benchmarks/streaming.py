"""Peak memory of streaming HistText, as it is and with every file ten times as long, each in a process of its own.

python benchmarks/streaming.py TEXT        # TEXT: a folder of century folders; writes docs/streaming.json
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tyro

from pg_envs.data.loading import load_histtext

TIMES = 10


def main(text: tyro.conf.Positional[Path], out: Path = Path("docs/streaming.json"), child: bool = False, passages: int = -1) -> None:
    """Measure one folder in this process (``child``), or start the processes and write what they say."""
    if child:
        print(json.dumps(stream(text, passages)))
        return
    with tempfile.TemporaryDirectory() as folder:
        longer = lengthen(text, Path(folder))
        rows = {
            "one passage": run_child(text, "--passages", "1"),
            "as it is": run_child(text),
            f"every file {TIMES} times as long": run_child(longer),
        }
    for name, row in rows.items():
        print(f"{name}: {row}")
    out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def stream(folder: Path, passages: int) -> dict[str, Any]:
    """Iterate over all passages, or the first few, and say how many, how long it took and the peak resident memory."""
    started = time.perf_counter()
    n_read = n_chars = 0
    for row in load_histtext(folder, streaming=True):
        n_read += 1
        n_chars += len(row["content"])
        if n_read == passages:
            break
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "passages": n_read,
        "million_chars": round(n_chars / 1e6, 1),
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mb": round(peak_mb),
    }


def lengthen(folder: Path, target: Path) -> Path:
    """Write a copy with each file's list repeated; works line by line, as text."""
    for path in sorted(folder.glob("C*/*.json")):
        inner = path.read_text(encoding="utf-8").strip().removeprefix("[").removesuffix("]")
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(exist_ok=True)
        with copy.open("w", encoding="utf-8") as file:
            file.write("[" + inner)
            for _ in range(TIMES - 1):
                file.write("," + inner)
            file.write("]")
    return target


def run_child(folder: Path, *options: str) -> dict[str, Any]:
    """Measure in a new process, whose peak is its own."""
    done = subprocess.run([sys.executable, __file__, str(folder), "--child", *options], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    tyro.cli(main)
