"""The comparison of agents reports what has finished, names what has not, and never writes a report of nothing over one."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """The benchmark's ``main`` with arguments, in an empty folder that has ``docs/``."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["compare.py", *arguments])
        return importlib.import_module("compare").main()

    return run


def test_what_has_finished_is_reported_with_a_picture_and_the_rest_named(compare, tmp_path):
    assert compare("--parts", "default", "--envs", "Follow", "--agents", "random", "--seeds", "0") == 0
    report = (tmp_path / "docs/results.md").read_text()
    assert "| Follow | random | 0 |" in report
    assert "Missing, since they did not finish: follow-random-histtiny-s1, follow-random-histtiny-s2." in report
    assert "lifelong-dpo on Follow" in report.split("Not run: ")[1]
    assert "random on Follow" not in report.split("Not run: ")[1]
    assert (tmp_path / "docs/results-default-follow-histtiny-skill.png").stat().st_size > 10_000
    (tmp_path / "docs/results.md").unlink()
    assert compare("--parts") == 0, "a report alone runs nothing"
    assert (tmp_path / "docs/results.md").read_text() == report


def test_a_report_of_nothing_leaves_the_one_that_is_there(compare, tmp_path):
    (tmp_path / "docs/results.md").write_text("old")
    with pytest.raises(FileNotFoundError, match="no finished run in"):
        compare("--parts")
    assert (tmp_path / "docs/results.md").read_text() == "old"


def test_where_one_looked_twice_intervals_are_wider(compare, monkeypatch):
    module = importlib.import_module("compare")
    row = {"first": "one", "second": "other", "score": {"by_seed": {0: 0.1, 1: 0.2, 2: 0.3}}}
    assert module.wider_intervals([row], 1) == ""
    # Student's t with two degrees of freedom at 97.06%: 5.7 where it is 4.3 at 95%, times 0.1 / sqrt(3).
    assert "* one - other: 0.200 ± 0.329\n" in module.wider_intervals([row], 2)
