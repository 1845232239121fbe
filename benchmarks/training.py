"""Training overhead: ``python benchmarks/training.py`` writes ``docs/training.json`` and prints a table.

Our DPO and on-policy steps against TRL's trainers as they come, with the same rows, model, rates, batches and gradient checkpointing (none,
where TRL's default is to have it) and all else at TRL's and transformers' defaults, in turns within one run, because machines are noisy.
Reported is pairs (or prompts) a second of the whole call, loading and saving included, and the ratio within a turn: median, lowest and
highest.
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
from agents.on_policy import OnPolicyConfig, rloo
from agents.seq2seq_rm import Seq2SeqRMConfig
from agents.token_level import train_on_token_rewards
from agents.training import TrainingConfig
from pg_envs.display import quieten_libraries
from pg_envs.models.loading import default_device, inference_dtype, load_tokenizer, uses_bfloat16
from pg_envs.models.ref import ModelRef
from pg_envs.models.trained import WEIGHTS
from pg_envs.results import versions
from pg_envs.values.survey import to_preference_dataset

Step = Callable[[Path], Any]
"""A training, called with a folder to make."""


def bare(ref: ModelRef, rows: Any, trainer_class: Any, arguments: Any, config: TrainingConfig, **more: Any) -> Step:
    """One training by TRL's trainer as it comes, from ``ref`` and with the same kind of adapter as ours."""
    tuning = config.tuning()

    def step(out: Path) -> None:
        set_seed(0)
        model = WEIGHTS[tuning.weights].load(ref, tuning, out.with_suffix(".scratch"))
        settings = arguments(output_dir=str(out))
        trainer_class(model=model, args=settings, train_dataset=rows, processing_class=load_tokenizer(ref), **more).train()
        model.save_pretrained(out)

    return step


def common(config: TrainingConfig) -> dict[str, Any]:
    """Arguments that every bare trainer is given: ours where they decide how much is computed, and nothing that writes or sends."""
    device = default_device()
    return {
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.n_epochs,
        "bf16": uses_bfloat16(device),
        "use_cpu": device.type == "cpu",
        # TRL has it on, and pays a third more work for memory that ours does not save either.
        "gradient_checkpointing": config.gradient_checkpointing,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def bare_dpo(ref: ModelRef, rows: Any, config: LifelongDPOConfig) -> Step:
    """``DPOTrainer``."""
    from trl import DPOConfig, DPOTrainer

    def arguments(**where: Any) -> Any:
        return DPOConfig(beta=config.beta, per_device_train_batch_size=config.batch_size, **common(config), **where)

    return bare(ref, rows, DPOTrainer, arguments, config)


def bare_on_policy(ref: ModelRef, prompts: Any, trainer_class: Any, arguments_class: Any, config: OnPolicyConfig) -> Step:
    """``RLOOTrainer`` or ``GRPOTrainer``, with a reward that costs nothing."""

    def arguments(**where: Any) -> Any:
        return arguments_class(
            beta=config.kl,
            per_device_train_batch_size=config.batch_size * config.n_samples,
            num_generations=config.n_samples,
            max_completion_length=config.max_answer_tokens,
            **common(config),
            **where,
        )

    return bare(ref, prompts, trainer_class, arguments, config, reward_funcs=lambda completions, **_: [0.0] * len(completions))


def whole_call(step: Step, out: Path) -> float:
    """Seconds that a training takes, loading and saving included."""
    return seconds(lambda: step(out), default_device())


def in_turns(bare_step: Step, our_step: Step, n_rows: int, turns: int, clock: Callable[[Step, Path], float] = whole_call) -> dict[str, Any]:
    """Rows a second of both, by what ``clock`` takes for the time of a training, and their ratio in each turn."""
    rates: dict[str, list[float]] = {"bare": [], "ours": []}
    peaks = {"bare": 0, "ours": 0}
    with tempfile.TemporaryDirectory() as folder:
        # The first turn of each warms up and is left out.
        for turn in range(turns + 1):
            for which, step in (("bare", bare_step), ("ours", our_step)):
                if torch.cuda.is_available():
                    # Trainers and models refer to each other, so that the last ones stay until they are looked for.
                    gc.collect()
                    torch.cuda.reset_peak_memory_stats()
                took_s = clock(step, Path(folder) / f"{which}-{turn}")
                if turn:
                    rates[which].append(n_rows / took_s)
                if torch.cuda.is_available():
                    peaks[which] = max(peaks[which], torch.cuda.max_memory_allocated())
    ratios = [a / b for a, b in zip(rates["ours"], rates["bare"], strict=True)]
    report = {f"{which}_per_second": statistics.median(values) for which, values in rates.items()} | {"ours_over_bare": spread(ratios)}
    # Processors' memory is not torch's to count.
    return report | ({f"{which}_peak_bytes": n for which, n in peaks.items()} if torch.cuda.is_available() else {})


def favour_nothing(prompts: Any, replies: Any) -> np.ndarray:
    """A reward that costs nothing, so that training alone is timed."""
    return np.zeros(len(replies))


def main() -> None:
    """Time both in turns."""
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

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
    # ``century`` is held to a model as the bare trainer is, so that both do the same work; ``uniform`` is the default.
    held, default = LifelongDPOConfig(reference="century"), LifelongDPOConfig()
    rlhf, tokens = LifelongRLHFConfig(), Seq2SeqRMConfig(max_answer_tokens=4)
    steps = {
        "dpo": (bare_dpo(policy, rows, held), lambda out: dpo(policy, rows, out, 0, held)),
        "dpo, reference=uniform": (bare_dpo(policy, rows, default), lambda out: dpo(policy, rows, out, 0, default)),
        "rloo": (
            bare_on_policy(policy, prompts, RLOOTrainer, RLOOConfig, rlhf),
            lambda out: rloo(policy, prompts, favour_nothing, out, 0, rlhf),
        ),
        "token-level grpo": (
            bare_on_policy(policy, prompts, GRPOTrainer, GRPOConfig, tokens),
            lambda out: train_on_token_rewards(policy, prompts, lambda p, ids: [[0.0] * len(row) for row in ids], out, 0, tokens),
        ),
    }
    machine = {"threads": torch.get_num_threads(), "dtype": str(inference_dtype(default_device())).removeprefix("torch.")}
    report: dict[str, Any] = {"rows": arguments.rows, "turns": arguments.turns, **machine, "versions": versions()}
    for name, (bare_step, our_step) in steps.items():
        report[name] = in_turns(bare_step, our_step, arguments.rows, arguments.turns)
        print(name, json.dumps(report[name]), flush=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
