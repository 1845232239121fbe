"""Agents x environments x seeds on histtiny: ``python benchmarks/compare.py`` writes ``docs/results.md`` and its pictures.

Not ``agents.py``, which would hide the package of that name from itself. One call of ``pg-envs benchmark`` for each part keeps finished
runs in ``runs/compare`` and does not run them again. The whole takes hours; parts of it (``--envs``, ``--agents``, ``--seeds``) may be run
one after another. The report is always of all that has finished of the parts' own seeds, and names the rest.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_envs.benchmark import canonical_command
from pg_envs.cli import main as pg_envs
from pg_envs.commands import Benchmark
from pg_envs.grid.cells import make_cells, parse_choice, parse_environment
from pg_envs.grid.table import as_markdown, make_table
from pg_envs.intervals import interval
from pg_envs.plotting.plot_runs import plot_runs
from pg_envs.run_setup import folder_name
from pg_envs.siblings import finished_result
from pg_envs.storage import write_text

TWINS = (("extrapolative-dpo", "lifelong-dpo"), ("extrapolative-rlhf", "lifelong-rlhf"))
"""Each agent that forecasts, and the one that does all else alike."""
LEARNING = ("lifelong-dpo", "lifelong-rlhf", "extrapolative-dpo", "extrapolative-rlhf", "seq2seq-rm", "morlaif")
BASELINES = ("sft", "random", "no-op", "oracle")
FORECASTS = tuple(name for pair in TWINS for name in pair)
OF_MANY_VOTES = ":votes_per_comparison=64"
"""A single vote's noise grows threefold in a forecast, see docs/extrapolation.md; twins are told the same."""
POCOCK = {2: 1 - 0.0294}
"""The level of each interval that leaves 95% to all where one looks so often and stops once it excludes 0 (Pocock, Biometrika 64, 1977)."""
ABOUT = (
    "The values are planted ([histtiny.md](histtiny.md)). Why `seq2seq-rm` follows no better than `random`, why no agent that learns does "
    "better than no-op on Coevolve, and what single votes leave to forecast: [status.md](status.md)."
)
ADDED = (
    "Seeds 3 and 4 were added when, after three, the intervals of the twins' differences touched 0; so wider intervals stand below, too."
)
SHOWN = "lifelong-dpo"
"""Whose first run of Follow is the README's picture."""


@dataclass(frozen=True)
class Part:
    """One grid."""

    title: str
    folder: Path
    envs: tuple[str, ...]
    agents: tuple[str, ...]
    settings: str
    """Of the agents that learn, after their names."""
    seeds: tuple[int, ...]
    remark: str = ""
    """What the reader must know of it."""
    n_looks: int = 1
    """After how many numbers of seeds the differences of twins were looked at."""

    def options(self, envs: Sequence[str], agents: Sequence[str], seeds: Sequence[int], workers: int) -> Benchmark:
        """``pg-envs benchmark``'s, for those of the environments and agents that are named."""
        labels = {name: name + self.settings * (name in LEARNING) for name in agents if name in self.agents}
        pairs = [(labels[one], labels[other]) for one, other in TWINS if one in labels and other in labels]
        chosen = [env for env in self.envs if env in envs]
        return Benchmark(agents=[*labels.values()], out=self.folder, envs=chosen, seeds=list(seeds), pairs=pairs, workers=workers)


def parts(folder: Path) -> tuple[Part, ...]:
    """All grids, with their runs in a folder."""
    ahead, everybody = "Predict:lookahead=2", (*LEARNING, *BASELINES)
    return (
        Part("With default settings", folder / "default", ("Follow", "Coevolve"), everybody, "", (0, 1, 2)),
        Part(
            "One century ahead, 64 votes a comparison",
            folder / "ahead-1",
            ("Predict:lookahead=1",),
            everybody,
            OF_MANY_VOTES,
            (0, 1, 2),
        ),
        Part(
            "Two centuries ahead, 64 votes a comparison",
            folder / "ahead-2",
            (ahead,),
            everybody,
            OF_MANY_VOTES,
            (0, 1, 2, 3, 4),
            ADDED,
            2,
        ),
        Part("Two centuries ahead, a vote a comparison", folder / "ahead-2-single", (ahead,), FORECASTS, "", (0, 1, 2)),
    )


