"""A task with known truth: name the things that were asked for. Used by benchmarks of reward models.

    prompt   Name bread salt wool.
    answer   indeed bread well salt wool friend

Answers differ in what is named, what is named wrongly, how many fillers stand in between, and whether they are courteous; all of it
can be counted, so that any preference over answers can be planted. A small Llama of its own is trained to give all kinds of answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from pg_envs.building.pretrain import make_model
from pg_envs.building.tokenizer import train_tokenizer
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine

BASES = Path("runs/naming")
THINGS = ("bread", "salt", "wool", "milk", "iron", "wood", "corn", "fish", "honey", "stone", "cloth", "rope")
FILLERS = ("indeed", "well", "truly", "so", "then", "also", "surely", "now")
COURTESY = "friend"
N_ASKED = 3
MOST_FILLERS = 6
MAX_ANSWER_TOKENS = 16
SIZES = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
}


@dataclass(frozen=True)
class Counts:
    """What an answer has.

    Attributes:
        named: Things asked for, each counted once.
        wrong: Things not asked for, or named again, and words that are no words here.
        fillers: Words that say nothing.
        courteous: 1 if it has the courtesy, else 0.
    """

    named: int
    wrong: int
    fillers: int
    courteous: int

    @property
    def length(self) -> int:
        """Words."""
        return self.named + self.wrong + self.fillers + self.courteous


Preference = Callable[[Counts], float]
"""How good an answer is."""


def count(prompt: str, answer: str) -> Counts:
    """What an answer to a prompt has."""
    asked = set(prompt.removeprefix("Name ").removesuffix(".").split())
    words = answer.split()
    named = len(asked & set(words))
    fillers = sum(word in FILLERS for word in words)
    courteous = int(COURTESY in words)
    return Counts(named, len(words) - named - fillers - courteous, fillers, courteous)


def draw_prompt(rng: np.random.Generator) -> str:
    """A request for three things."""
    return f"Name {' '.join(rng.choice(THINGS, N_ASKED, replace=False))}."


def draw_answer(prompt: str, rng: np.random.Generator) -> str:
    """An answer of any kind: each thing named, missed or mistaken, fillers in between, courteous or not."""
    words: list[str] = []
    for thing in prompt.removeprefix("Name ").removesuffix(".").split():
        fate = rng.random()
        if fate < 0.65:
            words.append(thing)
        elif fate < 0.85:
            words.append(str(rng.choice(THINGS)))
    for _ in range(rng.integers(MOST_FILLERS + 1)):
        words.insert(rng.integers(len(words) + 1), str(rng.choice(FILLERS)))
    if rng.random() < 0.5 or not words:
        words.append(COURTESY)
    return " ".join(words)


def turn(role: str, text: str) -> list[dict[str, str]]:
    """A conversation of one turn."""
    return [{"role": role, "content": text}]


def prompts(n: int, rng: np.random.Generator) -> Dataset:
    """Prompts for on-policy training."""
    return Dataset.from_list([{"prompt": turn("user", draw_prompt(rng))} for _ in range(n)])


def pairs(n: int, better: Preference, rng: np.random.Generator, p_longer: float | None = None) -> Dataset:
    """Preference pairs: of two answers the better is chosen, equally good ones are drawn again.

    Args:
        n: How many.
        better: What is preferred.
        rng: Source of the draws.
        p_longer: In this share of the pairs the chosen answer is made to be the longer one, in the others it is not; None leaves
            that to chance.
    """
    rows: list[dict[str, Any]] = []
    while len(rows) < n:
        want_longer = None if p_longer is None else rng.random() < p_longer
        while True:
            prompt = draw_prompt(rng)
            answers = [draw_answer(prompt, rng) for _ in range(2)]
            worse, chosen = sorted(answers, key=lambda answer: better(count(prompt, answer)))
            longer = count(prompt, chosen).length > count(prompt, worse).length
            if better(count(prompt, chosen)) > better(count(prompt, worse)) and want_longer in (None, longer):
                break
        rows.append({"prompt": turn("user", prompt), "chosen": turn("assistant", chosen), "rejected": turn("assistant", worse)})
    return Dataset.from_list(rows)


def base_of(seed: int, n_examples: int = 16_000) -> ModelRef:
    """A small Llama that gives all kinds of answers, trained from nothing, and kept for whoever asks again."""
    from trl import SFTConfig, SFTTrainer

    folder = BASES / f"s{seed}"
    if folder.exists():
        return ModelRef(str(folder))
    rng = np.random.default_rng([seed, 1])
    asked = [draw_prompt(rng) for _ in range(n_examples)]
    answers = [draw_answer(prompt, rng) for prompt in asked]
    tokenizer = train_tokenizer([" ".join((*THINGS, *FILLERS, COURTESY, "Name Better this answer: ."))] * 9 + asked + answers)
    model = make_model(tokenizer, seed, SIZES)
    rows = [{"prompt": turn("user", p), "completion": turn("assistant", a)} for p, a in zip(asked, answers, strict=True)]
    making = folder.with_suffix(".making")
    arguments = SFTConfig(
        output_dir=str(making),
        learning_rate=2e-3,
        per_device_train_batch_size=64,
        num_train_epochs=5,
        seed=seed,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
    )
    SFTTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer).train()
    model.save_pretrained(making)
    tokenizer.save_pretrained(making)
    making.rename(folder)
    return ModelRef(str(folder))


def answers_of(policy: ModelRef, asked: Sequence[str], seed: int) -> list[Counts]:
    """One sampled answer to each prompt, counted."""
    replies = TransformersEngine().generate(policy, asked, max_new_tokens=MAX_ANSWER_TOKENS, seed=seed)
    return [count(prompt, reply) for prompt, reply in zip(asked, replies, strict=True)]
