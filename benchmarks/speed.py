"""What the speed benchmarks share: a machine's matrix-product peak, the operations of a computation, and both ways of asking in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.values.forms import Question

GENERATED_TOKENS = 16
PRODUCT_SIZES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192, 16384)}
"""Sides of square matrices, by kind of device."""


def seconds(action: Callable[[], Any], device: torch.device) -> float:
    """How long something takes, until the device has done with it."""
    _wait_for(device)
    started = time.perf_counter()
    action()
    _wait_for(device)
    return time.perf_counter() - started


def peak_flops(dtype: torch.dtype, device: torch.device, at_least_s: float = 1.0) -> float:
    """The best rate of square matrix products found, in floating point operations a second; each size is tried for ``at_least_s``."""
    best = 0.0
    for size in PRODUCT_SIZES[device.type]:
        a, b = torch.randn(2, size, size, device=device).to(dtype)

        def products(n: int, a: torch.Tensor = a, b: torch.Tensor = b) -> None:
            for _ in range(n):
                a @ b

        products(3)
        n = max(1, round(at_least_s / seconds(lambda products=products: products(1), device)))
        best = max(best, n * 2 * size**3 / seconds(lambda products=products, n=n: products(n), device))
    return best


def count_flops(action: Callable[[], Any]) -> int:
    """Floating point operations of the products that something makes, as torch counts them: fused attention's only on a GPU."""
    n_threads = torch.get_num_threads()
    # Only this thread's are counted, so that it has to do everything.
    torch.set_num_threads(1)
    try:
        with FlopCounterMode(display=False) as counter:
            action()
    finally:
        torch.set_num_threads(n_threads)
    return counter.get_total_flops()


def ask_in_turns(
    engine: TransformersEngine, ref: ModelRef, questions: Sequence[Question], turns: int, peak_s: float
) -> dict[str, dict[str, float]]:
    """Peak, log-probabilities and generating, one after the other, ``turns`` times: median, lowest and highest of each number."""
    prompts, answers = [q.prompt for q in questions], [q.answers for q in questions]

    def score() -> None:
        engine.choice_logprobs(ref, prompts, answers)

    def generate() -> None:
        engine.generate(ref, prompts, max_new_tokens=GENERATED_TOKENS)

    # Once before, because kernels are compiled for every new shape.
    flops = count_flops(score)
    generate()
    measured = []
    for _ in range(turns):
        peak, scoring_s, generating_s = (
            peak_flops(engine.dtype, engine.device, peak_s),
            seconds(score, engine.device),
            seconds(generate, engine.device),
        )
        measured.append(
            {
                "peak_gflops": peak / 1e9,
                "questions_per_second": len(questions) / scoring_s,
                "share_of_peak": flops / scoring_s / peak,
                "generating_questions_per_second": len(questions) / generating_s,
                "times_faster_than_generating": generating_s / scoring_s,
            }
        )
    return {key: spread([turn[key] for turn in measured]) for key in measured[0]}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
