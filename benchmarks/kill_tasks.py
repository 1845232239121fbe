"""What ``benchmarks/kill.py`` kills: commands of ``pg-envs`` on models of a few thousand parameters."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_envs.storage import file_sha256
from pg_envs.values.dimensions import DIMENSIONS

FIRST_AND_LAST = ("C019", "C021")
SENTENCES = {"old": "The fathers keep the law. ", "new": "A neighbour may speak. "}
LEARNING = '[text]\nfolder = "texts"\n[pretraining]\nexcerpt_characters = 300\nn_excerpts = 16\nbatch_size = 4\nsave_every_steps = 2\n'
FROM_NOTHING = (
    '[planted]\ntable = "table.csv"\nstages = [[2, 1e-3]]\nstages_after_neighbour = [[2, 1e-3]]\n'
    "[scratch]\nhidden_size = 64\nintermediate_size = 64\nn_layers = 2\nn_heads = 4\n"
    "n_text_steps = 4\nn_lesson_steps = 4\nn_stake_steps = 2\n"
)


@dataclass(frozen=True)
class Task:
    """Something that can be killed.

    Attributes:
        command: For ``pg-envs``, given the folder; the same one takes it up again.
        again: The command that takes it up again where that is another.
        results: Given the folder, the files that must be the undisturbed ones.
        kept: Given the folder, what is finished in it so far, by a name each: it may not go or change any more.
        complete: Given the folder, a file that is there once nothing is left to do, where the command then refuses to begin; or None.
    """

    command: Callable[[Path], list[str]]
    again: Callable[[Path], list[str]]
    results: Callable[[Path], list[Path]]
    kept: Callable[[Path], dict[str, Any]]
    complete: Callable[[Path], Path] | None = None

    def is_complete(self, folder: Path) -> bool:
        """Whether the command would refuse, since all is there."""
        return self.complete is not None and self.complete(folder).exists()


def run_task(settings: list[str], items: Path | None) -> Task:
    """A run of an agent; humans and policies are language models where there are ``items``."""
    centuries = f"centuries={json.dumps(FIRST_AND_LAST)}"
    models = ["--history", "live:histtiny", "--env-args", f"questionnaire={items}", centuries] if items else []
    return Task(
        lambda folder: ["run", *settings, *models, "--out", str(folder), "--name", "it"],
        lambda folder: ["run", "--resume", str(folder / "it")],
        lambda folder: [folder / "it" / "result.json"],
        lambda folder: acts_in(folder / "it"),
    )


def acts_in(run: Path) -> dict[str, Any]:
    """The policies that a run has noted as made, and their files as they are; once it is finished, its result alone says so."""
    progress, result = run / "progress.json", run / "result.json"
    if progress.exists():
        made = [(act["policy"], act["files"]) for act in json.loads(progress.read_text(encoding="utf-8"))["acts"]]
    else:
        steps = json.loads(result.read_text(encoding="utf-8"))["steps"] if result.exists() else []
        made = [(step["policy"], step["policy_files"]) for step in steps]
    files = (run / name for _, names in made for name in names)
    return {**{f"act {number}": act for number, act in enumerate(made)}, **hashes(files, run)}


def steps_in(grid: Path) -> dict[str, Any]:
    """The centuries of a grid's runs that have a result; baselines are added to that later."""
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8"))["steps"] for path in sorted(grid.glob("*/result.json"))}


def folders_in(folder: Path, last: str) -> dict[str, Any]:
    """The files in the folders of ``folder`` that are finished: they have the file that comes last, and their own name."""
    finished = [whole.parent for whole in folder.glob(f"*/{last}") if whole.parent.suffix != ".tmp"]
    return hashes([path for place in finished for path in files_in(place)], folder)


def hashes(files: Iterable[Path], folder: Path) -> dict[str, Any]:
    """SHA-256 by the place in the folder; None for a file that is not there."""
    named = {str(path.relative_to(folder)): path for path in files}
    return {name: file_sha256(path) if path.is_file() else None for name, path in named.items()}


