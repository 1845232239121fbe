"""HistText and TimelessQA as datasets objects, from a folder and from a hub that is a folder."""

import json
import tracemalloc

import pytest
from datasets import Dataset, IterableDataset
from fsspec.implementations.dirfs import DirFileSystem
from hub_support import files_of, put_in_cache

from pg_envs import hub as hub_module
from pg_envs.data import sources
from pg_envs.data.loading import load_histtext, load_timelessqa
from pg_envs.data.schema import HistTextError, ReadReport

GOOD = {"content": "Text.", "creation_year": 1215, "source_dataset": "x", "culture": "English"}
BAD = {"content": "Text.", "source_dataset": "x"}


@pytest.fixture
def text(tmp_path):
    for century, name, passages in (
        ("C013", "Y01215.json", [GOOD, BAD, {**GOOD, "content": "þe ȝong ſonne", "translation_year": None}]),
        ("C021", "Y02019.json", [{**GOOD, "creation_year": 2019}]),
    ):
        folder = tmp_path / "datasets" / "PKU-Alignment" / "ProgressGym-HistText@main" / century
        folder.mkdir(parents=True)
        (folder / name).write_text(json.dumps(passages))
    return folder.parent


@pytest.fixture
def hub(tmp_path, hub_cache, monkeypatch):
    """The hub's file system, with ``tmp_path`` for the hub, and an empty cache."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "HfFileSystem", lambda: DirFileSystem(str(tmp_path)))


@pytest.mark.parametrize(("streaming", "kind"), [(False, Dataset), (True, IterableDataset)])
def test_a_row_a_passage(text, streaming, kind):
    report = ReadReport()
    data = load_histtext(text, streaming=streaming, on_bad="skip", report=report)
    assert isinstance(data, kind)
    rows = list(data)
    assert [(row["century"], row["creation_year"], row["content"]) for row in rows] == [
        ("C013", 1215, "Text."),
        ("C013", 1215, "þe ȝong ſonne"),
        ("C021", 2019, "Text."),
    ]
    assert rows[0]["culture"] == "English"
    assert rows[0]["author"] is None
    assert (report.n_read, dict(report.skipped)) == (3, {"passage: no field 'creation_year'": 1})


def test_bad_passages_stop_it(text):
    with pytest.raises(HistTextError, match=r"C013/Y01215\.json: passage 1: no field 'creation_year'"):
        load_histtext(text)


def test_streaming_reads_only_what_is_asked_for(text):
    assert next(iter(load_histtext(text, streaming=True)))["content"] == "Text."  # the bad passage comes later


def test_centuries_are_chosen(text):
    assert [row["creation_year"] for row in load_histtext(text, centuries=["C021"])] == [2019]
    with pytest.raises(HistTextError, match="no century C022"):
        load_histtext(text, centuries=["C022"])


def test_the_hub_by_name(text, hub):
    rows = list(load_histtext("PKU-Alignment/ProgressGym-HistText", streaming=True, on_bad="skip"))
    assert [row["creation_year"] for row in rows] == [1215, 1215, 2019]
    with pytest.raises(HistTextError, match="revision 'v9'"):
        load_histtext("PKU-Alignment/ProgressGym-HistText", revision="v9")


@pytest.fixture
def cached_text(text, hub_cache, monkeypatch):
    """HistText and TimelessQA as the hub's cache has them, and a hub that must not be asked."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "HfFileSystem", lambda: pytest.fail("the hub was asked"))
    monkeypatch.setattr(hub_module, "_ask_hub", lambda *_, **__: pytest.fail("the hub was asked"))
    (text / "timeless_qa.json").write_text(json.dumps([QA]))
    return put_in_cache(hub_cache, "them/text", files_of(text), kind="dataset")


@pytest.mark.parametrize("streaming", [False, True])
def test_text_in_the_cache_needs_no_hub_and_is_said_to_be_what_lies_there(cached_text, text, streaming, caplog):
    (cached_text.parents[1] / "blobs" / "0123.incomplete").write_bytes(b"half")
    rows = load_histtext("them/text", centuries=["C013"], streaming=streaming, on_bad="skip")
    n_bytes = (text / "C013" / "Y01215.json").stat().st_size
    said = f"them/text@main: {n_bytes} bytes in 1 files of C013, as they lie in the cache (unfinished downloads: 1)"
    assert said in caplog.text
    assert "'hf download them/text --type dataset' completes them" in caplog.text
    assert [row["content"] for row in rows] == ["Text.", "þe ȝong ſonne"]
    assert len(list(load_histtext("them/text", on_bad="skip"))) == 3
    assert list(load_timelessqa("them/text")) == [QA]


