"""What ``accelerate launch`` runs in two processes for ``test_ranks.py``: each does all this and writes down what came of it.

Usage: ``two_processes.py TASK.json``, with the random models' names, a questionnaire, and a folder, for ``rank0.json`` and ``rank1.json``.
At the end the second process dies while the first one waits for it.
"""

import json
import os
import resource
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from datasets import Dataset

from agents.lifelong_dpo import LifelongDPOConfig, dpo
from agents.on_policy import OnPolicyConfig, rloo
from pg_envs.cli import main
from pg_envs.history.registry import LIVE
from pg_envs.models import tuning
from pg_envs.models.engine import EngineError, make_engine
from pg_envs.models.ref import ModelRef
from pg_envs.models.reward import train_reward_model
from pg_envs.models.tuning import sft
from pg_envs.models.tuning_config import TuningConfig
from pg_envs.ranks import by_all, by_first, in_any, n_ranks, rank

PAIRS = Dataset.from_list(
    [
        {
            "prompt": [{"role": "user", "content": f"Question {i}{' and more' * (i % 5)}?"}],
            "chosen": [{"role": "assistant", "content": "A" if i % 3 else "yes"}],
            "rejected": [{"role": "assistant", "content": "B"}],
        }
        for i in range(32)
    ]
)
DPO = LifelongDPOConfig(learning_rate=1e-2, batch_size=4, reference="century")
ON_POLICY = OnPolicyConfig(batch_size=4, n_samples=3)
SFT = TuningConfig(learning_rate=1e-2, batch_size=8)
QUESTIONS = [f"Question {i}?" for i in range(5)]
ANSWERS = [["yes", "no"]] * len(QUESTIONS)


UNEVEN = PAIRS.select(range(13))
"""In steps of 4 one row is left over, in steps of 8 five: none and one of them for the second process."""
TRAINED = ("dpo", "sft", "uneven-dpo", "uneven-uniform", "uneven-sft", "uneven-texts", "uneven-reward")


def train(base, folder):
    """DPO from the base, then imitation from there; the same, of a number of rows that does not come out even, in two passes."""
    first = dpo(ModelRef(base), PAIRS, folder / "dpo", 1, DPO)
    sft(first, completions(PAIRS), folder / "sft", 1, SFT)
    texts = Dataset.from_dict({"text": [row["prompt"][0]["content"] for row in UNEVEN]})
    dpo(ModelRef(base), UNEVEN, folder / "uneven-dpo", 1, replace(DPO, batch_size=8, n_epochs=2.0))
    dpo(ModelRef(base), UNEVEN, folder / "uneven-uniform", 1, replace(DPO, reference="uniform"))
    sft(ModelRef(base), completions(UNEVEN), folder / "uneven-sft", 1, replace(SFT, n_epochs=2.0))
    sft(ModelRef(base), texts, folder / "uneven-texts", 1, replace(SFT, n_epochs=3.0))
    train_reward_model(ModelRef(base), UNEVEN, folder / "uneven-reward", 1, replace(SFT, n_epochs=2.0))


def completions(pairs):
    """What is preferred, to be imitated."""
    return pairs.rename_column("chosen", "completion").remove_columns("rejected")


def write_plan(folder, base, questionnaire, weights, pretraining=""):
    """The plan of a family of two periods, with its text and instructions."""
    for period, sentence in (("early", "The old keep the law of their fathers. "), ("late", "Everyone may speak. ")):
        (folder / "texts" / period).mkdir(parents=True)
        (folder / "texts" / period / "all.txt").write_text(60 * sentence)
        rows = [{"instruction": "Say a law.", "input": f"Number {i}", "output": (1 + i % 3) * sentence} for i in range(8)]
        (folder / f"{period}.json").write_text(json.dumps(rows))
    (folder / "plan.toml").write_text(
        f'name = "own"\nperiods = ["early", "late"]\nbase = "{base}"\nquestionnaire = "{questionnaire}"\nweights = "{weights}"\n'
        '[text]\nfolder = "texts"\n'
        "[pretraining]\nlearning_rate = 1e-2\nexcerpt_characters = 100\nbatch_size = 4\nn_epochs = 3.0\n"
        f"{pretraining}"
        '[instruction]\nfile = "{period}.json"\nlearning_rate = 1e-2\nbatch_size = 4\n'
    )


def train_on_policy(base, folder):
    """On-policy from the base; the prompts of each call to the reward."""
    judged = []

    def favour_short(prompts, replies):
        judged.append(list(prompts))
        return [-len(reply) for reply in replies]

    rloo(ModelRef(base), PAIRS.select_columns(["prompt"]), favour_short, folder / "rloo", 1, ON_POLICY)
    return judged