def write_plan(base: Path, items: Path, folder: Path) -> Path:
    """The plan of a family of two periods, the second going on from the first, with checkpoints; its texts beside it."""
    for period, sentence in SENTENCES.items():
        (folder / "texts" / period).mkdir(parents=True)
        for number in range(2):
            (folder / "texts" / period / f"{number}.txt").write_text(f"{number} " + 100 * sentence, encoding="utf-8")
    head = f'name = "own"\nperiods = ["old", "new"]\nquestionnaire = "{items}"\nlicence = "mit"\n'
    (folder / "plan.toml").write_text(head + f'base = "{base}"\nchains = [["old", "new"]]\n' + LEARNING, encoding="utf-8")
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["dimension", *SENTENCES], *([d.key, 0.1, 0.2] for d in DIMENSIONS)])
    (folder / "from_nothing.toml").write_text(head + "workers = 2\n" + LEARNING + FROM_NOTHING, encoding="utf-8")
    return folder


def files_in(folder: Path) -> list[Path]:
    """All files below a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def build_task(plan: Path) -> Task:
    """The building of a family."""

    def build(folder: Path) -> list[str]:
        return ["build-history", str(plan), "--out", str(folder / "it")]

    return Task(
        build,
        build,
        lambda folder: files_in(folder / "it"),
        lambda folder: folders_in(folder / "it", "README.md"),
        lambda folder: folder / "it" / "history.json",
    )


def tasks(items: Path, plans: Path) -> dict[str, Task]:
    """All tasks by their names."""
    simulated = ["--history", "simulated-random", "--agent", "simulated-extrapolative"]

    def grid(folder: Path) -> list[str]:
        return ["benchmark", "--agents", "random", "no-op", "--seeds", "0", "--history", "simulated", "--out", str(folder / "grid")]

    def record(folder: Path) -> list[str]:
        asked = ["--history", "live:histtiny", "--questionnaire", str(items), "--centuries", *FIRST_AND_LAST]
        return ["record", *asked, "--out", str(folder / "it")]

    return {
        "simulated-extrapolative in Follow": run_task(simulated, None),
        "simulated-extrapolative in Coevolve": run_task([*simulated, "--env", "ProgressGym/Coevolve-v0"], None),
        "lifelong-dpo in Follow": run_task(["--agent", "lifelong-dpo"], items),
        "lifelong-rlhf in Follow": run_task(["--agent", "lifelong-rlhf"], items),
        "extrapolative-dpo in Coevolve": run_task(["--agent", "extrapolative-dpo", "--env", "ProgressGym/Coevolve-v0"], items),
        "grid of random and no-op": Task(
            grid,
            grid,
            lambda folder: [*sorted(folder.glob("grid/*/result.json")), folder / "grid/table.json"],
            lambda folder: steps_in(folder / "grid"),
        ),
        "recording": Task(
            record,
            record,
            lambda folder: files_in(folder / "it"),
            lambda folder: {**folders_in(folder / "it.partial", "values.parquet"), **folders_in(folder / "it", "values.parquet")},
            lambda folder: folder / "it" / "manifest.json",
        ),
        "family of two periods": build_task(plans / "plan.toml"),
        "family from nothing, by two processes": build_task(plans / "from_nothing.toml"),
    }


def make_family(folder: Path) -> None:
    """Have ``histtiny`` be random models; made in a process of its own, since nothing may be computed here."""
    process = os.fork()
    if process == 0:
        from tests_support import save_llama, save_random_family

        from pg_envs.building.tokenizer import train_tokenizer
        from pg_envs.models.ref import ModelRef
        from pg_envs.values.questionnaire import load_questionnaire

        tokenizer = train_tokenizer(" ".join((item.context, *item.options)) for item in load_questionnaire().items)
        base = ModelRef(str(save_llama(folder / "base", tokenizer)))
        save_random_family(base, folder)
        os._exit(0)
    if os.waitpid(process, 0)[1]:
        raise RuntimeError("the random models could not be made")
    from pg_envs.history.base import CENTURIES
    from pg_envs.history.registry import LIVE
    from pg_envs.models.ref import ModelRef

    refs = tuple(ModelRef(str(folder / "base"), adapter=str(folder / label)) for label in CENTURIES)
    LIVE["histtiny"] = lambda: refs
