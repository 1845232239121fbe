"""Histories in other languages and of other millennia: read, cleaned, described, built; by default what it was."""

import json

import pytest

from pg_envs import cli
from pg_envs.building.plan import PlanError
from pg_envs.building.plan_file import read_plan
from pg_envs.building.texts import read_texts
from pg_envs.data.cleaning.folders import clean_folder
from pg_envs.data.cleaning.language import ForeignText, Languages
from pg_envs.data.cleaning.rules import RULES, asked_rules
from pg_envs.data.describing.describe import describe_folder
from pg_envs.data.histtext import read_folder
from pg_envs.data.loading import load_histtext
from pg_envs.data.schema import HistTextError, ReadReport, Years
from pg_envs.history.base import are_labels

# Einhard, about 830; the Song of Roland, about 1100.
LATIN = (
    "Gens Meroingorum, de qua Franci reges sibi creare soliti erant, usque in Hildricum regem, qui iussu Stephani Romani pontificis "
    "depositus ac detonsus atque in monasterium trusus est, durasse putatur. Quae licet in illo finita possit videri, tamen iam dudum "
    "nullius vigoris erat, nec quicquam in se clarum praeter inane regis vocabulum praeferebat. Nam et opes et potentia regni penes "
    "palatii praefectos, qui maiores domus dicebantur, et ad quos summa imperii pertinebat, tenebantur. Neque regi aliud relinquebatur, "
    "quam ut regio tantum nomine contentus crine profuso, barba summissa, solio resideret ac speciem dominantis effingeret, legatos "
    "undecumque venientes audiret eisque abeuntibus responsa, quae erat edoctus vel etiam iussus, ex sua velut potestate redderet. "
)
OLD_FRENCH = (
    "Carles li reis, nostre emperere magnes, set anz tuz pleins ad estet en Espaigne: tresqu'en la mer cunquist la tere altaigne. N'i ad "
    "castel ki devant lui remaigne; mur ne citet n'i est remes a fraindre, fors Sarraguce, ki est en une muntaigne. Li reis Marsilie la "
    "tient, ki Deu nen aimet; Mahumet sert e Apollin recleimet: nes poet guarder que mals ne l'i ateignet. "
)
FRENCH = "Nous sommes partis de bonne heure, et mon père marchait devant nous sans rien dire, parce que la route était longue. " * 9
ENGLISH = "In the morning the children would run down to the water with their father, who had been a sailor and knew every ship. " * 9
EARLY = Years(800, 1100)


@pytest.fixture
def source(tmp_path):
    """Latin of the ninth and French of the eleventh century, and English that strayed in."""
    passages = {
        "C009/830.json": [(LATIN * 2, 830), (ENGLISH, 830)],
        "C009/0840.json": [(LATIN.upper()[::-1] + LATIN, 840), (LATIN * 2, 2019)],
        "C012/1100.json": [(OLD_FRENCH * 3, 1100)],
    }
    for name, texts in passages.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"content": text, "creation_year": year, "source_dataset": "x", "document_id": name} for text, year in texts]
        path.write_text(json.dumps(rows), encoding="utf-8")
    return tmp_path / "in"


def test_by_default_there_is_nothing_but_english_from_1200_on(source, tmp_path):
    report = clean_folder(source, tmp_path / "out")
    assert report.n_written == 0
    with pytest.raises(HistTextError, match=r"C009/830\.json: passage 0: field 'creation_year': 830 is not between 1200 and 2099"):
        list(read_folder(source))


def test_readers_take_the_years_that_they_are_told(source):
    read = ReadReport()
    rows = load_histtext(source, on_bad="skip", report=read, years=EARLY)
    assert rows["creation_year"] == [830, 830, 840, 1100]  # 830.json comes before 0840.json
    assert dict(read.skipped) == {"passage: field 'creation_year'": 1}
    assert [passage.year for passage in read_folder(source, on_bad="skip", years=EARLY)] == [830, 830, 840, 1100]


