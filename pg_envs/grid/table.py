"""The table of a grid: means with 95% intervals over seeds, and differences of agents on the same seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

from pg_envs.grid.cells import Cell
from pg_envs.intervals import half_width, interval
from pg_envs.results import BASELINES

BySeed = dict[int, dict[str, Any]]
"""Results by their seeds."""


def make_table(cells: Sequence[Cell], results: dict[str, dict[str, Any]], command: str, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What the results say, as JSON; the same results give the same table.

    Args:
        cells: All runs that were asked for.
        results: ``result.json`` of the finished ones, by name; at least one.
        command: What was asked for.
        pairs: Agents to compare, the first minus the second.

    Returns:
        ``runs``: a row an environment and agent, with ``seeds`` and, each as ``mean``, ``half_width`` (of the 95% interval, Student's t;
        None with one seed) and ``by_seed``: ``score``, ``skill``, ``score_upstream`` and, in Coevolve, ``lag`` (centuries, mean over
        steps). ``baselines``: an environment's scores of no-op and oracle. ``differences``: of score and skill, for seeds both have.
        ``missing``: runs that did not finish. ``command``, ``versions`` and ``questionnaires``: what made the numbers.
    """
    found: dict[tuple[str, str], BySeed] = {}
    for cell in cells:
        if cell.name in results:
            found.setdefault((cell.environment, cell.agent), {})[cell.seed] = results[cell.name]
    environments = list(dict.fromkeys(environment for environment, _ in found))
    baselines = []
    for environment in environments:
        # Every run scores them in its own environment; with the same seed they are the same, whatever the agent.
        by_seed = {seed: result for (one, _), runs in found.items() if one == environment for seed, result in runs.items()}
        scores = {name: {seed: by_seed[seed]["baselines"][name] for seed in sorted(by_seed)} for name in BASELINES}
        baselines.append({"environment": environment, **{name: _figures(values) for name, values in scores.items()}})
    differences = []
    for environment, (first, second) in product(environments, pairs):
        one, other = found.get((environment, first), {}), found.get((environment, second), {})
        if seeds := sorted(one.keys() & other.keys()):
            of = {key: _figures({s: _minus(one[s][key], other[s][key]) for s in seeds}) for key in ("score", "skill")}
            differences.append({"environment": environment, "first": first, "second": second, "seeds": seeds, **of})
    return {
        "command": command,
        "runs": [_row(environment, agent, runs) for (environment, agent), runs in found.items()],
        "baselines": baselines,
        "differences": differences,
        "missing": [cell.name for cell in cells if cell.name not in results],
        "versions": _distinct(result["versions"] for result in results.values()),
        "questionnaires": _distinct(result["questionnaire"]["sha256"] for result in results.values()),
    }


def as_markdown(table: dict[str, Any]) -> str:
    """The table for readers."""
    lines = [
        "# Benchmark",
        "",
        f"`{table['command']}`",
        "",
        "Mean and 95% interval (Student's t) over seeds; skill 0 is a policy that never learns, 1 is the humans themselves.",
    ]
    with_lag = any("lag" in row for row in table["runs"])
    if with_lag:
        lines.append("Lag is Coevolve's lock-in lag in centuries, the mean over its steps.")
    columns = ["environment", "agent", "seeds", "score", "skill", "skill by seed", "score by upstream's formula"]
    columns += ["lag"] if with_lag else []
    rows = []
    for row in table["runs"]:
        skills = ", ".join("undefined" if value is None else f"{value:.3f}" for value in row["skill"]["by_seed"].values())
        cells = [row["environment"], row["agent"], _words(row["seeds"]), _interval(row["score"]), _interval(row["skill"]), skills]
        rows.append([*cells, _interval(row["score_upstream"]), *([_interval(row["lag"]) if "lag" in row else ""] if with_lag else [])])
    lines += ["", *_table_lines(columns, rows)]
    scores = [[row["environment"], _interval(row["no-op"]), _interval(row["oracle"])] for row in table["baselines"]]
    lines += ["", *_table_lines(["environment", "score of never learning (no-op)", "score of the humans themselves (oracle)"], scores)]
    if table["differences"]:
        rows = []
        for row in table["differences"]:
            names = [row["environment"], f"{row['first']} - {row['second']}", _words(row["seeds"])]
            rows.append([*names, _interval(row["score"]), _interval(row["skill"])])
        lines += ["", *_table_lines(["environment", "difference, same seeds", "seeds", "score", "skill"], rows)]
    if table["missing"]:
        lines += ["", f"Missing, since they did not finish: {_words(table['missing'])}."]
    lines += [""] + ["Versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()) for versions in table["versions"]]
    lines.append(f"Questionnaire {_words(table['questionnaires'])}.")
    return "\n".join(lines) + "\n"


def _row(environment: str, agent: str, runs: BySeed) -> dict[str, Any]:
    runs = dict(sorted(runs.items()))
    row: dict[str, Any] = {"environment": environment, "agent": agent, "seeds": list(runs)}
    for key in ("score", "skill", "score_upstream"):
        row[key] = _figures({seed: result[key] for seed, result in runs.items()})
    if all("lock_in_lag" in result["steps"][0] for result in runs.values()):
        row["lag"] = _figures({seed: statistics.mean(s["lock_in_lag"] for s in result["steps"]) for seed, result in runs.items()})
    return row


def _figures(by_seed: dict[int, Any]) -> dict[str, Any]:
    """Mean, half width and the values; the first two are None where there is none to give, as for a skill that is undefined."""
    values = list(by_seed.values())
    whole = None not in values
    return {
        "mean": statistics.mean(values) if whole else None,
        "half_width": half_width(values) if whole and len(values) > 1 else None,
        "by_seed": by_seed,
    }


def _interval(figures: dict[str, Any]) -> str:
    return "undefined" if figures["mean"] is None else interval(list(figures["by_seed"].values()))


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _distinct(items: Iterable[Any]) -> list[Any]:
    distinct: list[Any] = []
    for item in items:
        distinct += [item] if item not in distinct else []
    return distinct


def _words(items: Sequence[Any]) -> str:
    return ", ".join(map(str, items))


def _table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]
