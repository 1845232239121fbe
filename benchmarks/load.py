"""Much of everything, and what is left of it: ``python benchmarks/load.py`` writes ``docs/load.json``.

Three loads: episodes in an asynchronous vector of simulated environments, a grid of short runs, and very many steps of one environment.
Reported is the memory of this process (and, for the vector, of one of its workers) early on and at the end, and file handles and child
processes before and after. Linux only, since it reads ``/proc``. The exit code is 1 if memory grew by more than ``MOST_GROWTH_MB`` or
anything was left behind.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium as gym

import pg_envs  # noqa: F401 - registers the environments
from pg_envs.benchmark import run_grid
from pg_envs.commands import Benchmark

MOST_GROWTH_MB = 8.0
EARLY = 0.1
"""The share of a load after which memory is looked at first: by then everything has been used once."""


def memory_mb(process: int | str = "self") -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def children() -> list[int]:
    """Processes of this one."""
    return [int(word) for path in Path("/proc/self/task").glob("*/children") for word in path.read_text(encoding="utf-8").split()]


def left_behind(before: tuple[int, int]) -> dict[str, int]:
    """How many file handles and processes there are more than before."""
    gc.collect()
    handles, processes = held()
    return {"file_handles_left": handles - before[0], "processes_left": processes - before[1]}


def held() -> tuple[int, int]:
    """File handles and processes now."""
    return len(list(Path("/proc/self/fd").iterdir())), len(children())


def episodes_in_a_vector(n_episodes: int, n_environments: int) -> dict[str, Any]:
    """At least so many episodes, all environments stepping together; closed twice."""
    # Multiprocessing keeps the shared memory of the first vector for the next; one is made before anything is counted.
    gym.make_vec("ProgressGym/Follow-v0", n_environments, "async", history="simulated").close()
    before, began = held(), time.monotonic()
    envs = gym.make_vec("ProgressGym/Follow-v0", n_environments, "async", history="simulated-random")
    envs.action_space.seed(0)
    envs.reset(seed=0)
    n_done, early, worker = 0, None, children()[-1]
    while n_done < n_episodes:
        _, _, terminated, truncated, _ = envs.step(envs.action_space.sample())
        n_done += int((terminated | truncated).sum())
        if early is None and n_done >= EARLY * n_episodes:
            early = (memory_mb(), memory_mb(worker))
    late = (memory_mb(), memory_mb(worker))
    for _ in range(2):
        envs.close()
    # Python's objects of processes that have ended keep a pipe each as long as somebody keeps them.
    del envs
    told = {"episodes": n_done, "environments": n_environments, "seconds": round(time.monotonic() - began, 1)}
    memory = {"early_mb": early[0], "late_mb": late[0], "worker_early_mb": early[1], "worker_late_mb": late[1]} if early else {}
    return {**told, **memory, **left_behind(before)}


def grid(n_runs: int, workers: int) -> dict[str, Any]:
    """A grid of short runs, each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="pg-envs-load-") as out:
        options = {"history": "simulated", "env_args": ['centuries=["C019", "C021"]'], "workers": workers, "threads": 1}
        run_grid(Benchmark(["no-op"], Path(out) / "small", seeds=[0], **options))
        before, early, began = held(), memory_mb(), time.monotonic()
        outcome = run_grid(Benchmark(["random", "no-op"], Path(out) / "large", seeds=list(range(n_runs // 2)), **options))
        seconds = round(time.monotonic() - began, 1)
        n_finished = len(list(Path(out).glob("large/*/result.json")))
    told = {"runs": n_finished, "failed": len(outcome.errors), "workers": workers, "seconds": seconds}
    return {**told, "early_mb": early, "late_mb": memory_mb(), **left_behind(before)}


def many_steps(n_steps: int) -> dict[str, Any]:
    """Steps of one environment, whole episodes; closed twice."""
    before, began = held(), time.monotonic()
    env = gym.make("ProgressGym/Coevolve-v0", history="simulated-random")
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(100)]
    n, early = 0, None
    while n < n_steps:
        env.reset(seed=n)
        terminated = False
        while not terminated:
            _, _, terminated, _, _ = env.step(actions[n % len(actions)])
            n += 1
        if early is None and n >= EARLY * n_steps:
            early = memory_mb()
    late = memory_mb()
    for _ in range(2):
        env.close()
    return {"steps": n, "seconds": round(time.monotonic() - began, 1), "early_mb": early, "late_mb": late, **left_behind(before)}


def grew(row: dict[str, Any]) -> bool:
    """Whether a load left anything, failed, or made memory grow."""
    pairs = [(key, key.replace("early", "late")) for key in row if "early" in key]
    growth = max(row[late] - row[early] for early, late in pairs)
    return growth > MOST_GROWTH_MB or bool(row.get("failed")) or row["file_handles_left"] > 0 or row["processes_left"] > 0


def main() -> int:
    """Load and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--environments", type=int, default=64)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2_000_000)
    parser.add_argument("--out", type=Path, default=Path("docs/load.json"))
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    for name, load in (
        ("vector", lambda: episodes_in_a_vector(arguments.episodes, arguments.environments)),
        ("steps", lambda: many_steps(arguments.steps)),
        ("grid", lambda: grid(arguments.runs, arguments.workers)),
    ):
        report[name] = load()
        print(f"{name}: {report[name]}", flush=True)
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(map(grew, report.values())))


if __name__ == "__main__":
    sys.exit(main())
