"""``pg-envs plot``: every picture that some runs have the data for, into a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pg_envs.plots import save
from pg_envs.plotting import figures
from pg_envs.plotting.runs import DrawnRun, Group, group_runs, read_runs, without_repetitions
from pg_envs.progress import report
from pg_envs.storage import naming

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEATMAPS_PER_PICTURE = 8


@dataclass(frozen=True)
class Drawn:
    """What came of drawing.

    Attributes:
        made: Each picture's file and what it shows.
        notes: What was not made or not shown, and why.
    """

    made: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...]


def plot_runs(paths: Sequence[Path], out: Path) -> Drawn:
    """Draw runs, those of each environment apart from the others'.

    Args:
        paths: Folders of runs, folders with runs in them, or ``result.json`` files. Incomplete runs are drawn as far as they
            go, except in the picture of skill.
        out: A new folder for the pictures; an empty one will do.

    Raises:
        ValueError: If no path is given.
        FileExistsError: If ``out`` has something in it.
        FileNotFoundError: If a run does not exist.
        ResultError: If a file is no result.
        CannotWrite: If the disk is full, read-only or broken; the pictures before stay, so ``out`` is to be removed.
    """
    if not paths:
        raise ValueError("no run to plot: expected at least one folder of a pg-envs run, or its result.json")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is never overwritten; choose another folder")
    runs, notes = without_repetitions(read_runs(paths))
    unfinished = [run for run in runs if not run.result["complete"]]
    notes += [f"{run.path}: incomplete, shown as far as it goes; finish it with pg-envs run --resume" for run in unfinished]
    groups = group_runs(runs)
    if len(groups) > 1:
        notes.append(f"{len(groups)} environments, each in pictures of its own")
    made = []
    with naming(out):
        out.mkdir(parents=True, exist_ok=True)
    for done, group in enumerate(groups):
        report(f"pictures of {group.title}", done, len(groups))
        for name, what, figure in _pictures(group, notes):
            path = out / f"{name}.png"
            save(figure, path)
            made.append((path, what))
    return Drawn(tuple(made), tuple(notes))


def _pictures(group: Group, notes: list[str]) -> Iterator[tuple[str, str, Figure]]:
    """Each picture's name, what it shows, and the picture; why one is not made goes into ``notes``."""
    for part in group.by_humans():
        yield f"{part.slug}-trajectories", f"policy against humans: {_n_runs(part.runs)}, {part.title}", figures.trajectories(part)
    yield from _heatmaps(group)
    skilled = _with_skill(group, notes)
    if skilled:
        shown = [run for runs in skilled.values() for run in runs]
        yield f"{group.slug}-skill", f"skill by agent: {_n_runs(shown)}, {group.title}", figures.skill(group, skilled)
    else:
        notes.append(f"no picture of skill for {group.title}: no run is complete and has one")
    if "lock_in_lag" in group.runs[0].result["steps"][0]:
        what = f"lock-in lag over centuries: {_n_runs(group.runs)}, {group.title}"
        yield f"{group.slug}-lag", what, figures.lock_in_lag(group, group.variants)
    else:
        notes.append(f"no picture of lock-in lag for {group.title}: only Coevolve has a lag")


def _heatmaps(group: Group) -> Iterator[tuple[str, str, Figure]]:
    named = [(f"{name}\n{run.seed_label}", run) for name, runs in group.variants.items() for run in runs]
    limit = figures.difference_scale(group.runs)
    pages = [named[start : start + HEATMAPS_PER_PICTURE] for start in range(0, len(named), HEATMAPS_PER_PICTURE)]
    for number, page in enumerate(pages, start=1):
        which, suffix = (f", {number} of {len(pages)}", f"-{number}") if len(pages) > 1 else ("", "")
        what = f"policy minus humans: {_n_runs([run for _, run in page])}, {group.title}{which}"
        yield f"{group.slug}-differences{suffix}", what, figures.heatmap(group.title + which, page, limit)


def _with_skill(group: Group, notes: list[str]) -> dict[str, list[DrawnRun]]:
    """Runs by agent, those that have a skill; why the others have none goes into ``notes``."""
    found: dict[str, list[DrawnRun]] = {}
    for name, runs in group.variants.items():
        for run in runs:
            if run.result["skill"] is not None:
                found.setdefault(name, []).append(run)
            elif run.result["complete"]:
                why = "its baselines score the same" if run.result["baselines"] else "its baselines have not been run: pg-envs run --resume"
                notes.append(f"{run.path}: not in the picture of skill, {why}")
    return found


def _n_runs(runs: Sequence[DrawnRun]) -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs)} runs"
