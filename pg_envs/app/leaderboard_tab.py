"""The leaderboard's tab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from pg_envs.app.markup import Believed, note, table
from pg_envs.app.standings import ALL, SORT_KEYS, Entry, Refused, choose, read_standings

COLUMNS = ("#", "agent", "skill", "score", "challenge", "history", "seed", "upstream's score", "lock-in lag", "settings", "file")
MOST_REASONS = 5
ABOUT = (
    "Every score here is computed from the vectors in a submission; scores that a file states are compared with them and never shown. "
    "Skill is 0 for a policy that never learns and 1 for the humans themselves; where the scores of these two cannot be computed here, it "
    "rests on those in the submission and is marked as believed. What else cannot be checked is named below the table. One row is one "
    "seed: compare agents over several, and only rows of the same challenge, history and settings."
)


def build(folder: Path) -> None:
    """Lay out the tab; ``folder`` is read when the page opens, and again on request."""
    gr.HTML(note(ABOUT))
    with gr.Row():
        challenge = gr.Radio([ALL], value=ALL, label="Challenge", min_width=150)
        history = gr.Radio([ALL], value=ALL, label="History", min_width=150)
        sort_by = gr.Radio(list(SORT_KEYS), value="skill", label="Sort by", min_width=320)
        order = gr.Radio(["largest first", "smallest first"], value="largest first", label="Order", min_width=150)
    shown = gr.HTML(elem_id="pg-leaderboard")
    again = gr.Button("Read the folder again")
    choices: list[Any] = [challenge, history, sort_by, order]

    def show(of_challenge: str, of_history: str, by: str, in_order: str) -> str:
        entries, refused = read_standings(folder)
        return page(entries, refused, of_challenge, of_history, by, in_order == "largest first")

    def offered() -> tuple[object, object]:
        entries, _ = read_standings(folder)
        challenges, histories = ({getattr(entry, what) for entry in entries} for what in ("challenge", "history"))
        return gr.Radio([ALL, *sorted(challenges)], value=ALL), gr.Radio([ALL, *sorted(histories)], value=ALL)

    # One listener for all: what is chosen last is what is shown, however quickly one choice follows another.
    changes = [choice.input for choice in choices]
    gr.on(changes, show, choices, shown, api_visibility="private", show_progress="hidden", trigger_mode="always_last")
    again.click(offered, None, [challenge, history], api_visibility="private").then(show, choices, shown, api_visibility="private")
    gr.on(None, offered, None, [challenge, history], api_visibility="private").then(show, choices, shown, api_visibility="private")


def page(entries: Sequence[Entry], refused: Sequence[Refused], challenge: str, history: str, sort_by: str, largest_first: bool) -> str:
    """The table of what was chosen, what of it is believed, and what was refused and why, as HTML."""
    chosen = choose(entries, challenge, history, sort_by, largest_first)
    rows = [
        (place, e.agent, skill(e), e.score, e.challenge, e.history, e.seed, e.score_upstream, e.lag, e.settings, e.place)
        for place, e in enumerate(chosen, start=1)
    ]
    parts = [table(f"{len(chosen)} of {len(entries)} submissions", COLUMNS, rows, COLUMNS.index(sort_by), largest_first)]
    believed = [(e.file, what) for e in chosen for what in e.believed]
    if believed:
        parts.append(table("Believed, since it cannot be checked here", ("file", "what"), believed))
    if refused:
        parts.append(table(f"Refused: {len(refused)}", ("file", "why"), [row for r in refused for row in reasons(r)]))
    return "".join(parts)


def skill(entry: Entry) -> float | None:
    """An entry's skill, marked if it is believed."""
    return Believed(entry.skill) if entry.skill is not None and entry.skill_is_believed else entry.skill


def reasons(refused: Refused) -> list[tuple[str, str]]:
    """A row for each reason, the first few of many."""
    rows = [(refused.file, reason) for reason in refused.reasons[:MOST_REASONS]]
    n_more = len(refused.reasons) - len(rows)
    return rows + ([(refused.file, f"and {n_more} more reasons; pg-envs submit-check names them all")] if n_more else [])
