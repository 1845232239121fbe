"""Print the tables of docs/cleaning.md from docs/cleaning.json: ``python benchmarks/cleaning_tables.py``."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cleaning_labels import MEANT

from pg_envs.data.cleaning.rules import RULES


def main() -> None:
    """What was counted, and labelled passages by problem, all passages by reason, made dirt by kind."""
    measured = json.loads(Path("docs/cleaning.json").read_text(encoding="utf-8"))
    print(*sentences(measured["labelled"]), *tables(measured), sep="\n\n")


def sentences(labelled: dict[str, Any]) -> Iterator[str]:
    """Yield what the page says in so many words."""
    other = labelled["held_out"]
    yield f"**{labelled['right']} of {labelled['n_dirty']}** got the right action"
    yield f"**{labelled['right_and_meant']}** of them by a rule meant for"
    yield f"**{labelled['harmed']} of {labelled['n_clean']:,}** clean passages were harmed, {labelled['harmed_share']:.2%}"
    yield f"{other['harmed']} of the {other['n_clean']:,} in the second half ({other['harmed'] / other['n_clean']:.2%})"
    yield f"{len(labelled['left_out_originals'])} clean passages were left out"
    yield f"{labelled['true_duplicates']} such were dropped"
    for row in labelled["dirty"]:
        if "words_right_repaired" in row and "misread-letters" in {reason for reason, _, _ in row["findings"]}:
            yield f"{row['words_right_spoilt']:.1%} → {row['words_right_repaired']:.1%} ({row['id']})"


def tables(measured: dict[str, Any]) -> Iterator[str]:
    """Yield the page's three tables."""
    labelled = measured["labelled"]
    found: dict[str, set[str]] = defaultdict(set)
    for row in labelled["dirty"]:
        for problem in row["problems"]:
            found[problem].update(f"`{reason}`" for reason, _, _ in row["findings"])
    rows = [
        [problem.replace("_", " "), row["n"], row["right"], row["meant"], ", ".join(sorted(found[problem]))]
        for problem, row in labelled["by_problem"].items()
    ]
    yield table(["labelled problem", "passages", "right action", "a rule meant for it spoke", "what was found in them"], rows)
    yield table(
        ["reason code", "dirty passages it spoke on", "of these labelled so", "and right", "clean passages", "of these harmed"],
        by_reason(labelled),
    )
    rows = []
    for kind, row in measured["made"].items():
        restored = (
            [f"{row['words_right_spoilt']:.1%} → {row['words_right_repaired']:.1%}", row["made_worse"]] if row["repaired"] else ["", ""]
        )
        rows.append([kind, row["n"], row["found"], row["right_action"], *restored])
    yield table(["made dirt", "passages", "found", "right action", "words right, before → after repair", "made worse"], rows)


def by_reason(labelled: dict[str, Any]) -> list[list[Any]]:
    """A row a rule: on how many dirty and clean passages it spoke, and how many of these were its to speak on."""
    harm = Counter(reason for passage in labelled["harmed_passages"] for reason in {reason for reason, _, _ in passage["findings"]})
    rows = []
    for code in RULES:
        spoke = [row for row in labelled["dirty"] if code in {reason for reason, _, _ in row["findings"]}]
        so = [row for row in spoke if any(code in MEANT[problem] for problem in row["problems"])]
        n_right = sum(row["right"] for row in so)
        rows.append([f"`{code}`", len(spoke), len(so), n_right, labelled["findings_on_clean"].get(code, 0), harm[code]])
    return rows


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, numbers to the right."""
    rule = "|" + "|".join("---:" if isinstance(cell, int) else "---" for cell in rows[0]) + "|"
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


if __name__ == "__main__":
    main()
