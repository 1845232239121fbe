"""The bundled items and the reader, on good and bad files."""

import csv
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hub_support import CACHED_COMMIT, HUB_COMMIT, put_in_cache, refusal
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled

from pg_envs.values.dimensions import DIMENSIONS, N_DIMENSIONS
from pg_envs.values.items import QuestionnaireError, items_per_dimension
from pg_envs.values.moral_rows import FILES
from pg_envs.values.questionnaire import load_questionnaire

ASSETS = "pg_envs/assets/questionnaire"
# Things and institutions younger than the year 1200 that slip in most easily.
MODERN = r"\b(police|car|cars|gun|guns|rifle|phone|computer|internet|company|hospital|university|president|vote|election|"
MODERN += r"parliament|scien\w+|factory|train|engine|newspaper|print\w*|clock|clocks|coffee|tea|potato\w*|tomato\w*|tobacco|"
MODERN += r"insurance|passport|electric\w*|doctor|lawyer|minute|minutes|office)\b"


@pytest.fixture(scope="module")
def bundled():
    return load_questionnaire()


def test_enough_items_for_every_dimension(bundled):
    counts = items_per_dimension(bundled.items)
    assert min(counts[:15]) >= 24
    assert min(counts[15:]) >= 48
    assert bundled.notes == ()


def test_items_are_distinct_and_timeless(bundled):
    texts = [text for item in bundled.items for text in (item.context, *item.options)]
    assert len(set(texts)) == len(texts)
    assert [text for text in texts if re.search(MODERN, text, re.IGNORECASE)] == []


def test_keyed_option_is_neither_the_longer_nor_the_first(bundled):
    for index, dimension in enumerate(DIMENSIONS[:15]):
        items = [item for item in bundled.items if dict(item.signs).get(index)]
        keyed_first = sum(dict(item.signs)[index] > 0 for item in items)
        keyed_longer = 0
        for item in items:
            keyed, other = item.options if dict(item.signs)[index] > 0 else item.options[::-1]
            keyed_longer += len(keyed) > len(other)
        assert abs(keyed_first / len(items) - 0.5) <= 0.05, dimension
        assert abs(keyed_longer / len(items) - 0.5) <= 0.05, dimension


def test_no_worldview_is_always_the_longest_option(bundled):
    longest = Counter(max(range(4), key=lambda k: len(item.options[k])) for item in bundled.items if item.group == "worldview")
    assert max(longest.values()) <= 0.36 * sum(longest.values())


def test_halves_are_disjoint_balanced_and_do_not_depend_on_row_order(bundled):
    survey, evaluation = bundled.split()
    assert not {i.context for i in survey.items} & {i.context for i in evaluation.items}
    assert len(survey) + len(evaluation) == len(bundled)
    for a, b in zip(items_per_dimension(survey.items), items_per_dimension(evaluation.items), strict=True):
        assert abs(a - b) <= 1
    backwards = type(bundled)("backwards", bundled.items[::-1])
    assert {i.item_id for i in backwards.split()[0].items} == {i.item_id for i in survey.items}


def test_reads_the_published_items(moral_evals, caplog):
    items = load_questionnaire(moral_evals)
    notes = dict(items.notes)
    assert notes["moralchoice.csv: ids that stand again with another text, kept apart"] == 34
    assert notes["views.csv: stray header rows, dropped"] == 1
    assert notes["views.csv: rows with blank text, dropped"] == 2
    assert Counter(item.group for item in items.items) == {"morality": 453, "foundation": 400, "worldview": 359 - 3}
    assert len({item.item_id for item in items.items}) == len(items)
    assert len(caplog.records) == len(notes)
    assert not [o for item in items.items for o in item.options if o != o.strip(' "')]


