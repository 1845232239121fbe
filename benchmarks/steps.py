"""Speed of the environments on simulated histories: ``python benchmarks/steps.py`` writes ``docs/steps.json``.

Whole episodes with sampled actions prepared beforehand, on one thread; their steps are counted alone and with the resets, in seconds of
processor time, so that what others do on the machine counts less. Challenges take turns, several times over; reported are the median of the
turns, and the lowest and highest. ``reference`` is a fixed piece of plain Python work timed in the same turns, so that numbers from
different machines can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium as gym

import pg_envs  # noqa: F401 - registers the environments

CHALLENGES = ("Follow", "Predict", "Coevolve")
HISTORIES = ("simulated", "simulated-random")


def steps_per_second(env: Any, actions: list[Any], seconds: float) -> tuple[float, float]:
    """Steps a second over whole episodes for about that long: of ``step`` alone, and with the resets."""
    started, n, in_resets = time.process_time(), 0, 0.0
    while time.process_time() - started < seconds:
        began = time.process_time()
        env.reset()
        in_resets += time.process_time() - began
        terminated = False
        while not terminated:
            _, _, terminated, _, _ = env.step(actions[n % len(actions)])
            n += 1
    whole = time.process_time() - started
    return n / (whole - in_resets), n / whole


def reference() -> float:
    """Millions of additions a second in a plain loop."""
    started, total = time.process_time(), 0
    for i in range(2_000_000):
        total += i
    return 2.0 / (time.process_time() - started)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="how often everything is timed")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each challenge is timed in a turn")
    parser.add_argument("--out", type=Path, default=Path("docs/steps.json"))
    arguments = parser.parse_args()
    envs, actions = {}, {}
    for challenge in CHALLENGES:
        for history in HISTORIES:
            name = f"{challenge} on {history}"
            envs[name] = gym.make(f"ProgressGym/{challenge}-v0", history=history).unwrapped
            envs[name].reset(seed=0)
            envs[name].action_space.seed(0)
            actions[name] = [envs[name].action_space.sample() for _ in range(100)]
    turns: dict[str, list[float]] = defaultdict(list)
    for _ in range(arguments.turns):
        for name, env in envs.items():
            alone, with_resets = steps_per_second(env, actions[name], arguments.seconds)
            turns[name].append(alone)
            turns[f"{name}, resets included"].append(with_resets)
        turns["reference"].append(reference())
    report = {name: {"median": statistics.median(v), "lowest": min(v), "highest": max(v)} for name, v in turns.items()}
    for name, row in report.items():
        print(f"{name}: {row['median']:,.0f} ({row['lowest']:,.0f} to {row['highest']:,.0f})")
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
