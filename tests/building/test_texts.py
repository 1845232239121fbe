"""A family's texts: both layouts, whole documents held out, links that lead out refused."""

import json
import tarfile
import tracemalloc

import pytest

from pg_envs.building.card import MAX_NAMES, sources_line
from pg_envs.building.texts import held_out_documents, read_texts
from pg_envs.data.schema import HistTextError


def write_plain(folder, period, **documents):
    (folder / period).mkdir(parents=True)
    for name, text in documents.items():
        (folder / period / f"{name}.txt").write_text(text, encoding="utf-8")


def test_plain_text_is_a_document_a_file(tmp_path):
    write_plain(tmp_path, "early", a="First þing.", b="\ufeffSecond.", empty=" \n")
    write_plain(tmp_path, "late", only="Alone.")
    texts = read_texts(tmp_path, ["early", "late"], 10)
    early, late = texts["early"], texts["late"]
    assert sorted(early.training + early.held_out) == ["First þing.", "Second."]
    assert (early.n_documents, early.n_held_out_documents) == (2, 1)
    assert (late.training, late.held_out) == (("Alone.",), ())
    assert early.n_characters == sum(map(len, early.training))


def test_histtexts_layout_is_read_under_any_label(tmp_path):
    (tmp_path / "late").mkdir()
    row = {"creation_year": 1801, "source_dataset": "x"}
    rows = [{**row, "document_id": document, "content": f"{document}{n}"} for document in ("one", "two") for n in range(3)]
    (tmp_path / "late" / "1801.json").write_text(json.dumps(rows))
    text = read_texts(tmp_path, ["late"], 2)["late"]
    assert len(text.training) == len(text.held_out) == 3
    assert len({passage[:3] for passage in text.held_out}) == 1


def test_sources_and_licences_are_those_of_the_documents_learnt_from(tmp_path):
    (tmp_path / "late").mkdir()
    documents = [f"document {i}" for i in range(8)]
    held_out = held_out_documents(documents, 4)
    rows = []
    for number, name in enumerate(documents):
        # Those that are held out are the only ones of their source.
        source = "Kept apart" if name in held_out else ("Rolls", "Court_*books*")[number % 2]
        row = {"creation_year": 1801, "source_dataset": source, "document_id": name, "content": "Law."}
        rows += [row, {**row, "license": "CC0"} if number % 2 else {**row, "licence": "CC BY"}]
    (tmp_path / "late" / "1801.json").write_text(json.dumps(rows))
    text = read_texts(tmp_path, ["late"], 4)["late"]
    odd = sum(number % 2 for number, name in enumerate(documents) if name not in held_out)
    even = len(documents) - len(held_out) - odd
    assert held_out
    assert odd
    assert even
    assert text.sources == {"Court_*books*": odd, "Rolls": even}
    assert text.licences == {"(not recorded)": odd + even, "CC0": odd, "CC BY": even}
    line = sources_line(text)
    assert f"Court\\_\\*books\\* {odd}" in line
    assert f"CC0 {odd}" in line


def test_names_beyond_those_that_are_listed_are_counted(tmp_path):
    (tmp_path / "late").mkdir()
    row = {"creation_year": 1801, "content": "Law."}
    n = MAX_NAMES + 5
    rows = [{**row, "source_dataset": f"source {number}", "document_id": str(number)} for number in range(n)]
    (tmp_path / "late" / "1801.json").write_text(json.dumps(rows))
    text = read_texts(tmp_path, ["late"], 1000)["late"]
    assert f"4 others 4; by licence: (not recorded) {n - 1}." in sources_line(text)


