"""What all pictures have in common: runs are told apart by colour, marker and line, so that grey paper and every eye can read them."""

from __future__ import annotations

import hashlib
import json
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette without yellow, which is too pale for lines, and black, which is the humans'.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
HUMANS: dict[str, Any] = {"color": "black", "linewidth": 2.4, "linestyle": "-"}


def line_style(index: int) -> dict[str, Any]:
    """How the line of number ``index`` is drawn; the first 24 all differ."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
        # Later lines are finer, so that one that lies on another hides nothing.
        "markersize": 8 - 0.9 * (index % len(COLOURS)),
        "linewidth": 2.6 - 0.3 * (index % len(COLOURS)),
        # Every second marker is hollow: on grey paper some of the colours are the same.
        "markerfacecolor": "white" if index % 2 else COLOURS[index % len(COLOURS)],
    }


def literal(text: str, width: int = 200) -> str:
    """Text for a picture, in lines of ``width`` characters; dollar signs begin no formula, a first underscore hides nothing."""
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, width)]
    escaped = "\n".join(lines).replace("$", r"\$")
    return " " + escaped if escaped.startswith("_") else escaped


def plain_text(value: Any) -> str:
    """A value for a title or a terminal: one line, not long, without what a terminal would obey."""
    text = printable(value if isinstance(value, str) else json.dumps(value))
    return text if len(text) <= 40 else text[:37] + "..."


def short_name(name: str) -> str:
    """A name for a legend: one line that leaves room for the picture; two names that differ stay different."""
    text = printable(name)
    return text if text == name and len(text) <= 60 else f"{text[:50]} {hashlib.sha256(name.encode()).hexdigest()[:6]}"


def printable(text: str) -> str:
    """The text in one line, with question marks for what is not printed: it may be anybody's."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty titled figure, sizes in inches, that no window manager knows of."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    # Some twelve characters an inch at this size.
    figure.suptitle(literal(title, int(12 * width)), fontsize=12)
    return figure


def century_axis(axis: Any, labels: list[str], every: int = 1) -> None:
    """Put centuries on the x axis, every so many of them named."""
    axis.set_xticks(range(0, len(labels), every), labels[::every], rotation=90 if len(labels) > 4 else 0, fontsize=9)
    axis.set_xlim(-0.5, len(labels) - 0.5)


def unit_of_values(scoring: str) -> str:
    """What an axis of values says of its unit."""
    return "value, centred: from -1 to 1, 0 is indifference" if scoring == "centred" else "value by upstream's formula, no unit"
