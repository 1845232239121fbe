"""Carrying out runs on a Ray cluster: one task a run, which Ray begins anew elsewhere where a node is lost."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pg_envs.grid.cells import Cell
from pg_envs.grid.engine import Engine, Tell
from pg_envs.grid.state import STATE_FILE
from pg_envs.storage import naming

logger = logging.getLogger(__name__)

MAX_RETRIES = 3
"""How often a run is begun anew after its node or process was lost; errors of the run itself are not tried again."""
ANSWER_S = 5.0
"""How long a cluster's address may take to answer."""
LOOK_EVERY_S = 0.5


@contextmanager
def ray_cluster(address: str, threads: int, gpus: float = 0) -> Iterator[Engine]:
    """An engine on the cluster at ``address`` (``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``); on leaving, its tasks are ended.

    Every run takes ``threads`` of the cluster's CPUs, and Ray sets ``OMP_NUM_THREADS`` to them; and ``gpus`` of its GPUs, which alone Ray
    shows it; less than 1 is a part of one, which several runs share. The grid's folder must be the same folder
    on every node, and so must the current one where settings name files relative to it. A run that was lost goes on from what it had
    written in the grid's, as ``pg-envs run --resume`` does.

    Raises:
        ModuleNotFoundError: If Ray is not installed.
        ValueError: If ``threads`` is less than 1, ``gpus`` are none that Ray deals out, no cluster answers, or no node has so many GPUs.
    """
    if threads < 1:
        raise ValueError(f"--threads {threads}: expected a whole number, 1 or more")
    if not (0 <= gpus < 1 or (1 <= gpus < math.inf and gpus == int(gpus))):
        raise ValueError(f"--gpus {gpus:g}: expected a whole number, or a part of one between 0 and 1")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("--ray needs Ray: pip install 'pg-envs[ray]'") from error
    _check_answer(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except ConnectionError as error:
        raise ValueError(f"--ray {address}: no Ray cluster answers there ({error}); start one with ray start --head") from error
    most, most_cpus = (max((node["Resources"].get(what, 0) for node in ray.nodes() if node["Alive"]), default=0) for what in ("GPU", "CPU"))
    if gpus > most:
        ray.shutdown()
        raise ValueError(
            f"--gpus {gpus:g}: no node of the cluster at {address} has more than {most:g}; start one that has, or ask for less"
        )
    if threads > most_cpus:
        # Not refused: a cluster that grows as it is asked to may have none at first.
        logger.warning(
            "--threads %d: no node of the cluster at %s has more than %g CPUs now; runs wait until one with as many joins, or ask for less",
            threads,
            address,
            most_cpus,
        )
    # A process a run, as on one machine.
    task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=MAX_RETRIES, max_calls=1)(_work)

    def carry_out(cells: Sequence[Cell], logs: Path, tell: Tell) -> None:
        begun_before = {cell.name: _began(cell) for cell in cells}
        pending: dict[Any, Cell] = {task.remote(cell, os.getcwd()): cell for cell in cells}
        waiting = {cell.name for cell in cells}
        while pending:
            ready, _ = ray.wait(list(pending), timeout=LOOK_EVERY_S)
            for cell in [cell for cell in pending.values() if cell.name in waiting and _began(cell) != begun_before[cell.name]]:
                waiting.remove(cell.name)
                tell(cell.name, "running", "")
            for reference in ready:
                cell = pending.pop(reference)
                waiting.discard(cell.name)
                try:
                    ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    log = logs / f"{cell.name}.log"
                    with naming(log):
                        log.write_text(str(error), encoding="utf-8")
                    tell(cell.name, "failed", f"{type(error.cause).__name__}: {error.cause} (log: {log})")
                except ray.exceptions.RayError as error:
                    tell(cell.name, "failed", f"lost {1 + MAX_RETRIES} times: {type(error).__name__}: {error}")
                else:
                    tell(cell.name, "done", "")

    try:
        yield carry_out
    finally:
        # Ends the job, and with it all its tasks.
        ray.shutdown()


def _check_answer(address: str) -> None:
    """Refuse a host and port that nobody listens at, at once: Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), ANSWER_S).close()
    except OSError as error:
        raise ValueError(f"--ray {address}: no Ray cluster answers there ({error}); start one with ray start --head") from error


def _began(cell: Cell) -> int | None:
    """When the run was begun or gone on with last, in nanoseconds: the folder that is shared says so wherever it runs."""
    path = cell.folder / "config.json"
    return path.stat().st_mtime_ns if path.exists() else None


def _work(cell: Cell, current_folder: str) -> None:
    """The task: carries out one run on whatever node it is, in the folder in which the grid was asked for."""
    if not (cell.folder.parent / STATE_FILE).exists():
        where = f"{cell.folder.parent} on {socket.gethostname()}"
        raise FileNotFoundError(f"{where} is not the grid's folder; --out must be one that all nodes share")
    # Ray has its processes where each node was started, and settings may name files, such as a recording, by relative paths.
    if os.path.isdir(current_folder):
        os.chdir(current_folder)
    cell.prepare().carry_out()