def test_a_link_in_the_cache_that_leads_out_of_the_repository_is_refused(cached_text, tmp_path):
    (tmp_path / "outside.json").write_text(json.dumps([GOOD]))
    (cached_text / "C021" / "Y02020.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(HistTextError, match=r"C021/Y02020\.json: not a regular file inside"):
        load_histtext("them/text", centuries=["C021"])


@pytest.mark.parametrize("load", [lambda: load_histtext("them/text", centuries=["C013", "C014"]), lambda: load_timelessqa("them/text")])
def test_what_the_cache_lacks_is_asked_of_the_hub_and_the_remedy_helps(load, text, hub_cache):
    put_in_cache(hub_cache, "them/text", {name: path for name, path in files_of(text).items() if "C021" in name}, kind="dataset")
    with pytest.raises(HistTextError, match=r"HF_HUB_OFFLINE is set.*hf download them/text --type dataset"):
        load()
    for name, content in (("C014/1301.json", [{**GOOD, "creation_year": 1301}]), ("timeless_qa.json", [QA])):
        (text / name).parent.mkdir(exist_ok=True)
        (text / name).write_text(json.dumps(content))
    (text / "C013" / "Y01215.json").write_text(json.dumps([GOOD]))
    put_in_cache(hub_cache, "them/text", files_of(text), kind="dataset")
    assert len(load()) > 0


def test_a_repository_that_cannot_be_had_says_what_to_do(monkeypatch, hub_cache):
    import huggingface_hub
    from huggingface_hub.errors import OfflineModeIsEnabled

    def refuse(*_):
        raise OfflineModeIsEnabled("offline")

    monkeypatch.setattr(huggingface_hub.HfFileSystem, "ls", refuse)
    with pytest.raises(HistTextError, match=r"HF_HUB_OFFLINE is set.*hf download them/text --type dataset --revision v1"):
        load_histtext("them/text", revision="v1")


@pytest.mark.parametrize("source", ["nowhere", "./no/where", "/no/where", "~/no", "a/b/c"])
def test_what_is_neither_a_folder_nor_a_name(source):
    with pytest.raises(HistTextError, match="no folder"):
        load_histtext(source)


QA = {"instruction": "What is 2 + 2?", "input": "", "output": "4"}


@pytest.mark.parametrize("source", ["a b/c", "a--b/c", "a\0/b", "own/" + 300 * "n"])
def test_what_no_repository_can_be_called_is_refused_without_asking(source):
    for load in (load_histtext, load_timelessqa):
        with pytest.raises(HistTextError, match="names no repository of the hub"):
            load(source)


def test_timelessqa(tmp_path):
    path = tmp_path / "timeless_qa.json"
    path.write_text(json.dumps([QA, {**QA, "input": "Think."}]))
    for source in (tmp_path, path):
        assert list(load_timelessqa(source)) == [QA, {**QA, "input": "Think."}]
    path.write_text(json.dumps([QA, {**QA, "output": None}, 3]))
    with pytest.raises(HistTextError, match=r"timeless_qa\.json: row 1: field 'output': expected a string"):
        load_timelessqa(path)
    report = ReadReport()
    assert list(load_timelessqa(path, on_bad="skip", report=report)) == [QA]
    assert dict(report.skipped) == {"row: field 'output'": 1, "row: field 'instruction'": 1}


def test_timelessqa_that_is_not_there(tmp_path):
    with pytest.raises(HistTextError, match=r"timeless_qa\.json"):
        load_timelessqa(tmp_path)


def test_nothing_is_fetched_that_was_not_named(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(sources, "_on_hub", lambda *_: pytest.fail("asked the hub"))
    (tmp_path / "C013").mkdir()
    load_histtext(tmp_path)
    assert caplog.text == ""


def test_timelessqa_that_breaks_off_keeps_the_rows_before_as_asked(tmp_path):
    path = tmp_path / "timeless_qa.json"
    path.write_text(json.dumps([QA, QA])[:-10], encoding="utf-8")
    with pytest.raises(HistTextError, match=r"timeless_qa\.json: .* \(after 1 rows\)$"):
        load_timelessqa(path)
    report = ReadReport()
    assert list(load_timelessqa(path, on_bad="skip", report=report)) == [QA]
    assert (report.n_read, dict(report.skipped)) == (1, {"unreadable file": 1})


def test_memory_does_not_grow_with_the_text_that_is_streamed(tmp_path):
    def peak(n_passages):
        folder = tmp_path / str(n_passages) / "C013"
        folder.mkdir(parents=True)
        (folder / "1215.json").write_text(json.dumps([{**GOOD, "content": f"{i} " + 2000 * "x"} for i in range(n_passages)]))
        tracemalloc.start()
        n_read = sum(1 for _ in load_histtext(folder.parent, streaming=True))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert n_read == n_passages
        return most

    peak(10)  # What is made once, such as imports, is left out.
    assert peak(5000) < 1.5 * peak(500)
