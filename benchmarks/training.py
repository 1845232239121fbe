"""Training overhead: ``python benchmarks/training.py`` writes ``docs/training.json`` and prints a table.

Our DPO and on-policy steps against the bare TRL trainer on the same rows, model and settings, in turns within one run, because
machines are noisy. The bare trainer gets the same PEFT model and arguments; it lacks what ``pg_envs.models.tuning.finetune`` adds.
Reported is pairs (or prompts) a second of the whole call, loading included, and the ratio within a turn: median, lowest, highest.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from speed import seconds, spread
from transformers import set_seed

import pg_envs  # noqa: F401 - registers the environments
from agents.lifelong_dpo import LifelongDPOConfig, dpo
from agents.lifelong_rlhf import LifelongRLHFConfig
from agents.on_policy import rloo
from pg_envs.display import quieten_libraries
from pg_envs.models import tuning
from pg_envs.models.loading import default_device
from pg_envs.models.trained import WEIGHTS
from pg_envs.values.survey import to_preference_dataset


def finetune_bare(ref: Any, out: Any, make_trainer: Any, seed: int, config: Any, what: str) -> Any:
    """What ``finetune`` does without its additions: TRL's trainer as it comes."""
    set_seed(seed)
    scratch = Path(out).with_suffix(".scratch")
    trainer = make_trainer(WEIGHTS[config.weights].load(ref, config, scratch), tuning.load_tokenizer(ref), scratch)
    trainer.train()
    return ref


def in_turns(step: Callable[[Path], Any], n_rows: int, turns: int) -> dict[str, Any]:
    """Rows a second of a training step, called with a folder to make, with the bare trainer and with ours, and their ratio in each turn."""
    ours, rates = tuning.finetune, {"bare": [], "ours": []}
    peaks = {"bare": 0, "ours": 0}
    with tempfile.TemporaryDirectory() as folder:
        # The first turn of each warms up and is left out.
        for turn in range(turns + 1):
            for which, finetune in (("bare", finetune_bare), ("ours", ours)):
                # Agents look ``finetune`` up when they are called.
                tuning.finetune = finetune
                if torch.cuda.is_available():
                    # Trainers and models refer to each other, so that the last ones stay until they are looked for.
                    gc.collect()
                    torch.cuda.reset_peak_memory_stats()
                took_s = seconds(lambda out=Path(folder) / f"{which}-{turn}": step(out), default_device())
                if turn:
                    rates[which].append(n_rows / took_s)
                if torch.cuda.is_available():
                    peaks[which] = max(peaks[which], torch.cuda.max_memory_allocated())
    tuning.finetune = ours
    ratios = [a / b for a, b in zip(rates["ours"], rates["bare"], strict=True)]
    report = {f"{which}_per_second": statistics.median(values) for which, values in rates.items()} | {"ours_over_bare": spread(ratios)}
    # Processors' memory is not torch's to count.
    return report | ({f"{which}_peak_bytes": n for which, n in peaks.items()} if torch.cuda.is_available() else {})


def favour_short(prompts: Any, replies: Any) -> np.ndarray:
    """A reward that costs nothing, so that training alone is timed."""
    return -np.array([len(reply) for reply in replies], float)


def main() -> None:
    """Time both in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--out", type=Path, default=Path("docs/training.json"))
    arguments = parser.parse_args()
    quieten_libraries()
    env: Any = gym.make("ProgressGym/Follow-v0").unwrapped
    rng = np.random.default_rng(0)
    votes = rng.choice([-1, 1], len(env.survey))
    rows = to_preference_dataset(env.survey, votes, rng).shuffle(seed=0).select(range(arguments.rows))
    prompts = rows.select_columns(["prompt"])
    policy = env.initial_policy
    steps = {
        # Held to a model as the bare trainer is, so that both do the same work.
        "dpo": lambda out: dpo(policy, rows, out, 0, LifelongDPOConfig(reference="century")),
        "rloo": lambda out: rloo(policy, prompts, favour_short, out, 0, LifelongRLHFConfig()),
    }
    report = {"rows": arguments.rows, "turns": arguments.turns}
    for name, step in steps.items():
        report[name] = in_turns(step, arguments.rows, arguments.turns)
        print(name, json.dumps(report[name]), flush=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
