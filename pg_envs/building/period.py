"""Making one period's model: continued pretraining on its text, then instruction tuning, then a model card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pg_envs.building.card import write_card
from pg_envs.building.ingredients import Ingredients, instruction_source, seen_from
from pg_envs.building.plan import SEEDS_A_PERIOD, BuildPlan
from pg_envs.building.planted import plant, read_table
from pg_envs.building.quality import Quality, quality_of
from pg_envs.building.texts import PeriodText
from pg_envs.data.loading import load_timelessqa
from pg_envs.history.built import BASE
from pg_envs.models.checks import ADAPTER_CONFIG
from pg_envs.models.ref import ModelRef
from pg_envs.models.trained import WEIGHTS
from pg_envs.models.tuning import sft
from pg_envs.ranks import by_first
from pg_envs.results import write_json
from pg_envs.seals import hold_to_seal, make_once, seal, seal_beside
from pg_envs.storage import naming
from pg_envs.values.items import Questionnaire

if TYPE_CHECKING:
    from datasets import Dataset

FINISHED = "finished"
"""The last stage, which becomes the period's folder in the family."""


@dataclass(frozen=True)
class PeriodBuild:
    """One period to be built.

    Attributes:
        plan: The family's.
        label: The period's.
        text: Its text.
        base: The base.
        neighbour: Label of the period whose model it goes on from; None to start at the base.
        start: That model, or the base.
        plan_folder: What the plan's paths are seen from.
        ingredients: What the family is made from besides its texts.
    """

    plan: BuildPlan
    label: str
    text: PeriodText
    base: ModelRef
    neighbour: str | None
    start: ModelRef
    plan_folder: Path
    ingredients: Ingredients

    @property
    def seed(self) -> int:
        """Of its first stage."""
        return self.plan.seed + SEEDS_A_PERIOD * self.plan.periods.index(self.label)


def build_period(build: PeriodBuild, questionnaire: Questionnaire, out: Path, work: Path) -> ModelRef:
    """Build the period's model into the folder ``out``, unless it is there.

    Stages are kept in ``work`` and skipped when they are there; ``out`` appears when the model and its card are done.

    Raises:
        CannotWrite: If the disk does not take what is made; what was finished is kept.
        Damaged: If a file of a finished stage, or of the period, is missing or has changed.
    """
    weights = WEIGHTS[build.plan.weights]
    if out.exists():
        by_first(lambda: hold_to_seal(out, seal_of_finished(work)))
        return weights.name(build.start, out)
    model = _pretrain(build, work / "pretrained")
    model = _instruct(build, model, questionnaire, work)
    _, evaluation = questionnaire.split()
    quality = quality_of(model, build.base, build.text.held_out, evaluation.items)
    by_first(lambda: _finish(build, Path(model.adapter or model.base), quality, work, out))
    return weights.name(build.start, out)


def seal_of_finished(work: Path) -> Path:
    """Where the hashes of what was finished lie among the stages in ``work``, wherever in the family it is now."""
    return seal_beside(work / FINISHED)


def _finish(build: PeriodBuild, made: Path, quality: Quality, work: Path, out: Path) -> None:
    """Put the model, its card and what was measured into ``out`` in one go."""
    finished = work / FINISHED
    with naming(out):
        shutil.rmtree(finished, ignore_errors=True)
        shutil.copytree(made, finished)
        if build.plan.weights == "lora":
            name_base(finished, build.base.base if build.plan.base else f"{build.plan.name}/{BASE}")
        write_card(finished, build.plan, build.label, build.text, build.ingredients, quality, build.neighbour)
        quality.write(finished)
        seal(finished)
        os.rename(finished, out)


def name_base(adapter: Path, base_name: str) -> None:
    """Write into an adapter's configuration what its base is called, wherever the family is taken."""
    path = adapter / ADAPTER_CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    # PEFT keeps the modules as a set, whose order differs from run to run.
    named = {**config, "base_model_name_or_path": base_name, "target_modules": sorted(config["target_modules"])}
    write_json(path, named)


def _pretrain(build: PeriodBuild, out: Path) -> ModelRef:
    """Continued pretraining on the period's text."""
    plan = build.plan.pretraining

    def train() -> None:
        n_excerpts = plan.n_excerpts
        if build.neighbour is not None and plan.n_excerpts_after_neighbour is not None:
            n_excerpts = plan.n_excerpts_after_neighbour
        pieces = excerpts(build.text.training, plan.excerpt_characters, n_excerpts, np.random.default_rng(build.seed))
        sft(build.start, pieces, out, build.seed, plan.tuning(build.plan.weights, build.plan.lora_rank))

    make_once(out, train)
    return WEIGHTS[build.plan.weights].name(build.start, out)


def excerpts(texts: Sequence[str], n_characters: int, n: int | None, rng: np.random.Generator) -> Dataset:
    """Pieces of texts, as TRL's ``text``.

    Args:
        texts: Passages.
        n_characters: Length of a piece; a text's last one may be shorter.
        n: How many, drawn anywhere, long texts more often; None for all there are, from beginning to end.
        rng: Of the draws.
    """
    from datasets import Dataset

    if n is None:
        return Dataset.from_dict({"text": [text[i : i + n_characters] for text in texts for i in range(0, len(text), n_characters)]})
    lengths = np.array([len(text) for text in texts], float)
    rows = []
    for index in rng.choice(len(texts), n, p=lengths / lengths.sum()):
        start = int(rng.integers(max(1, len(texts[index]) - n_characters)))
        rows.append(texts[index][start : start + n_characters])
    return Dataset.from_dict({"text": rows})


def _instruct(build: PeriodBuild, model: ModelRef, questionnaire: Questionnaire, work: Path) -> ModelRef:
    """Instruction tuning, if the plan has any."""
    if build.plan.planted is not None:
        planted = build.plan.planted
        (wanted,) = read_table(seen_from(build.plan_folder, planted.table), [build.label])
        stages = planted.stages_after_neighbour if build.neighbour is not None else planted.stages
        return plant(model, wanted, build.text.training, questionnaire, stages, work, build.seed + 1)
    if (plan := build.plan.instruction) is not None:
        out = work / "instructed"

        def train() -> None:
            rows = instructions(instruction_source(plan, build.plan_folder, build.label))
            sft(model, rows, out, build.seed + 1, plan.tuning(build.plan.weights, build.plan.lora_rank))

        make_once(out, train)
        return WEIGHTS[build.plan.weights].name(model, out)
    return model


def instructions(source: str) -> Dataset:
    """TimelessQA's rows as conversations, for TRL's ``SFTTrainer``; needs ``pg-envs[data]``.

    Raises:
        HistTextError: As ``load_timelessqa``.
    """

    def as_turns(row: dict[str, str]) -> dict[str, Any]:
        asked = "\n\n".join(part for part in (row["instruction"], row["input"]) if part)
        return {"prompt": [{"role": "user", "content": asked}], "completion": [{"role": "assistant", "content": row["output"]}]}

    rows = load_timelessqa(source)
    return rows.map(as_turns, remove_columns=rows.column_names)
