"""Whole runs of agents on a random family, two centuries each, as ``test_ranks_agents.py`` has them done by one process and by two.

Usage: ``two_processes_agents.py TASK.json OUT``, with the family's models and a questionnaire; runs are put into the folder OUT, and each
process writes down there, as ``rank0.json`` and so on, its exit codes and what it wrote.
"""

import json
import sys
from pathlib import Path

from two_processes import watched_writing
from two_processes_in_parts import pass_off_as_gpu

from agents.principles import SETS
from pg_envs.cli import main
from pg_envs.history.registry import LIVE
from pg_envs.models.ref import ModelRef
from pg_envs.ranks import rank, weights_in_parts

FEW = ("on_failure=stop", "comparisons_per_item=1", "batch_size=4")
ON_POLICY = (*FEW, "n_samples=2", "max_answer_tokens=2")
RUNS = {
    "lifelong-dpo": ("Coevolve", FEW),
    "lifelong-rlhf": ("Follow", ON_POLICY),
    "seq2seq-rm": ("Follow", ON_POLICY),
    "morlaif": ("Follow", (*ON_POLICY, "comparisons_per_principle=4", "feedback_votes=1")),
}


def run(agent, task, out):
    """Two centuries by the command line; the exit code."""
    challenge, settings = RUNS[agent]
    if agent == "morlaif":
        settings = (*settings, f'principles="{task["principles"]}"')
    history = [f'questionnaire="{task["questionnaire"]}"', 'centuries=["C019", "C021"]']
    where = ["--env", f"ProgressGym/{challenge}-v0", "--out", str(out), "--name", agent]
    return main(["run", "--agent", agent, *where, "--env-args", *history, "--agent-args", *settings])


def write_principles(path):
    """Two of MORLAIF's."""
    path.write_text(json.dumps([vars(principle) for principle in SETS["values"][:2]]), encoding="utf-8")


if __name__ == "__main__":
    task, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    LIVE["histtiny"] = lambda: tuple(ModelRef.from_json(ref) for ref in task["refs"])
    if weights_in_parts():
        pass_off_as_gpu()
    written: list[str] = []
    with watched_writing(out, written):
        codes = {agent: run(agent, task, out) for agent in RUNS}
    report = {"codes": codes, "written": written}
    (out / f"rank{rank()}.json").write_text(json.dumps(report))
