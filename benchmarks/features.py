"""What can be read off a family's hidden states: ``python benchmarks/features.py`` writes ``docs/features.json``.

At the place where a two-option question is answered, ridge regressions from the hidden state (at a root mean square of 1) are fitted
on questions of the survey half and judged on those of the evaluation half, by the share of variance explained:

* ``keyed``: whether the first option shown upholds what is at stake (1 or -1);
* ``dimension``: which of the 15 dimensions is at stake (one-hot, centred);
* ``signed``: the product of the two.

Where ``signed`` can be read, any profile's answer is a linear function of the state, and what votes teach about some items
carries over to others of their dimension. Where only ``keyed`` can, learning moves all dimensions together.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pg_envs.building.lessons import stake
from pg_envs.building.quality import load_model
from pg_envs.building.stakes import N_SIGNED, normalised, signs
from pg_envs.display import quieten_libraries
from pg_envs.models.loading import load_tokenizer
from pg_envs.models.ref import ModelRef, loadable_name
from pg_envs.values.forms import make_questions
from pg_envs.values.items import Item, Questionnaire
from pg_envs.values.questionnaire import load_questionnaire

RIDGE = 30.0
N_QUESTIONS = 400
"""Of each half."""
FORMS = ("ab", "compare")


def states_and_stakes(ref: ModelRef, items: list[Item], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(layers, N, width) states where N questions on the items are answered, and their (N,) stakes."""
    tokenizer, model = load_tokenizer(ref), load_model(ref)
    questions = [question for question in make_questions(items) if question.form.name in FORMS]
    chosen = [questions[i] for i in rng.permutation(len(questions))[:N_QUESTIONS]]
    states = []
    for question in chosen:
        turn = [{"role": "user", "content": question.prompt}]
        ids: Any = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[1:]
        states.append([normalised(layer[0, -1]).numpy() for layer in hidden])
    return np.array(states).swapaxes(0, 1), np.array([stake(items[q.item_index], q.order) for q in chosen])


def targets(stakes: np.ndarray) -> dict[str, np.ndarray]:
    """(N, K) of each kind for (N,) stakes of two-option items."""
    signed = signs(torch.from_numpy(stakes)).numpy().astype(float)
    return {"keyed": signed.sum(axis=1, keepdims=True), "dimension": np.abs(signed) - 1 / N_SIGNED, "signed": signed}


def explained(x: np.ndarray, y: np.ndarray, x_new: np.ndarray, y_new: np.ndarray) -> float:
    """Share of ``y_new``'s squared size that a ridge regression fitted on (x, y) explains."""
    x, x_new = (np.c_[part, np.ones(len(part))] for part in (x, x_new))
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    return float(1 - np.square(x_new @ weights - y_new).sum() / np.square(y_new).sum())


def read(ref: ModelRef, survey: Questionnaire, evaluation: Questionnaire) -> list[dict[str, float]]:
    """What can be read after each layer."""
    rng = np.random.default_rng(0)
    fitted, judged = (
        states_and_stakes(ref, [item for item in half.items if item.group != "worldview"], rng) for half in (survey, evaluation)
    )
    known, wanted = targets(fitted[1]), targets(judged[1])
    return [{kind: explained(x, known[kind], x_new, wanted[kind]) for kind in known} for x, x_new in zip(fitted[0], judged[0], strict=True)]


def main() -> None:
    """Read the base and two centuries."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="pg_envs:histtiny", help="a family's folder, finished or only its base")
    parser.add_argument("--out", type=Path, default=Path("docs/features.json"))
    arguments = parser.parse_args()
    quieten_libraries()
    survey, evaluation = load_questionnaire().split()
    base = ModelRef(f"{arguments.family}/base")
    centuries = [name for name in ("C013", "C021") if (Path(loadable_name(arguments.family)) / name).exists()]
    refs = {"base": base, **{name: base.with_adapter(f"{arguments.family}/{name}") for name in centuries}}
    report = {}
    for name, ref in refs.items():
        report[name] = read(ref, survey, evaluation)
        for layer, row in enumerate(report[name], start=1):
            print(f"{name}, after layer {layer}: " + ", ".join(f"{kind} {value:.2f}" for kind, value in row.items()), flush=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
