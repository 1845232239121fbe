"""Libraries of the ``data`` extra, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def data_library(name: str) -> ModuleType:
    """Import a module of the ``data`` extra.

    Raises:
        ModuleNotFoundError: If it is not installed; the message says what to install.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"reading and cleaning text needs {name!r}: pip install 'pg-envs[data]'", name=name) from error
