"""Speed of measuring values: ``python benchmarks/measure.py`` writes ``docs/measure.json`` and prints a table.

In turns, several times over, because machines are noisy: the machine's matrix-product peak (the best of several square
sizes), one value measurement of a histtiny century by log-probabilities, and the same questions answered by generating
16 tokens. Ratios are taken within a turn; reported are medians over turns, and the lowest and highest. The share of the
peak counts the model's own multiplications: twice the parameters outside the embedding per token, attention's products,
and the output matrix where logits are taken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from pg_envs.display import quieten_libraries
from pg_envs.history.live import histtiny_refs
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.values.forms import Question, make_questions
from pg_envs.values.questionnaire import load_questionnaire

GENERATED_TOKENS = 16


def peak_flops(dtype: torch.dtype, seconds: float = 1.0) -> float:
    """The best rate of square matrix products found, in floating point operations a second."""
    best = 0.0
    for size in (512, 1024, 2048):
        a, b = torch.randn(2, size, size).to(dtype)
        for _ in range(3):
            a @ b
        started, n = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            a @ b
            n += 1
        best = max(best, n * 2 * size**3 / (time.perf_counter() - started))
    return best


class CountingEngine(TransformersEngine):
    """Counts the multiplications of what it runs."""

    flops = 0.0

    def _score(self, running: Any, prompts: list[list[int]], answers: list[list[list[int]]]) -> Any:
        config = running.config
        width, layers, length = config.hidden_size, config.num_hidden_layers, len(prompts[0])
        weights = sum(
            p.numel()
            for name, p in running.named_parameters()
            if p.ndim == 2 and "embed" not in name and "lora" not in name and "lm_head" not in name
        )
        longest = max(len(ids) for group in answers for ids in group) - 1
        rows = len(prompts) * len(answers[0])
        self.flops += len(prompts) * (2 * weights * length + 4 * layers * width * length**2 + 2 * width * config.vocab_size)
        self.flops += rows * longest * (2 * weights + 4 * layers * width * (length + longest) + 2 * width * config.vocab_size)
        return super()._score(running, prompts, answers)


def one_turn(engine: CountingEngine, ref: ModelRef, questions: list[Question]) -> dict[str, float]:
    """Peak, scoring and generating, one after the other."""
    prompts, answers = [q.prompt for q in questions], [q.answers for q in questions]
    peak = peak_flops(engine.dtype)
    engine.flops = 0.0
    started = time.perf_counter()
    engine.choice_logprobs(ref, prompts, answers)
    scoring_s, flops = time.perf_counter() - started, engine.flops
    started = time.perf_counter()
    engine.generate(ref, prompts, max_new_tokens=GENERATED_TOKENS)
    generating_s = time.perf_counter() - started
    return {
        "peak_gflops": peak / 1e9,
        "questions_per_second": len(questions) / scoring_s,
        "share_of_peak": flops / scoring_s / peak,
        "generating_questions_per_second": len(questions) / generating_s,
        "times_faster_than_generating": generating_s / scoring_s,
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3, help="how often everything is timed")
    parser.add_argument("--out", type=Path, default=Path("docs/measure.json"))
    arguments = parser.parse_args()
    quieten_libraries()
    _, evaluation = load_questionnaire().split()
    questions = make_questions(evaluation.items)
    ref = histtiny_refs()[8]
    report: dict[str, Any] = {"threads": torch.get_num_threads(), "questions": len(questions), "turns": arguments.turns}
    for dtype in dict.fromkeys((TransformersEngine().dtype, torch.float32)):
        engine = CountingEngine(dtype=dtype)
        # Once before, because kernels are compiled for every new shape.
        engine.choice_logprobs(ref, [q.prompt for q in questions], [q.answers for q in questions])
        engine.generate(ref, [q.prompt for q in questions], max_new_tokens=GENERATED_TOKENS)
        turns = [one_turn(engine, ref, questions) for _ in range(arguments.turns)]
        name = str(dtype).removeprefix("torch.")
        report[name] = {}
        for key in turns[0]:
            values = [turn[key] for turn in turns]
            report[name][key] = {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
            print(f"{name}: {key} {statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})", flush=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
