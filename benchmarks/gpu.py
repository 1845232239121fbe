"""Speed and memory with a model of Llama-3-8B's size: ``python benchmarks/gpu.py`` on a GPU, with ``--size tiny`` on anything.

The weights are random, since speed does not depend on them, and no download is needed; they are written to a temporary folder (16 GB) and
loaded from there as any model is. The tokenizer is histtiny's, which has other and more tokens for the same text than Llama's.
Measured: the matrix-product peak and the share of it that measuring values reaches, questions a second by log-probabilities and by
generating, of the base and with an adapter on it, seconds to load the model, and preference pairs a second (without loading and saving)
and peak memory of a DPO training with LoRA, ours against the bare TRL trainer. The time of an episode is calculated from these by the
formula that the report gives. Written is ``docs/gpu.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gymnasium as gym
import numpy as np
import torch
from llama3 import LLAMA_3_8B
from speed import GENERATED_TOKENS, ask_in_turns, seconds
from training import Step, bare_dpo, in_turns
from transformers import LlamaConfig, LlamaForCausalLM
from trl import DPOTrainer

import pg_envs  # noqa: F401 - registers the environments
from agents.lifelong_dpo import LifelongDPOConfig, dpo
from agents.reference_first import ReferenceFirstDPOTrainer
from agents.votes import at_most_per_item
from pg_envs.display import quieten_libraries
from pg_envs.models.encoding import encode_prompts
from pg_envs.models.loading import default_device, load_base, load_tokenizer
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.results import versions
from pg_envs.values.forms import make_questions
from pg_envs.values.survey import VOTE_FORMS, to_preference_dataset

TINY = {
    "vocab_size": 8192,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}
SIZES = {"8b": LLAMA_3_8B, "tiny": TINY}
N_CENTURIES = 9
FORMULA = (
    "episode_s = 9 * (load_s + (survey_questions + evaluation_questions) / questions_per_second) "
    "+ 8 * (2 * load_s + pairs / pairs_per_second + evaluation_questions / policy_questions_per_second): "
    "the humans of nine centuries are loaded, asked the survey and measured; in each but the first a policy is loaded, trained as "
    "lifelong-dpo does by default, loaded once more and measured, with its adapter beside the base. The baselines no-op and oracle are "
    "humans, measured already; saving, and starting Python, are left out"
)


def save_at_random(size: str, folder: Path, engine: TransformersEngine) -> ModelRef:
    """A random model in ``folder``, with histtiny's tokenizer."""
    tokenizer = load_tokenizer(ModelRef("pg_envs:histtiny/base"))
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    torch.manual_seed(0)
    torch.set_default_dtype(engine.dtype)
    with engine.device:
        model = LlamaForCausalLM(LlamaConfig(**SIZES[size], **special))
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelRef(str(folder))


def training_alone(step: Step, out: Path) -> float:
    """Seconds of what the trainer calls training, reading the reference included, but neither loading nor saving."""
    spent: list[float] = []

    def timed(train: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: spent.append(seconds(lambda: train(*args, **kwargs), default_device()))

    # Ours is on top of TRL's, and the outer one ends last.
    with ExitStack() as stack:
        for trainer in (DPOTrainer, ReferenceFirstDPOTrainer):
            stack.enter_context(patch.object(trainer, "train", timed(trainer.train)))
        step(out)
    return spent[-1]


def episode_seconds(
    counts: dict[str, int], questions_per_second: float, policy_questions_per_second: float, pairs_per_second: float, load_s: float
) -> float:
    """See ``FORMULA``."""
    humans_s = load_s + (counts["survey_questions"] + counts["evaluation_questions"]) / questions_per_second
    policy_s = 2 * load_s + counts["pairs"] / pairs_per_second + counts["evaluation_questions"] / policy_questions_per_second
    return N_CENTURIES * humans_s + (N_CENTURIES - 1) * policy_s


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="8b")
    parser.add_argument("--turns", type=int, default=3, help="how often everything is timed")
    parser.add_argument("--questions", type=int, default=512, help="about how many of the evaluation's: all of every n-th item")
    parser.add_argument("--pairs", type=int, default=64, help="of a century's, as they come")
    parser.add_argument("--peak-seconds", type=float, default=1.0, help="for each size of product")
    parser.add_argument("--batch-tokens", type=int, default=None, help="the engine's; its own default if left out")
    parser.add_argument("--out", type=Path, default=Path("docs/gpu.json"))
    arguments = parser.parse_args()
    quieten_libraries()
    env: Any = gym.make("ProgressGym/Follow-v0").unwrapped
    evaluation, survey = make_questions(env.evaluation.items), make_questions(env.survey_data.questionnaire.items, VOTE_FORMS)
    # Held to a model as the bare trainer is, so that both do the same work.
    config, rng = LifelongDPOConfig(reference="century"), np.random.default_rng(0)
    votes = at_most_per_item(rng.choice([-1, 1], (1, len(env.survey))), env.survey, config.comparisons_per_item, rng)
    pairs = to_preference_dataset(env.survey, votes, rng)
    counts = {"evaluation_questions": len(evaluation), "survey_questions": len(survey), "pairs": len(pairs)}
    # Whole items, whose questions begin alike, as in a whole measurement.
    asked = make_questions(env.evaluation.items[:: math.ceil(len(evaluation) / arguments.questions)])
    rows = pairs.shuffle(seed=0).select(range(min(arguments.pairs, len(pairs))))
    engine = TransformersEngine(batch_tokens=arguments.batch_tokens)
    with tempfile.TemporaryDirectory() as folder:
        ref = save_at_random(arguments.size, Path(folder) / "model", engine)
        # A learning rate that leaves random weights finite; it changes no speed.
        learning = replace(config, learning_rate=1e-5)
        ours = partial(dpo, ref, rows, seed=0, config=learning)
        training = in_turns(bare_dpo(ref, rows, learning), ours, len(rows), arguments.turns, training_alone)
        policy = ours(Path(folder) / "policy")
        load_s = seconds(lambda: load_base(ref, engine.dtype, engine.device), engine.device)
        asking = ask_in_turns(engine, ref, asked, arguments.turns, arguments.peak_seconds)
        policy_asking = ask_in_turns(engine, policy, asked, arguments.turns, arguments.peak_seconds)
        lengths = [len(ids) for ids in encode_prompts(load_tokenizer(ref), [question.prompt for question in asked])]
    report = {
        "device": torch.cuda.get_device_name(engine.device) if engine.device.type == "cuda" else platform.processor() or platform.machine(),
        "size": arguments.size,
        "dtype": str(engine.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "turns": arguments.turns,
        "asking": {
            "questions": len(asked),
            "batch_tokens": engine.batch_tokens,
            "prompt_tokens": {"mean": float(np.mean(lengths)), "lowest": min(lengths), "highest": max(lengths)},
            "generated_tokens": GENERATED_TOKENS,
            **asking,
        },
        "asking_with_adapter": policy_asking,
        "load_s": load_s,
        "dpo": {"pairs": len(rows), "batch_size": config.batch_size, **training},
        "episode": {
            "formula": FORMULA,
            **counts,
            "episode_s": episode_seconds(
                counts,
                asking["questions_per_second"]["median"],
                policy_asking["questions_per_second"]["median"],
                training["ours_per_second"],
                load_s,
            ),
        },
        "versions": versions(),
    }
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
