"""The table of a grid, from results made by hand."""

import math
from pathlib import Path

import pytest

from pg_envs.grid.cells import Cell
from pg_envs.grid.table import as_markdown, make_table
from pg_envs.intervals import half_width, interval

T_2 = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025))
"""0.975 quantile of Student's t with two degrees of freedom, where it has a closed form."""


def cell(environment, agent, seed):
    return Cell(environment, agent, seed, Path(f"{environment}-{agent}-{seed}"), {})


def result(score, skill=0.5, lags=(), version="1"):
    return {
        "score": score,
        "skill": skill,
        "score_upstream": score / 2,
        "baselines": {"no-op": 0.1, "oracle": 1.0},
        "steps": [{"lock_in_lag": lag} for lag in lags] or [{}],
        "versions": {"numpy": version},
        "questionnaire": {"sha256": "abc"},
    }


def test_half_widths_are_students():
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(T_2 / math.sqrt(3), rel=1e-9)
    assert interval([1.0, 2.0, 3.0]) == "2.000 ± 2.484"
    assert interval([0.5]) == "0.500 (one seed)"


def test_means_intervals_and_differences_on_seeds_in_common():
    cells = [cell("F", agent, seed) for seed in (2, 0, 1) for agent in ("a", "b")]
    scores = {"F-a-0": 0.1, "F-a-1": 0.2, "F-a-2": 0.3, "F-b-0": 0.1, "F-b-2": 0.7}
    table = make_table(cells, {name: result(score) for name, score in scores.items()}, "it", [("b", "a")])
    first, second = table["runs"]
    assert (first["agent"], first["seeds"], second["seeds"]) == ("a", [0, 1, 2], [0, 2])
    assert first["score"]["mean"] == pytest.approx(0.2)
    assert first["score"]["half_width"] == pytest.approx(T_2 * 0.1 / math.sqrt(3))
    assert first["score_upstream"]["by_seed"] == {0: 0.05, 1: 0.1, 2: 0.15}
    (difference,) = table["differences"]
    assert difference["seeds"] == [0, 2]
    assert difference["score"]["by_seed"] == pytest.approx({0: 0.0, 2: 0.4})
    assert table["baselines"][0]["oracle"]["by_seed"] == {0: 1.0, 1: 1.0, 2: 1.0}
    assert table["missing"] == ["F-b-1"]
    text = as_markdown(table)
    assert "| F | a | 0, 1, 2 | 0.200 ± 0.248 | 0.500 ± 0.000 | 0.500, 0.500, 0.500 | 0.100 ± 0.124 |\n" in text
    assert "| F | b - a | 0, 2 | 0.200 ± 2.541 | 0.000 ± 0.000 |" in text
    assert "did not finish: F-b-1." in text
    assert "lag" not in text


def test_lag_is_the_mean_over_steps_and_only_where_there_is_one():
    cells = [cell("C", "a", 0), cell("C", "a", 1), cell("F", "a", 0)]
    table = make_table(cells, {"C-a-0": result(0.1, lags=(0, 3)), "C-a-1": result(0.1, lags=(2, 3)), "F-a-0": result(0.1)}, "it", [])
    assert table["runs"][0]["lag"]["by_seed"] == {0: 1.5, 1: 2.5}
    assert "lag" not in table["runs"][1]
    text = as_markdown(table)
    assert "| 2.000 ± 6.353 |" in text
    assert "| F | a | 0 | 0.100 (one seed) | 0.500 (one seed) | 0.500 | 0.050 (one seed) |  |" in text


def test_skill_that_is_undefined_is_called_so_and_what_made_numbers_is_named_once():
    results = {"F-a-0": result(0.1, None), "F-a-1": result(0.1, version="2")}
    table = make_table([cell("F", "a", seed) for seed in (0, 1)], results, "it", [("a", "a")])
    assert table["runs"][0]["skill"] == {"mean": None, "half_width": None, "by_seed": {0: None, 1: 0.5}}
    assert "| undefined | undefined, 0.500 |" in as_markdown(table)
    assert table["versions"] == [{"numpy": "1"}, {"numpy": "2"}]
    assert table["questionnaires"] == ["abc"]
