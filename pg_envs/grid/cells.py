"""Which runs a grid has: agents x environments x seeds, each with a folder and a configuration of its own."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pg_envs.one_run import OneRun
from pg_envs.run_folder import CONFIG, has_begun, read_config
from pg_envs.run_setup import SHORT_NAMES, folder_name
from pg_envs.settings import parse_settings


@dataclass(frozen=True)
class Choice:
    """An environment or an agent with settings of its own."""

    label: str
    """As the table calls it: ``Predict:lookahead=2``."""
    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run of a grid."""

    environment: str
    """Its label."""
    agent: str
    """Its label."""
    seed: int
    folder: Path
    config: dict[str, Any]
    """As in ``config.json``."""

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name

    def prepare(self) -> OneRun:
        """The run, ready to begin or to go on; what earlier grids left in the same folder are siblings too."""
        return OneRun(self.folder, self.config, siblings_in=self.folder.parent)


def parse_choice(text: str) -> Choice:
    """``Predict:lookahead=2,votes=majority``: a name, which may hold colons, and settings; a comma separates where KEY= follows it."""
    match = re.fullmatch(r"(.+?)(?::(\w+=.*))?", text, re.DOTALL)
    if match is None:
        raise ValueError(f"{text!r}: expected NAME or NAME:KEY=VALUE,KEY=VALUE")
    name, settings = match.groups()
    return Choice(text, name, parse_settings(re.split(r",(?=\w+=)", settings)) if settings else {})


def parse_environment(text: str) -> Choice:
    """As ``parse_choice``; an environment of this project may be called by its short name, and is in the label."""
    choice = parse_choice(text)
    short = next((short for short, name in SHORT_NAMES.items() if choice.name == name), choice.name)
    return Choice(short + text.removeprefix(choice.name), SHORT_NAMES.get(choice.name, choice.name), choice.settings)


def make_cells(
    out: Path,
    agents: Sequence[Choice],
    environments: Sequence[Choice],
    seeds: Sequence[int],
    agent_args: dict[str, Any],
    env_args: dict[str, Any],
) -> list[Cell]:
    """All runs, seed by seed, so that what is finished first can be compared.

    Args:
        out: The grid's folder; every run gets one in it.
        agents: Agents.
        environments: Environments.
        seeds: Seeds, 0 or more.
        agent_args: Settings of every agent; an agent's own go before them.
        env_args: Settings of every environment, its ``history`` included; an environment's own go before them.

    Raises:
        ValueError: If nothing is to be run, a seed is negative, or two runs would have the same folder.
    """
    if any(seed < 0 for seed in seeds):
        raise ValueError(f"--seeds {min(seeds)}: expected whole numbers, 0 or more")
    cells = []
    for seed, environment, agent in product(seeds, environments, agents):
        config: dict[str, Any] = {
            "env": environment.name,
            "env_args": {**env_args, **environment.settings},
            "agent": agent.name,
            "agent_args": {**agent_args, **agent.settings},
            "seed": seed,
        }
        name = folder_name(environment.label, agent.label, config["env_args"]["history"], seed)
        cells.append(Cell(environment.label, agent.label, seed, out / name, config))
    if not cells:
        raise ValueError("nothing to run: expected at least one of --agents, --envs and --seeds each")
    name, n = Counter(cell.name for cell in cells).most_common(1)[0]
    if n > 1:
        raise ValueError(f"{n} runs of the grid would lie in {out / name}; name every agent, environment and seed once")
    return cells


def check_folders(cells: Iterable[Cell]) -> None:
    """Refuse a folder that holds anything but the cell's own run, finished or not.

    Raises:
        FileExistsError: If there is one.
    """
    for cell in cells:
        if (cell.folder / CONFIG).exists():
            config = read_config(cell.folder)
            if config != cell.config:
                raise FileExistsError(
                    f"{cell.folder} holds a run of {json.dumps(config)}, and is never overwritten; "
                    f"expected {json.dumps(cell.config)}: choose another --out"
                )
        elif has_begun(cell.folder):
            raise FileExistsError(f"{cell.folder} has no {CONFIG}, so is no run, and is never overwritten; choose another --out")


def check_fit(cells: Iterable[Cell]) -> None:
    """Make each environment and agent once, which refuses names and settings that do not exist or do not fit; nothing is written.

    Raises:
        ValueError, TypeError: As ``OneRun``.
    """
    for cell in {(cell.environment, cell.agent): cell for cell in cells}.values():
        cell.prepare().close()
