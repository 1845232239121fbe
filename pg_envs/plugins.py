"""Finding agents by name: entry points of the group ``pg_envs.agents``, or ``module:Class``."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import entry_points
from typing import Any

GROUP = "pg_envs.agents"


class AgentError(ValueError):
    """An agent that does not exist, or settings that it does not take."""


def agent_names() -> list[str]:
    """The installed agents' names."""
    return sorted(point.name for point in entry_points(group=GROUP))


def find_agent(name: str) -> Any:
    """The agent class called ``name``.

    Raises:
        AgentError: If there is none.
    """
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point.load()
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            agent_class = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise AgentError(f"no agent {name!r}: {error}") from error
        if not all(hasattr(agent_class, part) for part in ("Config", "act", "recall")):
            raise AgentError(f"{name!r} is no agent: expected a class with Config, act() and recall(), as agents.base.Agent")
        return agent_class
    raise AgentError(f"unknown agent {name!r}; choose from {', '.join(agent_names())}, or give your own as module:Class")


def make_config(agent_class: Any, settings: dict[str, Any]) -> Any:
    """An instance of the agent's ``Config`` with some fields set.

    Raises:
        AgentError: If a field does not exist or a value has another type than the field's default.
    """
    defaults = agent_class.Config()
    fields = vars(defaults)
    for key, value in settings.items():
        if key not in fields:
            raise AgentError(f"{agent_class.__name__} has no setting {key!r}; it has {', '.join(fields)}")
        if isinstance(fields[key], float) and type(value) is int:
            settings = {**settings, key: float(value)}
        elif fields[key] is not None and type(value) is not type(fields[key]):
            raise AgentError(f"setting {key}={value!r}: expected {type(fields[key]).__name__}, as in the default {fields[key]!r}")
    return agent_class.Config(**settings)


def init_parameters(cls: type) -> dict[str, inspect.Parameter]:
    """Parameters of a class's constructor, its base classes' included, by name."""
    inits = [vars(c)["__init__"] for c in inspect.getmro(cls) if "__init__" in vars(c) and c is not object]
    found: dict[str, inspect.Parameter] = {}
    for init in inits:
        for p in inspect.signature(init).parameters.values():
            if p.name != "self" and p.kind is not p.VAR_KEYWORD:
                found.setdefault(p.name, p)
    return found
