"""The command line: ``pg-envs run`` and its sister commands, each described in ``pg_envs.commands``."""

from __future__ import annotations

import dis
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import tyro

from pg_envs import cli_text
from pg_envs.commands import COMMANDS, App, Benchmark, BuildHistory, Clean, Describe, List, Plot, Record, Rewrite, Run, SubmitCheck
from pg_envs.ranks import n_ranks

EXIT_AGENT_STOPPED = 1
EXIT_BROKEN = 1
EXIT_RUNS_FAILED = 1
EXIT_UNFIT = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

SPEAK_TO_THE_USER = ("pg_envs", "agents", "wrappers", "gymnasium")
"""Packages that raise ``ValueError`` and ``TypeError`` where the input is at fault; elsewhere these are bugs, to be shown whole."""


def _run(command: Run) -> int:
    from pg_envs.one_run import run_and_save

    return 0 if run_and_save(command) else EXIT_INTERRUPTED


def _benchmark(command: Benchmark) -> int:
    from pg_envs.benchmark import run_grid
    from pg_envs.display import GridDisplay
    from pg_envs.progress import reporting_to

    with GridDisplay() as display, reporting_to(display.report):
        try:
            outcome = run_grid(command)
        except KeyboardInterrupt:
            print(f"What was finished is in {command.out}; the same command goes on with it.", file=sys.stderr)
            raise
    if outcome.table is not None:
        print(outcome.table)
        print(f"runs, table.md, table.json and state.json in {command.out}")
    for name, error in outcome.errors.items():
        print(f"pg-envs: {name} failed: {error}", file=sys.stderr)
    return EXIT_RUNS_FAILED if outcome.errors else 0


def _record(command: Record) -> int:
    from pg_envs.display import LiveDisplay, quieten_libraries
    from pg_envs.progress import reporting_to
    from pg_envs.record import record

    quieten_libraries()
    with LiveDisplay(f"recording {command.history}") as display, reporting_to(display.report):
        try:
            record(**vars(command))
        except KeyboardInterrupt:
            print(f"What was finished is in {command.out}.partial; the same command goes on with it.", file=sys.stderr)
            raise
    print(f"{command.out} is complete; use it as history='recorded:{command.out}'")
    return 0


def _plot(command: Plot) -> int:
    from pg_envs.display import LiveDisplay
    from pg_envs.plotting.plot_runs import plot_runs
    from pg_envs.progress import reporting_to

    with LiveDisplay("drawing") as display, reporting_to(display.report):
        drawn = plot_runs(command.runs, command.out)
    for note in drawn.notes:
        print(note, file=sys.stderr)
    for path, what in drawn.made:
        print(f"{path}: {what}")
    return 0


def _submit_check(command: SubmitCheck) -> int:
    from pg_envs.result_schema import ResultError
    from pg_envs.results import upstream_export, write_json
    from pg_envs.submission import check_submission

    if command.export is not None and command.export.exists():
        raise FileExistsError(f"{command.export} exists and is never overwritten; choose another --export")
    try:
        result, problems, believed = check_submission(command.file)
    except ResultError as error:
        result, problems, believed = {}, [str(error)], []
    for problem in problems:
        print(f"not fit: {problem}", file=sys.stderr)
    for what in believed:
        print(f"believed, not checked: {what}")
    if problems:
        return EXIT_UNFIT
    if command.export is not None:
        write_json(command.export, upstream_export(result, None))
        print(f"{command.export}: upstream's schema, without a duration, which no result says")
    print(f"{command.file} is fit for the leaderboard: score {result['score']:.6f}")
    return 0


def _app(command: App) -> int:
    from pg_envs.app.serve import serve
    from pg_envs.display import quieten_libraries

    quieten_libraries()
    app = serve(**vars(command))
    print(f"{app.share_url or app.local_url} (Ctrl-C stops it)", flush=True)
    app.block_thread()
    return 0


def _list(command: List) -> int:
    from pg_envs.display import list_choices

    list_choices()
    return 0


DO: dict[type, Callable[[Any], int]] = {
    Run: _run,
    Benchmark: _benchmark,
    Record: _record,
    BuildHistory: cli_text.build_history,
    Clean: cli_text.clean,
    Rewrite: cli_text.rewrite,
    Describe: cli_text.describe,
    Plot: _plot,
    SubmitCheck: _submit_check,
    App: _app,
    List: _list,
}
"""What each command does; gives the exit code."""


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    command: Any = tyro.cli(COMMANDS, prog="pg-envs", description=__doc__, args=arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from pg_envs.models.memory import is_out_of_memory
    from pg_envs.runner import AgentStopped
    from pg_envs.storage import CannotWrite
    from pg_envs.wandb_logging import NotLogged

    if str(Path.cwd()) not in sys.path:
        # Where an agent given as module:Class is looked for; a console script's own first place is its own folder.
        sys.path.insert(0, str(Path.cwd()))
    try:
        if n_ranks() > 1 and not isinstance(command, Run | BuildHistory):
            raise ValueError(f"{type(command).__name__}: launched in {n_ranks()} processes, of which only run and build-history make use")
        return DO[type(command)](command)
    except KeyboardInterrupt:
        print("pg-envs: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except AgentStopped as error:
        print(f"pg-envs: the agent stopped: {error}", file=sys.stderr)
        return EXIT_AGENT_STOPPED
    except (ValueError, FileNotFoundError, FileExistsError, PermissionError, TypeError, ModuleNotFoundError, gym.error.Error) as error:
        # Bad input, found before or between centuries: the message is for the user, a traceback is not.
        if isinstance(error, ValueError | TypeError) and not _is_raised_on_purpose(error):
            raise
        print(f"pg-envs: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except (CannotWrite, ChildProcessError, MemoryError, RuntimeError) as error:
        if not isinstance(error, CannotWrite | ChildProcessError | NotLogged) and not is_out_of_memory(error):
            raise
        print(f"pg-envs: {type(error).__name__}: {error}", file=sys.stderr)
        return EXIT_BROKEN


def _is_raised_on_purpose(error: Exception) -> bool:
    """Whether an error is from a ``raise`` in code that says so what is wrong with the input, and not from an operation that failed."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None:
        return False
    frame = innermost.tb_frame
    # The package rather than the name, which is __main__ for this module under python -m.
    package = frame.f_globals.get("__package__") or ""
    # An operation that fails raises the same kinds, e.g. None[0] a TypeError; only a raise statement is meant for somebody.
    return package.partition(".")[0] in SPEAK_TO_THE_USER and frame.f_code.co_code[innermost.tb_lasti] == dis.opmap["RAISE_VARARGS"]


if __name__ == "__main__":
    sys.exit(main())
