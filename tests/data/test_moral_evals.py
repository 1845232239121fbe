"""MoralEvals as a datasets object: the schema checked row by row, and no line too long to be refused."""

import csv
import os
import shutil
import tracemalloc
from pathlib import Path

import pytest
from datasets import Dataset
from hub_support import put_in_cache

from pg_envs.data.loading import load_moral_evals
from pg_envs.data.schema import HistTextError, ReadReport
from pg_envs.values import moral_evals
from pg_envs.values.items import QuestionnaireError
from pg_envs.values.moral_rows import FILES, MAX_ROW_CHARS
from pg_envs.values.questionnaire import load_questionnaire

ASSETS = Path(__file__).parents[2] / "pg_envs" / "assets" / "questionnaire"


@pytest.fixture
def copy(tmp_path):
    """The bundled items in a folder of their own."""
    folder = tmp_path / "items"
    folder.mkdir()
    for filename in FILES.values():
        shutil.copy(ASSETS / filename, folder)
    return folder


def edit(path, change):
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def put(path, row, column, value):
    """Put a value into a cell; the header is row 1."""
    edit(path, lambda rows: rows[row - 1].__setitem__(rows[0].index(column), value))


def test_a_row_an_item_as_the_questionnaire_has_it(copy):
    report = ReadReport()
    data = load_moral_evals(copy, report=report)
    items = load_questionnaire().items
    assert isinstance(data, Dataset)
    assert len(data) == report.n_read == len(items)
    assert data["item_id"] == [item.item_id for item in items]
    assert [tuple(options) for options in data["options"]] == [item.options for item in items]
    assert data[0] == {
        "item_id": items[0].item_id,
        "group": "morality",
        "theme": items[0].theme,
        "context": items[0].context,
        "options": list(items[0].options),
        "dimensions": data[0]["dimensions"],
        "signs": [sign for _, sign in items[0].signs],
    }
    assert "kill" in data[0]["dimensions"]
    assert data[-1]["group"] == "worldview"
    assert (len(data[-1]["options"]), data[-1]["dimensions"]) == (4, [])


def test_bad_rows_are_named_by_file_row_and_column_and_skipped_or_fatal_as_asked(copy):
    n_rows = len(load_moral_evals(copy))
    put(copy / "moralchoice.csv", 3, "a1_pain", "Perhaps")
    put(copy / "foundation.csv", 5, "action2", " ")
    edit(copy / "views.csv", lambda rows: rows.insert(3, list(rows[0])))
    report = ReadReport()
    assert len(load_moral_evals(copy, on_bad="skip", report=report)) == report.n_read == n_rows - 2
    assert dict(report.skipped) == {"row: column 'a1_pain'": 1, "row: column 'action2'": 1, "row: column 'generation_theme'": 1}
    assert report.examples[0].startswith("moralchoice.csv: row 3: column 'a1_pain': unknown label 'Perhaps'; expected one of Yes")
    assert report.examples[1] == "foundation.csv: row 5: column 'action2': blank; expected text"
    assert report.examples[2].startswith("views.csv: row 4: column 'generation_theme'")
    with pytest.raises(HistTextError, match=r"^moralchoice\.csv: row 3: column 'a1_pain': unknown label 'Perhaps'"):
        load_moral_evals(copy)
    with pytest.raises(ValueError, match="on_bad='ignore'"):
        load_moral_evals(copy, on_bad="ignore")


def test_the_published_rows_are_read_and_their_known_defects_told(moral_evals):
    report = ReadReport()
    data = load_moral_evals(moral_evals, on_bad="skip", report=report)
    assert len(data) == report.n_read > 1000
    assert dict(report.skipped) == {"row: column 'generation_theme'": 1, "row: column 'action3'": 2}


