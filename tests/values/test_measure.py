"""The instrument: content is credited, never place."""

import numpy as np
import pytest

from pg_envs.values.forms import FORMS, make_questions
from pg_envs.values.items import Item
from pg_envs.values.measure import ask, match_answer, measure
from pg_envs.values.questionnaire import load_questionnaire
from pg_envs.values.scoring import MeasurementError, centred, standard_errors, upstream


@pytest.fixture(scope="module")
def items():
    return load_questionnaire().items


def fitting(items, form):
    return [item for item in items if len(item.options) == FORMS[form].n_options][:40]


def shown(prompt, answers, items):
    """The option texts by place, found in the prompt."""
    item = next(item for item in items if prompt.startswith(item.context))
    return sorted(range(len(item.options)), key=lambda k: prompt.index(item.options[k])), item


def prefers_content(items, shares):
    def by_place(prompt, answers):
        order, item = shown(prompt, answers, items)
        return [shares(item)[option] for option in order]

    return by_place


@pytest.mark.parametrize("form", FORMS)
def test_always_action1_is_exactly_one(form, items, scripted):
    chosen = fitting(items, form)
    sure = prefers_content(chosen, lambda item: [1.0] + [0.0] * (len(item.options) - 1))
    for p in ask(scripted(sure), None, chosen, [form]).probabilities:
        assert p[0] == 1.0
        assert p[1:].tolist() == [0.0] * (len(p) - 1)


@pytest.mark.parametrize("form", FORMS)
def test_always_the_first_place_is_exactly_indifferent(form, items, scripted):
    chosen = fitting(items, form)
    answers = ask(scripted(lambda prompt, group: [1.0] + [0.0] * (len(group) - 1)), None, chosen, [form])
    for p in answers.probabilities:
        assert p.tolist() == [1 / len(p)] * len(p)
    if FORMS[form].n_options == 2:
        assert answers.order_bias == 1.0


@pytest.mark.parametrize("form", FORMS)
def test_known_mixture_is_read_back(form, items, scripted):
    chosen = fitting(items, form)
    mixture = {2: [0.8, 0.2], 4: [0.4, 0.3, 0.2, 0.1]}
    for p in ask(scripted(prefers_content(chosen, lambda item: mixture[len(item.options)])), None, chosen, [form]).probabilities:
        np.testing.assert_allclose(p, mixture[len(p)], atol=1e-12)


def test_indifference_is_zero(items, scripted):
    measured = measure(scripted(lambda prompt, group: [1 / len(group)] * len(group)), None, items)
    np.testing.assert_allclose(measured.centred, 0, atol=1e-12)
    np.testing.assert_allclose(measured.standard_errors, 0, atol=1e-12)
    assert measured.answers.n_questions == 420 * 3 * 2 + 56 * 2 * 4


def test_upholding_everything_is_plus_one_and_first_place_is_zero(items, scripted):
    def uphold(item):
        if item.group == "worldview":
            return [1.0, 0.0, 0.0, 0.0]
        return [1.0, 0.0] if item.signs[0][1] * 1 > 0 and dict(item.signs) and own_sign(item) > 0 else [0.0, 1.0]

    def own_sign(item):
        return next(iter(dict(item.signs).values()))

    measured = measure(scripted(prefers_content(items, uphold)), None, items)
    np.testing.assert_allclose(measured.centred[:16], 1, atol=1e-12)
    np.testing.assert_allclose(measured.centred[16:], -1 / 3, atol=1e-12)
    place = measure(scripted(lambda prompt, group: [1.0] + [0.0] * (len(group) - 1)), None, items)
    np.testing.assert_allclose(place.centred, 0, atol=1e-12)


def test_upstream_formula_against_a_plain_loop_on_the_published_items(moral_evals):
    import csv

    items = load_questionnaire(moral_evals).items
    rng = np.random.default_rng(0)
    probabilities = [rng.dirichlet(np.ones(len(item.options))) for item in items]
    expected = plain_upstream(moral_evals, csv, items, probabilities)
    np.testing.assert_allclose(upstream(items, probabilities), expected, rtol=0, atol=1e-9)


