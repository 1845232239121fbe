"""The trajectories' tab: agents against the humans, dimension by dimension."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from pg_envs.app.markup import note, picture, text
from pg_envs.app.standings import Entry, read_standings
from pg_envs.plots import DOTS_PER_INCH
from pg_envs.plotting.figures import one_dimension
from pg_envs.plotting.runs import DrawnRun, Group, group_runs
from pg_envs.plotting.style import short_name
from pg_envs.values.dimensions import DIMENSION_INDEX, DIMENSIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST_SHOWN = ("kill", "freedom", "fairness", "authority", "traditional", "modern")
MOST_RUNS = 6
"""Lines that an eye can still follow."""
ABOUT = (
    "The black line is the humans, the others are policies; bands are one standard error of measuring, where there is one (the values of "
    "simulated humans are known exactly). 0 is indifference, 1 always upholds the rule, -1 never does."
)


def build(folder: Path) -> None:
    """Lay out the tab, of the submissions that the leaderboard shows."""
    gr.HTML(note(ABOUT))
    humans = gr.Radio([], label="Environment and humans")
    agents = gr.CheckboxGroup([], label=f"Runs, at most {MOST_RUNS}")
    dimensions = gr.CheckboxGroup([(d.label, d.key) for d in DIMENSIONS], value=list(FIRST_SHOWN), label="Dimensions")
    shown = gr.HTML(elem_id="pg-trajectories")
    again = gr.Button("Read the folder again")

    def offered() -> tuple[object, object]:
        titles = list(groups(read_standings(folder)[0]))
        first = titles[0] if titles else None
        return gr.Radio(titles, value=first), runs_of(first)

    def runs_of(title: str | None) -> object:
        group = groups(read_standings(folder)[0]).get(title or "")
        names = list(named_runs(group)) if group else []
        return gr.CheckboxGroup(names, value=names[:MOST_RUNS])

    def show(title: str | None, names: list[str], keys: list[str]) -> str:
        group = groups(read_standings(folder)[0]).get(title or "")
        return page(group, names, keys) if group else note("No submission in the folder is fit to be shown; the leaderboard says why.")

    inputs = [humans, agents, dimensions]
    # What is chosen last is what is shown, however quickly one choice follows another.
    picked = humans.input(runs_of, humans, agents, api_visibility="private", trigger_mode="always_last")
    picked.then(show, inputs, shown, api_visibility="private")
    changes = [agents.input, dimensions.input]
    gr.on(changes, show, inputs, shown, api_visibility="private", show_progress="hidden", trigger_mode="always_last")
    again.click(offered, None, [humans, agents], api_visibility="private").then(show, inputs, shown, api_visibility="private")
    gr.on(None, offered, None, [humans, agents], api_visibility="private").then(show, inputs, shown, api_visibility="private")


def groups(entries: Sequence[Entry]) -> dict[str, Group]:
    """The entries by environment and humans, under its title."""
    runs = [DrawnRun(Path(entry.place), entry.result) for entry in entries]
    return {part.title: part for group in group_runs(runs) for part in group.by_humans()}


def named_runs(group: Group) -> dict[str, DrawnRun]:
    """A group's runs by agent, seed and file, which no two have in common."""
    return {f"{name}, {run.seed_label} ({run.path})": run for name, runs in group.variants.items() for run in runs}


def page(group: Group, names: Sequence[str], keys: Sequence[str]) -> str:
    """A picture for each of the dimensions, as HTML; runs that are not the group's are left out."""
    known = named_runs(group)
    chosen = [known[name] for name in names if name in known]
    if not chosen or not keys:
        return note("Choose at least one run and one dimension.")
    left_out = note(f"Only the first {MOST_RUNS} of {len(chosen)} runs are drawn.") if len(chosen) > MOST_RUNS else ""
    drawn = Group(group.title, group.slug, tuple(chosen[:MOST_RUNS]))
    indices = [DIMENSION_INDEX[key] for key in keys if key in DIMENSION_INDEX]
    panels = [picture(_png(one_dimension(drawn, index)), described(drawn, index)) for index in indices]
    return f'<h3>{text(group.title)}</h3>{left_out}<div class="pg-panels">{"".join(panels)}</div>'


def described(group: Group, dimension: int) -> str:
    """What a picture shows, in words: first and last values of humans and policies."""
    first = max(group.runs, key=lambda run: len(run.judged_in))
    humans = first.column("target_vector")[:, dimension]
    words = [f"{DIMENSIONS[dimension].label}: humans from {humans[0]:+.2f} to {humans[-1]:+.2f}"]
    for run in group.runs:
        policy = run.column("policy_vector")[:, dimension]
        words.append(f"{short_name(run.agent)}, {run.seed_label} from {policy[0]:+.2f} to {policy[-1]:+.2f}")
    return "; ".join(words)


def _png(figure: Figure) -> str:
    written = BytesIO()
    figure.savefig(written, dpi=DOTS_PER_INCH, format="png")
    return base64.b64encode(written.getvalue()).decode("ascii")