def test_both_actions_with_equal_labels_tell_nothing(moral_evals):
    item = next(i for i in load_questionnaire(moral_evals).items if i.item_id == "H_001")
    # H_001's labels: a1 No,No,...,law Yes,duty No; a2 No Agreement,Yes,Yes,No,No Agreement,No,No,No,No,No.
    assert dict(item.signs) == {0: 1, 1: 1, 2: 1, 4: 1, 8: -1}


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ASSETS, tmp_path / "items")
    return tmp_path / "items"


def edit(path, change):
    rows = list(csv.reader(path.open(encoding="utf-8", newline="")))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def test_identical_rows_are_dropped_and_repeated_ids_kept_apart(copy):
    def change(rows):
        rows[3] = list(rows[1])
        rows[2][0] = rows[1][0]

    edit(copy / "foundation.csv", change)
    items = load_questionnaire(copy)
    assert [i.item_id for i in items.items if i.group == "foundation"][:2] == ["F_001", "F_001#2"]
    assert dict(items.notes)["foundation.csv: rows that stand twice word for word, dropped"] == 1


def test_a_text_under_two_ids_is_taken_once(copy, bundled):
    def repeat(rows):
        rows.append(["F_again", *rows[1][1:]])

    edit(copy / "foundation.csv", repeat)
    items = load_questionnaire(copy)
    assert items.items == bundled.items
    assert dict(items.notes) == {"foundation.csv: rows that stand twice word for word, dropped": 1}


def test_files_that_each_number_their_items_anew_are_split_as_evenly(copy, bundled):
    def number(rows):
        for place, row in enumerate(rows[1:], start=1):
            row[0] = str(place)

    for filename in FILES.values():
        edit(copy / filename, number)
    for half, ours in zip(load_questionnaire(copy).split(), bundled.split(), strict=True):
        assert [item.context for item in half.items] == [item.context for item in ours.items]


@pytest.mark.parametrize(
    ("filename", "change", "says"),
    [
        ("moralchoice.csv", lambda rows: rows[0].__setitem__(7, "a1_deth"), "moralchoice.csv: row 1: no column 'a1_death'"),
        (
            "foundation.csv",
            lambda rows: rows[4].__setitem__(2, "Harm"),
            "foundation.csv: row 5: column 'generation_theme': unknown theme 'Harm'",
        ),
        ("moralchoice.csv", lambda rows: rows[2].__setitem__(8, "Perhaps"), "row 3: column 'a1_pain': unknown label 'Perhaps'"),
        ("foundation.csv", lambda rows: rows[1].__setitem__(6, "3"), "row 2: column 'keyed_action': '3'"),
    ],
)
def test_bad_files_are_named_with_row_and_column(copy, filename, change, says):
    edit(copy / filename, change)
    with pytest.raises(QuestionnaireError, match=re.escape(says)):
        load_questionnaire(copy)


