"""Pictures of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
    from matplotlib.figure import Figure

    steps = result["steps"]
    labels = [step.get("target_label", step["century_label"]) for step in steps]
    x = np.arange(len(steps))
    # Standard errors are of the centred vectors; by upstream's formula there is none to draw.
    scoring = result["config"].get("env_args", {}).get("scoring", "centred")
    with_bands = scoring == "centred"
    lines: list[tuple[str, str, str | None, str, str]] = [("humans", "target_vector", "target_standard_errors", "black", "-")]
    if "proxy_vector" in steps[0]:
        lines.append(("human proxy", "proxy_vector", None, "tab:orange", "-"))
    lines.append(("policy", "policy_vector", "policy_standard_errors", "tab:blue", "o-"))
    figure = Figure(figsize=(13, 9.5), layout="constrained")
    axes = figure.subplots(4, 5, sharex=True, sharey=True)
    for d, (axis, dimension) in enumerate(zip(axes.flat, DIMENSIONS, strict=False)):
        axis.axhline(0, color="0.85", linewidth=0.8)
        for name, key, errors, colour, style in lines:
            values = np.array([step[key][d] for step in steps])
            axis.plot(x, values, style, color=colour, markersize=3, linewidth=1.4, label=name)
            if errors and with_bands:
                band = np.array([step[errors][d] for step in steps])
                axis.fill_between(x, values - band, values + band, color=colour, alpha=0.18, linewidth=0)
        axis.set_title(dimension.label, fontsize=9)
        axis.set_xticks(x, labels, fontsize=7, rotation=60)
        axis.tick_params(axis="y", labelsize=7)
    legend = axes.flat[-1]
    legend.axis("off")
    handles, names = axes.flat[0].get_legend_handles_labels()
    legend.legend(handles, names, loc="center", frameon=False)
    config = result["config"]
    figure.suptitle(f"{config['agent']} in {config['env']} on {config['env_args']['history']}, seed {config['seed']}: {headline(result)}")
    figure.supylabel(f"value ({scoring})" + (": 0 is indifference" if with_bands else ""), fontsize=9)
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