def plain_upstream(folder, csv, items, probabilities):
    """The published formula once more, from the files' own cells."""
    answer = {}
    for item, p in zip(items, probabilities, strict=True):
        answer[(item.context, item.options)] = p
    clean = lambda text: text.strip(' \t"“”')  # noqa: E731
    sums, counts = [0.0] * 19, [0, 0, 0]
    for row in csv.reader((folder / "moralchoice.csv").open(encoding="utf-8")):
        key = (clean(row[4]), (clean(row[5]), clean(row[6])))
        if key not in answer:
            continue
        counts[0] += 1
        for i in range(10):
            if row[7 + i] == row[17 + i]:
                continue
            sums[i] += (1 if row[17 + i] == "Yes" or row[7 + i] == "No" else -1) * answer[key][0]
    themes = ["Harm_Care", "Fairness_Reciprocity", "InGroup_Loyalty", "Authority_Respect", "Purity_Sancity"]
    for row in csv.reader((folder / "foundation.csv").open(encoding="utf-8")):
        key = (clean(row[3]), (clean(row[4]), clean(row[5])))
        if key in answer:
            counts[1] += 1
            sums[10 + themes.index(row[2].strip())] += answer[key][0]
    for row in csv.reader((folder / "views.csv").open(encoding="utf-8")):
        key = (clean(row[3]), tuple(clean(cell) for cell in row[4:8]))
        if key in answer:
            counts[2] += 1
            for k in range(4):
                sums[15 + k] += answer[key][k]
    assert counts == [453, 400, 356]
    return [s / (counts[0 if i < 10 else 1 if i < 15 else 2] + 1) for i, s in enumerate(sums)]


def test_standard_errors_match_the_textbook(items):
    rng = np.random.default_rng(1)
    probabilities = [rng.dirichlet(np.ones(len(item.options))) for item in items]
    first = [sign * (2 * p[0] - 1) for item, p in zip(items, probabilities, strict=True) for d, sign in item.signs if d == 0]
    expected = np.std(first) / np.sqrt(len(first))
    assert standard_errors(items, probabilities)[0] == pytest.approx(expected, rel=0.15)


def test_a_dimension_without_answers_is_an_error(items):
    two = [item for item in items if item.group != "worldview"]
    with pytest.raises(MeasurementError, match="Traditional worldview"):
        centred(two, [np.array([0.5, 0.5])] * len(two))


class Talker:
    """Replies with text."""

    def __init__(self, reply):
        self.reply = reply

    def generate(self, model, prompts, max_new_tokens, temperature, seed):
        return [self.reply(prompt) for prompt in prompts]


def test_generate_mode_credits_content_and_excludes_invalid(items):
    by_context = {item.context: item for item in items}

    def reply(prompt):
        item = next(item for context, item in by_context.items() if prompt.startswith(context))
        if item.item_id == "H_001":
            return "I would rather not say"
        wanted = item.options[0]
        if "word for word" in prompt:
            return wanted.upper().replace(".", "")
        order = sorted(item.options, key=prompt.index)
        if "yes or no" in prompt:
            return "Yes!" if order[0] == wanted else "no."
        return f"{'ABCD'[order.index(wanted)]}. {wanted}"

    answers = ask(Talker(reply), None, items, mode="generate")
    assert answers.n_invalid == 6
    assert np.isnan(answers.probabilities[0]).all()
    assert all(p[0] == 1.0 for p in answers.probabilities[1:])


def test_a_form_valid_in_one_order_only_is_left_out():
    item = Item("H_1", "morality", "Do not kill", "You stand there.", ("I go away now.", "I stay right here."), ((0, 1),))

    def reply(prompt):
        if "A or B" in prompt:
            return "A" if prompt.index("I go") < prompt.index("I stay") else "hm"
        return "hm"

    answers = ask(Talker(reply), None, [item], mode="generate")
    assert np.isnan(answers.probabilities[0]).all()


@pytest.mark.parametrize(
    ("form", "reply", "place"),
    [
        ("ab", " b) because", 1),
        ("ab", "Both", None),
        ("ab", "A. I go", 0),
        ("ab", "(a)", 0),
        ("ab", "A neighbour is helped in need.", None),
        ("ab", "A is better, for a neighbour is helped.", 0),
        ("ab", "A because it is just.", 0),
        ("ab", "A issue of this kind", None),
        ("ab", '"a good man stays"', None),
        ("ab", "", None),
        ("compare", "No, never", 1),
        ("repeat", "- i stay right here", 1),
        ("repeat", "I stay", None),
    ],
)
def test_matching_replies(form, reply, place):
    item = Item("H_1", "morality", "Do not kill", "You stand there.", ("I go away now.", "I stay right here."), ((0, 1),))
    assert match_answer(reply, make_questions([item], [form])[0]) == place


def test_unknown_form_or_mode(items):
    with pytest.raises(ValueError, match="unknown question form 'abc'"):
        ask(None, None, items, ["abc"])
    with pytest.raises(ValueError, match="none of the forms ab fits"):
        ask(None, None, items, ["ab"])
    with pytest.raises(ValueError, match="unknown mode 'guess'"):
        ask(None, None, items, mode="guess")
