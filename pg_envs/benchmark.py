"""A grid of runs: agents x environments x seeds, each as ``pg-envs run`` in its own folder, and the table of them all."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_envs.alone import alone_in
from pg_envs.grid.cells import check_fit, check_folders, make_cells, parse_choice, parse_environment
from pg_envs.grid.engine import Engine
from pg_envs.grid.processes import processes
from pg_envs.grid.ray_cluster import ray_cluster
from pg_envs.grid.state import GridState
from pg_envs.grid.table import as_markdown, make_table
from pg_envs.results import write_json
from pg_envs.settings import parse_settings
from pg_envs.siblings import finished_result
from pg_envs.storage import naming, write_text

if TYPE_CHECKING:
    from pg_envs.commands import Benchmark


@dataclass(frozen=True)
class Outcome:
    """What became of a grid."""

    errors: dict[str, str]
    """Of the runs that failed, by their names."""
    table: str | None
    """The table as Markdown; None if no run has finished."""


def run_grid(options: Benchmark) -> Outcome:
    """Do what ``pg-envs benchmark`` was asked for.

    Finished runs in ``options.out`` are kept, half-finished ones are gone on with, and what is in the way of a run is never overwritten.

    Raises:
        ValueError, TypeError: If the input is at fault; nothing has been written then.
        FileExistsError: If a folder holds anything but the run that belongs there.
        KeyboardInterrupt: After Ctrl-C; ``state.json`` says what is finished.
    """
    environments = [parse_environment(text) for text in options.envs]
    agents = [parse_choice(text) for text in options.agents]
    _check_pairs(options.pairs, [agent.label for agent in agents])
    env_args = {"history": options.history, **parse_settings(options.env_args)}
    out = options.out.absolute()
    cells = make_cells(out, agents, environments, options.seeds, parse_settings(options.agent_args), env_args)
    check_folders(cells)
    check_fit(cell for cell in cells if finished_result(cell.folder) is None)
    command = canonical_command(options)
    with _engine(options) as carry_out, alone_in(out):
        results = {cell.name: finished_result(cell.folder) for cell in cells}
        to_do = [cell for cell in cells if results[cell.name] is None]
        state = GridState(out, command, results, results.keys() - {cell.name for cell in to_do})
        logs = out / "logs"
        with naming(logs):
            logs.mkdir(exist_ok=True)
        try:
            carry_out(to_do, logs, state.tell)
        except BaseException:
            state.interrupt()
            raise
        finished = {cell.name: result for cell in cells if (result := finished_result(cell.folder)) is not None}
        return Outcome(state.errors, _write_table(out, make_table(cells, finished, command, options.pairs)) if finished else None)


def canonical_command(options: Benchmark) -> str:
    """The command with all that makes numbers, and nothing that does not: where and by whom runs are carried out."""
    words = ["pg-envs", "benchmark", "--agents", *options.agents, "--envs", *options.envs]
    words += ["--seeds", *map(str, options.seeds), "--history", options.history]
    for name, values in (("--env-args", options.env_args), ("--agent-args", options.agent_args)):
        words += [name, *values] if values else []
    words += ["--pairs", *(label for pair in options.pairs for label in pair)] if options.pairs else []
    return shlex.join(words)


def _check_pairs(pairs: list[tuple[str, str]], agents: list[str]) -> None:
    for label in (label for pair in pairs for label in pair):
        if label not in agents:
            raise ValueError(f"--pairs {label}: expected agents as --agents names them: {', '.join(agents)}")


@contextmanager
def _engine(options: Benchmark) -> Iterator[Engine]:
    """What carries out runs."""
    if options.ray is not None:
        if options.workers is not None:
            raise ValueError(f"--workers {options.workers}: with --ray, as many run at a time as the cluster has CPUs for; leave it out")
        with ray_cluster(options.ray, 1 if options.threads is None else options.threads, options.gpus or 0) as engine:
            yield engine
        return
    if options.gpus is not None:
        raise ValueError(f"--gpus {options.gpus:g}: only with --ray; without it runs see the GPUs that CUDA_VISIBLE_DEVICES shows")
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = 1 if options.workers is None else options.workers
    threads = max(1, n_cores // max(1, workers)) if options.threads is None else options.threads
    with processes(workers, threads) as engine:
        yield engine


def _write_table(out: Path, table: dict[str, Any]) -> str:
    text = as_markdown(table)
    write_json(out / "table.json", table)
    write_text(out / "table.md", text)
    return text
