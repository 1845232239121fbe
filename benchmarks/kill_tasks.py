"""What ``benchmarks/kill.py`` kills: commands of ``pg-envs`` on models of a few thousand parameters."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FIRST_AND_LAST = ("C019", "C021")


@dataclass(frozen=True)
class Task:
    """Something that can be killed.

    Attributes:
        command: For ``pg-envs``, given the folder; the same one takes it up again.
        again: The command that takes it up again where that is another.
        results: Given the folder, the files that must be the undisturbed ones.
        complete: Given the folder, a file that is there once nothing is left to do, where the command then refuses to begin; or None.
    """

    command: Callable[[Path], list[str]]
    again: Callable[[Path], list[str]]
    results: Callable[[Path], list[Path]]
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
    )


def write_plan(base: Path, items: Path, folder: Path) -> Path:
    """The plan of a family of two periods, the second going on from the first, with checkpoints; its texts beside it."""
    for period, sentence in (("old", "The fathers keep the law. "), ("new", "A neighbour may speak. ")):
        (folder / "texts" / period).mkdir(parents=True)
        for number in range(2):
            (folder / "texts" / period / f"{number}.txt").write_text(f"{number} " + 40 * sentence, encoding="utf-8")
    (folder / "plan.toml").write_text(
        f'name = "own"\nperiods = ["old", "new"]\nbase = "{base}"\nquestionnaire = "{items}"\nchains = [["old", "new"]]\n'
        'licence = "mit"\n[text]\nfolder = "texts"\n'
        "[pretraining]\nexcerpt_characters = 300\nn_excerpts = 16\nbatch_size = 4\nsave_every_steps = 2\n",
        encoding="utf-8",
    )
    return folder / "plan.toml"


def files_in(folder: Path) -> list[Path]:
    """All files below a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def tasks(items: Path, plan: Path) -> dict[str, Task]:
    """All tasks by their names."""
    simulated = ["--history", "simulated-random", "--agent", "simulated-extrapolative"]

    def grid(folder: Path) -> list[str]:
        return ["benchmark", "--agents", "random", "no-op", "--seeds", "0", "--history", "simulated", "--out", str(folder / "grid")]

    def record(folder: Path) -> list[str]:
        asked = ["--history", "live:histtiny", "--questionnaire", str(items), "--centuries", *FIRST_AND_LAST]
        return ["record", *asked, "--out", str(folder / "it")]

    def build(folder: Path) -> list[str]:
        return ["build-history", str(plan), "--out", str(folder / "it")]

    return {
        "simulated-extrapolative in Follow": run_task(simulated, None),
        "simulated-extrapolative in Coevolve": run_task([*simulated, "--env", "ProgressGym/Coevolve-v0"], None),
        "lifelong-dpo in Follow": run_task(["--agent", "lifelong-dpo"], items),
        "lifelong-rlhf in Follow": run_task(["--agent", "lifelong-rlhf"], items),
        "extrapolative-dpo in Coevolve": run_task(["--agent", "extrapolative-dpo", "--env", "ProgressGym/Coevolve-v0"], items),
        "grid of random and no-op": Task(
            grid, grid, lambda folder: [*sorted(folder.glob("grid/*/result.json")), folder / "grid/table.json"]
        ),
        "recording": Task(record, record, lambda folder: files_in(folder / "it"), lambda folder: folder / "it" / "manifest.json"),
        "family of two periods": Task(build, build, lambda folder: files_in(folder / "it"), lambda folder: folder / "it" / "history.json"),
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
