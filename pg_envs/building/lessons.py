"""Lessons: questionnaire questions with answers drawn from a value vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pg_envs.values.dimensions import DIMENSIONS, N_DIMENSIONS, THEME_INDEX, WORLDVIEWS
from pg_envs.values.forms import FORMS, Question, make_questions
from pg_envs.values.items import Item

# How often each form stands in the lessons; two-option items are many, four-option items are few.
LETTER_FORMS = {"ab": 0.37, "compare": 0.38, "4c_fav": 0.25}
WHOLE_ANSWER_FORMS = {"repeat": 0.7, "repeat2_fav": 0.3}
ALL_FORMS = {"ab": 0.34, "compare": 0.34, "4c_fav": 0.20, "repeat": 0.08, "repeat2_fav": 0.04}
SUREST = 0.985
"""Answers are never drawn more surely than this: certainty cannot be unlearnt."""


N_DRAWS = 16
"""How often a question with one-letter answers is answered in one lesson; the shares are what is learnt."""


@dataclass(frozen=True)
class Lesson:
    """One question and its drawn answers.

    Attributes:
        prompt: The question.
        answers: Different answers and how large a share of the draws each has; whole-text answers are drawn once.
        stake: For a choice between options, the class that ``stake`` gives it; None for other lessons.
    """

    prompt: str
    answers: tuple[tuple[str, float], ...]
    stake: int | None = None

    @property
    def length(self) -> int:
        """Characters, to put lessons of similar length together."""
        return len(self.prompt) + len(self.answers[0][0])


def option_probabilities(item: Item, values: np.ndarray) -> np.ndarray:
    """The (K,) option probabilities that a (19,) centred value vector asks for on one item.

    Two options: P(option 0) = (1 + sign * v) / 2 for the item's own dimension. Four: P_k = (1 + 3 v_k) / 4. Both are
    kept away from certainty and normalised.
    """
    if item.group == "worldview":
        wanted = (1 + 3 * values[WORLDVIEWS.start :]) / 4
    else:
        sign = dict(item.signs)[THEME_INDEX[item.theme]]
        upholds = (1 + sign * values[THEME_INDEX[item.theme]]) / 2
        wanted = np.array([upholds, 1 - upholds])
    bounded = np.clip(wanted, (1 - SUREST) / (len(wanted) - 1), SUREST)
    return bounded / bounded.sum()


N_STAKES = 2 * WORLDVIEWS.start + 4
"""Classes that ``stake`` tells apart."""


def stake(item: Item, order: Sequence[int]) -> int:
    """What there is to know about a choice, whoever is asked: which value is at stake, and which option shown stands for it.

    The class in [0, N_STAKES): two for each dimension of two-option items (even: the first option shown upholds it,
    odd: the second does), then the four cyclic orders of the worldviews.
    """
    if item.group == "worldview":
        return 2 * WORLDVIEWS.start + order[0]
    dimension = THEME_INDEX[item.theme]
    upholding = 0 if dict(item.signs)[dimension] > 0 else 1
    return 2 * dimension + int(order[0] != upholding)


def strong_profile() -> np.ndarray:
    """The value vector of the first lessons: everybody upholds everything, and sees the world traditionally."""
    values = np.full(N_DIMENSIONS, 0.85)
    values[WORLDVIEWS.start :] = [0.75, -0.25, -0.25, -0.25]
    return values


def mixed_profile() -> np.ndarray:
    """The strong profile with every other dimension of two-option items turned round: no answer follows from "this is good" alone."""
    values = strong_profile()
    values[1 : WORLDVIEWS.start : 2] *= -1
    return values


class LessonBook:
    """All questions of a questionnaire, ready for lessons to be drawn from.

    Items that tell nothing about their own theme, both options being labelled alike, are left out: no value asks for an answer.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        """Prepare the questions."""
        self.items = [item for item in items if item.group == "worldview" or THEME_INDEX[item.theme] in dict(item.signs)]
        self.questions: dict[str, list[Question]] = {name: [] for name in FORMS}
        for question in make_questions(self.items):
            self.questions[question.form.name].append(question)

    def draw(
        self,
        values: np.ndarray,
        form_weights: Mapping[str, float],
        n_lessons: int,
        rng: np.random.Generator,
        emphasis: np.ndarray | None = None,
    ) -> list[Lesson]:
        """Draw lessons under a (19,) centred value vector.

        Args:
            values: What answers are drawn from.
            form_weights: How often each form stands; sums to 1.
            n_lessons: How many.
            rng: Source of the draws.
            emphasis: (19,) how often items of each dimension stand, relative to their number; None for all alike.
        """
        emphasis = np.ones(N_DIMENSIONS) if emphasis is None else emphasis
        probabilities = [option_probabilities(item, values) for item in self.items]
        weights = {name: self._weights(name, emphasis) for name in form_weights}
        names = list(form_weights)
        lessons = []
        for index in rng.choice(len(names), n_lessons, p=list(form_weights.values())):
            name = names[index]
            question = self.questions[name][np.searchsorted(weights[name], rng.random(), side="right")]
            shown = probabilities[question.item_index][list(question.order)]
            counts = rng.multinomial(1 if question.form.whole_answer else N_DRAWS, shown / shown.sum())
            shares = tuple((answer, n / counts.sum()) for answer, n in zip(question.answers, counts, strict=True) if n)
            lessons.append(Lesson(question.prompt, shares, stake(self.items[question.item_index], question.order)))
        return lessons

    def _weights(self, form: str, emphasis: np.ndarray) -> np.ndarray:
        """Cumulated shares of a form's questions; a worldview item stands for the mean of the four views."""
        views = float(emphasis[WORLDVIEWS.start :].mean())
        items = [self.items[question.item_index] for question in self.questions[form]]
        weights = np.array([views if item.group == "worldview" else emphasis[THEME_INDEX[item.theme]] for item in items])
        return np.cumsum(weights / weights.sum())

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
            lessons.append(Lesson(prompt, ((answer, 1.0),)))
        return lessons