def test_latin_and_french_of_800_to_1100_are_cleaned(source, tmp_path):
    report = clean_folder(source, tmp_path / "out", languages=Languages(("la", "fr")), years=EARLY)
    out = tmp_path / "out"
    assert sorted(str(path.relative_to(out)) for path in out.glob("C*/*")) == ["C009/0830.json", "C009/0840.json", "C012/1100.json"]
    assert next(read_folder(out, years=EARLY)).content.startswith("Gens ")
    assert report.reasons["C009", "foreign-language", "drop"] == 1
    assert report.reasons["C009", "no-year", "drop"] == 1
    said = json.loads((out / "report.json").read_text())
    assert (said["languages"], said["years"]) == (["la", "fr"], [800, 1100])
    assert said["rules_not_asked"] == ["misread-letters", "joined-words", "editors-matter"]
    assert "between 800 and 1100, in la, fr." in (out / "report.md").read_text()
    page = (out / "report.md").read_text()
    assert "Not asked: `misread-letters`, `joined-words`, `editors-matter`, and spelling" in page
    assert "Of notices, `electronic-text`, `editors-brackets` know English ones only." in page


def test_rules_that_only_know_english_are_silent_about_other_languages(tmp_path):
    noisy = LATIN.replace("tamen", "ta1nen").replace("regni", "re!ni").replace("vigoris", "vi■oris").replace("summa", "su1nma") * 3
    path = tmp_path / "in" / "C019" / "1850.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([{"content": noisy.replace("s", "ſ"), "creation_year": 1850, "source_dataset": "x"}]))
    assert clean_folder(tmp_path / "in", tmp_path / "english").actions == {("C019", "drop"): 1}
    report = clean_folder(tmp_path / "in", tmp_path / "latin", languages=Languages(("la",)))
    assert (report.actions, report.reasons) == ({("C019", "keep"): 1}, {})


def test_a_language_that_no_identifier_knows_has_no_foreign_language(source, tmp_path):
    report = clean_folder(source, tmp_path / "out", languages=Languages(("fro",)), years=EARLY)
    assert report.n_written == 4
    assert "foreign-language" in report.not_asked
    assert "no identifier knows fro" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    ("codes", "foreign"),
    [
        (("en",), {"latin", "french"}),
        (("enm", "en"), {"latin", "french"}),
        (("la",), {"french"}),
        (("la", "fra"), set()),
        (("en", "la"), {"french"}),
        (("en", "fro"), set()),
    ],
)
def test_what_is_foreign_follows_the_languages(codes, foreign):
    found = ForeignText(Languages(codes))
    shares = {**found.shares(FRENCH), **found.shares(LATIN)}
    assert {language for language, share in shares.items() if share > 0.5} == foreign
    assert bool(found.shares(ENGLISH)) != bool(found.languages.has_english or found.languages.unknown)


def test_for_english_all_rules_are_asked():
    assert asked_rules(Languages()) == asked_rules(Languages(("enm", "eng"))) == RULES


@pytest.mark.parametrize("codes", [("latin",), ("LA",), ("la", ""), (), ("la-x",)])
def test_what_is_no_code_of_a_language_is_refused(codes):
    with pytest.raises(HistTextError, match=r"expected codes of ISO 639 in small letters"):
        Languages(codes)


@pytest.mark.parametrize(("first", "last"), [(0, 100), (-300, 100), (1100, 800), (1, 10_000)])
def test_what_is_no_range_of_years_is_refused(first, last):
    with pytest.raises(HistTextError, match=rf"years {first} to {last}: expected a first and a last year between 1 and 9999"):
        Years(first, last)


def test_the_command_line_says_which_languages_and_years(source, tmp_path, capsys):
    settings = ["--languages", "la", "fr", "--years", "800", "1100"]
    assert cli.main(["clean", str(source), str(tmp_path / "out"), *settings]) == 0
    assert "3 written; between 800 and 1100, in la, fr." in capsys.readouterr().out
    assert cli.main(["describe", str(tmp_path / "out"), "--out", str(tmp_path / "described"), *settings]) == 0
    assert "C009: 1 documents" in capsys.readouterr().out or (tmp_path / "described" / "report.md").exists()
    assert cli.main(["clean", str(source), str(tmp_path / "other"), "--languages", "latin"]) == cli.EXIT_BAD_INPUT
    assert "languages 'latin': expected codes of ISO 639" in capsys.readouterr().err
    assert cli.main(["clean", str(source), str(tmp_path / "other"), "--years", "-800", "1100"]) == cli.EXIT_BAD_INPUT
    assert "before the common era" in capsys.readouterr().err


