"""Describing a folder, from Python and from the command line; text that means harm."""

import json
import os
import subprocess

import numpy as np
import pytest
from matplotlib.image import imread
from tests_support import HARM

from pg_envs import cli
from pg_envs.data.describing import describe
from pg_envs.data.describing.closeness import value_closeness, with_interval
from pg_envs.data.describing.describe import describe_folder, tally_folder
from pg_envs.data.describing.embedder import load_embedder
from pg_envs.data.describing.statements import STATEMENTS
from pg_envs.data.describing.tally import CenturyTally
from pg_envs.data.schema import HistTextError, ReadReport
from pg_envs.values.dimensions import DIMENSIONS

ENGLISH = "And the king said to his men that they should go with him to the house of the lord, for it was late. " * 3
GERMAN = "Der König sprach zu seinen Männern, sie sollten am Abend gemeinsam nach Hause gehen und dort schlafen. " * 3


def write(folder, century, name, passages):
    (folder / century).mkdir(parents=True, exist_ok=True)
    (folder / century / name).write_text(passages if isinstance(passages, str) else json.dumps(passages))


def passage(content=ENGLISH, year=1215, **fields):
    return {"content": content, "creation_year": year, "source_dataset": "x", **fields}


@pytest.fixture
def text(tmp_path):
    source = tmp_path / "in"
    write(source, "C013", "1215.json", [passage(document_id=f"a{i}", language="enm") for i in range(6)])
    write(source, "C014", "1301.json", [passage("Thou " + ENGLISH, 1301, source_dataset="y", document_id=f"b{i}") for i in range(6)])
    return source


def test_the_folder_has_the_report_and_pictures(text, tmp_path):
    write(text, "C014", "1302.json", [passage(GERMAN, 1302, source_dataset="y", document_id="c"), {"content": "no year"}])
    description = describe_folder(text, tmp_path / "out")
    out = tmp_path / "out"
    assert json.loads((out / "report.json").read_text()) == description
    assert sorted(os.listdir(out)) == ["amounts.png", "divergence.png", "language.png", "report.json", "report.md", "source.png"]
    assert all(imread(path).std() > 0.01 for path in out.glob("*.png"))
    page = (out / "report.md").read_text()
    assert all(f"({name})" in page for name in os.listdir(out) if name.endswith(".png"))
    assert description["centuries"]["C014"]["passages"] == 7
    assert "| C013 | 6 | 6 | 414 |" in page
    assert set(description["identified_languages"]["C013"]) == {"english"}
    assert 0.1 < description["identified_languages"]["C014"]["german"] < 0.2
    assert [row["word"] for row in description["changes"][0]["gained"]][:1] == ["thou"]
    assert description["left_out"]["counts"] == {"passage: no field 'creation_year'": 1}
    assert os.listdir(tmp_path).count("out") == len([n for n in os.listdir(tmp_path) if "out" in n])  # no temporary folder is left
    assert "values" not in page


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(describe, "draw_all", lambda *_: [])


