"""Building a family of historical models as a plan says; every finished stage is kept, so that a killed build goes on."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pg_envs.alone import alone_in, end_with_parent
from pg_envs.building.base import make_base
from pg_envs.building.card import CARD, write_base_card
from pg_envs.building.checks import check_held_out, check_lessons
from pg_envs.building.ingredients import Ingredients, gather, hashed_files, questionnaire_source, settled_base
from pg_envs.building.period import PeriodBuild, build_period, seal_of_finished
from pg_envs.building.plan import BuildPlan, PlanError, ScratchPlan
from pg_envs.building.plan_file import read_plan
from pg_envs.building.quality import base_quality_of
from pg_envs.building.texts import PeriodText, read_texts
from pg_envs.data.schema import Years
from pg_envs.history.built import BASE, FAMILY, Family
from pg_envs.models.checks import check_files
from pg_envs.models.loading import load_tokenizer
from pg_envs.models.ref import ModelRef
from pg_envs.plain_json import Limits, read_plain_json
from pg_envs.progress import report, reporting_to
from pg_envs.ranks import by_first, n_ranks
from pg_envs.results import write_json
from pg_envs.seals import hold_to_seal
from pg_envs.storage import naming
from pg_envs.values.questionnaire import load_questionnaire

logger = logging.getLogger(__name__)

NOTE_LIMITS = Limits(max_bytes=16 << 20, max_text=1 << 20)
"""Of what is noted of a build that was begun: a plan may have a period a year."""


@dataclass(frozen=True)
class Places:
    """Where a build's files are.

    Attributes:
        plan: The plan's file.
        text: The folder of texts.
        out: The family's folder.
    """

    plan: Path
    text: Path
    out: Path

    @property
    def work(self) -> Path:
        """Unfinished stages."""
        return self.out.with_name(f"{self.out.name}.work")


def build_history(plan_file: Path, out: Path, text: Path | None = None) -> Family:
    """Build a family; the same call goes on with an interrupted build. Where several processes do it, all must call this.

    Each period's folder appears in ``out`` when its model and card are done, and ``history.json`` when all are. Unfinished
    stages lie in ``OUT.work``, which can be removed then.

    Args:
        plan_file: See ``BuildPlan``.
        out: The family's folder.
        text: Instead of the plan's ``text.folder``; see ``read_texts``.

    Raises:
        FileExistsError: If ``out`` has a finished family.
        InUse: If another process builds there.
        CannotWrite: If the disk does not take what is made; what was finished is kept.
        ChildProcessError: If a process that builds chains beside others died; the others' chains are finished first.
        Damaged: If a file of something that was finished is missing or has changed.
        PlanError: If the plan cannot be carried out, ``out`` has no name, or what is begun there is of another plan, or not known to be
            of this one.
        HistTextError: If there is no such text, or there are no such instructions, or they do not fit.
        QuestionnaireError: If there is no such questionnaire.
        ModelRefError: If the base does not load.
    """
    if out.name in ("", ".."):
        raise PlanError(f"{str(out)!r}: expected a folder by its name, as what is unfinished lies in NAME.work beside it; give one")
    plan = read_plan(plan_file)
    plan = replace(plan, base=settled_base(plan.base, plan_file.parent))
    places = Places(plan_file, text or plan_file.parent / plan.text.folder, out)
    if (out / FAMILY).exists():
        raise FileExistsError(f"{out} has a finished family, and nothing is overwritten; choose another folder")
    if n_ranks() > 1 and (plan.workers > 1 or plan.scratch is not None or plan.planted is not None):
        raise PlanError(
            f"{plan_file}: workers > 1, [scratch] and [planted] are for one process, and {n_ranks()} were launched; leave one out"
        )
    if plan.base:
        check_files(ModelRef.parse(plan.base))
    ingredients = by_first(lambda: gather(plan, plan_file.parent))
    report("reading the texts", 0, 1)
    texts = read_texts(places.text, plan.periods, plan.text.held_out_one_in, Years(*plan.text.years), plan.text.on_bad)
    if plan.base:
        tokenizer = load_tokenizer(ModelRef.parse(plan.base))
        check_held_out(texts, tokenizer)
        if plan.planted is not None:
            check_lessons(texts, tokenizer)
    with ExitStack() as held:
        # The first process holds the folder, for all.
        by_first(lambda: held.enter_context(alone_in(places.work)))
        by_first(lambda: _begin(places, _identity(plan, ingredients, texts)))
        if plan.scratch is not None:
            ingredients = _build_base(plan, plan.scratch, places, texts, ingredients)
        _build_periods(plan, places, texts, ingredients)
        family = Family(plan.name, plan.periods, plan.weights, plan.base)
        family = replace(family, files=by_first(lambda: {name: _hashes(places, name) for name in family.folders}))
        by_first(lambda: write_json(out / FAMILY, family.to_json()))
    return family


def _hashes(places: Places, name: str) -> dict[str, str]:
    """Of the files of a finished folder, once it is known to be what it was when it was finished, days ago perhaps."""
    hold_to_seal(places.out / name, seal_of_finished(places.work / name))
    return hashed_files(places.out / name)


def _identity(plan: BuildPlan, ingredients: Ingredients, texts: Mapping[str, PeriodText]) -> dict[str, Any]:
    """All that a build is made from: the plan, and the content of what it names."""
    # With other workers the same is built, as one must whose memory did not do for so many.
    return {"plan": repr(replace(plan, workers=1)), "texts": {label: text.sha256 for label, text in texts.items()}, **ingredients.to_json()}


def _begin(places: Places, ours: dict[str, Any]) -> None:
    """Note what is being built, or make sure that what was begun is the same: finished stages are not made again."""
    with naming(places.out):
        places.out.mkdir(parents=True, exist_ok=True)
    path = places.work / "begun.json"
    if not path.exists():
        if any(places.out.iterdir()):
            raise PlanError(
                f"{places.out} is not empty, and without {path} nothing tells what it was made from; remove it, or choose another folder"
            )
        write_json(path, ours)
        return
    remedy = f"remove {places.work} and {places.out}, or choose another folder"
    if read_plain_json(path, PlanError, remedy, NOTE_LIMITS) != ours:
        raise PlanError(
            f"{places.work} and {places.out} are the beginning of a build from another plan, other texts, or other files that the plan "
            "names; remove both, or choose another folder"
        )


def _build_base(
    plan: BuildPlan, scratch: ScratchPlan, places: Places, texts: Mapping[str, PeriodText], ingredients: Ingredients
) -> Ingredients:
    """Make the base and its card; the ingredients with it."""
    folder, questionnaire = places.out / BASE, load_questionnaire(questionnaire_source(plan, places.plan.parent))
    make_base(scratch, texts, questionnaire, folder, places.work / BASE, plan.seed)
    ingredients = ingredients.with_base(folder)
    if not (folder / CARD).exists():
        _, evaluation = questionnaire.split()
        quality = base_quality_of(ModelRef(str(folder)), {label: text.held_out for label, text in texts.items()}, evaluation.items)
        write_base_card(folder, plan, texts, ingredients, quality)
    return ingredients


def _build_periods(plan: BuildPlan, places: Places, texts: Mapping[str, PeriodText], ingredients: Ingredients) -> None:
    """All chains, several at a time if the plan says so."""
    jobs = [(plan, places, chain, {label: texts[label] for label in chain}, ingredients) for chain in plan.all_chains()]
    if plan.workers == 1:
        for n_done, job in enumerate(jobs):
            report(f"building {', '.join(job[2])}", n_done, len(jobs))
            build_chain(*job)
        return
    with ThreadPoolExecutor(plan.workers) as threads:
        futures = [threads.submit(_in_a_process, job) for job in jobs]
        try:
            for n_done, (future, job) in enumerate(zip(futures, jobs, strict=True)):
                report(f"building {', '.join(job[2])}", n_done, len(jobs))
                future.result()
        except KeyboardInterrupt:
            # Those that wait must not begin after a Ctrl-C, which all that run have had too.
            threads.shutdown(cancel_futures=True)
            raise


def _in_a_process(job: tuple[Any, ...]) -> None:
    """Build a chain in a process of its own, so that it is known which one died.

    Raises:
        ChildProcessError: If the process died.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent) as pool:
        try:
            pool.submit(_build_chain_apart, *job).result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                f"the process that built {', '.join(job[2])} died, as one does that the system kills for want of memory; what was finished "
                "is kept, and the same command goes on with it; fewer workers need less memory"
            ) from error


def build_chain(plan: BuildPlan, places: Places, chain: tuple[str, ...], texts: Mapping[str, PeriodText], ingredients: Ingredients) -> None:
    """Build periods that go on from each other."""
    questionnaire = load_questionnaire(questionnaire_source(plan, places.plan.parent))
    base = Family(plan.name, plan.periods, plan.weights, plan.base).base_ref(places.out)
    neighbour, start = None, base
    for label in chain:
        build = PeriodBuild(plan, label, texts[label], base, neighbour, start, places.plan.parent, ingredients)
        neighbour, start = label, build_period(build, questionnaire, places.out / label, places.work / label)


def _build_chain_apart(
    plan: BuildPlan, places: Places, chain: tuple[str, ...], texts: Mapping[str, PeriodText], ingredients: Ingredients
) -> None:
    """In a process of its own, on its share of the cores."""
    import torch

    from pg_envs.display import quieten_libraries

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    quieten_libraries()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // plan.workers))

    def log(what: str, done: int, total: int) -> None:
        if done == total:
            logger.info("%s: %s: done", " ".join(chain), what)

    with reporting_to(log):
        build_chain(plan, places, chain, texts, ingredients)
