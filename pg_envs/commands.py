"""What the commands of ``pg-envs`` take: one dataclass a command, whose docstring and help texts are its ``--help``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

import pg_envs
from pg_envs.data.schema import HISTTEXT_YEARS
from pg_envs.history.registry import HISTORIES
from pg_envs.models.engine import ENGINES
from pg_envs.plugins import agent_names
from pg_envs.values.measure import Mode


def _help(text: str) -> Any:
    return tyro.conf.arg(help=text)


LANGUAGES_HELP = "in which languages the texts are: ISO 639 codes such as en, la, fr; what only knows English says nothing of others"
YEARS_HELP = "first and last year that texts may be from; passages of other years do not fit"


@dataclass
class Run:
    """Run an agent through one episode, and leave result.json, trajectory.png and config.json in a folder.

    Exit codes: 0 finished, 1 something broke or the agent stopped, 2 the input is at fault, 130 stopped with Ctrl-C. What was finished
    is kept.
    """

    env: Annotated[str, _help(f"which challenge: {', '.join(pg_envs.ENV_IDS)}, or Follow, Predict, Coevolve")] = "ProgressGym/Follow-v0"
    agent: Annotated[str, _help(f"which agent: {', '.join(agent_names())}, or your own as module:Class")] = "lifelong-dpo"
    history: Annotated[str, _help("who the humans are: " + "; ".join(f"{k} ({v})" for k, v in HISTORIES.items()))] = "histtiny"
    seed: Annotated[int, _help("for the environment and the agent; the same seed gives the same result.json")] = 0
    name: Annotated[str | None, _help("folder of the run; by default made of the names above, and numbered if it is taken")] = None
    out: Annotated[Path, _help("where the folders of runs go")] = Path("runs")
    resume: Annotated[
        Path | None,
        _help("go on with the interrupted run in this folder, as its config.json says; whoever asks for else is refused"),
    ] = None
    env_args: Annotated[list[str], _help("settings of the environment, e.g. lookahead=2 votes=majority")] = field(default_factory=list)
    agent_args: Annotated[list[str], _help("settings of the agent, e.g. learning_rate=5e-4 independent=true")] = field(default_factory=list)
    wandb: Annotated[str | None, _help("also log to this Weights & Biases project (needs pg-envs[wandb])")] = None


@dataclass
class Benchmark:
    """Run agents x environments x seeds, each as `run` does in its own folder, and leave table.md and table.json of them all.

    The same command goes on with what was interrupted: finished runs are kept, half-finished ones resumed. state.json says where every run
    stands, logs/ what went wrong. Exit codes: 0 all finished, 1 some run failed (the others are finished), 2 the input is at fault, 130
    stopped with Ctrl-C.
    """

    agents: Annotated[list[str], _help("as in run, or with settings: lifelong-dpo:learning_rate=5e-4,independent=true")]
    out: Annotated[Path, _help("folder for the runs and the table; one grid at a time may run in it")]
    envs: Annotated[list[str], _help("Follow, Predict, Coevolve, as in run, or with settings: Predict:lookahead=2,votes=majority")] = field(
        default_factory=lambda: ["Follow"]
    )
    seeds: Annotated[list[int], _help("every agent is run with each")] = field(default_factory=lambda: [0, 1, 2])
    history: Annotated[str, _help("as in run, for all environments")] = "histtiny"
    env_args: Annotated[list[str], _help("of all environments, as in run; one's own go before them")] = field(default_factory=list)
    agent_args: Annotated[list[str], _help("of all agents, as in run; one's own go before them")] = field(default_factory=list)
    pairs: Annotated[list[tuple[str, str]], _help("A B C D: give the differences A - B and C - D too")] = field(default_factory=list)
    workers: Annotated[int | None, _help("runs at a time, each in a process of its own; 1 by default")] = None
    threads: Annotated[int | None, _help("threads of each run; by default its share of the cores, with --ray 1")] = None
    gpus: Annotated[float | None, _help("with --ray, GPUs of each run, or a part of one such as 0.5; by default none")] = None
    ray: Annotated[str | None, _help("have this Ray cluster (auto or HOST:PORT) run them, all in the folder --out; needs pg-envs[ray]")] = (
        None
    )


@dataclass
class Record:
    """Ask a history's humans everything once, and keep the answers in a folder, usable as history=recorded:FOLDER.

    Exit codes as of run. What was interrupted lies in FOLDER.partial, and the same command goes on with it.
    """

    out: Annotated[Path, _help("the folder to make; one that exists is never overwritten")]
    history: Annotated[str, _help("whose humans: a history of language models that are run here")] = "histtiny"
    questionnaire: Annotated[str, _help("'bundled', a folder with MoralEvals' three files, or a dataset's name on the hub")] = "bundled"
    centuries: Annotated[tuple[str, str] | None, _help("first and last century, e.g. C019 C021; all by default")] = None
    engine: Annotated[str, _help("what runs the models: " + "; ".join(f"{k} ({v})" for k, v in ENGINES.items()))] = "transformers"
    mode: Annotated[Mode, _help("read probabilities, or sample replies")] = "logprob"


@dataclass
class List:
    """Say what there is to choose from: environments and their arguments, histories, agents and their settings."""


@dataclass
class Clean:
    """Clean a folder of historical text (HistText's layout) into a new folder, with a report of what was done and why.

    The source is only read, and the new folder appears when all is done. Needs pg-envs[data]. Exit codes: 0 finished, 1 the disk did
    not do, 2 the input is at fault, 130 stopped with Ctrl-C.
    """

    source: Annotated[tyro.conf.Positional[Path], _help("folder with C013/1215.json and so on, perhaps undated.json; or its archive")]
    out: Annotated[tyro.conf.Positional[Path], _help("new folder; an existing one is refused")]
    min_chars: Annotated[int, _help("shorter passages are dropped")] = 1000
    max_chars: Annotated[int, _help("longer passages are split")] = 10_000
    languages: Annotated[list[str], _help(LANGUAGES_HELP)] = field(default_factory=lambda: ["en"])
    years: Annotated[tuple[int, int], _help(YEARS_HELP)] = (HISTTEXT_YEARS.first, HISTTEXT_YEARS.last)


@dataclass
class Rewrite:
    """Have a language model rewrite what `clean` found noisy, into a new folder with all passages and both texts of those rewritten.

    Replies that were cut, or are no copies, are not taken, and counted. The source is only read, and the new folder appears when all is
    done. Needs pg-envs[data]. Exit codes: 0 finished, 1 memory or disk did not do, 2 the input or the engine is at fault, 130 stopped with
    Ctrl-C.
    """

    source: Annotated[tyro.conf.Positional[Path], _help("a folder that `clean` made, or an archive of it")]
    out: Annotated[tyro.conf.Positional[Path], _help("new folder; an existing one is refused")]
    model: Annotated[str, _help("who rewrites: BASE, BASE+ADAPTER or BASE@REVISION+ADAPTER; folders, or names on the hub")]
    engine: Annotated[str, _help("what runs the model: " + "; ".join(f"{k} ({v})" for k, v in ENGINES.items()))] = "transformers"
    batch_size: Annotated[int, _help("passages asked about at once")] = 8
    max_new_tokens: Annotated[int, _help("most tokens of a reply; one that is not ended by then is not taken")] = 4096
    max_chars: Annotated[int, _help("longer passages are left as they are")] = 10_000


@dataclass
class Plot:
    """Draw runs side by side: policy against humans, differences, skill by agent, lock-in lag; each environment in pictures of its own.

    Pictures are made that the runs have data for; which, and why not the others, is said. Exit codes: 0 drawn, 1 the disk did not
    do, 2 the input is at fault.
    """

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], _help("folders of runs, or with runs in them; or result.json files")]
    out: Annotated[Path, _help("new folder for the pictures; one that has something in it is refused")]


@dataclass
class SubmitCheck:
    """Check whether a result.json is fit for the leaderboard: scores are computed again, bundled humans not believed.

    Exit codes: 0 fit, 1 not fit (each reason is named), 2 the command is at fault.
    """

    file: Annotated[tyro.conf.Positional[Path], _help("the result.json, or the run's folder")]
    export: Annotated[Path | None, _help("if it is fit, also write it here in upstream's schema; an existing file is refused")] = None


@dataclass
class Describe:
    """Describe historical text century by century, or period by period: amounts, sources, languages, vocabulary, what confounds them.

    The text is only read; the new folder, with report.md, report.json and pictures, appears when all is done. Needs pg-envs[data], and
    pg-envs[describe] for an embedder. Exit codes: 0 finished, 1 the disk did not do, 2 the input is at fault, 130 stopped with Ctrl-C.
    """

    source: Annotated[
        tyro.conf.Positional[Path],
        _help("folder with C013/1215.json and so on (or see --periods), or an archive of it (.tar.xz, .zip ...)"),
    ]
    out: Annotated[Path, _help("new folder; an existing one is refused")]
    embedder: Annotated[str | None, _help("sentence-embedding model, a folder or OWNER/NAME: also compare texts with values")] = None
    sample: Annotated[int, _help("passages a century in which languages are identified and that are embedded")] = 200
    seed: Annotated[int, _help("of the sample and of intervals")] = 0
    periods: Annotated[list[str], _help("folders of your own instead of C013 to C021, oldest first; *.txt in them, or 1215.json")] = field(
        default_factory=list
    )
    genres: Annotated[Path | None, _help("CSV with the columns document and genre; without it, genre is what passages say")] = None
    languages: Annotated[list[str], _help(LANGUAGES_HELP)] = field(default_factory=lambda: ["en"])
    years: Annotated[tuple[int, int], _help(YEARS_HELP)] = (HISTTEXT_YEARS.first, HISTTEXT_YEARS.last)


@dataclass
class BuildHistory:
    """Build your own family of historical models from a plan (TOML) and a folder of text a period; use it as history=built:FOLDER.

    Every finished stage is kept, and the same command goes on after an interruption. Exit codes: 0 finished, 1 disk or memory
    did not do or a process died, 2 the input is at fault, 130 stopped with Ctrl-C.
    """

    plan: Annotated[tyro.conf.Positional[Path], _help("the plan; docs/build-history.md says what can stand in it")]
    out: Annotated[Path, _help("the family's folder; a finished family is never overwritten")]
    text: Annotated[Path | None, _help("folder with a folder a period, or an archive of HistText, instead of the plan's")] = None


@dataclass
class App:
    """Serve leaderboard, trajectories, talk with the centuries, and which century answers most like you, as a page for the browser.

    Scores are computed from the vectors of results; what is tampered with or malformed is refused with the reason. No call leaves this
    machine. Needs pg-envs[app]. Stop it with Ctrl-C. Exit codes: 0 stopped, 2 the input is at fault.
    """

    results: Annotated[tyro.conf.Positional[Path], _help("folder of results, up to three folders down")] = Path("runs")
    history: Annotated[str, _help("whose centuries talk and are compared with visitors: a history of language models")] = "histtiny"
    host: Annotated[str, _help("address to listen on; 0.0.0.0 lets others in")] = "127.0.0.1"
    port: Annotated[int, _help("port to listen on")] = 7860
    share: Annotated[bool, _help("also make it public through Gradio's tunnel")] = False


COMMANDS: Any = (
    Annotated[Run, tyro.conf.subcommand("run", prefix_name=False)]
    | Annotated[Benchmark, tyro.conf.subcommand("benchmark", prefix_name=False)]
    | Annotated[Record, tyro.conf.subcommand("record", prefix_name=False)]
    | Annotated[BuildHistory, tyro.conf.subcommand("build-history", prefix_name=False)]
    | Annotated[Clean, tyro.conf.subcommand("clean", prefix_name=False)]
    | Annotated[Rewrite, tyro.conf.subcommand("rewrite", prefix_name=False)]
    | Annotated[Plot, tyro.conf.subcommand("plot", prefix_name=False)]
    | Annotated[SubmitCheck, tyro.conf.subcommand("submit-check", prefix_name=False)]
    | Annotated[App, tyro.conf.subcommand("app", prefix_name=False)]
    | Annotated[Describe, tyro.conf.subcommand("describe", prefix_name=False)]
    | Annotated[List, tyro.conf.subcommand("list", prefix_name=False)]
)