def test_the_command_warns_and_gives_the_same_again(text, tmp_path, no_pictures, capsys):
    arguments = ["describe", str(text), "--sample", "3"]
    assert cli.main([*arguments, "--out", str(tmp_path / "one")]) == 0
    said = capsys.readouterr()
    assert "warning: Source is confounded with century: Cramér's V 1.00 over 12 documents" in said.err
    assert "C013: 6 documents, 6 passages, 414 words" in said.out
    assert cli.main([*arguments, "--out", str(tmp_path / "two")]) == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "one").iterdir()} == {p.name: p.read_bytes() for p in (tmp_path / "two").iterdir()}
    assert cli.main([*arguments, "--out", str(tmp_path / "one")]) == cli.EXIT_BAD_INPUT
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("early", "late", "says"),
    [
        (
            "sermon",
            "law",
            {"Genre is confounded with century: Cramér's V 1.00 over 40 documents", "single genre: C013 (sermon), C014 (law)."},
        ),
        ("sermon law", "law sermon", set()),
        ("sermon law law law", "law sermon sermon sermon", {"Genre is confounded with century: Cramér's V 0.4"}),
        ("sermon law", "letter", {"Genre is confounded with century", "single genre: C014 (letter)."}),
    ],
)
def test_a_genre_that_differs_between_centuries_is_warned_of(tmp_path, no_pictures, capsys, early, late, says):
    for century, year, genres in (("C013", 1215, early.split()), ("C014", 1301, late.split())):
        passages = [passage(year=year, document_id=f"{year}/{i}", genre=genres[i % len(genres)]) for i in range(20)]
        write(tmp_path / "in", century, f"{year}.json", passages)
    assert cli.main(["describe", str(tmp_path / "in"), "--sample", "1", "--out", str(tmp_path / "out")]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ") and "genre" in line]
    page = (tmp_path / "out" / "report.md").read_text()
    assert len(warned) == len(says) == sum(line.startswith("* **Warning.**") and "genre" in line for line in page.splitlines())
    assert all(any(part in line for line in warned) for part in says)


def test_a_table_says_of_which_genre_documents_are(tmp_path, no_pictures, capsys):
    for period, names in (("early", ("psalms", "homilies", "rolls")), ("late", ("gazette", "statutes"))):
        (tmp_path / "in" / period).mkdir(parents=True)
        for name in names:
            (tmp_path / "in" / period / f"{name}.txt").write_text("Of the peace of the king. " * 20)
    (tmp_path / "genres.csv").write_text(
        '\ufeffdocument,note,genre\npsalms,,sermon\nhomilies,,sermon\ngazette,," news, or so "\nabsent,,law\n', encoding="utf-8"
    )
    arguments = ["describe", str(tmp_path / "in"), "--periods", "early", "late", "--sample", "1", "--out", str(tmp_path / "out")]
    assert cli.main([*arguments, "--genres", str(tmp_path / "genres.csv")]) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["mix"]["genre"] == {"early": {"sermon": 240, "(not recorded)": 120}, "late": {"news, or so": 120, "(not recorded)": 120}}
    warned = capsys.readouterr().err
    assert "Centuries with a single genre: early (sermon), late (news, or so)." in warned
    assert "The genre of 2 documents is not known" in warned


def test_a_table_goes_before_what_passages_say_of_their_genre(text, tmp_path, no_pictures):
    name = json.loads(next((text / "C013").glob("*.json")).read_text())[0]["document_id"]
    (tmp_path / "genres.csv").write_text(f"document,genre\n{name},sermon\n")
    told = describe_folder(text, tmp_path / "out", sample=1, genres=tmp_path / "genres.csv")
    assert told["mix"]["genre"]["C013"]["sermon"] > 0


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (b"document,kind\na,law\n", "no column 'genre'; expected the columns document and genre"),
        (b"", "no column 'document'"),
        (b"document,genre\na,law\n,law\n", "line 3: expected a document and its genre"),
        (b"document,genre\na\n", "line 2: expected a document and its genre"),
        (b"document,genre\na,law\na,sermon\n", "line 3: 'a' is 'sermon' here and 'law' before; expected one genre a document"),
        (b"document,genre\n\xff,law\n", "cannot be read as a CSV in UTF-8"),
        (b'document,genre\n"a" b,law\n', "cannot be read as a CSV in UTF-8"),
        (None, "cannot be read as a CSV in UTF-8"),
    ],
)
def test_a_bad_table_of_genres_is_named_before_the_text_is_read(text, tmp_path, no_pictures, capsys, table, says):
    if table is not None:
        (tmp_path / "genres.csv").write_bytes(table)
    arguments = ["describe", str(text), "--out", str(tmp_path / "out"), "--genres", str(tmp_path / "genres.csv")]
    assert cli.main(arguments) == cli.EXIT_BAD_INPUT
    said = capsys.readouterr().err
    assert says in said
    assert "genres.csv" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "--out", "out"], "no folder 'nowhere'"),
        (["in", "--out", "in/out"], "one lies in the other"),
        (["in", "--out", "no/out"], "no folder 'no'"),
        (["in", "--out", "out", "--sample", "0"], "sample=0"),
        (["in", "--out", "out", "--embedder", "./nowhere"], "no embedder './nowhere'"),
        (["in", "--out", "out", "--embedder", "in"], "has no config.json"),
        (["empty", "--out", "out"], "no passage in 'empty' could be read"),
    ],
)
def test_bad_input_is_named_before_work_starts(text, tmp_path, no_pictures, monkeypatch, capsys, arguments, says):
    write(tmp_path / "empty", "C013", "1215.json", [])
    monkeypatch.chdir(tmp_path)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert cli.main(["describe", *arguments]) == cli.EXIT_BAD_INPUT
    assert says in capsys.readouterr().err
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_what_fails_leaves_nothing_behind(text, tmp_path, no_pictures, monkeypatch):
    monkeypatch.setattr(describe, "as_markdown", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        describe_folder(text, tmp_path / "out")
    assert os.listdir(tmp_path) == ["in"]


# ---------------------------------------------------------------------- text is data


def test_nothing_in_a_passage_is_obeyed(tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", fail)
    monkeypatch.setattr(os, "system", fail)
    monkeypatch.chdir(tmp_path)
    fields = ("source_dataset", "document_id", "language", "genre", "author", "source_document")
    for century, year in (("C013", 1215), ("C014", 1301)):
        passages = [passage(f"{harm} {ENGLISH}", year, **dict.fromkeys(fields, harm)) for harm in HARM]
        write(tmp_path / "in", century, f"{year}.json", passages)
    assert cli.main(["describe", "in", "--out", "out"]) == 0
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]
    assert not any(os.path.sep in name for name in os.listdir(tmp_path / "out"))
    said = capsys.readouterr()
    page = (tmp_path / "out" / "report.md").read_text()
    for shown in (page, said.out, said.err):
        assert "\x1b" not in shown
        assert "\x07" not in shown
    assert "<script>" not in page
    assert "![x]" not in page
    assert all(line.count("|") - line.count("\\|") == 3 for line in page.splitlines() if line.startswith("| C013 | ") and "script" in line)


def test_a_line_of_a_gigabyte_and_a_deep_nest_are_left_out(text):
    long = text / "C014" / "1303.json"
    with long.open("wb") as file:
        file.write(b'[{"content": "' + b"x" * (17 << 20))
        file.truncate(1 << 30)  # the rest is a hole: no disk, and never read
    write(text, "C014", "1304.json", '[{"content": ' + "[" * 1_000_000)
    reading = ReadReport()
    tallies = tally_folder(text, 1, 0, reading)
    assert reading.skipped == {"unreadable file": 2}
    assert "C014/1303.json: a value of more than 16777216 bytes" in reading.examples[0]
    assert "C014/1304.json: nested deeper than 16" in reading.examples[1]
    assert [tally.n_passages for tally in tallies] == [6, 6]


# ---------------------------------------------------------------------- values


class Axes:
    """An embedder for which dimension d's statements are axis d, and a text ``d`` is that axis."""

    max_seq_length = 5

    def encode(self, texts, **_):
        keys = {text: d for d, dimension in enumerate(DIMENSIONS) for text in STATEMENTS[dimension.key]}
        return np.eye(len(DIMENSIONS))[[keys[text] if text in keys else int(text) for text in texts]]


def test_every_dimension_has_statements_in_order():
    assert list(STATEMENTS) == [dimension.key for dimension in DIMENSIONS]


def test_closeness_is_the_mean_similarity_to_a_dimensions_statements():
    tally = CenturyTally("C013", 100, 0)
    for i in range(40):
        tally.add(passage("3" if i < 10 else "7", document_id=str(i)), "f")
    found = value_closeness([tally], Axes(), seed=0)["centuries"]["C013"]
    assert (found["n_passages"], found["n_documents"]) == (40, 40)
    mean = found["similarity"]["mean"]
    assert (mean[3], mean[7], sum(mean)) == (0.25, 0.75, 1)
    assert found["similarity"]["low"][3] < 0.25 < found["similarity"]["high"][3]
    assert sum(found["relative"]["mean"]) == pytest.approx(0, abs=1e-3)
    assert found["relative"]["mean"][7] == pytest.approx(0.75 - 1 / 19, abs=1e-4)


def test_intervals_count_documents_and_not_passages():
    values = np.repeat(np.random.default_rng(0).normal(size=(20, 1)), 50, axis=0)
    of_20 = with_interval(values, np.repeat(np.arange(20), 50), 0)
    of_1000 = with_interval(values, np.arange(1000), 0)
    width = [x["high"][0] - x["low"][0] for x in (of_20, of_1000)]
    assert width[0] == pytest.approx(2 * 1.96 * values.std() / np.sqrt(20), rel=0.2)
    assert width[0] > 5 * width[1]
    assert with_interval(values, np.zeros(1000), 0)["low"] is None


@pytest.fixture(scope="module")
def random_embedder(tmp_path_factory, tokenizer):
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("embedder")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_small_random_model_draws_the_pictures(text, tmp_path, random_embedder):
    description = describe_folder(text, tmp_path / "out", embedder=str(random_embedder), sample=4)
    values = description["values"]["centuries"]
    assert list(values) == ["C013", "C014"]
    assert values["C013"]["n_passages"] == 4
    assert np.abs(values["C013"]["similarity"]["mean"]).max() <= 1
    assert {"values.png", "values-relative.png"} <= set(os.listdir(tmp_path / "out"))
    assert str(tmp_path) not in (tmp_path / "out" / "report.json").read_text()


def test_embedders_with_code_or_other_weights_are_refused(tmp_path, random_embedder):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(random_embedder, folder)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "os.system"}]))
    with pytest.raises(HistTextError, match=r"'os\.system'; code that a model brings is not run"):
        load_embedder(str(folder))
    (folder / "modules.json").write_text("[" * 100_000)
    with pytest.raises(HistTextError, match=r"no readable modules\.json"):
        load_embedder(str(folder))
    (folder / "modules.json").unlink()
    (folder / "config.json").rename(folder / "kept")
    (folder / "config.json").write_text(json.dumps({**json.loads((folder / "kept").read_text()), "attn_implementation": "evil/kernel"}))
    with pytest.raises(HistTextError, match=r"config\.json has attn_implementation='evil/kernel'"):
        load_embedder(str(folder))
    (folder / "config.json").write_text(json.dumps({**json.loads((folder / "kept").read_text()), "hidden_size": "x"}))
    with pytest.raises(HistTextError, match=r"embedder '.*model' does not load: "):
        load_embedder(str(folder))
    (folder / "kept").rename(folder / "config.json")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(HistTextError, match=r"an adapter_config\.json too"):
        load_embedder(str(folder))
    (folder / "adapter_config.json").unlink()
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(HistTextError, match=r"no safetensors beside 2_Dense/pytorch_model\.bin"):
        load_embedder(str(folder))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(HistTextError, match=r"has no \*\.safetensors"):
        load_embedder(str(folder))


