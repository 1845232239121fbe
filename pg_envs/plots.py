"""Pictures of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pg_envs.plotting.style import HUMANS, century_axis, line_style, new_figure, unit_of_values
from pg_envs.storage import replacing
from pg_envs.values.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110


def plot_trajectory(result: dict[str, Any], path: Path) -> None:
    """Draw policy against humans over the centuries: 19 small multiples with bands of one standard error.

    Args:
        result: What ``pg_envs.results.make_result`` returned, read from JSON or not; its ``steps``, ``config``, ``score``,
            ``skill`` and ``complete`` are enough.
        path: Where the PNG goes; written to a temporary name first.
    """
    steps, config = result["steps"], result["config"]
    labels = [step.get("target_label", step["century_label"]) for step in steps]
    x = np.arange(len(steps))
    # Standard errors are of the centred vectors; by upstream's formula there is none to draw.
    scoring = config.get("env_args", {}).get("scoring", "centred")
    humans = {**HUMANS, "zorder": 3}
    lines: list[tuple[str, str, str | None, dict[str, Any]]] = [
        ("humans", "target_vector", "target_standard_errors", humans),
        ("policy", "policy_vector", "policy_standard_errors", line_style(0)),
    ]
    if "proxy_vector" in steps[0]:
        # Finer, and after the policy's: the proxy learns from it and often lies on it.
        lines.append(("human proxy", "proxy_vector", None, line_style(1)))
    where = f"{config['agent']} in {config['env']} on {config['env_args']['history']}, seed {config['seed']}"
    figure = new_figure(13, 9.5, f"{where}: {headline(result)}")
    axes = figure.subplots(4, 5, sharex=True, sharey=True)
    for d, (axis, dimension) in enumerate(zip(axes.flat, DIMENSIONS, strict=False)):
        axis.axhline(0, color="0.8", linewidth=0.8)
        for name, key, errors, style in lines:
            values = np.array([step[key][d] for step in steps])
            axis.plot(x, values, **style, label=name)
            if errors and scoring == "centred":
                band = np.array([step[errors][d] for step in steps])
                axis.fill_between(x, values - band, values + band, color=style["color"], alpha=0.18, linewidth=0)
        axis.set_title(dimension.label, fontsize=10)
        axis.tick_params(axis="y", labelsize=9)
        century_axis(axis, labels, every=2 if len(labels) > 5 else 1)
    legend = axes.flat[-1]
    legend.axis("off")
    handles, names = axes.flat[0].get_legend_handles_labels()
    legend.legend(handles, names, loc="center", fontsize=11, frameon=False)
    figure.supxlabel("century whose humans the policy is compared with", fontsize=10)
    figure.supylabel(unit_of_values(scoring), fontsize=10)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG to a temporary name, then rename it."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, format="png")


def headline(result: dict[str, Any]) -> str:
    """Score and skill in a few words."""
    words = f"score {result['score']:.3f}"
    if result["skill"] is not None:
        words += f", skill {result['skill']:.2f}"
    return words if result["complete"] else f"{words} (incomplete)"
