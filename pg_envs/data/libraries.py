"""Libraries of extras, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def optional_library(name: str, extra: str) -> ModuleType:
    """Import a module of an extra.

    Raises:
        ModuleNotFoundError: If it is not installed; the message says what to install.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{name!r} is not installed, which this needs: pip install 'pg-envs[{extra}]'", name=name) from error


def data_library(name: str) -> ModuleType:
    """Import a module of the ``data`` extra, likewise."""
    return optional_library(name, "data")
