"""The four pictures of several runs of one environment; each function draws one and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from pg_envs.plotting.runs import DrawnRun, Group
from pg_envs.plotting.style import HUMANS, century_axis, line_style, literal, new_figure, unit_of_values
from pg_envs.values.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS_PER_ROW = 4
VISIBLE_DIFFERENCE = 0.1
"""Differences whose sign is written into the heatmap, as a share of the colour scale."""


def trajectories(group: Group) -> Figure:
    """Policy against humans over the centuries, a panel for each of the 19 dimensions, a line for each run.

    Lines are told apart by agent, or by run where there is one agent; the humans' band is one standard error.

    Args:
        group: Runs that were compared with the same humans.
    """
    longest = max(group.runs, key=lambda run: len(run.result["steps"]))
    labels = [group.centuries[c] for c in longest.judged_in]
    first = longest.judged_in[0]
    figure = new_figure(11.5, 9.5, f"Policy against humans: {group.title}")
    axes = figure.subplots(4, 5, sharex=True, sharey=True)
    for d, (axis, dimension) in enumerate(zip(axes.flat, DIMENSIONS, strict=False)):
        _draw_humans(axis, longest, d, group.scoring)
        for label, style, run in _lines(group):
            axis.plot(np.array(run.judged_in) - first, run.column("policy_vector")[:, d], **style, label=label)
        axis.set_title(dimension.label, fontsize=10)
        axis.tick_params(axis="y", labelsize=9)
        century_axis(axis, labels, every=2 if len(labels) > 5 else 1)
    axes.flat[-1].axis("off")
    # The panel above the empty place is the last of its column; its labels hang into that place without pushing rows apart.
    axes.flat[-6].tick_params(labelbottom=True)
    for label in axes.flat[-6].get_xticklabels():
        label.set_in_layout(False)
    axes[-1, 2].set_xlabel("century whose humans the policy is compared with", fontsize=10)
    handles, names = axes.flat[0].get_legend_handles_labels()
    by_name = dict(reversed(list(zip(names, handles, strict=True))))
    ordered = list(dict.fromkeys(names))
    # Some 130 characters stand side by side at this width, the drawn line's five included.
    n_columns = max(1, min(4, 130 // (max(map(len, ordered)) + 5)))
    figure.legend([by_name[name] for name in ordered], ordered, loc="outside lower center", ncols=n_columns, fontsize=10, frameon=False)
    figure.supylabel(unit_of_values(group.scoring), fontsize=10)
    return figure


def one_dimension(group: Group, dimension: int) -> Figure:
    """Policy against humans in one dimension, all bands of one standard error included; readable on a phone.

    Args:
        group: Runs that were compared with the same humans.
        dimension: Index of the dimension.
    """
    longest = max(group.runs, key=lambda run: len(run.result["steps"]))
    first = longest.judged_in[0]
    figure = new_figure(4.2, 3.3 + 0.22 * len(group.runs), DIMENSIONS[dimension].label)
    axis = figure.subplots()
    _draw_humans(axis, longest, dimension, group.scoring)
    for label, style, run in _lines(group):
        x, values = np.array(run.judged_in) - first, run.column("policy_vector")[:, dimension]
        axis.plot(x, values, **style, label=label)
        _draw_band(axis, x, values, run.column("policy_standard_errors")[:, dimension], style["color"], group.scoring)
    century_axis(axis, [group.centuries[c] for c in longest.judged_in])
    axis.set_ylabel(unit_of_values(group.scoring), fontsize=8)
    handles, names = axis.get_legend_handles_labels()
    by_name = dict(zip(names, handles, strict=True))
    figure.legend(by_name.values(), by_name.keys(), loc="outside lower center", ncols=1, fontsize=9, frameon=False)
    return figure


def _draw_humans(axis: Any, run: DrawnRun, dimension: int, scoring: str) -> None:
    """The humans that a run was compared with, with their band."""
    values = run.column("target_vector")[:, dimension]
    x = np.arange(len(values))
    axis.axhline(0, color="0.8", linewidth=0.8)
    _draw_band(axis, x, values, run.column("target_standard_errors")[:, dimension], "black", scoring)
    axis.plot(x, values, **HUMANS, label="humans", zorder=3)


def _draw_band(axis: Any, x: np.ndarray, values: np.ndarray, errors: np.ndarray, colour: str, scoring: str) -> None:
    if scoring == "centred":
        # By upstream's formula there is no standard error.
        axis.fill_between(x, values - errors, values + errors, color=colour, alpha=0.18, linewidth=0)


def _lines(group: Group) -> list[tuple[str, dict[str, Any], DrawnRun]]:
    """Legend entry, style and run of each line."""
    variants = group.variants
    if len(variants) == 1:
        ((name, runs),) = variants.items()
        return [(literal(f"{name}, {run.seed_label}"), line_style(i), run) for i, run in enumerate(runs)]
    told = []
    for index, (name, runs) in enumerate(variants.items()):
        label = literal(f"{name}, {runs[0].seed_label}" if len(runs) == 1 else f"{name} ({_counted(runs)})")
        told += [(label, line_style(index) | {"alpha": 1 if len(runs) == 1 else 0.6}, run) for run in runs]
    return told


def _counted(runs: Sequence[DrawnRun]) -> str:
    """How many seeds, and how many of them are incomplete."""
    n_incomplete = sum(not run.result["complete"] for run in runs)
    words = "1 seed" if len(runs) == 1 else f"{len(runs)} seeds"
    return words + (f", {n_incomplete} incomplete" if n_incomplete else "")


def difference_scale(runs: Sequence[DrawnRun]) -> float:
    """The largest |policy - human| of all runs, rounded up to a tenth, so that one scale serves all their heatmaps."""
    return max(0.1, ceil(10 * max(float(np.abs(run.column("difference")).max()) for run in runs) - 1e-9) / 10)


def heatmap(title: str, named: Sequence[tuple[str, DrawnRun]], limit: float) -> Figure:
    """Policy minus human, 19 dimensions over the centuries, a panel a run; signs are written where colours are strong.

    Args:
        title: What the runs have in common.
        named: Each run with its name.
        limit: Differences at the ends of the colour scale, see ``difference_scale``.
    """
    n_columns = min(PANELS_PER_ROW, len(named))
    n_rows = ceil(len(named) / n_columns)
    figure = new_figure(3.6 + 2.5 * n_columns, 1.5 + 4.3 * n_rows, f"Policy minus humans: {title}")
    axes = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for axis, (name, run) in zip(axes.flat, named, strict=False):
        difference = run.column("difference").T
        picture = axis.imshow(difference, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        labels = [run.result["history"]["centuries"][c] for c in run.judged_in]
        century_axis(axis, labels)
        axis.set_yticks(range(len(DIMENSIONS)), [dimension.label for dimension in DIMENSIONS], fontsize=10)
        axis.set_title(literal(name, 30), fontsize=10)
        for row, column in zip(*np.nonzero(np.abs(difference) >= VISIBLE_DIFFERENCE * limit), strict=True):
            value = difference[row, column]
            # The ends of the scale are dark.
            ink = "white" if abs(value) > 0.6 * limit else "black"
            axis.text(column, row, "+" if value > 0 else "−", ha="center", va="center", color=ink, fontsize=9)
    for axis in axes.flat[len(named) :]:
        axis.axis("off")
    figure.supxlabel("century whose humans the policy is compared with", fontsize=10)
    bar = figure.colorbar(picture, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("policy minus humans, in units of value (+ above, − below them)", fontsize=10)
    return figure


def skill(group: Group, runs_by_variant: dict[str, list[DrawnRun]]) -> Figure:
    """Mean skill of each agent with its 95% interval (Student's t) over seeds; every seed a dot.

    Args:
        group: The environment.
        runs_by_variant: Complete runs that have a skill, by agent.
    """
    from pg_envs.intervals import half_width, interval

    figure = new_figure(9, 2.0 + 0.75 * len(runs_by_variant), f"Skill: {group.title}")
    axis = figure.subplots()
    names = []
    for index, (name, runs) in enumerate(runs_by_variant.items()):
        values = [run.result["skill"] for run in runs]
        style = line_style(index)
        spread = np.linspace(-0.14, 0.14, len(values)) if len(values) > 1 else [0.0]
        axis.plot(values, index + np.asarray(spread), linestyle="", marker="o", color=style["color"], alpha=0.55, markersize=5)
        if len(values) > 1:
            mean, half = float(np.mean(values)), half_width(values)
            bar: dict[str, Any] = {"color": "black", "elinewidth": 1.8, "capsize": 6, "capthick": 1.8}
            axis.errorbar(mean, index + 0.28, xerr=half, marker=style["marker"], markersize=8, markerfacecolor=style["color"], **bar)
        seeds = "" if len(values) == 1 else f", {len(values)} seeds"
        names.append(literal(f"{name}\n{interval(values)}{seeds}", 40))
    for place, word in ((0, "no-op"), (1, "humans")):
        axis.axvline(place, color="0.6", linestyle=":", linewidth=1.2)
        above: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xytext": (0, 3), "textcoords": "offset points"}
        axis.annotate(word, (place, 1), ha="center", fontsize=9, **above)
    axis.set_yticks(range(len(names)), names, fontsize=10)
    axis.set_ylim(len(names) - 0.4, -0.5)
    axis.margins(x=0.06)
    axis.grid(axis="x", color="0.92")
    axis.set_axisbelow(True)
    meaning = "skill (no unit): 0 never learns, 1 is the humans themselves"
    axis.set_xlabel(f"{meaning}\ndots are seeds; marker and bar their mean and its 95% interval", fontsize=10)
    return figure


def lock_in_lag(group: Group, runs_by_variant: dict[str, list[DrawnRun]]) -> Figure:
    """Lock-in lag over the centuries, a panel an agent: a line through the mean, every seed a dot.

    Args:
        group: The environment, Coevolve.
        runs_by_variant: Runs that have a lag, by agent.
    """
    n_columns = min(3, len(runs_by_variant))
    n_rows = ceil(len(runs_by_variant) / n_columns)
    figure = new_figure(2.0 + 3.6 * n_columns, 1.6 + 3.2 * n_rows, f"Lock-in lag: {group.title}")
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for index, (axis, (name, runs)) in enumerate(zip(axes.flat, runs_by_variant.items(), strict=False)):
        style = line_style(index)
        axis.axhline(0, color="0.5", linestyle=":", linewidth=1.2)
        by_century: dict[int, list[int]] = {}
        for run, shift in zip(runs, np.linspace(-0.2, 0.2, len(runs)) if len(runs) > 1 else [0.0], strict=True):
            axis.plot(np.array(run.acted_in) - 1 + shift, run.column("lock_in_lag"), "o", color=style["color"], alpha=0.6, markersize=4)
            for century, lag in zip(run.acted_in, run.column("lock_in_lag"), strict=True):
                by_century.setdefault(century, []).append(lag)
        means = [float(np.mean(by_century[century])) for century in sorted(by_century)]
        axis.plot(np.array(sorted(by_century)) - 1, means, **{**style, "markersize": 7})
        axis.set_title(literal(f"{name}\n({_counted(runs)})", 40), fontsize=10)
        century_axis(axis, group.centuries[1:])
        axis.tick_params(axis="y", labelsize=9)
        if index + n_columns >= len(runs_by_variant):
            # The last row may be short.
            axis.tick_params(axis="x", labelbottom=True)
        axis.yaxis.get_major_locator().set_params(integer=True)
    for axis in axes.flat[len(runs_by_variant) :]:
        axis.axis("off")
    figure.supxlabel("century\nline: mean over seeds, dots: seeds", fontsize=10)
    figure.supylabel("lag in centuries: above 0 is behind the humans", fontsize=10)
    return figure
