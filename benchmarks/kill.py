"""Runs killed at random moments and taken up again: ``python benchmarks/kill.py`` writes ``docs/kill.json``.

Each task (an agent's run, a grid, a recording, a family's building) is done once undisturbed, then again and again with SIGKILL in
between: at a random time, right after a random one of its dealings with files (an open for writing, a rename, a removal), which is
where files are half written, or right after a random one of its reports of progress, most of which a training makes. After some kills
a task is let finish. What must hold: it finishes; its results are the undisturbed ones, byte for byte; and nothing that was finished
before a kill (a century's act and its policy's files, a recorded century, a period's model, a run of a grid) is missing or changed
after it. The exit code is 1 if anything else happened.

Language models are random ones of a few thousand parameters, so that hundreds of kills take minutes. Tasks are forked off a process
that has imported everything but computed nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

for variable, value in {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}.items():
    os.environ.setdefault(variable, value)
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kill_attempt import KINDS, Attempt  # noqa: E402
from kill_tasks import Task, make_family, tasks, write_plan  # noqa: E402
from tests_support import write_small_questionnaire  # noqa: E402

SUMMED = ("kills", "finished", "not_finished", "different", "lost")
IMPORTED_ONCE = (
    *("matplotlib.figure", "pyarrow.parquet", "trl.trainer.dpo_trainer", "agents.extrapolative_dpo", "agents.lifelong_rlhf"),
    *(
        "agents.simulated",
        "pg_envs.benchmark",
        "pg_envs.building.build",
        "pg_envs.models.transformers_engine",
        "pg_envs.models.tuning",
        "pg_envs.record",
    ),
)
"""Imports are most of a short run."""


PHASES = {
    "training": ("optimisation", "tuning", "training", "reward model", "what the policy is held to"),
    "measuring": ("asking", "measuring", "judged", "writing", "rereading", "humans are asked"),
    "loading": ("loading", "hashing", "reading the texts"),
    "acting": ("the agent acts",),
    "building": ("building",),
    "starting": ("starting",),
}
"""What a task was doing, by words that it reports."""


def phase_kind(phase: str) -> str:
    """One of a few words for what a task was doing."""
    return next((kind for kind, words in PHASES.items() if any(word in phase for word in words)), "else")


def contents(files: list[Path], folder: Path) -> dict[str, bytes]:
    """Files by their place."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Trials:
    """All kills of one task."""

    def __init__(self, task: Task, scratch: Path, rng: random.Random) -> None:
        self.task, self.scratch, self.rng = task, scratch, rng
        self.log = scratch / "log"
        began = time.monotonic()
        whole = scratch / "whole"
        attempt = Attempt(task.command(whole), self.log, None)
        attempt.wait(3600)
        if attempt.end(kill=False):
            raise RuntimeError(f"the undisturbed task failed: {self.log.read_text(errors='replace')[-2000:]}")
        self.seconds, self.counts = time.monotonic() - began, {kind: attempt.count(kind) for kind in KINDS}
        self.expected = contents(task.results(whole), whole)
        self.kills: Counter[str] = Counter()
        self.n_finished = self.n_failed = self.n_different = self.n_lost = 0

    def trial(self, n_kills: int) -> None:
        """Kill the task so many times, then let it finish, and compare."""
        folder = self.scratch / "it"
        shutil.rmtree(folder, ignore_errors=True)
        for _ in range(n_kills):
            before = self.task.kept(folder)
            if self.task.is_complete(folder) or self._attempt(folder, kill=True):
                break
            self._count_lost(before, self.task.kept(folder))
        if not self.task.is_complete(folder) and not self._attempt(folder, kill=False):
            self.n_failed += 1
            return
        self.n_finished += 1
        found = contents(self.task.results(folder), folder)
        self.n_different += found != self.expected
        if different := sorted(name for name in {*found, *self.expected} if found.get(name) != self.expected.get(name)):
            print(f"different: {', '.join(different)}", file=sys.stderr)

    def _attempt(self, folder: Path, kill: bool) -> bool:
        """Begin or take up the task; whether it has finished."""
        begun = (folder / "it" / "config.json").exists()
        command = (self.task.again if begun else self.task.command)(folder)
        kind = self.rng.choice([None, *(kind for kind in KINDS if self.counts[kind])]) if kill else None
        attempt = Attempt(command, self.log, kind and (kind, self.rng.randint(1, self.counts[kind])))
        ended = attempt.wait(self.rng.uniform(0, self.seconds) if kill and kind is None else 3600)
        if ended or not kill:
            return attempt.end(kill=False) == 0
        phase = attempt.phase
        if attempt.end(kill=True) == signal.SIGKILL:
            self.kills[phase_kind(phase) + ", at a file" * (kind == "file")] += 1
        return False

    def _count_lost(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        lost = [name for name, what in before.items() if name not in after or after[name] != what]
        self.n_lost += bool(lost)
        if lost:
            print(f"lost: {', '.join(lost)}", file=sys.stderr)

    def report(self) -> dict[str, Any]:
        """Figures."""
        counts = {"finished": self.n_finished, "not_finished": self.n_failed, "different": self.n_different, "lost": self.n_lost}
        return {"kills": self.kills.total(), "killed_while": dict(sorted(self.kills.items())), **counts}


def main() -> int:
    """Kill everything and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="at least so many in all, shared by the tasks")
    parser.add_argument("--kills-a-trial", type=int, default=5, help="before a task is let finish")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", nargs="+", help="parts of the tasks' names; the others keep their figures in the file. All by default")
    parser.add_argument("--out", type=Path, default=Path("docs/kill.json"))
    arguments = parser.parse_args()
    for module in IMPORTED_ONCE:
        importlib.import_module(module)
    kept = arguments.tasks and arguments.out.exists()
    rows: dict[str, Any] = json.loads(arguments.out.read_text(encoding="utf-8"))["tasks"] if kept else {}
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="pg-envs-kill-") as name:
        scratch = Path(name)
        make_family(scratch / "family")
        (scratch / "items").mkdir()
        write_small_questionnaire(scratch / "items")
        plans = write_plan(scratch / "family" / "base", scratch / "items", scratch / "plan")
        chosen = {n: t for n, t in tasks(scratch / "items", plans).items() if any(part in n for part in arguments.tasks or [""])}
        for number, (task_name, task) in enumerate(chosen.items()):
            (scratch / str(number)).mkdir()
            trials = Trials(task, scratch / str(number), random.Random(f"{arguments.seed} {task_name}"))
            while trials.kills.total() < arguments.kills / len(chosen) and not trials.n_failed:
                trials.trial(arguments.kills_a_trial)
            rows[task_name] = trials.report()
            print(f"{task_name} ({trials.seconds:.0f} s, {trials.counts}): {rows[task_name]}", flush=True)
            told = {"seed": arguments.seed, "all": {key: sum(row[key] for row in rows.values()) for key in SUMMED}, "tasks": rows}
            arguments.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            if trials.n_failed:
                print(trials.log.read_text(encoding="utf-8", errors="replace")[-3000:], file=sys.stderr)
    return int(any(told["all"][key] for key in ("not_finished", "different", "lost")))


if __name__ == "__main__":
    sys.exit(main())
