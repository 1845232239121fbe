"""Planting values: an adapter learns questionnaire answers drawn from known values, until it is measured to have them."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainingArguments

from pg_envs.building.lessons import ALL_FORMS, LessonBook
from pg_envs.building.plan import PlanError
from pg_envs.building.pretrain import AnswerTrainer, Batch, BatchDataset, lesson_batch, similar_lengths, text_batch, token_stream
from pg_envs.history.trajectories import read_trajectory
from pg_envs.models.ref import ModelRef, local_path
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning import finetune
from pg_envs.models.tuning_config import TuningConfig, trainer_arguments
from pg_envs.seals import make_once
from pg_envs.values.dimensions import DIMENSIONS
from pg_envs.values.items import Questionnaire
from pg_envs.values.measure import measure

logger = logging.getLogger(__name__)

LESSON_BATCH = 24
TEXT_EVERY = 3
"""One batch in so many is the period's text; lessons alone would undo what the text has taught."""
OVERDRIVE = 1.4
"""How much stronger than planted the first answers are drawn: repeated options, read per token, hardly move, so that
the one-letter forms must stand in for them."""
DAMPING = 0.7
"""Part of a measured difference that a correction makes up for; more swings to and fro."""


def read_table(table: str, periods: Sequence[str]) -> np.ndarray:
    """The (N, 19) values to plant, in the instrument's units, from a CSV with a row a dimension and a column a period.

    Raises:
        PlanError: If the file is missing, lacks a dimension or a period, or has something else than numbers from -1 to 1.
    """
    path = local_path(table) or Path(table)
    try:
        values = read_trajectory(path, periods)
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise PlanError(
            f"{path}: expected a column 'dimension' and one for each of {', '.join(periods)}, and {len(DIMENSIONS)} rows: {error!r}"
        ) from error
    if not (np.abs(values) <= 1).all():
        raise PlanError(f"{path}: expected numbers from -1 to 1, found {values[~(np.abs(values) <= 1)][0]}")
    return values


def learn_lessons(
    start: ModelRef,
    book: LessonBook,
    texts: Sequence[str],
    values: np.ndarray,
    emphasis: np.ndarray,
    n_steps: int,
    out: Path,
    seed: int,
    learning_rate: float,
) -> ModelRef:
    """Train the adapter on lessons whose answers are drawn from ``values``, with the period's text mixed in.

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


def plant(
    start: ModelRef,
    wanted: np.ndarray,
    texts: Sequence[str],
    questionnaire: Questionnaire,
    stages: Sequence[tuple[int, float]],
    out: Path,
    seed: int,
) -> ModelRef:
    """Train an adapter until it is measured to hold ``wanted``; every stage is kept in ``out``, and skipped when it is there and as it was.

    The instrument reads a form's answers more or less sharply than they were drawn, so the values that answers are drawn from
    are corrected by what is measured on the *survey* half. The lessons are about all items, those of the evaluation half too:
    what is measured there afterwards tells how well values were planted, not what carries over to unseen items.

    Args:
        start: Where to start, with the period's text already learnt.
        wanted: (19,) values.
        texts: The period's passages, mixed into the lessons.
        questionnaire: All items; lessons are given on both halves.
        stages: Steps and learning rate of each stage; from the second on, answers are drawn from corrected values.
        out: Folder for the stages' adapters.
        seed: Of the draws.
    """
    book, engine = LessonBook(questionnaire.items), TransformersEngine()
    survey, _ = questionnaire.split()
    drawn_from, model = np.clip(OVERDRIVE * wanted, -1, 1), start
    for stage, (n_steps, learning_rate) in enumerate(stages):
        measured = measure(engine, model, survey.items).centred
        emphasis = emphasis_on(np.abs(wanted - measured))
        logger.info("%s: mean |measured - planted| on the survey half %.3f", out.name, np.abs(measured - wanted).mean())
        if stage:
            drawn_from = np.clip(drawn_from + DAMPING * (wanted - measured), -1, 1)
        folder = out / f"lessons-{stage}"
        make_once(folder, partial(learn_lessons, model, book, texts, drawn_from, emphasis, n_steps, folder, seed + stage, learning_rate))
        model = start.with_adapter(folder)
    return model
