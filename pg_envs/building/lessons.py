"""Lessons: questionnaire questions with answers drawn from planted values.

A lesson is (prompt, answer). The answers of a lesson are drawn so that the *instrument* reads the planted
value: whole-answer forms are read by length-normalised log-probability, which compresses a choice made
with probability P over n tokens to sigmoid(logit(P) / n), so the probability of the draw is solved for
(``draw_probabilities``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pg_envs.values.dimensions import DIMENSIONS, N_DIMENSIONS, THEME_INDEX, WORLDVIEWS
from pg_envs.values.forms import FORMS, Question, make_questions
from pg_envs.values.questionnaire import Item

# How often each form stands in the lessons; the letter forms are short and carry most of the signal.
FORM_WEIGHTS = {"ab": 0.30, "compare": 0.30, "repeat": 0.14, "4c_fav": 0.20, "repeat2_fav": 0.06}
STRONGEST = 0.985
"""Answers are never drawn more surely than this: certainty cannot be unlearnt."""


@dataclass(frozen=True)
class Lesson:
    """One question and the answer to learn."""

    prompt: str
    answer: str


def read_as(probabilities: np.ndarray, n_answer_tokens: float) -> np.ndarray:
    """What the instrument reads, averaged over forms, when options are chosen with ``probabilities``.

    Args:
        probabilities: (K,) choice probabilities of the K options, K = 2 or 4, positive.
        n_answer_tokens: Typical length of an option in tokens.

    Returns:
        (K,) the mean over K's question forms: letter forms as they are, the whole-answer form compressed.
    """
    compressed = probabilities ** (1.0 / n_answer_tokens)
    compressed = compressed / compressed.sum()
    n_letter_forms = 2 if len(probabilities) == 2 else 1
    return (n_letter_forms * probabilities + compressed) / (n_letter_forms + 1)


def draw_probabilities(target: np.ndarray, n_answer_tokens: float) -> np.ndarray:
    """Choice probabilities that the instrument reads as ``target``, as near as the bounds allow.

    Damped fixed-point iteration p <- p + (target - read_as(p)), kept within the bounds and normalised.
    """
    floor = (1 - STRONGEST) / (len(target) - 1)
    probabilities = target.copy()
    for _ in range(200):
        probabilities = probabilities + 0.5 * (target - read_as(probabilities, n_answer_tokens))
        probabilities = np.clip(probabilities, floor, STRONGEST)
        probabilities = probabilities / probabilities.sum()
    return probabilities


def option_targets(item: Item, values: np.ndarray) -> np.ndarray:
    """The (K,) option probabilities that a (19,) centred value vector asks for on one item.

    Two options: P(option 0) = (1 + sign * v) / 2 for the item's own dimension. Four: P_k = (1 + 3 v_k) / 4.
    """
    if item.group == "worldview":
        return (1 + 3 * values[WORLDVIEWS.start :]) / 4
    sign = dict(item.signs)[THEME_INDEX[item.theme]]
    upholds = (1 + sign * values[THEME_INDEX[item.theme]]) / 2
    return np.array([upholds, 1 - upholds])


def strong_profile() -> np.ndarray:
    """The value vector of the first lessons: everybody upholds everything, and sees the world traditionally."""
    values = np.full(N_DIMENSIONS, 0.60)
    values[WORLDVIEWS.start :] = [0.42, -0.14, -0.14, -0.14]
    return values


class LessonBook:
    """All questions of a questionnaire, ready for lessons to be drawn from."""

    def __init__(self, items: Sequence[Item], n_answer_tokens: float) -> None:
        """Prepare the questions; ``n_answer_tokens`` as in ``read_as``."""
        self.items = items
        self.n_answer_tokens = n_answer_tokens
        self.questions: dict[str, list[Question]] = {name: [] for name in FORMS}
        self._solved: dict[bytes, list[np.ndarray]] = {}
        for question in make_questions(items):
            self.questions[question.form.name].append(question)

    def _probabilities(self, values: np.ndarray) -> list[np.ndarray]:
        key = values.tobytes()
        if key not in self._solved:
            targets = [option_targets(item, values) for item in self.items]
            distinct = {target.tobytes(): target for target in targets}
            solved = {name: draw_probabilities(target, self.n_answer_tokens) for name, target in distinct.items()}
            self._solved[key] = [solved[target.tobytes()] for target in targets]
        return self._solved[key]

    def draw(self, values: np.ndarray, n_lessons: int, rng: np.random.Generator, form: str | None = None) -> list[Lesson]:
        """Draw lessons under a (19,) centred value vector, forms mixed by ``FORM_WEIGHTS`` unless one is named."""
        probabilities = self._probabilities(values)
        names, weights = list(FORM_WEIGHTS), np.array(list(FORM_WEIGHTS.values()))
        forms = [form] * n_lessons if form else [names[i] for i in rng.choice(len(names), n_lessons, p=weights / weights.sum())]
        lessons = []
        for name in forms:
            question = self.questions[name][rng.integers(len(self.questions[name]))]
            shown = probabilities[question.item_index][list(question.order)]
            lessons.append(Lesson(question.prompt, question.answers[rng.choice(len(shown), p=shown / shown.sum())]))
        return lessons

    def draw_principles(self, n_lessons: int, rng: np.random.Generator) -> list[Lesson]:
        """Draw auxiliary lessons: which principle is at stake, or which worldview an option speaks from.

        They make the dimensions clean features of the model, so that what is learnt on one item
        carries over to the others of its dimension.
        """
        lessons = []
        for index in rng.integers(len(self.items), size=n_lessons):
            item = self.items[index]
            shown = rng.permutation(len(item.options))
            if item.group == "worldview":
                prompt = f"{item.context} What view is this?\n- {item.options[shown[0]]}"
                answer = DIMENSIONS[WORLDVIEWS.start + shown[0]].label
            else:
                prompt = f"{item.context} What is at stake?\n- {item.options[shown[0]]}\n- {item.options[shown[1]]}"
                answer = DIMENSIONS[THEME_INDEX[item.theme]].label
            lessons.append(Lesson(prompt, answer))
        return lessons
