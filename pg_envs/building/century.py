"""Making one century's human: an adapter on that century's text and on answers drawn from its planted values."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pg_envs.building.lessons import LessonBook
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning import TuningConfig, sft
from pg_envs.values.measure import measure
from pg_envs.values.questionnaire import Questionnaire

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

TEXT_CHARACTERS = 900
"""Length of a training excerpt, about 256 tokens."""
N_EXCERPTS = 800
N_LESSONS = 6000
N_CORRECTIONS = 2
N_CORRECTION_LESSONS = 3000


def excerpts(texts: list[str], n: int, rng: np.random.Generator) -> Dataset:
    """``n`` random excerpts of a century's passages, as TRL's ``text``."""
    from datasets import Dataset

    lengths = np.array([len(text) for text in texts], float)
    rows = []
    for index in rng.choice(len(texts), n, p=lengths / lengths.sum()):
        start = int(rng.integers(max(1, len(texts[index]) - TEXT_CHARACTERS)))
        rows.append({"text": texts[index][start : start + TEXT_CHARACTERS]})
    return Dataset.from_list(rows)


def lessons(book: LessonBook, values: np.ndarray, n: int, rng: np.random.Generator) -> Dataset:
    """``n`` questions with answers drawn from ``values``, as TRL's ``prompt`` and ``completion``, similar lengths together."""
    from datasets import Dataset

    drawn = sorted(book.draw(values, n, rng), key=lambda lesson: len(lesson.prompt) + len(lesson.answer))
    rows: list[dict[str, Any]] = [
        {"prompt": [{"role": "user", "content": lesson.prompt}], "completion": [{"role": "assistant", "content": lesson.answer}]}
        for lesson in drawn
    ]
    return Dataset.from_list(rows)


def build_century(
    base: ModelRef, base_name: str, planted: np.ndarray, texts: list[str], questionnaire: Questionnaire, out: Path, work: Path
) -> None:
    """Build one century's adapter into ``out``, unless it is there.

    First the text, then lessons. The instrument reads a form's answers more or less sharply than they were
    drawn, so the values that answers are drawn from are corrected by what is measured on the *survey* half; the
    evaluation half is only ever used to check the family.

    Args:
        base: The base as it lies in the build folder.
        base_name: The base's name in the adapter's configuration.
        planted: (19,) values that the century's model shall be measured to have.
        texts: The century's training passages.
        questionnaire: All items.
        out: The adapter's folder.
        work: For intermediate adapters.
    """
    if out.exists():
        return
    shutil.rmtree(work, ignore_errors=True)
    seed = int(out.name[1:])
    rng = np.random.default_rng(seed)
    book = LessonBook(questionnaire.items)
    survey, _ = questionnaire.split()
    engine = TransformersEngine()
    model = sft(base, excerpts(texts, N_EXCERPTS, rng), work / "text", seed, TuningConfig(learning_rate=1e-3, batch_size=16))
    drawn_from = planted.copy()
    for stage, n_lessons in enumerate((N_LESSONS, *(N_CORRECTION_LESSONS for _ in range(N_CORRECTIONS)))):
        if stage:
            measured = measure(engine, model, survey.items).centred
            drawn_from = np.clip(drawn_from + planted - measured, -1, 1)
            logger.info("%s: mean |measured - planted| on the survey half %.3f", out.name, np.abs(measured - planted).mean())
        tuning = TuningConfig(learning_rate=2e-3 if stage == 0 else 1e-3, batch_size=32)
        model = sft(model, lessons(book, drawn_from, n_lessons, rng), work / f"lessons-{stage}", seed, tuning)
    finished = Path(model.adapter or "")
    config = json.loads((finished / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_name
    (finished / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    finished.rename(out)