def test_an_archive_is_read_as_the_folder_it_holds(tmp_path):
    folder = tmp_path / "histtext" / "C013"
    folder.mkdir(parents=True)
    row = {"creation_year": 1215, "source_dataset": "x"}
    (folder / "1215.json").write_text(json.dumps([{**row, "document_id": name, "content": f"Law {name}"} for name in "abc"]))
    with tarfile.open(tmp_path / "histtext.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "histtext", "histtext")
    assert read_texts(tmp_path / "histtext.tar.xz", ["C013"], 2) == read_texts(tmp_path / "histtext", ["C013"], 2)


def test_the_hash_follows_every_character_and_where_it_stands(tmp_path):
    hashes = set()
    for number, documents in enumerate(({"a": "xy", "b": "z"}, {"a": "x", "b": "yz"}, {"ab": "xyz"}, {"a": "xy", "c": "z"})):
        write_plain(tmp_path / str(number), "p", **documents)
        hashes.add(read_texts(tmp_path / str(number), ["p"], 2)["p"].sha256)
    assert len(hashes) == 4


@pytest.mark.parametrize(("n", "one_in"), [(2, 2), (2, 1000), (7, 1000), (200, 10)])
def test_of_several_documents_some_are_held_out_and_some_are_not(n, one_in):
    documents = [f"document {i}" for i in range(n)]
    chosen = held_out_documents(documents, one_in)
    assert 1 <= len(chosen) < n
    assert chosen == held_out_documents(documents[::-1], one_in)
    if n == 200:
        assert 8 <= len(chosen) <= 40


def test_what_is_missing_or_leads_out_is_refused(tmp_path):
    with pytest.raises(HistTextError, match="nowhere"):
        read_texts(tmp_path / "nowhere", ["p"], 2)
    (tmp_path / "texts" / "p").mkdir(parents=True)
    with pytest.raises(HistTextError, match="no text in"):
        read_texts(tmp_path / "texts", ["p"], 2)
    with pytest.raises(HistTextError, match="no century q"):
        read_texts(tmp_path / "texts", ["q"], 2)
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (tmp_path / "texts" / "p" / "a.txt").symlink_to(secret)
    with pytest.raises(HistTextError, match=r"p/a\.txt: not a regular file inside"):
        read_texts(tmp_path / "texts", ["p"], 2)
    (tmp_path / "texts" / "p" / "a.txt").unlink()
    (tmp_path / "texts" / "p" / "b.txt").write_bytes(b"\xff\xfe bad")
    with pytest.raises(HistTextError, match=r"p/b\.txt: not UTF-8"):
        read_texts(tmp_path / "texts", ["p"], 2)


def test_a_file_of_a_gigabyte_is_refused_unread(tmp_path):
    (tmp_path / "P1").mkdir()
    with (tmp_path / "P1" / "large.txt").open("wb") as file:
        # A hole: it takes no room.
        file.truncate(1 << 30)
    tracemalloc.start()
    with pytest.raises(HistTextError, match=r"P1/large\.txt: 1,073,741,824 bytes; expected at most 16,777,216, .*split it"):
        read_texts(tmp_path, ["P1"], 2)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_what_does_not_fit_stops_the_reading_or_is_left_out_and_counted(tmp_path):
    write_plain(tmp_path, "plain", good="Good.", fine="Fine.")
    (tmp_path / "plain" / "bad.txt").write_bytes(b"\xff")
    (tmp_path / "rows").mkdir()
    row = {"creation_year": 1801, "source_dataset": "x", "content": "Good."}
    (tmp_path / "rows" / "1801.json").write_text(json.dumps([row, {**row, "content": 3}, {**row, "creation_year": None}]))
    for period, fault in (("plain", "plain/bad.txt: not UTF-8"), ("rows", "rows/1801.json: passage 1: field 'content'")):
        with pytest.raises(HistTextError, match=fault):
            read_texts(tmp_path, [period], 2)
    texts = read_texts(tmp_path, ["plain", "rows"], 2, on_bad="skip")
    assert (texts["plain"].n_documents, texts["plain"].n_skipped) == (2, 1)
    assert (texts["rows"].training, texts["rows"].n_skipped) == (("Good.",), 2)
