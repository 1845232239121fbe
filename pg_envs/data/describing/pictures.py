"""Pictures of a description, readable in grey: shades with hatches, numbers in cells, bars and bands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pg_envs.data.describing.tally import OTHER
from pg_envs.values.dimensions import DIMENSIONS

N_SHADES = 8
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "oooo", "++++")
DARK_BITS = 0.6


def draw_all(description: Mapping[str, Any], folder: Path) -> list[str]:
    """Draw every picture there are numbers for; returns the names of the PNG files."""
    import matplotlib

    draws: dict[str, Callable[[Any], None]] = {
        "amounts.png": partial(_amounts, centuries=description["centuries"]),
        "divergence.png": partial(_divergence, divergence=description["divergence"]),
    }
    for kind, mix in description["mix"].items():
        if len(set().union(*mix.values())) > 1:
            draws[f"{kind}.png"] = partial(_mix, kind=kind, mix=mix)
    if description["values"] is not None:
        centuries = description["values"]["centuries"]
        draws["values.png"] = partial(_values, centuries=centuries, measure="similarity")
        draws["values-relative.png"] = partial(_values, centuries=centuries, measure="relative")
    from matplotlib.figure import Figure

    # Names out of the data are no formulas.
    with matplotlib.rc_context({"text.parse_math": False, "hatch.linewidth": 0.6}):
        for name, draw in draws.items():
            figure = Figure(figsize=(13, 9.5) if name.startswith("values") else (8.5, 5), layout="constrained")
            draw(figure)
            figure.savefig(folder / name, dpi=100, format="png")
    return list(draws)


def _amounts(figure: Any, centuries: Mapping[str, Mapping[str, Any]]) -> None:
    labels = list(centuries)
    figure.suptitle("How much text there is")
    for axis, what in zip(figure.subplots(3, 1, sharex=True), ("documents", "passages", "words"), strict=True):
        bars = axis.bar(labels, [centuries[label][what] for label in labels], color="0.6", edgecolor="black", linewidth=0.6)
        axis.bar_label(bars, [f"{centuries[label][what]:,}" for label in labels], fontsize=8, padding=2)
        axis.set_ylabel(f"{what} (number)", fontsize=9)
        axis.margins(y=0.2)
        axis.ticklabel_format(axis="y", style="plain")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("century")


def _mix(figure: Any, kind: str, mix: Mapping[str, Mapping[str, int]]) -> None:
    centuries = list(mix)
    totals = sum((Counter(counts) for counts in mix.values()), Counter[str]())
    shown = [label for label, _ in totals.most_common(N_SHADES if len(totals) <= N_SHADES else N_SHADES - 1) if label != OTHER]
    rows = [[mix[century].get(label, 0) for century in centuries] for label in shown]
    rest = [sum(mix[century].values()) - sum(row[i] for row in rows) for i, century in enumerate(centuries)]
    if any(rest):
        shown, rows = [*shown, OTHER], [*rows, rest]
    shares = np.array(rows, float)
    shares *= 100 / np.maximum(1, shares.sum(0))
    axis = figure.subplots()
    bottom = np.zeros(len(centuries))
    shades = np.linspace(0.95, 0.45, len(shown))
    for label, row, shade, hatch in zip(shown, shares, shades, HATCHES, strict=False):
        axis.bar(centuries, row, bottom=bottom, color=str(shade), hatch=hatch, edgecolor="black", linewidth=0.6, label=label)
        bottom += row
    axis.set_title(f"{kind.capitalize()} of the text in each century")
    axis.set_xlabel("century")
    axis.set_ylabel("share of the century's words (%)")
    axis.set_ylim(0, 100)
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="outside right upper", frameon=False, fontsize=8, handleheight=2, handlelength=3)


def _divergence(figure: Any, divergence: Mapping[str, Any]) -> None:
    labels = divergence["centuries"]
    bits = np.array([[np.nan if cell is None else cell for cell in row] for row in divergence["bits"]], float).reshape(len(labels), -1)
    figure.set_size_inches(7.5, 6.5)
    axis = figure.subplots()
    image = axis.imshow(bits, cmap="Greys", vmin=0, vmax=1)
    for i, j in np.ndindex(bits.shape):
        text = "–" if np.isnan(bits[i, j]) else f"{bits[i, j]:.2f}"
        axis.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if bits[i, j] > DARK_BITS else "black")
    axis.set_xticks(range(len(labels)), labels)
    axis.set_yticks(range(len(labels)), labels)
    axis.set_xlabel("century")
    axis.set_ylabel("century")
    axis.set_title("How far vocabularies lie apart\n(diagonal: two halves of one century's documents)", fontsize=11)
    figure.colorbar(image, ax=axis, label="Jensen-Shannon divergence (bits)", shrink=0.85)


def _values(figure: Any, centuries: Mapping[str, Mapping[str, Any]], measure: str) -> None:
    x = np.arange(len(centuries))
    axes = figure.subplots(4, 5, sharex=True, sharey=True)
    for d, (axis, dimension) in enumerate(zip(axes.flat, DIMENSIONS, strict=False)):
        rows = [century[measure] for century in centuries.values()]
        means = np.array([row["mean"][d] for row in rows])
        low, high = (np.array([np.nan if row[end] is None else row[end][d] for row in rows]) for end in ("low", "high"))
        axis.axhline(0, color="0.8", linewidth=0.8)
        axis.plot(x, means, "o-", color="black", markersize=3, linewidth=1.3)
        axis.fill_between(x, low, high, color="0.75", linewidth=0)
        axis.set_title(dimension.label, fontsize=9)
        axis.set_xticks(x, list(centuries), fontsize=7, rotation=60)
        axis.tick_params(axis="y", labelsize=7)
    axes.flat[-1].axis("off")
    note = "line: mean over sampled passages\nband: 95% interval, bootstrap\nover documents"
    axes.flat[-1].text(0, 0.3, note, fontsize=8, va="center", transform=axes.flat[-1].transAxes).set_in_layout(False)
    axes[-2, -1].tick_params(labelbottom=True)  # below it there is no panel
    less = ", less each passage's mean over all nineteen" if measure == "relative" else ""
    figure.suptitle(f"How close passages are to what the nineteen dimensions say{less}")
    figure.supylabel("cosine similarity (no unit)" if not less else "difference of cosine similarities (no unit)", fontsize=9)
    figure.supxlabel("century", fontsize=9)
