"""Reading historical text folders."""

import json

import pytest

from pg_envs.data.histtext import HistTextError, read_folder
from pg_envs.data.schema import ReadReport


def write(folder, century, name, passages):
    (folder / century).mkdir(exist_ok=True)
    (folder / century / name).write_text(json.dumps(passages) if not isinstance(passages, str) else passages)


GOOD = {"content": "Text.", "creation_year": 1215, "source_dataset": "x", "document_id": "d1"}


def test_reads_both_file_names_in_order(tmp_path):
    write(tmp_path, "C014", "1301.json", [{**GOOD, "creation_year": 1301}])
    write(tmp_path, "C013", "Y01215.json", [GOOD, {**GOOD, "content": "More."}])
    passages = list(read_folder(tmp_path))
    assert [(p.century, p.year, p.content) for p in passages] == [("C013", 1215, "Text."), ("C013", 1215, "More."), ("C014", 1301, "Text.")]


@pytest.mark.parametrize(
    ("passages", "says"),
    [
        ("[{", "1215.json: cannot be read"),
        ({"content": "x"}, "expected a list of passages, found dict"),
        ([GOOD, {k: v for k, v in GOOD.items() if k != "creation_year"}], "C013/1215.json: passage 1: no field 'creation_year'"),
        ([GOOD, {**GOOD, "creation_year": "1215"}], "passage 1: field 'creation_year': expected int, found str"),
    ],
)
def test_bad_files_are_named(tmp_path, passages, says):
    write(tmp_path, "C013", "1215.json", passages)
    with pytest.raises(HistTextError, match=says):
        list(read_folder(tmp_path))


def test_a_folder_without_centuries(tmp_path):
    with pytest.raises(HistTextError, match="no century folders"):
        list(read_folder(tmp_path))


def test_bad_passages_and_files_are_skipped_and_counted(tmp_path):
    write(tmp_path, "C013", "1215.json", [GOOD, {**GOOD, "content": ""}, "text", {**GOOD, "content": "Last."}])
    write(tmp_path, "C013", "1216.json", "[" + json.dumps(GOOD) + ", {")
    report = ReadReport()
    assert [p.content for p in read_folder(tmp_path, on_bad="skip", report=report)] == ["Text.", "Last.", "Text."]
    assert report.n_read == 3
    assert report.skipped == {"passage: no field 'content'": 1, "passage: expected an object, found str": 1, "unreadable file": 1}
    assert report.examples[2].startswith("C013/1216.json: cannot be read as UTF-8 JSON")
    assert report.examples[2].endswith("(after 1 passages)")


def test_other_names_are_left_alone(tmp_path):
    write(tmp_path, "C013", "1215.json", [GOOD])
    for name in ("notes.json", "1215.json.bak", "12150.json", "Y1215.txt"):
        write(tmp_path, "C013", name, "no JSON")
    (tmp_path / "C013" / "1300.json").mkdir()
    write(tmp_path, "C13x", "1215.json", "no JSON")
    with pytest.raises(HistTextError, match=r"C013/1300\.json: not a regular file"):
        list(read_folder(tmp_path))
    (tmp_path / "C013" / "1300.json").rmdir()
    assert len(list(read_folder(tmp_path))) == 1


def test_links_that_lead_out_are_refused(tmp_path):
    text, outside = tmp_path / "text", tmp_path / "outside"
    text.mkdir()
    outside.mkdir()
    write(outside, "C014", "1301.json", [{**GOOD, "content": "Secret."}])
    write(text, "C013", "1215.json", [GOOD])
    (text / "C013" / "1216.json").symlink_to(outside / "C014" / "1301.json")
    (text / "C014").symlink_to(outside / "C014")
    (text / "C013" / "1217.json").symlink_to(text / "C013" / "1215.json")
    report = ReadReport()
    assert [p.content for p in read_folder(text, on_bad="skip", report=report)] == ["Text.", "Text."]
    assert report.skipped == {"not a regular file in the folder": 2}
    with pytest.raises(HistTextError, match="links that lead out are not read"):
        list(read_folder(text))


def test_no_folder_at_all(tmp_path):
    with pytest.raises(HistTextError, match=r"no folder .*nowhere"):
        list(read_folder(tmp_path / "nowhere"))
