"""Much of everything, and what is left of it: ``python benchmarks/load.py`` writes ``docs/load.json`` and ``docs/load.png``.

Four loads: episodes in an asynchronous vector of simulated environments, very many steps of one environment, a grid of short runs, and
runs of lifelong DPO on language models of a few thousand parameters, one after another in this process. Memory of this process (and, for
the vector, of one of its workers) is looked at twenty times in each, file handles and child processes before and after. Linux only, since
it reads ``/proc``. The exit code is 1 if the last five looks have on average more than the second five by over ``MOST_GROWTH_MB``, or
anything was left behind.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for variable, value in {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}.items():
    os.environ.setdefault(variable, value)
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import gymnasium as gym  # noqa: E402
import numpy as np  # noqa: E402
from kill_tasks import make_family  # noqa: E402
from tests_support import write_small_questionnaire  # noqa: E402

import pg_envs  # noqa: E402, F401 - registers the environments
from agents.lifelong_dpo import LifelongDPO, LifelongDPOConfig  # noqa: E402
from pg_envs.benchmark import run_grid  # noqa: E402
from pg_envs.commands import Benchmark  # noqa: E402
from pg_envs.display import quieten_libraries  # noqa: E402
from pg_envs.plots import save  # noqa: E402
from pg_envs.plotting.style import line_style, new_figure  # noqa: E402
from pg_envs.runner import run_episode  # noqa: E402

LOOKS = 20
MOST_GROWTH_MB = {"vector": 2.0, "steps": 2.0, "grid": 2.0, "trainings": 15.0}
"""For the default sizes. The tokenizers library (0.23) never gives back what a tokenizer remembers of the words it has met, half a kB each,
even if it is told to; every training and every engine reads a tokenizer of its own, which is 0.4 MB a run here."""
Row = dict[str, Any]


def memory_mb(process: int | str = "self") -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def handles(process: int | str = "self") -> int:
    """File handles of a process."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def children() -> list[int]:
    """Processes of this one."""
    return [int(word) for path in Path("/proc/self/task").glob("*/children") for word in path.read_text(encoding="utf-8").split()]


def watched(load: Callable[[Callable[[], None], Row], None]) -> Row:
    """What a load did, and what it left: it is given what to call for a look, and a row to add to."""
    gc.collect()
    before, began = (handles(), len(children())), time.monotonic()
    row: Row = {"memory_mb": []}
    load(lambda: row["memory_mb"].append(memory_mb()), row)
    row["seconds"] = round(time.monotonic() - began, 1)
    gc.collect()
    return {**row, "file_handles_left": handles() - before[0], "processes_left": len(children()) - before[1]}


def episodes_in_a_vector(n_episodes: int, n_environments: int) -> Row:
    """At least so many episodes, all environments stepping together; closed twice."""

    def load(look: Callable[[], None], row: Row) -> None:
        envs = gym.make_vec("ProgressGym/Follow-v0", n_environments, "async", history="simulated-random")
        envs.action_space.seed(0)
        envs.reset(seed=0)
        n_done, worker = 0, children()[-1]
        row |= {"environments": n_environments, "worker_mb": [], "worker_file_handles": []}
        while n_done < n_episodes:
            _, _, terminated, truncated, _ = envs.step(envs.action_space.sample())
            n_done += int((terminated | truncated).sum())
            if n_done * LOOKS >= n_episodes * (len(row["memory_mb"]) + 1):
                look()
                row["worker_mb"].append(memory_mb(worker))
                row["worker_file_handles"].append(handles(worker))
        row["episodes"] = n_done
        for _ in range(2):
            envs.close()

    # Multiprocessing keeps the shared memory of the first vector for the next; one is made before anything is counted.
    gym.make_vec("ProgressGym/Follow-v0", n_environments, "async", history="simulated").close()
    return watched(load)


def many_steps(n_steps: int) -> Row:
    """Steps of one environment, whole episodes; closed twice."""

    def load(look: Callable[[], None], row: Row) -> None:
        env = gym.make("ProgressGym/Coevolve-v0", history="simulated-random")
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(100)]
        n = 0
        while n < n_steps:
            env.reset(seed=n)
            terminated = False
            while not terminated:
                _, _, terminated, _, _ = env.step(actions[n % len(actions)])
                n += 1
            if n * LOOKS >= n_steps * (len(row["memory_mb"]) + 1):
                look()
        row["steps"] = n
        for _ in range(2):
            env.close()

    return watched(load)


