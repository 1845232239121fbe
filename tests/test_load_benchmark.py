"""``benchmarks/load.py`` finds fault with what grows, fails or is left behind."""

import runpy
from pathlib import Path

import pytest

FINE = {"growth_mb": {"memory_mb": 1.0, "worker_mb": 0.0}, "file_handles_left": 0, "processes_left": 0}


@pytest.fixture
def benchmark(monkeypatch):
    folder = Path(__file__).parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    return runpy.run_path(str(folder / "load.py"))


@pytest.mark.parametrize(
    ("load", "row", "bad"),
    [
        ("vector", {}, False),
        ("vector", {"worker_file_handles": [9, 12, 9]}, False),
        ("vector", {"worker_file_handles": [9, 10]}, True),
        ("vector", {"growth_mb": {"memory_mb": 0.0, "worker_mb": 9.0}}, True),
        ("trainings", {"growth_mb": {"memory_mb": 9.0}}, False),
        ("trainings", {"growth_mb": {"memory_mb": 19.0}}, True),
        ("grid", {"failed": 1}, True),
        ("steps", {"file_handles_left": 1}, True),
        ("steps", {"processes_left": 1}, True),
    ],
)
def test_what_is_bad(benchmark, load, row, bad):
    assert benchmark["is_bad"](load, {**FINE, **row}) is bad


def test_memory_grows_from_when_all_has_been_used_once(benchmark):
    assert benchmark["growth_mb"]([90.0] * 5 + [100.0] * 5 + [101.0] * 5 + [104.0] * 5) == 4.0
