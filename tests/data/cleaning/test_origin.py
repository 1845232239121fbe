"""Rules about language, year and source."""

import pytest

from pg_envs.data.cleaning.origin import author_year, document_year, foreign_language, impossible_year, no_year, source, year_type

LATIN = (
    "Gallia est omnis divisa in partes tres, quarum unam incolunt Belgae, aliam Aquitani, tertiam qui ipsorum lingua Celtae, nostra "
    "Galli appellantur. Hi omnes lingua, institutis, legibus inter se differunt. Gallos ab Aquitanis Garumna flumen dividit. "
)
FRENCH = "Nous sommes partis de bonne heure, et mon père marchait devant nous sans rien dire, parce que la route était longue. "


@pytest.mark.parametrize("text", [LATIN * 4, FRENCH * 8])
def test_foreign_text_is_dropped(passage, context, text):
    assert foreign_language(passage(text, 1500), context).action == "drop"


def test_middle_english_is_english(passage, context, middle_english, modern):
    assert foreign_language(passage(middle_english, 1380), context) is None
    assert foreign_language(passage(modern + LATIN, 1900), context) is None


def known(context, n=3, year=1859):
    for _ in range(n):
        context.documents.add({"document_id": "d", "creation_year": year, "source_dataset": "Book house"})


def test_years_follow_the_document(passage, context):
    known(context)
    context.documents.add({"document_id": "e", "creation_year": 1800})
    verdict = document_year(passage(creation_year=1359, document_id="d"), context)
    assert (verdict.action, verdict.passages[0]["creation_year"]) == ("relabel", 1859)
    assert no_year(passage(creation_year=None, document_id="d"), context).passages[0]["creation_year"] == 1859
    assert no_year(passage(creation_year=18590, document_id="d"), context).action == "repair"
    assert no_year(passage(creation_year=None, document_id="e"), context).action == "drop"  # one witness is too few
    assert document_year(passage(creation_year=1700, document_id="e"), context) is None
    assert document_year(passage(creation_year=1700), context) is None


def test_documents_with_several_years_are_left_alone(passage, context):
    known(context, 5, 1660)
    known(context, 5, 1661)
    assert document_year(passage(creation_year=1661, document_id="d"), context) is None


def test_sources_follow_the_document(passage, context):
    known(context)
    assert source(passage(document_id="d"), context) is None
    assert source({**passage(document_id="d"), "source_dataset": None}, context).passages[0]["source_dataset"] == "Book house"
    assert source({**passage(), "source_dataset": ""}, context).action == "drop"


@pytest.mark.parametrize(("year", "right"), [("1845", 1845), (" 1845 ", 1845), (1845.0, 1845)])
def test_years_of_another_type(passage, context, year, right):
    assert year_type(passage(creation_year=year), context).passages[0]["creation_year"] == right


@pytest.mark.parametrize("year", [1845, "about 1845", "9" * 5000, 1845.5, None, [1845], True])
def test_years_that_are_left_to_other_rules(passage, context, year):
    assert year_type(passage(creation_year=year), context) is None


@pytest.mark.parametrize(
    ("author", "year", "right"),
    [
        ("Caxton, William, ca. 1422-1491", 1554, 1491),
        ("Higden, Ranulf, d. 1364", 1482, 1364),
        ("Goldsmith, Oliver, 1730?-1774", 1800, None),
        ("Lloyd, Robert, 1733-1764.", 1900, 1764),
        ("Society of 1764 friends", 1900, None),
        ("Smith, John, fl. 1580", 1700, None),
        (None, 1700, None),
    ],
)
def test_reprints_after_an_authors_death(passage, context, author, year, right):
    verdict = author_year(passage(creation_year=year, author=author), context)
    assert (verdict and verdict.passages[0]["creation_year"]) == right


def test_texts_that_contradict_their_year(passage, context, modern, middle_english):
    def dropped(text, year, **fields):
        return impossible_year(passage(text, year, **fields), context) is not None

    assert dropped(modern + "as in 1861, 1866 and 1873.", 1650)
    assert not dropped(modern + "as in 1650, 1660, 1700 and 2,000 or 1,999 or 1861, 1861.", 1550)
    assert dropped(modern.replace("s", "ſ"), 1922)
    assert not dropped(modern.replace("s", "ſ"), 1750)
    assert dropped(modern, 1200)
    assert not dropped(modern, 1200, translation_year=1908)
    assert dropped(middle_english, 1900)
    assert not dropped(middle_english, 1380)
