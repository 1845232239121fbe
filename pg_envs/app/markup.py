"""HTML that the tabs show: everything that comes from a file, a model or a visitor is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

MAX_SHOWN = 400
"""Characters of one text; reasons and names come from files that anybody may have written."""


class Believed(float):
    """A number that could not be checked; tables say so beside it."""


def text(value: object) -> str:
    """A value as escaped text, not too long."""
    plain = str(value)
    return escape(plain if len(plain) <= MAX_SHOWN else plain[: MAX_SHOWN - 1] + "…")


def table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]], sorted_column: int | None = None, down: bool = True
) -> str:
    """A table that scrolls sideways by itself, with the keyboard too.

    Args:
        caption: What it shows.
        columns: Headings.
        rows: Cells; floats are shown with three digits and on the right, None as a dash.
        sorted_column: Which column it is sorted by, for screen readers and with an arrow.
        down: Whether it is sorted with the largest first.
    """
    heads = []
    for index, column in enumerate(columns):
        sort = f' aria-sort="{"descending" if down else "ascending"}"' if index == sorted_column else ""
        arrow = (" ▼" if down else " ▲") if index == sorted_column else ""
        heads.append(f'<th scope="col"{sort}>{text(column)}{arrow}</th>')
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="pg-scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table class="pg-table">'
        f"<caption>{text(caption)}</caption><thead><tr>{''.join(heads)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    if value is None:
        return '<td class="pg-number">–</td>'
    if isinstance(value, Believed):
        return f'<td class="pg-number">{value:.3f} <small>believed</small></td>'
    if isinstance(value, float):
        return f'<td class="pg-number">{value:.3f}</td>'
    return f'<td class="pg-number">{value}</td>' if isinstance(value, int) else f"<td>{text(value)}</td>"


def note(words: str) -> str:
    """A paragraph."""
    return f'<p class="pg-note">{escape(words)}</p>'


def picture(png_base64: str, description: str) -> str:
    """A PNG within the page, as wide as there is room for, with what it shows in words."""
    return f'<img class="pg-picture" src="data:image/png;base64,{png_base64}" alt="{escape(description)}">'


CSS = """
:is(a, button, input, textarea, [tabindex]):focus-visible { outline: 3px solid #0080D0 !important; outline-offset: 2px; }
button[role=tab]:focus-visible { outline-offset: -3px !important; }
.pg-scroll { overflow-x: auto; max-width: 100%; }
.pg-table { border-collapse: collapse; width: 100%; font-size: 0.95rem; }
.pg-table caption { text-align: left; font-weight: 600; padding: 0.3rem 0; }
.pg-table.pg-table th, .pg-table.pg-table td { padding: 0.35rem 0.6rem; border: 0; text-align: left; color: var(--body-text-color); }
.pg-table.pg-table, .pg-table.pg-table thead, .pg-table.pg-table tbody { border: 0; }
.pg-table.pg-table tr { border: 0; border-bottom: 1px solid var(--border-color-primary); }
.pg-table thead th { white-space: nowrap; }
.pg-table td:not(.pg-number) { overflow-wrap: anywhere; min-width: 8.5rem; }
.pg-table.pg-table .pg-number { text-align: right; font-variant-numeric: tabular-nums; }
.pg-note { margin: 0.5rem 0; max-width: 46rem; }
.pg-panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 0.6rem; }
.pg-picture { width: 100%; height: auto; background: white; border-radius: 4px; }
.pg-talk { list-style: none; margin: 0; padding: 0; }
.pg-talk li { margin: 0.4rem 0; padding: 0.5rem 0.7rem; border-radius: 6px; overflow-wrap: anywhere; white-space: pre-wrap; }
.pg-talk .pg-you { background: var(--background-fill-secondary); margin-left: 15%; }
.pg-talk .pg-they { border: 1px solid var(--border-color-primary); margin-right: 15%; }
.pg-who { display: block; font-size: 0.8rem; font-weight: 600; }
.pg-bar { display: inline-block; height: 0.9rem; background: #0072B2; vertical-align: middle; margin-right: 0.4rem; min-width: 1px; }
.pg-bars td:last-child { width: 65%; white-space: nowrap; }
"""
"""Styles of the above; colours follow the page's light or dark theme."""
