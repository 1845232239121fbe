"""Drawing an environment's state: text for a terminal, a picture for a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pg_envs.values.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from pg_envs.env import ProgressEnv

BAR_WIDTH = 21


def describe_state(env: ProgressEnv) -> str:
    """The state as text: the century, the score so far, policy (o) against target (|) in each dimension."""
    label = env.history.labels[env.century]
    lines = [f"{type(env).__name__} on {env.history.name}: {label} in view, step {len(env.trace)} of {env.n_steps}"]
    if not env.trace:
        return lines[0] + "\nno policy has been judged yet"
    last = env.trace[-1]
    lines.append(f"{last['century_label']} judged: reward {last['reward']:+.3f}, score so far {env.episode_score():+.3f}")
    for dimension, v, h in zip(DIMENSIONS, last["policy_vector"], last["target_vector"], strict=True):
        bar = ["."] * BAR_WIDTH
        bar[_place(h)] = "|"
        bar[_place(v)] = "o"
        lines.append(f"{dimension.label:<27} {''.join(bar)} policy {v:+.2f} target {h:+.2f}")
    return "\n".join(lines)


def _place(value: float) -> int:
    return int(np.clip(round((value + 1) / 2 * (BAR_WIDTH - 1)), 0, BAR_WIDTH - 1))


def draw_state(env: ProgressEnv) -> np.ndarray:
    """The state as an (480, 640, 3) uint8 picture: policy and target by dimension, rewards so far."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    places = np.arange(len(DIMENSIONS))
    if env.trace:
        last = env.trace[-1]
        left.hlines(places, last["policy_vector"], last["target_vector"], color="0.8")
        left.plot(last["target_vector"], places, "|", color="black", markersize=10, label="target")
        left.plot(last["policy_vector"], places, "o", color="tab:blue", markersize=4, label="policy")
        left.legend(loc="lower right", fontsize=7)
        right.plot(range(1, len(env.trace) + 1), [step["reward"] for step in env.trace], "o-", color="tab:blue")
    left.set(xlim=(-1.05, 1.05), yticks=places, title=f"{env.history.labels[env.century]} in view")
    left.set_yticklabels([dimension.label for dimension in DIMENSIONS], fontsize=6)
    left.invert_yaxis()
    left.axvline(0, color="0.9", zorder=0)
    right.set(xlim=(0.5, env.n_steps + 0.5), ylim=(-1.05, 1.05), xlabel="step", title="reward")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
