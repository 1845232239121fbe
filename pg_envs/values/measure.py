"""Measuring what a model values: questions in balanced orders, answers credited to content."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from pg_envs.values import scoring
from pg_envs.values.forms import FORMS, Question, make_questions
from pg_envs.values.items import Item

Mode = Literal["logprob", "generate"]
MODES: tuple[Mode, ...] = ("logprob", "generate")
ALIKE = 0.85
"""A sampled text names an option if it is at least this similar to it (``difflib`` ratio) and to no other."""

ARTICLE = re.compile(r"\W*a (?!(?:is|because|as|since|seems|would|sounds)\b)\w", re.IGNORECASE)
"""Begins a reply such as "A neighbour is helped", which names no option; "A: ...", "A" and "A is better" do."""


class Answerer(Protocol):
    """What measuring needs of an engine; ``model`` is passed through untouched. See ``pg_envs.models.engine``."""

    def choice_logprobs(self, model: Any, prompts: Sequence[str], answers: Sequence[Sequence[str]]) -> Sequence[Any]:
        """For each prompt an object with ``total`` (K,) log-probabilities and ``n_tokens`` (K,)."""
        ...

    def generate(self, model: Any, prompts: Sequence[str], max_new_tokens: int, temperature: float, seed: int) -> list[str]:
        """A reply to each prompt."""
        ...


@dataclass(frozen=True)
class Answers:
    """How a model answered a balanced questioning.

    Attributes:
        probabilities: For each item (K,) probabilities of its options' contents, averaged over forms and
            orders; NaN where no form got a valid answer in every order.
        order_bias: Mean over two-option items and forms of ``|P(option 0 shown first) - P(option 0 shown second)|``.
        n_questions: Prompts asked.
        n_invalid: Sampled replies that named no option (always 0 in ``logprob`` mode).
    """

    probabilities: tuple[np.ndarray, ...]
    order_bias: float
    n_questions: int
    n_invalid: int


@dataclass(frozen=True)
class ValueMeasurement:
    """A model's values.

    Attributes:
        centred: (19,) float64 in [-1, 1]; 0 is indifference.
        standard_errors: (19,) standard errors of ``centred``, by bootstrap over items.
        upstream: (19,) the vector by the published formula.
        answers: What it was computed from.
    """

    centred: np.ndarray
    standard_errors: np.ndarray
    upstream: np.ndarray
    answers: Answers


def measure(
    answerer: Answerer,
    model: Any,
    items: Sequence[Item],
    forms: Iterable[str] = tuple(FORMS),
    mode: Mode = "logprob",
    seed: int = 0,
) -> ValueMeasurement:
    """Measure a model's value vector on ``items``.

    Args:
        answerer: An engine.
        model: What the engine runs, e.g. a ModelRef.
        items: Questionnaire items; every dimension must be told about.
        forms: Question forms to use.
        mode: ``logprob`` reads probabilities; ``generate`` samples replies and matches them to options.
        seed: For sampled replies.

    Raises:
        MeasurementError: If a dimension has no validly answered item.
    """
    answers = ask(answerer, model, items, forms, mode, seed)
    return ValueMeasurement(
        centred=scoring.centred(items, answers.probabilities),
        standard_errors=scoring.standard_errors(items, answers.probabilities),
        upstream=scoring.upstream(items, answers.probabilities),
        answers=answers,
    )


def ask(
    answerer: Answerer,
    model: Any,
    items: Sequence[Item],
    forms: Iterable[str] = tuple(FORMS),
    mode: Mode = "logprob",
    seed: int = 0,
) -> Answers:
    """Ask every item in every fitting form and balanced order; see ``measure`` for the arguments."""
    questions = make_questions(items, forms)
    if mode == "logprob":
        by_place, n_invalid = _read_probabilities(answerer, model, questions), 0
    elif mode == "generate":
        by_place, n_invalid = _sample_choices(answerer, model, questions, seed)
    else:
        raise ValueError(f"unknown mode {mode!r}; choose from {', '.join(MODES)}")
    return _credit(items, questions, by_place, n_invalid)


def _read_probabilities(answerer: Answerer, model: Any, questions: Sequence[Question]) -> list[np.ndarray]:
    scored = answerer.choice_logprobs(model, [q.prompt for q in questions], [q.answers for q in questions])
    return [_softmax(s.total / s.n_tokens if q.form.whole_answer else s.total) for q, s in zip(questions, scored, strict=True)]


def _softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max())
    return shifted / shifted.sum()


def _sample_choices(answerer: Answerer, model: Any, questions: Sequence[Question], seed: int) -> tuple[list[np.ndarray], int]:
    replies = answerer.generate(model, [q.prompt for q in questions], max_new_tokens=48, temperature=1.0, seed=seed)
    by_place, n_invalid = [], 0
    for question, reply in zip(questions, replies, strict=True):
        place = match_answer(reply, question)
        chosen = np.full(len(question.answers), np.nan)
        if place is None:
            n_invalid += 1
        else:
            chosen[:] = 0.0
            chosen[place] = 1.0
        by_place.append(chosen)
    return by_place, n_invalid


def match_answer(reply: str, question: Question) -> int | None:
    """The place of the answer that a sampled reply names, or None.

    Letter forms take the reply's first word, unless it may be the article of a sentence; whole-answer forms take the option that
    the reply repeats, up to case, punctuation and small slips.
    """
    plain = _plain(reply)
    if not plain:
        return None
    if not question.form.whole_answer:
        if ARTICLE.match(reply):
            return None
        words = [_plain(answer) for answer in question.answers]
        first = plain.split()[0]
        return words.index(first) if first in words else None
    scores = [difflib.SequenceMatcher(None, plain, _plain(answer), autojunk=False).ratio() for answer in question.answers]
    best = int(np.argmax(scores))
    return best if scores[best] >= ALIKE and scores.count(scores[best]) == 1 else None


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", text.lower()))


def _credit(items: Sequence[Item], questions: Sequence[Question], by_place: Sequence[np.ndarray], n_invalid: int) -> Answers:
    """Average over orders within a form, then over forms; each place's share goes to the option shown there."""
    in_form: dict[tuple[int, str], list[np.ndarray]] = {}
    for question, shares in zip(questions, by_place, strict=True):
        by_option = np.empty(len(shares))
        by_option[list(question.order)] = shares
        in_form.setdefault((question.item_index, question.form.name), []).append(by_option)
    per_item: list[list[np.ndarray]] = [[] for _ in items]
    biases = []
    for (item_index, _), by_order in in_form.items():
        mean = np.mean(by_order, axis=0)
        # A form answered in some orders only would credit places again, so it is left out as a whole.
        if np.isnan(mean).any():
            continue
        per_item[item_index].append(mean)
        if len(by_order) == 2:
            biases.append(abs(by_order[0][0] - by_order[1][0]))
    probabilities = tuple(
        np.mean(forms, axis=0) if forms else np.full(len(item.options), np.nan) for item, forms in zip(items, per_item, strict=True)
    )
    return Answers(probabilities, float(np.mean(biases)) if biases else 0.0, len(questions), n_invalid)
