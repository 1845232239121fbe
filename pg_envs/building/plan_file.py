"""Reading a plan: a TOML file, each fault of which is named by its key."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from pg_envs.building.plan import BuildPlan, PlanError
from pg_envs.plain_json import read_capped

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_BYTES = 1 << 20
"""Most of a plan's file."""


def read_plan(path: Path) -> BuildPlan:
    """Read a plan.

    Raises:
        PlanError: If the file is no TOML, lacks a key, has one too many, or a value is of another type or out of range.
    """
    try:
        data = tomllib.loads(read_capped(path, MAX_BYTES, PlanError, "a plan names texts and has none").decode("utf-8"))
        # By way of JSON, whose strict reading takes lists for tuples but no text for numbers.
        return _plans().validate_json(json.dumps(data, default=str), strict=True)
    except PlanError:
        raise
    except ValidationError as error:
        raise PlanError(f"{path}: {'; '.join(map(_in_words, error.errors()))}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"{path}: {error}") from error


@cache
def _plans() -> TypeAdapter[BuildPlan]:
    """What checks plans, which takes a while to make."""
    return TypeAdapter(BuildPlan)


def _in_words(fault: ErrorDetails) -> str:
    """The key that a fault is at, what was expected, and the value, if it is a single one."""
    where, found = ".".join(map(str, fault["loc"])) or "the plan", fault["input"]
    return f"{where}: {fault['msg']}" + (f", found {found!r}" if isinstance(found, int | float | str) else "")