def grid(n_runs: int, workers: int, folder: Path) -> Row:
    """Grids of short runs, each run in a process of its own."""
    options = {"history": "simulated", "env_args": ['centuries=["C019", "C021"]'], "workers": workers, "threads": 1}

    def load(look: Callable[[], None], row: Row) -> None:
        row |= {"workers": workers, "failed": 0}
        for number, seeds in enumerate(np.array_split(np.arange(n_runs // 2), LOOKS)):
            asked = Benchmark(["random", "no-op"], folder / f"grid-{number}", seeds=seeds.tolist(), **options)
            row["failed"] += len(run_grid(asked).errors)
            look()
        row["runs"] = len(list(folder.glob("grid-*/*/result.json")))

    # What starts the processes of the first grid stays for those after it.
    run_grid(Benchmark(["no-op"], folder / "first", seeds=[0], **options))
    return watched(load)


def trainings(n_runs: int, folder: Path) -> Row:
    """Runs of an agent that trains two policies each, on the random models that ``histtiny`` stands for by now."""

    def load(look: Callable[[], None], row: Row) -> None:
        (folder / "items").mkdir()
        write_small_questionnaire(folder / "items")
        asked = {"history": "live:histtiny", "questionnaire": str(folder / "items"), "centuries": ("C019", "C021")}
        for number in range(n_runs):
            env = gym.make("ProgressGym/Follow-v0", **asked)
            run_episode(env, LifelongDPO(env, LifelongDPOConfig(seed=number), folder / str(number)), seed=number)
            env.close()
            if (number + 1) * LOOKS >= n_runs * (len(row["memory_mb"]) + 1):
                look()
        row["runs"] = n_runs

    return watched(load)


def growth_mb(looks: list[float]) -> float:
    """How much more the last five of twenty looks have than the second five, on average: by then all has been used once."""
    quarters = np.array(looks, float).reshape(4, -1).mean(axis=1)
    return round(float(quarters[3] - quarters[1]), 2)


def is_bad(name: str, row: Row) -> bool:
    """Whether a load left anything, failed, or made memory grow."""
    handles_of_worker = row.get("worker_file_handles", [0])
    grew = max(row["growth_mb"].values()) > MOST_GROWTH_MB[name] or handles_of_worker[-1] > handles_of_worker[0]
    return grew or bool(row.get("failed")) or row["file_handles_left"] > 0 or row["processes_left"] > 0


def draw(report: dict[str, Row], path: Path) -> None:
    """Memory over each load, less what it had at the second look."""
    figure = new_figure(6.4, 3.6, "Memory under load")
    axes = figure.add_subplot(xlabel="share of the load that is done, in %", ylabel="memory less that of the second look, in MB")
    for index, (name, row) in enumerate(report.items()):
        looks = np.array(row["memory_mb"])
        axes.plot(100 * np.arange(1, len(looks) + 1) / len(looks), looks - looks[1], label=name, **line_style(index))
    axes.legend()
    save(figure, path)


def main() -> int:
    """Load and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--environments", type=int, default=64)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2_000_000)
    parser.add_argument("--trainings", type=int, default=60, help="runs of lifelong DPO")
    parser.add_argument("--out", type=Path, default=Path("docs/load.json"))
    arguments = parser.parse_args()
    quieten_libraries()
    report: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="pg-envs-load-") as name:
        # First, as it forks off a process to make the models, before which nothing may have been computed.
        make_family(Path(name) / "family")
        for load_name, load in (
            ("vector", lambda: episodes_in_a_vector(arguments.episodes, arguments.environments)),
            ("steps", lambda: many_steps(arguments.steps)),
            ("grid", lambda: grid(arguments.runs, arguments.workers, Path(name))),
            ("trainings", lambda: trainings(arguments.trainings, Path(name))),
        ):
            row = load()
            report[load_name] = {**row, "growth_mb": {key: growth_mb(row[key]) for key in ("memory_mb", "worker_mb") if key in row}}
            print(f"{load_name}: {report[load_name]}", flush=True)
            arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    draw(report, arguments.out.with_suffix(".png"))
    return int(any(is_bad(name, row) for name, row in report.items()))


if __name__ == "__main__":
    sys.exit(main())
