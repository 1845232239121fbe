"""Print the tables of docs/cleaning.md from docs/cleaning.json: ``python benchmarks/cleaning_tables.py``."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main() -> None:
    """Labelled passages by problem, harm by reason, made dirt by kind."""
    measured = json.loads(Path("docs/cleaning.json").read_text(encoding="utf-8"))
    labelled = measured["labelled"]
    print(f"{labelled['right']} of {labelled['n_dirty']} right; {labelled['harmed']} of {labelled['n_clean']} clean passages harmed")
    print(f"({labelled['harmed_share']:.2%}); {labelled['true_duplicates']} true duplicates dropped;")
    print(f"{len(labelled['left_out_originals'])} originals of dirty passages left out\n")
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in labelled["dirty"]:
        for problem in row["problems"]:
            found[problem].update({f"`{reason}`" for reason, _, _ in row["findings"]})
    rows = [[problem.replace("_", " "), n, right, ", ".join(found[problem])] for problem, (right, n) in labelled["by_problem"].items()]
    table(["labelled problem", "passages", "right action", "what was found in them"], rows)
    harm = Counter(reason for passage in labelled["harmed_passages"] for reason, _, _ in passage["findings"])
    table(["reason code", "clean passages harmed"], [[f"`{reason}`", n] for reason, n in harm.most_common()])
    rows = []
    for kind, row in measured["made"].items():
        restored = f"{row['words_right_spoilt']:.1%} → {row['words_right_repaired']:.1%}" if row["repaired"] else ""
        rows.append([kind, row["n"], row["found"], row["right_action"], restored])
    table(["made dirt", "passages", "found", "right action", "words right, before → after repair"], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a Markdown table, numbers to the right."""
    print("| " + " | ".join(head) + " |")
    print("|" + "|".join("---:" if isinstance(cell, int) else "---" for cell in rows[0]) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


if __name__ == "__main__":
    main()
