"""Cleaning a folder from the command line and from Python."""

import errno
import json
import os

import pytest

from pg_envs import cli
from pg_envs.data.cleaning import folders
from pg_envs.data.cleaning.folders import clean_folder
from pg_envs.data.schema import HistTextError, schema_fault
from pg_envs.data.year_files import YearWriter


@pytest.fixture
def source(tmp_path, passage, middle_english, modern):
    """Two good passages, one wrong year that the rest of its document tells, one of each other fate, and a broken file."""
    sentences = [
        f"Then the {word} came to the house, and it was {i} days before the {word} went away again. " for i, word in enumerate(WORDS)
    ]
    passages = {
        "C014/1380.json": [passage(middle_english, 1380), passage("Short.", 1380)],
        "C019/1850.json": [passage("".join(sentences[i:] + sentences[:i]) + modern * i, 1850, document_id="d") for i in range(16)],
        "C020/1950.json": [
            passage(modern[::-1] + modern, 1950, document_id="d"),
            "no object",
            passage((modern + "\n\n") * 8, 1950),
        ],
        "undated.json": [passage(modern.upper(), None, document_id="d")],
    }
    for name, values in passages.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    (tmp_path / "in" / "C020" / "1951.json").write_text("[")
    return tmp_path / "in"


WORDS = [
    "sailor",
    "farmer",
    "doctor",
    "teacher",
    "painter",
    "soldier",
    "baker",
    "miller",
    "tailor",
    "lawyer",
    "singer",
    "writer",
    "priest",
    "porter",
    "butcher",
    "captain",
    "servant",
]


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_folder_is_cleaned_into_a_new_one(source, tmp_path):
    before = snapshot(source)
    report = clean_folder(source, tmp_path / "out")
    assert snapshot(source) == before
    out = tmp_path / "out"
    written = {str(path.relative_to(out)): json.loads(path.read_text()) for path in out.glob("C*/*.json")}
    assert all(schema_fault(value) is None for values in written.values() for value in values)
    assert len(written["C014/1380.json"]) == 1
    assert {value["creation_year"] for value in written["C019/1850.json"]} == {1850}
    assert report.actions["C014", "keep"] == 1
    assert report.actions["C014", "drop"] == 1
    assert report.reasons["C014", "too-short", "drop"] == 1
    assert report.reasons["C020", "document-year", "relabel"] == 1
    assert report.reasons["C020", "no-content", "drop"] == 1
    assert report.reasons["C020", "too-long", "split"] == 1
    assert report.reasons["undated", "no-year", "repair"] == 1
    assert report.actions.total() == 22
    assert sum(map(len, written.values())) == report.n_written
    assert len(report.unreadable) == 1
    assert report.unreadable[0].startswith("C020/1951.json: cannot be read")
    assert json.loads((out / "report.json").read_text()) == report.as_json()
    findings = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    assert {"file": "C014/1380.json", "index": 1, "reason": "too-short", "action": "drop", "detail": "6 characters"} in findings
    assert "| `too-short` drop | 1 | 0 | 0 | 0 | 1 |" in (out / "report.md").read_text()


def test_an_existing_target_is_refused_and_left_alone(source, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert cli.main(["clean", str(source), str(out)]) == cli.EXIT_BAD_INPUT
    assert "is there already" in capsys.readouterr().err
    assert os.listdir(out) == ["mine.txt"]


@pytest.mark.parametrize("target", ["in/out", "."])
def test_a_target_inside_the_source_or_around_it_is_refused(source, tmp_path, target):
    with pytest.raises((HistTextError, FileExistsError)):
        clean_folder(source, tmp_path / target)
    assert not (source / "out").exists()


def test_what_fails_leaves_nothing_behind(source, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(folders, "clean_passage", stop)
    with pytest.raises(KeyboardInterrupt):
        clean_folder(source, tmp_path / "out")
    assert os.listdir(tmp_path) == ["in"]


def test_no_text_at_all(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    assert cli.main(["clean", str(tmp_path / "in"), str(tmp_path / "out")]) == cli.EXIT_BAD_INPUT
    assert "no century folders (C013 ... C021)" in (said := capsys.readouterr().err)
    assert "others go to describe and build-history as they are" in said
    assert cli.main(["clean", str(tmp_path / "nowhere"), str(tmp_path / "out")]) == cli.EXIT_BAD_INPUT


def test_the_command_prints_the_report(source, tmp_path, capsys):
    assert cli.main(["clean", str(source), str(tmp_path / "out"), "--min-chars", "5"]) == 0
    printed = capsys.readouterr()
    assert "too-short" not in printed.out
    assert "reading (0/5)" in printed.err
    assert "cleaning (0/5)" in printed.err


def test_an_undated_file_that_leads_out_is_not_read(source, tmp_path):
    (source / "undated.json").rename(tmp_path / "elsewhere.json")
    (source / "undated.json").symlink_to(tmp_path / "elsewhere.json")
    report = clean_folder(source, tmp_path / "out")
    assert "undated" not in report.centuries
    assert report.unreadable[0].startswith("undated.json: not a regular file inside")


def test_files_of_other_names_are_said_to_be_passed_over(source, tmp_path, capsys):
    (source / "C020" / "chronicle.json").write_text("[]")
    (source / "C020" / "\x1b[2J<b>.txt").write_text("text")
    assert cli.main(["clean", str(source), str(tmp_path / "out")]) == 0
    said = json.loads((tmp_path / "out" / "report.json").read_text())
    assert said["passed_over"] == ["'C020/\\x1b[2J<b>.txt'", "'C020/chronicle.json'"]
    printed = capsys.readouterr().out
    assert "Passed over, since only names such as `C013/1215.json` are read: 'C020/" in printed
    assert "\x1b" not in printed


def test_a_folder_without_any_file_of_a_year_is_refused(tmp_path, capsys):
    (tmp_path / "in" / "C020").mkdir(parents=True)
    for n in range(30):
        (tmp_path / "in" / "C020" / f"chronicle-{n:02}.json").write_text("[]")
    assert cli.main(["clean", str(tmp_path / "in"), str(tmp_path / "out")]) == cli.EXIT_BAD_INPUT
    said = capsys.readouterr().err
    assert "no files such as C013/1215.json in" in said
    assert "'C020/chronicle-00.json'" in said
    assert "chronicle-29" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("shortest", "longest"), [(5000, 100), (0, 0), (-1, 100), (-5, -1)])
def test_lengths_that_no_passage_has_are_refused(source, tmp_path, capsys, shortest, longest):
    lengths = ["--min-chars", str(shortest), "--max-chars", str(longest)]
    assert cli.main(["clean", str(source), str(tmp_path / "out"), *lengths]) == cli.EXIT_BAD_INPUT
    assert f"passages of {shortest} to {longest} characters: expected 0 or more" in capsys.readouterr().err


def test_a_disk_that_takes_no_more_is_named_and_nothing_is_left(source, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(YearWriter, "write", full)
    assert cli.main(["clean", str(source), str(tmp_path / "out")]) == cli.EXIT_BROKEN
    said = capsys.readouterr().err
    assert str(tmp_path / "out") in said
    assert "free some space there" in said
    assert os.listdir(tmp_path) == ["in"]