@pytest.fixture
def shelf(tmp_path):
    """Plain text of two periods of one's own, with what cannot be read, and a third in HistText's layout."""
    for period, word, n in (("late", "Steam ", 3), ("early", "Thou ", 2)):
        (tmp_path / "shelf" / period).mkdir(parents=True)
        for number in range(n):
            (tmp_path / "shelf" / period / f"book{number}.txt").write_text(word + ENGLISH)
    (tmp_path / "shelf/early/latin1.txt").write_bytes(b"caf\xe9")
    (tmp_path / "secret.txt").write_text("secretword")
    (tmp_path / "shelf/early/link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "shelf/early/empty.txt").write_text(" ")
    write(tmp_path / "shelf", "last", "1950.json", [passage(year=1950)])
    return tmp_path / "shelf"


def test_periods_of_ones_own_are_described_in_the_order_they_are_named(shelf, tmp_path, no_pictures, capsys):
    assert cli.main(["describe", str(shelf), "--out", str(tmp_path / "out"), "--periods", "early", "late", "last"]) == 0
    description = json.loads((tmp_path / "out/report.json").read_text())
    assert [(period, row["documents"]) for period, row in description["centuries"].items()] == [("early", 2), ("late", 3), ("last", 1)]
    assert [(change["from"], change["to"]) for change in description["changes"]] == [("early", "late"), ("late", "last")]
    assert description["left_out"]["counts"] == {"unreadable file": 2}
    assert "secretword" not in (tmp_path / "out/report.json").read_text()
    assert "early: 2 documents, 2 passages, 140 words" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("periods", "expected"),
    [
        ([], "no century folders .*; name folders of your own with --periods"),
        (["early", "modern"], "periods: no folder 'modern' in .*; there are early, last, late"),
        (["early", ".."], r"periods: no folder '\.\.'"),
        (["early", "early"], "periods: early, early: expected each of them once"),
    ],
)
def test_periods_that_are_not_there_are_refused(shelf, tmp_path, periods, expected):
    with pytest.raises(HistTextError, match=expected):
        describe_folder(shelf, tmp_path / "out", periods=periods)
    assert not (tmp_path / "out").exists()
