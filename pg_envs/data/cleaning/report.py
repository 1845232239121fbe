"""What a cleaning did: counts by century, action and reason, as JSON and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pg_envs.data.cleaning.language import Languages
from pg_envs.data.cleaning.rules import ENGLISH_NOTICES, RULES, Cleaned, asked_rules
from pg_envs.data.markdown import escaped
from pg_envs.data.schema import HISTTEXT_YEARS, MAX_EXAMPLES, Years

ACTIONS = ("keep", "repair", "relabel", "split", "drop")


@dataclass
class CleaningReport:
    """Counts of a cleaning.

    Attributes:
        languages: In which languages the texts were said to be.
        years: From which years they might be.
        actions: By (century, action): how many passages; of several actions on one passage the gravest counts.
        reasons: By (century, reason, action): how often a rule found something.
        n_written: How many passages were written; more than were kept if some were split.
        unreadable: Messages about files that could not be read, or not to their end.
        passed_over: What lies beside the files of years under names of another form, and was not looked at.
    """

    languages: Languages = field(default_factory=Languages)
    years: Years = HISTTEXT_YEARS
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    n_written: int = 0
    unreadable: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)

    def add(self, century: str, cleaned: Cleaned) -> None:
        """Count one passage of a century."""
        self.actions[century, cleaned.action] += 1
        self.n_written += len(cleaned.kept)
        self.reasons.update((century, reason, action) for reason, action, _ in cleaned.findings)

    @property
    def centuries(self) -> list[str]:
        """The centuries that had passages, in order."""
        return sorted({century for century, _ in self.actions})

    @property
    def not_asked(self) -> list[str]:
        """The rules that have nothing to say about texts in these languages."""
        return [reason for reason in RULES if reason not in asked_rules(self.languages)]

    def as_json(self) -> dict[str, Any]:
        """Counts as nested dicts."""
        return {
            "languages": list(self.languages.codes),
            "years": [self.years.first, self.years.last],
            "rules_not_asked": self.not_asked,
            "passages_read": self.actions.total(),
            "passages_written": self.n_written,
            "actions": {c: {a: self.actions[c, a] for a in ACTIONS if self.actions[c, a]} for c in self.centuries},
            "reasons": {
                c: {f"{r} ({a})": n for (century, r, a), n in sorted(self.reasons.items()) if century == c} for c in self.centuries
            },
            "unreadable": self.unreadable,
            "passed_over": self.passed_over,
        }

    def as_markdown(self) -> str:
        """Two tables, a column a century: passages by action, findings by reason."""
        rows = [[action, *(self.actions[c, action] for c in self.centuries)] for action in ACTIONS]
        pairs = sorted({(r, a) for _, r, a in self.reasons}, key=lambda pair: (list(RULES).index(pair[0]), pair[1]))
        found = [[f"`{r}` {a}", *(self.reasons[c, r, a] for c in self.centuries)] for r, a in pairs]
        notes = "".join(f"* {escaped(message)}\n" for message in self.unreadable)
        return "\n".join(
            [
                f"{self.actions.total()} passages read, {self.n_written} written; {self.years}, in {', '.join(self.languages.codes)}.\n",
                *self._silence(),
                table(["passages", *self.centuries, "all"], rows),
                table(["findings", *self.centuries, "all"], found),
                f"Not read:\n\n{notes}" if notes else "Every file was read to its end.\n",
                *self._others(),
            ]
        )

    def _others(self) -> list[str]:
        if not self.passed_over:
            return []
        more = f" and {len(self.passed_over) - MAX_EXAMPLES} more" if len(self.passed_over) > MAX_EXAMPLES else ""
        names = ", ".join(escaped(name) for name in self.passed_over[:MAX_EXAMPLES])
        return [f"Passed over, since only names such as `C013/1215.json` are read: {names}{more}.\n"]

    def _silence(self) -> list[str]:
        if not self.not_asked:
            return []
        unknown = f"; no identifier knows {', '.join(self.languages.unknown)}" if self.languages.unknown else ""
        rules = ", ".join(f"`{reason}`" for reason in self.not_asked)
        notices = ", ".join(f"`{reason}`" for reason in ENGLISH_NOTICES)
        return [
            f"Not asked: {rules}, and spelling's part of `impossible-year`: they know English{unknown}. "
            f"Of notices, {notices} know English ones only.\n"
        ]


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table with a last column of sums; all but the first column are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(map(str, [*row, sum(row[1:])])) + " |" for row in rows]
    return "\n".join(lines) + "\n"