def run(refs, questionnaire, out):
    """Two centuries of extrapolative DPO, which keeps a file of its own, by the command line, on a random family."""
    LIVE["histtiny"] = lambda: tuple(ModelRef.from_json(ref) for ref in refs)
    settings = [f'questionnaire="{questionnaire}"', 'centuries=["C019", "C021"]']
    return main(
        ["run", "--agent", "extrapolative-dpo", "--out", str(out), "--name", "run", "--env-args", *settings, "--agent-args", "lookahead=1"]
    )


def raised(action):
    """What an action raises, as text."""
    try:
        action()
    except (RuntimeError, ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def fail_in_second():
    if rank() == 1:
        raise EngineError("the second has no model")
    return rank()


def lose_weights_in_second():
    """As when a part of a split model that only one process holds is lost."""
    held_here = tuning._held_here
    if rank() == 1:
        tuning._held_here = lambda parameter: parameter / 0
    try:
        dpo(ModelRef(task["base"]), PAIRS, folder / "lost", 1, DPO)
    finally:
        tuning._held_here = held_here


@contextmanager
def watched_writing(folder, seen):
    """Note every file and folder that Python makes, renames or opens to write below a folder, for temporary files or in the current one.

    In processes other than the first, no byte can be written to any file meanwhile, by whatever library: Python does not hear of those that
    safetensors and pyarrow write.
    """
    places = tuple(map(str, (folder, tempfile.gettempdir(), os.getcwd())))
    watching = [True]

    def hook(event, arguments):
        writes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir") or (event == "open" and set(str(arguments[1])) & set("wax+"))
        # Weights & Biases makes folders for itself where it is imported.
        if writes and watching[0] and str(arguments[0]).startswith(places) and "wandb-" not in str(arguments[0]):
            seen.append(f"{event} {arguments[0]}")

    sys.addaudithook(hook)
    with nullcontext() if rank() == 0 else no_bytes_written():
        yield
    watching[0] = False


@contextmanager
def no_bytes_written():
    """Have the system refuse whatever this process would write to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def work(task, folder, report):
    """Everything that the first process writes the files of."""
    train(task["base"], folder)
    report["judged"] = train_on_policy(task["base"], folder)
    for weights in ("lora", "full"):
        plan = folder.parent / f"plan{rank()}-{weights}" / "plan.toml"
        report[f"built {weights}"] = main(["build-history", str(plan), "--out", str(folder / f"family-{weights}")])
    report["exit_code"] = run(task["refs"], task["questionnaire"], folder)


if __name__ == "__main__":
    task = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(task["folder"])
    for weights in ("lora", "full"):
        write_plan(folder / f"plan{rank()}-{weights}", task["base"], task["questionnaire"], weights)
    written: list[str] = []
    report = {"n_ranks": n_ranks(), "process": os.getpid()}
    with watched_writing(folder / "work", written):
        work(task, folder / "work", report)
    engine = make_engine("transformers")
    for n in (len(QUESTIONS), 1):
        scored = engine.choice_logprobs(ModelRef(task["base"]), QUESTIONS[:n], ANSWERS[:n])
        report[f"logprobs of {n}"] = [each.total.tolist() for each in scored]
    report["replies"] = engine.generate(ModelRef(task["base"]), QUESTIONS, max_new_tokens=4, seed=rank())
    report["others"] = by_all(rank)
    report["first"] = by_first(os.getpid)
    report["in_any"] = [in_any(rank() == 1), in_any(False)]
    mine = slice(rank(), rank() + 2)
    report["raised"] = {
        "different questions": raised(lambda: engine.choice_logprobs(ModelRef(task["base"]), QUESTIONS[mine], ANSWERS[mine])),
        "in the second": raised(lambda: by_all(fail_in_second)),
        "in the first": raised(lambda: by_first(lambda: [][0] if rank() else Path("/nowhere/at/all").read_text())),
        "taken for the second": raised(lambda: dpo(ModelRef(task["base"]), PAIRS, folder / f"taken{rank()}", 1, DPO)),
        "weights lost in the second": raised(lose_weights_in_second),
        "odd batch": raised(lambda: sft(ModelRef(task["base"]), PAIRS, folder / "odd", 1, TuningConfig(batch_size=3))),
        "vllm": raised(lambda: make_engine("vllm")),
    }
    report["benchmark"] = main(["benchmark", "--agents", "no-op", "--out", str(folder / "grid")])
    report["written"] = written
    (folder / f"rank{rank()}.json").write_text(json.dumps(report))
    by_all(rank)
    if rank() == 1:
        sys.exit(3)
    by_all(rank)
