"""The numbers that docs/data.md gives for rules: what lies just within is left alone, what lies just beyond is found."""

import pytest

from pg_envs.data.cleaning.duplicates import jaccard
from pg_envs.data.cleaning.rules import RULES

LATIN = "Gallia est omnis divisa in partes tres, quarum unam incolunt Belgae, aliam Aquitani, tertiam qui ipsorum lingua Celtae. "
REFERENCES = "MS ed. p. 12 "
ONE_KIND = "MS MS MS "


def in_latin(n_of_five):
    """As the identifier reads it, in stretches of 500 characters."""
    return lambda modern: {"content": (LATIN * 5)[:500] * n_of_five + modern[:500] * (5 - n_of_five)}


def referring(times, references=REFERENCES):
    """Three references each time, among 1,000 words."""
    n_words = sum(map(str.isalpha, references.replace(".", "").split()))
    return lambda modern: {"content": references * times + " ".join((modern.split() * 9)[: 1000 - n_words * times])}


def misread(n):
    return lambda modern: {"content": modern.replace("windows", "w!ndows", n)}


def illegible(n):
    return lambda modern: {"content": "〈◊〉" * n + modern[: 1000 - 3 * n]}


def in_lines(n_filled):
    """Eight lines of prose; the next word, of two letters, has no room after so many of seven."""
    lengths = [70] * n_filled + [60] * (7 - n_filled) + [70]
    return lambda modern: {"content": "\n".join(("ab " * 40)[: n - 1] + "c" for n in lengths)}


def naming_years_in(year):
    return lambda modern: {"content": modern + "It was in 1861, 1866 and 1873.", "creation_year": year}


def with_long_s_in(year):
    return lambda modern: {"content": modern.replace("s", "ſ"), "creation_year": year}


def numbered(n_changed, n=500):
    return " ".join(f"w{chr(97 + i % 26)}{chr(97 + i // 26)}{'x' * (i >= n - n_changed)}" for i in range(n))


BOUNDS = {
    "misread-letters": (misread(3), misread(4)),
    "hard-wraps": (in_lines(5), in_lines(6)),
    "gaps": (illegible(3), illegible(4)),
    "editors-matter": (referring(3), referring(4)),
    "foreign-language": (in_latin(2), in_latin(3)),
    "impossible-year": (naming_years_in(1831), naming_years_in(1830)),
    "too-short": (lambda modern: {"content": modern[:1000]}, lambda modern: {"content": modern[:999]}),
    "too-long": (lambda modern: {"content": (modern * 9)[:10_000]}, lambda modern: {"content": (modern * 9)[:10_001]}),
}


@pytest.mark.parametrize("code", BOUNDS)
def test_a_rule_speaks_beyond_its_bound_and_not_within(passage, context, modern, code):
    within, beyond = ({**passage(), **spoil(modern)} for spoil in BOUNDS[code])
    assert RULES[code](within, context) is None
    assert RULES[code](beyond, context) is not None


@pytest.mark.parametrize(("year", "found"), [(1820, False), (1821, True)])
def test_long_s_after_1820(passage, context, modern, year, found):
    assert (RULES["impossible-year"]({**passage(), **with_long_s_in(year)(modern)}, context) is not None) is found


@pytest.mark.parametrize(("year", "found"), [(1499, True), (1500, False)])
def test_modern_spelling_before_1500(passage, context, modern, year, found):
    assert (RULES["impossible-year"](passage(modern, year), context) is not None) is found


@pytest.mark.parametrize(("year", "found"), [(1749, False), (1750, True)])
def test_early_spelling_from_1750_on(passage, context, middle_english, year, found):
    assert (RULES["impossible-year"](passage(middle_english, year), context) is not None) is found


def test_references_of_one_kind_are_no_editors(passage, context, modern):
    assert RULES["editors-matter"]({**passage(), **referring(20, ONE_KIND)(modern)}, context) is None


@pytest.mark.parametrize(("n_changed", "similarity", "found"), [(124, 0.6, False), (55, 0.8, True)])
def test_near_duplicates_share_seven_tenths(passage, context, n_changed, similarity, found):
    """Not nearer the bound, since MinHash only estimates."""
    assert jaccard(numbered(0), numbered(n_changed)) == pytest.approx(similarity, abs=0.02)
    context.seen.keep("first", numbered(0))
    assert (RULES["near-duplicate"](passage(numbered(n_changed)), context) is not None) is found
