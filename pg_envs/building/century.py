"""Making one century's human: an adapter on that century's text and on answers drawn from its planted values."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainingArguments

from pg_envs.building.lessons import ALL_FORMS, LessonBook
from pg_envs.building.pretrain import AnswerTrainer, Batch, BatchDataset, lesson_batch, similar_lengths, text_batch, token_stream
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning import TuningConfig, finetune, sft, trainer_arguments
from pg_envs.values.items import Questionnaire
from pg_envs.values.measure import measure

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

TEXT_CHARACTERS = 900
"""Length of a training excerpt, about 256 tokens."""
LESSON_BATCH = 24
TEXT_EVERY = 3
"""One batch in so many is the century's text; lessons alone would undo what the text has taught."""


@dataclass(frozen=True)
class Plan:
    """How long a century's adapter learns.

    Attributes:
        n_excerpts: Excerpts of the century's text.
        stages: (steps, learning rate) of the lessons; each stage after the first begins with a correction of the
            values that answers are drawn from.
    """

    n_excerpts: int
    stages: tuple[tuple[int, float], ...]


FROM_BASE = Plan(640, ((100, 3e-3), (50, 1.5e-3)))
FROM_NEIGHBOUR = Plan(96, ((60, 2e-3), (40, 1.5e-3)))
OVERDRIVE = 1.4
"""How much stronger than planted the first answers are drawn: repeated options, read per token, hardly move, so that
the one-letter forms must stand in for them."""
DAMPING = 0.7
"""Part of a measured difference that a correction makes up for; more swings to and fro."""


def excerpts(texts: list[str], n: int, rng: np.random.Generator) -> Dataset:
    """``n`` random excerpts of a century's passages, as TRL's ``text``."""
    from datasets import Dataset

    lengths = np.array([len(text) for text in texts], float)
    rows = []
    for index in rng.choice(len(texts), n, p=lengths / lengths.sum()):
        start = int(rng.integers(max(1, len(texts[index]) - TEXT_CHARACTERS)))
        rows.append({"text": texts[index][start : start + TEXT_CHARACTERS]})
    return Dataset.from_list(rows)


def learn_lessons(
    start: ModelRef,
    book: LessonBook,
    texts: list[str],
    values: np.ndarray,
    emphasis: np.ndarray,
    n_steps: int,
    out: Path,
    seed: int,
    learning_rate: float,
) -> ModelRef:
    """Train the adapter on lessons whose answers are drawn from ``values``, with the century's text mixed in.

    Dimensions stand as often as ``emphasis`` says.
    """
    config = TuningConfig(learning_rate=learning_rate)

    def make_trainer(model: Any, tokenizer: Any, scratch: Path) -> Any:
        stream = token_stream(texts, tokenizer)

        def make_batch(step: int, rng: np.random.Generator) -> Batch:
            if step % TEXT_EVERY == 0:
                return text_batch([stream], rng)
            drawn = book.draw(values, ALL_FORMS, 8 * LESSON_BATCH, rng, emphasis)
            return lesson_batch(similar_lengths(drawn, rng, LESSON_BATCH), tokenizer)

        arguments = {**trainer_arguments(config, scratch, seed), "per_device_train_batch_size": 1, "max_steps": n_steps}
        return AnswerTrainer(
            model=model,
            args=TrainingArguments(**arguments, remove_unused_columns=False, max_grad_norm=1.0),
            train_dataset=BatchDataset(n_steps, seed, make_batch),
            data_collator=lambda batches: batches[0],
        )

    return finetune(start, out, make_trainer, seed, config, what=f"lessons for {out.parent.name}")


def emphasis_on(wrong: np.ndarray) -> np.ndarray:
    """How often each dimension shall stand, from the (19,) absolute differences: the wronger, the oftener."""
    return 0.3 + wrong / max(wrong.mean(), 0.02)


def build_century(start: ModelRef, planted: np.ndarray, texts: list[str], questionnaire: Questionnaire, out: Path, work: Path) -> None:
    """Build one century's adapter into ``out``, unless it is there.

    First the text, then lessons with text mixed in. The instrument reads a form's answers more or less sharply
    than they were drawn, so the values that answers are drawn from are corrected by what is measured on the
    *survey* half; the evaluation half is only ever used to check the family.

    Args:
        start: The base, or the adapter of a neighbouring century: values drift, so a neighbour has less to learn.
        planted: (19,) values that the century's model shall be measured to have.
        texts: The century's training passages.
        questionnaire: All items.
        out: The adapter's folder.
        work: For intermediate adapters.
    """
    if out.exists():
        return
    shutil.rmtree(work, ignore_errors=True)
    plan = FROM_BASE if start.adapter is None else FROM_NEIGHBOUR
    seed = int(out.name[1:])
    rng = np.random.default_rng(seed)
    book = LessonBook(questionnaire.items)
    survey, _ = questionnaire.split()
    engine = TransformersEngine()
    model = sft(start, excerpts(texts, plan.n_excerpts, rng), work / "text", seed, TuningConfig(learning_rate=1e-3, batch_size=16))
    drawn_from, emphasis = np.clip(OVERDRIVE * planted, -1, 1), np.ones(len(planted))
    for stage, (n_steps, learning_rate) in enumerate(plan.stages):
        if stage or start.adapter is not None:
            measured = measure(engine, model, survey.items).centred
            emphasis = emphasis_on(np.abs(planted - measured))
            logger.info("%s: mean |measured - planted| on the survey half %.3f", out.name, np.abs(measured - planted).mean())
        if stage:
            drawn_from = np.clip(drawn_from + DAMPING * (planted - measured), -1, 1)
        model = learn_lessons(model, book, texts, drawn_from, emphasis, n_steps, work / f"lessons-{stage}", seed + stage, learning_rate)
    Path(model.adapter or "").rename(out)


def name_base(adapter: Path, base_name: str) -> None:
    """Write into an adapter's configuration what its base is called where the family ships."""
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_name
    # PEFT keeps them as a set, whose order differs from run to run.
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
