"""Reading historical text folders."""

import json

import pytest

from pg_envs.data.histtext import HistTextError, read_folder


def write(folder, century, name, passages):
    (folder / century).mkdir(exist_ok=True)
    (folder / century / name).write_text(json.dumps(passages) if not isinstance(passages, str) else passages)


GOOD = {"content": "Text.", "creation_year": 1215, "source_dataset": "x", "document_id": "d1"}


def test_reads_both_file_names_in_order(tmp_path):
    write(tmp_path, "C014", "1301.json", [{**GOOD, "creation_year": 1301}])
    write(tmp_path, "C013", "Y01215.json", [GOOD, {**GOOD, "content": "More."}])
    passages = list(read_folder(tmp_path))
    assert [(p.century, p.year, p.content) for p in passages] == [("C013", 1215, "Text."), ("C013", 1215, "More."), ("C014", 1301, "Text.")]


def test_a_document_is_held_out_as_a_whole(tmp_path):
    write(tmp_path, "C013", "1215.json", [{**GOOD, "document_id": f"d{i}", "content": c} for i in range(400) for c in "ab"])
    passages = list(read_folder(tmp_path))
    by_document = {}
    for passage in passages:
        by_document.setdefault(passage.document_id, set()).add(passage.held_out)
    assert all(len(kinds) == 1 for kinds in by_document.values())
    assert 5 <= sum(kinds == {True} for kinds in by_document.values()) <= 40


@pytest.mark.parametrize(
    ("passages", "says"),
    [
        ("[{", "1215.json: cannot be read"),
        ({"content": "x"}, "expected a list of passages, found dict"),
        ([GOOD, {k: v for k, v in GOOD.items() if k != "creation_year"}], "passage 1: no field 'creation_year'"),
    ],
)
def test_bad_files_are_named(tmp_path, passages, says):
    write(tmp_path, "C013", "1215.json", passages)
    with pytest.raises(HistTextError, match=says):
        list(read_folder(tmp_path))


def test_a_folder_without_centuries(tmp_path):
    with pytest.raises(HistTextError, match="no century folders"):
        list(read_folder(tmp_path))