def test_a_file_that_breaks_off_counts_once_and_keeps_the_rows_before(copy):
    lines = (copy / "foundation.csv").read_text(encoding="utf-8").splitlines()
    lines[3] = '"x"y' + lines[3]
    (copy / "foundation.csv").write_text("\n".join(lines), encoding="utf-8")
    report = ReadReport()
    data = load_moral_evals(copy, on_bad="skip", report=report)
    assert data["group"].count("foundation") == 2
    assert dict(report.skipped) == {"unreadable file": 1}
    assert report.examples[0].startswith("foundation.csv: row 4: cannot be read as CSV: ")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b"scenario_id,\xff\xfe"), r"views\.csv: cannot be read as a UTF-8 text file"),
        (lambda path: path.write_text("a,b\n"), r"views\.csv: row 1: no column 'scenario_id'; expected the columns"),
        (lambda path: path.write_text(""), r"views\.csv: row 1: no column 'scenario_id'"),
        (lambda path: path.unlink(), r"views\.csv: cannot be read: expected it"),
        (lambda path: (path.unlink(), os.mkfifo(path)), r"views\.csv: cannot be read: expected it"),
    ],
    ids=["not text", "other columns", "empty", "missing", "pipe"],
)
def test_a_file_that_cannot_be_read_is_named(copy, spoil, says):
    spoil(copy / "views.csv")
    with pytest.raises(HistTextError, match=says):
        load_moral_evals(copy)


def test_no_such_place(tmp_path):
    with pytest.raises(HistTextError, match="no questionnaire at"):
        load_moral_evals(tmp_path / "nowhere")


def test_the_hub_by_name_and_revision(hub_cache):
    put_in_cache(hub_cache, "them/MoralEvals", {name: ASSETS / name for name in FILES.values()}, kind="dataset")
    assert len(load_moral_evals("them/MoralEvals")) == len(load_questionnaire())


ROW_START = b'scenario_id,generation_theme,context,action1,action2\n1,Harm / Care,"'


def endless_line(file):
    file.write(ROW_START)
    # A hole: it takes no room, and reads as a gigabyte without a line's end.
    file.truncate(1 << 30)


def endless_field(file):
    file.write(ROW_START + b"many short lines\n" * (MAX_ROW_CHARS // 8))


def endless_row(file):
    file.write(ROW_START + b'a\n","' * (MAX_ROW_CHARS // 4))


@pytest.mark.parametrize("write", [endless_line, endless_field, endless_row])
def test_a_line_of_a_gigabyte_is_refused_in_small_memory(copy, write):
    with (copy / "foundation.csv").open("wb") as file:
        write(file)
    report = ReadReport()
    tracemalloc.start()
    try:
        data = load_moral_evals(copy, on_bad="skip", report=report)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert "foundation" not in data["group"]
    assert report.examples[0].startswith("foundation.csv: row 2: cannot be read as CSV: ")
    with pytest.raises(HistTextError, match=r"foundation\.csv: row 2: cannot be read as CSV"):
        load_moral_evals(copy)
    with pytest.raises(QuestionnaireError, match=r"foundation\.csv: row 2: cannot be read as CSV"):
        load_questionnaire(copy)


def test_a_row_may_be_long_but_not_endless_whatever_other_libraries_allow(copy):
    before = csv.field_size_limit(1 << 40)
    try:
        put(copy / "foundation.csv", 2, "context", "x" * (MAX_ROW_CHARS - 1000))
        assert len(load_moral_evals(copy)["context"]) == len(load_questionnaire())
        put(copy / "foundation.csv", 2, "context", "x" * MAX_ROW_CHARS)
        with pytest.raises(HistTextError, match=rf"row 2: cannot be read as CSV: more than {MAX_ROW_CHARS} characters in one row"):
            load_moral_evals(copy)
    finally:
        csv.field_size_limit(before)


def test_messages_quote_long_values_in_part(copy):
    put(copy / "foundation.csv", 2, "generation_theme", "x" * 100_000)
    with pytest.raises(HistTextError, match="unknown theme 'xxx") as raised:
        load_moral_evals(copy)
    assert len(str(raised.value)) < 400


def test_a_whole_disk_is_not_looked_through(tmp_path, monkeypatch):
    monkeypatch.setattr(moral_evals, "MAX_FOLDERS", 3)
    for name in "abc":
        (tmp_path / name).mkdir()
    with pytest.raises(QuestionnaireError, match="no questionnaire has 3 folders; name the one with moralchoice"):
        moral_evals.find_files(tmp_path)