def test_descriptions_name_the_texts_own_languages(source, tmp_path):
    description = describe_folder(source, tmp_path / "out", languages=Languages(("la",)), years=EARLY)
    assert list(description["identified_languages"]["C009"]) == ["latin", "english"]
    assert "Latin is what the cleaner's rule (lingua) does not identify" in (tmp_path / "out" / "report.md").read_text()
    unknown = describe_folder(source, tmp_path / "unknown", languages=Languages(("fro",)), years=EARLY)
    assert unknown["identified_languages"]["C012"] == {"not identified": 1.0}
    assert "not asked, as no identifier knows fro" in (tmp_path / "unknown" / "report.md").read_text()


def test_a_plan_says_from_which_years_its_texts_may_be(source, tmp_path):
    plan = tmp_path / "plan.toml"
    start = 'name = "carolingian"\nbase = "pg_envs:histtiny/base"\nperiods = ["C009", "C012"]\n[text]\nfolder = "in"\n'
    plan.write_text(start + "years = [800, 1100]\n")
    assert read_plan(plan).text.years == (800, 1100)
    clean_folder(source, tmp_path / "clean", languages=Languages(("la", "fr")), years=EARLY)
    texts = read_texts(tmp_path / "clean", ("C009", "C012"), 10, Years(*read_plan(plan).text.years))
    assert [text.n_documents for text in texts.values()] == [2, 1]
    with pytest.raises(HistTextError, match="830 is not between 1200 and 2099"):
        read_texts(tmp_path / "clean", ("C009", "C012"), 10)
    plan.write_text(start + "years = [1100, 800]\n")
    with pytest.raises(PlanError, match=r"plan\.toml: text: .*years 1100 to 800: expected a first and a last year between 1 and 9999"):
        read_plan(plan)


@pytest.mark.parametrize(
    ("labels", "fit"),
    [
        (["C009", "C010", "C011"], True),
        (["C012", "C013", "C014"], True),
        (["C020", "C021", "C022"], True),
        (["C012", "C014"], False),
        (["C014", "C013"], False),
        (["early", "C013"], False),
        (["C012"], False),
    ],
)
def test_centuries_may_go_beyond_the_nine(labels, fit):
    assert are_labels(labels) is fit


def test_joiners_are_spelling_in_some_scripts(context, passage):
    from pg_envs.data.cleaning.characters import invisible

    persian = "می\u200cخواهم"
    assert invisible(passage(persian), context) is None
    assert invisible(passage("co\u200coperate, \u200cmy"), context).passages[0]["content"] == "cooperate, my"


def test_words_broken_at_line_ends_are_mended_with_their_accents(context, passage):
    from pg_envs.data.cleaning.characters import line_end_marks

    text = "La lumiè-\nre était blan-\nche et l'é-\ncole vide."
    assert line_end_marks(passage(text), context).passages[0]["content"] == "La lumière était blanche et l'école vide."


@pytest.mark.parametrize(
    ("author", "year", "right"), [("Alcuinus, 735-804", 1099, 804), ("Notker, d. 912", 950, None), ("Beda, 672-735", 1000, None)]
)
def test_authors_of_the_first_millennium(author, year, right):
    from pg_envs.data.cleaning.documents import Documents
    from pg_envs.data.cleaning.duplicates import SeenTexts
    from pg_envs.data.cleaning.origin import author_year
    from pg_envs.data.cleaning.verdict import Context

    verdict = author_year({"content": "x", "creation_year": year, "author": author}, Context(Documents(EARLY), SeenTexts()))
    assert (verdict and verdict.passages[0]["creation_year"]) == right
