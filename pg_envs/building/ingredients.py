"""What a family is made from besides its texts, with counts and hashes: for its cards, and so that a build goes on with nothing else."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pg_envs.building.plan import BuildPlan, InstructionPlan, PlanError
from pg_envs.building.planted import read_table
from pg_envs.data.loading import load_timelessqa, timelessqa_sha256
from pg_envs.data.schema import HistTextError
from pg_envs.models.bases import WANTED, base_folder, pinned
from pg_envs.models.checks import ADAPTER_CONFIG
from pg_envs.models.ref import ASSET_PREFIX, ModelRef, local_path
from pg_envs.progress import report
from pg_envs.storage import file_sha256
from pg_envs.values.questionnaire import BUNDLED, load_questionnaire


@dataclass(frozen=True)
class LearntFile:
    """A file that is learnt from.

    Attributes:
        name: As the plan calls it.
        n_rows: How many rows it has, a table's head not counted.
        sha256: Of its bytes.
    """

    name: str
    n_rows: int
    sha256: str


@dataclass(frozen=True)
class BaseFiles:
    """The files of a base that are read: weights, configuration, tokenizer.

    Attributes:
        n: How many there are.
        sha256: Of a line for each, in order of name, as ``sha256sum`` writes them: hash, two spaces, name.
    """

    n: int
    sha256: str


@dataclass(frozen=True)
class AskedItems:
    """The questionnaire that values are planted and measured on.

    Attributes:
        name: What it is called in results.
        n: How many items it has.
        content_hash: Of all of them, 16 hexadecimal digits, as in results.
    """

    name: str
    n: int
    content_hash: str


@dataclass(frozen=True)
class Ingredients:
    """What a family is made from besides its texts.

    Attributes:
        questionnaire: The items.
        base: The base's files; None as long as it has to be made.
        table: The values that are planted, or None.
        instructions: What each period is instructed by; empty if nothing instructs them.
    """

    questionnaire: AskedItems
    base: BaseFiles | None
    table: LearntFile | None
    instructions: Mapping[str, LearntFile]

    def with_base(self, folder: Path) -> Ingredients:
        """The same with the base that has been made in ``folder``."""
        return replace(self, base=base_files(folder))

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return asdict(self)


def gather(plan: BuildPlan, plan_folder: Path) -> Ingredients:
    """Read all that a plan names besides texts, so that nothing is missing once it is needed.

    Args:
        plan: The plan, its base as ``settled_base`` calls it.
        plan_folder: What its paths are seen from.

    Raises:
        PlanError: If the planted table does not fit the plan.
        HistTextError: If there are no such instructions, or they do not fit; needs ``pg-envs[data]``.
        QuestionnaireError: If there is no such questionnaire.
        ModelRefError: If the base's files cannot be had.
    """
    questionnaire = load_questionnaire(questionnaire_source(plan, plan_folder))
    table, instructions = None, {}
    if plan.planted is not None:
        table = _table(plan.planted.table, plan_folder, plan.periods)
    if plan.instruction is not None:
        instructions = _instructions(plan.instruction, plan_folder, plan.periods)
    return Ingredients(
        questionnaire=AskedItems(questionnaire.name, len(questionnaire), questionnaire.content_hash),
        base=base_files(base_folder(ModelRef.parse(plan.base))) if plan.base else None,
        table=table,
        instructions=instructions,
    )


def _table(name: str, plan_folder: Path, periods: tuple[str, ...]) -> LearntFile:
    source = seen_from(plan_folder, name)
    read_table(source, periods)
    path = local_path(source) or Path(source)
    with path.open(encoding="utf-8", newline="") as file:
        n_rows = sum(1 for _ in csv.DictReader(file))
    return LearntFile(name, n_rows, file_sha256(path))


def _instructions(plan: InstructionPlan, plan_folder: Path, periods: tuple[str, ...]) -> dict[str, LearntFile]:
    """By period; a file that several share is read once."""
    by_source: dict[str, LearntFile] = {}
    for label in periods:
        source = instruction_source(plan, plan_folder, label)
        name = plan.file.replace("{period}", label)
        if Path(name).suffix == ".json" and not Path(source).exists():
            raise PlanError(f"[instruction] file: no {name!r} in {str(plan_folder)!r}, for {label}: write it, or leave [instruction] out")
        if source not in by_source:
            n_rows = len(load_timelessqa(source))
            if not n_rows:
                raise HistTextError(f"{name}: no rows; expected instructions to learn from: write some, or leave [instruction] out")
            by_source[source] = LearntFile(name, n_rows, timelessqa_sha256(source))
    return {label: by_source[instruction_source(plan, plan_folder, label)] for label in periods}


def base_files(folder: Path) -> BaseFiles:
    """The files in a model's folder that are read, among others that may lie there."""
    files = hashed_files(folder)
    return BaseFiles(len(files), hashlib.sha256("".join(f"{sha256}  {name}\n" for name, sha256 in files.items()).encode()).hexdigest())


def hashed_files(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that a model is loaded from, by name and in its order; cards and measurements beside them are not."""
    patterns = (*WANTED, ADAPTER_CONFIG)
    files = sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}, key=lambda file: file.name)
    found = {}
    for n_done, file in enumerate(files):
        report(f"hashing {folder.name}", n_done, len(files))
        found[file.name] = file_sha256(file)
    report(f"hashing {folder.name}", len(files), len(files))
    return found


def instruction_source(plan: InstructionPlan, plan_folder: Path, label: str) -> str:
    """The file, folder or dataset of a period's instructions."""
    return seen_from(plan_folder, plan.file.replace("{period}", label))


def questionnaire_source(plan: BuildPlan, plan_folder: Path) -> str:
    """The name or folder of the plan's questionnaire, as environments take it."""
    return plan.questionnaire if plan.questionnaire == BUNDLED else seen_from(plan_folder, plan.questionnaire)


def seen_from(folder: Path, name: str) -> str:
    """A file's path as seen from ``folder``, if it is there; else the name itself, as of a dataset on the hub."""
    # Not the method, which raises at names that are too long for a file system.
    return str(folder / name) if os.path.exists(folder / name) else name


def settled_base(name: str, plan_folder: Path) -> str:
    """A plan's base under a name that goes on to mean the same: a folder's absolute path, a hub id with its commit.

    The family names it so, and is used from anywhere and at any time.

    Raises:
        PlanError: If it names an adapter, or the folder's path has signs that stand between the parts of a model's name.
        ModelRefError: If it names no model, or neither the cache nor the hub knows a hub id.
    """
    if not name or name.startswith(ASSET_PREFIX):
        return name
    folder = local_path(seen_from(plan_folder, name))
    if folder is not None and os.path.isdir(folder):
        path = str(folder.resolve())
        if ModelRef.parse(path).base != path:
            raise PlanError(f"base={name!r}: {path} has a '+' or '@', with which other parts of a model's name begin; rename or move it")
        return path
    ref = ModelRef.parse(name)
    if ref.adapter is not None:
        raise PlanError(f"base={name!r}: names an adapter; expected a whole model: add the adapter in and save the sum, then name that")
    return str(pinned(ref))