def report(part: Part, options: Benchmark) -> str:
    """What has finished of a part, as Markdown; empty if nothing has. What nobody has begun is named in short."""
    agents, envs = [parse_choice(text) for text in options.agents], [parse_environment(text) for text in options.envs]
    cells = make_cells(part.folder, agents, envs, options.seeds, {}, {"history": options.history})
    finished = {cell.name: result for cell in cells if (result := finished_result(cell.folder)) is not None}
    if not finished:
        return ""
    tried = {(cell.environment, cell.agent) for cell in cells if cell.name in finished}
    shown = [cell for cell in cells if (cell.environment, cell.agent) in tried]
    untried = [f"{agent.name} on {env.label}" for env in envs for agent in agents if (env.label, agent.label) not in tried]
    pairs = [pair for pair in options.pairs if any({(env.label, one) for one in pair} <= tried for env in envs)]
    made = make_table(shown, finished, canonical_command(options), pairs)
    table = as_markdown(made).partition("\n")[2] + wider_intervals(made["differences"], part.n_looks)
    not_run = f"\nNot run: {', '.join(untried)}.\n" if untried else ""
    remark = f"\n{part.remark}\n" if part.remark else ""
    return f"## {part.title}\n{remark}{table}{not_run}"


def wider_intervals(differences: Sequence[dict[str, Any]], n_looks: int) -> str:
    """The differences of scores once more, with the intervals that several looks ask for."""
    if n_looks == 1 or not differences:
        return ""
    level = POCOCK[n_looks]
    lines = [f"\nDifferences in score with the intervals that {n_looks} looks ask for ({level:.2%} each, Pocock 1977):\n"]
    for row in differences:
        found = interval([*row["score"]["by_seed"].values()], level)
        lines.append(f"* {row['first']} - {row['second']}: {found}")
    return "\n".join(lines) + "\n"


def copy_pictures(part: Part, docs: Path) -> list[str]:
    """Skill and lag by agent; the Markdown that shows them."""
    with tempfile.TemporaryDirectory() as scratch:
        drawn = plot_runs([part.folder], Path(scratch) / "pictures")
        kept = [(path, what) for path, what in drawn.made if path.stem.endswith(("skill", "lag"))]
        for path, _ in kept:
            shutil.copy(path, docs / f"results-{part.folder.name}-{path.name}")
    return [f"![{part.title}: {what}](results-{part.folder.name}-{path.name})" for path, what in kept]


def write_report(all_parts: Sequence[Part], docs: Path) -> None:
    """``results.md`` and the pictures, of everything that has finished.

    Raises:
        FileNotFoundError: If nothing has; the report that is there stays.
    """
    texts = [report(part, part.options(part.envs, part.agents, part.seeds, 1)) for part in all_parts]
    if not any(texts):
        raise FileNotFoundError(f"no finished run in {', '.join(str(part.folder) for part in all_parts)}; run some first")
    lines = ["# Results", "", f"`python benchmarks/compare.py`. {ABOUT}", ""]
    for part, text in zip(all_parts, texts, strict=True):
        lines += [text, *copy_pictures(part, docs), ""] if text else []
    run = all_parts[0].folder / folder_name("Follow", SHOWN, "histtiny", all_parts[0].seeds[0])
    if (run / "trajectory.png").exists():
        picture = f"follow-{SHOWN}.png"
        shutil.copy(run / "trajectory.png", docs / picture)
        lines += [f"`{SHOWN}` on Follow, first seed:", "", f"![{SHOWN} on Follow, first seed]({picture})", ""]
    write_text(docs / "results.md", "\n".join(lines))


def main() -> int:
    """Run what is missing of what was asked for, then report; returns the exit code."""
    everything = {part.folder.name: part for part in parts(Path("runs/compare"))}
    envs = list(dict.fromkeys(env for part in everything.values() for env in part.envs))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=[*everything], default=[*everything], help="to run; none: report only")
    parser.add_argument("--envs", nargs="+", choices=envs, default=envs, help="to run of these parts")
    parser.add_argument("--agents", nargs="+", choices=[*LEARNING, *BASELINES], default=[*LEARNING, *BASELINES])
    parser.add_argument("--seeds", type=int, nargs="+", help="to run; by default all of a part's")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    codes = []
    for part in map(everything.get, arguments.parts):
        options = part.options(arguments.envs, arguments.agents, arguments.seeds or part.seeds, arguments.workers)
        if options.envs and options.agents:
            codes.append(pg_envs(command_line(options)))
    write_report([*everything.values()], arguments.docs)
    return max(codes, default=0)


def command_line(options: Benchmark) -> list[str]:
    """What ``pg-envs`` is given."""
    pairs = [label for pair in options.pairs for label in pair]
    words = ["benchmark", "--agents", *options.agents, "--envs", *options.envs, "--seeds", *map(str, options.seeds)]
    return [*words, *(["--pairs", *pairs] if pairs else []), "--out", str(options.out), "--workers", str(options.workers)]


if __name__ == "__main__":
    sys.exit(main())
