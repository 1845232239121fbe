"""The contract between a grid and what carries out its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pg_envs.grid.cells import Cell
from pg_envs.grid.state import State

Tell = Callable[[str, State, str], None]
"""Called with a run's name, what has become of it, and the error if it failed."""
Engine = Callable[[Sequence[Cell], Path, Tell], None]
"""Carries out runs, given where logs go, until all are done or have failed."""