def test_a_row_whose_quotes_do_not_close_is_named(copy):
    lines = (copy / "foundation.csv").read_text(encoding="utf-8").splitlines()
    lines[3] = '"x"y' + lines[3]
    (copy / "foundation.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(QuestionnaireError, match=r"foundation\.csv: row 4: cannot be read as CSV: "):
        load_questionnaire(copy)


def test_unreadable_files(copy, tmp_path):
    (copy / "views.csv").write_bytes(b"scenario_id,\xff\xfe")
    with pytest.raises(QuestionnaireError, match=r"views\.csv: cannot be read"):
        load_questionnaire(copy)
    (copy / "views.csv").unlink()
    with pytest.raises(QuestionnaireError, match=r"views\.csv: cannot be read"):
        load_questionnaire(copy)
    with pytest.raises(QuestionnaireError, match="no questionnaire at"):
        load_questionnaire(tmp_path / "nowhere")


HUB_NAMES = (
    {"moralchoice": "moralchoice.csv", "foundation": "valuesfoundations.csv", "views": "worldview.csv"},
    {"moralchoice": "data/MoralChoice.csv", "foundation": "data/values_foundations.csv", "views": "data/worldview.csv"},
    {"moralchoice": "moralchoice/final.csv", "foundation": "foundation/final.csv", "views": "views/final.csv"},
)


def hub_files(names):
    return {published: Path(ASSETS, f"{ours}.csv") for ours, published in names.items()}


@pytest.mark.parametrize("names", HUB_NAMES)
def test_reads_a_dataset_of_the_hub_from_the_cache(names, bundled, hub_cache):
    put_in_cache(hub_cache, "them/MoralEvals", hub_files(names), kind="dataset")
    items = load_questionnaire("them/MoralEvals")
    assert items.items == bundled.items
    assert items.name == f"them/MoralEvals@{CACHED_COMMIT}"


def test_a_dataset_that_is_not_in_the_cache_is_fetched(bundled, fake_hub, caplog):
    fake_hub.served["them/MoralEvals"] = {**hub_files(HUB_NAMES[0]), "README.md": Path(ASSETS, "views.csv")}
    items = load_questionnaire("them/MoralEvals@v1")
    assert items.content_hash == bundled.content_hash
    assert items.name == f"them/MoralEvals@{HUB_COMMIT}"
    assert len(fake_hub.fetched) == 3
    assert "downloading them/MoralEvals (" in caplog.text


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        (OfflineModeIsEnabled("offline"), r"HF_HUB_OFFLINE is set.*hf download them/MoralEvals --type dataset"),
        (refusal(GatedRepoError, 403), r"accept its licence on https://huggingface\.co/datasets/them/MoralEvals"),
    ],
)
def test_a_dataset_that_cannot_be_had(fake_hub, refused, says):
    fake_hub.refusal = refused
    with pytest.raises(QuestionnaireError, match=says):
        load_questionnaire("them/MoralEvals")


def test_files_that_cannot_be_told_apart_are_named(copy):
    (copy / "views.csv").rename(copy / "worldview.csv")
    assert len(load_questionnaire(copy)) > 0
    shutil.copy(copy / "worldview.csv", copy / "views-raw.csv")
    with pytest.raises(QuestionnaireError, match=r"'view' in its name; found views-raw\.csv, worldview\.csv"):
        load_questionnaire(copy)


@pytest.mark.parametrize("source", ["a/b/c", "./nowhere", "nowhere", "~/nowhere"])
def test_what_is_neither_a_folder_nor_a_name(source):
    with pytest.raises(QuestionnaireError, match="no questionnaire at"):
        load_questionnaire(source)


@pytest.mark.parametrize("source", ["them/@v1", "them/MoralEvals@", "white space/x"])
def test_what_names_no_dataset(source):
    with pytest.raises(QuestionnaireError, match="expected OWNER/NAME"):
        load_questionnaire(source)


def test_columns_are_moral_evals(moral_evals):
    for filename in FILES.values():
        ours = next(csv.reader(Path(ASSETS, filename).read_text(encoding="utf-8").splitlines()))
        published = next(csv.reader((moral_evals / filename).open(encoding="utf-8")))
        assert ours[: len(published)] == published
        assert ours[len(published) :] == (["keyed_action"] if filename == "foundation.csv" else [])


def test_what_upholds_a_foundation_is_as_often_the_second_action_as_the_first_which_it_is_where_nobody_says(copy):
    path = copy / "foundation.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["keyed_action"] for row in rows) == {"1": 70, "2": 70}
    for row in rows:
        row["keyed_action"] = ""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert {sign for item in load_questionnaire(str(copy)).items if item.group == "foundation" for _, sign in item.signs} == {1}


def test_vector_order():
    assert N_DIMENSIONS == 19
    assert [d.key for d in DIMENSIONS][::5] == ["kill", "deceive", "care", "traditional"]


def test_a_file_without_items_is_refused(copy):
    path = copy / "foundation.csv"
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(QuestionnaireError, match=r"foundation\.csv: row 2: no item; expected at least one"):
        load_questionnaire(str(copy))
