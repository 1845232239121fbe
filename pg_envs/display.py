"""What the command line shows: live progress, the final table, and what there is to choose from."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

import pg_envs
from pg_envs.env import ProgressEnv
from pg_envs.history.base import LABEL
from pg_envs.history.registry import HISTORIES
from pg_envs.plots import headline
from pg_envs.plugins import agent_names, find_agent, init_parameters
from pg_envs.ranks import is_first

OF_THE_EPISODE = re.compile(rf"({LABEL.pattern}): (the .+)")
"""How reports of a century's progress are worded: its label, and who does what."""


class LiveDisplay:
    """Two lines: the episode (century, elapsed, remaining) and what is being trained or measured right now."""

    def __init__(self, title: str) -> None:
        """Show progress of the run called ``title``; a line per phase if output is no terminal. Of several processes one shows it."""
        self.console = Console(stderr=True, quiet=not is_first())
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("remaining"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
            # The library forgets after half a minute how fast it went, which is sooner than a century ends.
            speed_estimate_period=24 * 3600,
        )
        self.title = title
        self.episode: TaskID = self.progress.add_task(title, total=None, count="")
        self.phase: TaskID = self.progress.add_task("starting", total=None, count="")
        self._last = ""

    def __enter__(self) -> LiveDisplay:
        """Begin to show."""
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the screen as it is."""
        self.stop()

    def stop(self) -> None:
        """Stop showing."""
        self.progress.stop()

    def report(self, what: str, done: int, total: int) -> None:
        """Take a progress report; those worded as ``OF_THE_EPISODE`` are about the episode, others about what goes on within it."""
        century = OF_THE_EPISODE.fullmatch(what)
        if century is not None:
            label, phase = century.groups()
            self.progress.update(self.episode, description=f"{self.title}: {label}", completed=done, total=total, count=f"{done}/{total}")
            self.progress.reset(self.phase, description=phase, total=None, count="")
        else:
            if what != self._last or done <= 1:
                self.progress.reset(self.phase, description=what, total=total, count="")
            self.progress.update(self.phase, completed=done, total=total, count=f"{done}/{total}")
        if not self.console.is_terminal and what != self._last:
            self.console.print(f"{self.title}: {what} ({done}/{total})", highlight=False)
        self._last = what


class GridDisplay:
    """One line: how many runs of a grid are done, running and failed, and what happened last."""

    def __init__(self) -> None:
        """Show progress of a grid; where output is not a terminal, a line per event."""
        self.console = Console(stderr=True)
        columns = (SpinnerColumn(), BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("{task.description}"))
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.task: TaskID = self.progress.add_task("starting", total=None)

    def __enter__(self) -> GridDisplay:
        """Begin to show."""
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the screen as it is."""
        self.progress.stop()

    def report(self, what: str, done: int, total: int) -> None:
        """Take a progress report."""
        self.progress.update(self.task, description=what, completed=done, total=total)
        if not self.console.is_terminal:
            self.console.print(what, highlight=False, soft_wrap=True)


def quieten_libraries() -> None:
    """Turn off the progress bars and notes of the libraries underneath; warnings stay."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("trl").setLevel(logging.ERROR)


def print_result(result: dict[str, Any], folder: Path, duration_s: float) -> None:
    """Print a row a century, then score, skill and where the files are; of several processes one does."""
    console = Console(quiet=not is_first())
    coevolve = "lock_in_lag" in result["steps"][0]
    table = Table(title=f"{result['config']['agent']} in {result['config']['env']} on {result['history']['name']}")
    columns = ["century", "reward", "upstream's", "mean |policy - human|", "questions"]
    for column in [*columns, *(["on schedule", "lock-in lag"] if coevolve else [])]:
        table.add_column(column, justify="left" if column == "century" else "right")
    for step in result["steps"]:
        difference = sum(map(abs, step["difference"])) / len(step["difference"])
        label = step["century_label"] + (f" for {step['target_label']}" if "target_label" in step else "")
        row = [label, f"{step['reward']:+.3f}", f"{step['score_upstream']:+.3f}", f"{difference:.3f}", str(step["n_queries"])]
        table.add_row(*row, *([f"{step['on_schedule']:+.3f}", f"{step['lock_in_lag']:+d}"] if coevolve else []))
    console.print(table)
    base = result["baselines"]
    compared = f"no-op {base['no-op']:.3f}, oracle {base['oracle']:.3f}; by upstream's formula {result['score_upstream']:.3f}"
    console.print(f"[bold]{headline(result)}[/bold]  ({compared})")
    for event in result["events"]:
        console.print(f"{event['century']}: {event['event']}")
    console.print(f"{duration_s:.0f} s; result.json, trajectory.png, config.json, upstream.json in {folder}", highlight=False)


def _summary(env_id: str) -> str:
    """The first line of an environment's docstring, and its arguments with their defaults and what else there is to choose."""
    env_class: Any = load_env_creator(str(gym.spec(env_id).entry_point))
    hints = get_type_hints(ProgressEnv.__init__)
    arguments = ", ".join(_with_choices(p.name, p.default, hints.get(p.name)) for p in init_parameters(env_class).values())
    return (env_class.__doc__ or "").splitlines()[0] + "\n" + arguments


def _with_choices(name: str, default: Any, hint: Any) -> str:
    others = [str(choice) for choice in get_args(hint) if choice != default] if get_origin(hint) is Literal else []
    return f"{name}={default}" + (f" (or {', '.join(others)})" if others else "")


def list_choices() -> None:
    """Print what there is to choose from."""
    console = Console()
    for title, rows in (
        ("environments", [(name, _summary(name)) for name in pg_envs.ENV_IDS]),
        ("histories", list(HISTORIES.items())),
        ("agents", [(n, ", ".join(f"{f.name}={f.default}" for f in fields(find_agent(n).Config))) for n in agent_names()]),
    ):
        table = Table(title=title, show_header=False, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
