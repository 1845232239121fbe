"""Rewriting noisy passages by a language model: in memory, of a folder, and from the command line."""

import json
import os
import signal
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest
from tests_support import files_of_at_most, save_llama

from pg_envs import cli
from pg_envs.data.cleaning.folders import clean_folder
from pg_envs.data.cleaning.kept_replies import KeepingEngine
from pg_envs.data.cleaning.rewrite import INSTRUCTION, OUTCOMES, Rewriter, judge, rewrite_noisy
from pg_envs.data.cleaning.rewrite_folder import rewrite_folder
from pg_envs.data.schema import HistTextError, schema_fault
from pg_envs.models.engine import EngineError, Reply
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.storage import CannotWrite

MODEL = ModelRef("any")


class Copyist:
    """Answers with the text in capitals; texts say themselves what else is done."""

    def __init__(self):
        self.asked = []

    def check(self, model):
        if str(model) == "nowhere":
            raise ModelRefError(f"{model}: no such model")

    def arithmetic(self):
        return {"device": "paper"}

    def replies(self, model, prompts, max_new_tokens, temperature, seed):
        assert temperature == 0.0
        self.asked.append(prompts)
        return [self.reply(prompt.removeprefix(INSTRUCTION)) for prompt in prompts]

    def reply(self, text):
        if "refuse" in text:
            return Reply("I cannot do that.", True)
        if "break down" in text:
            raise EngineError("the server is gone")
        return Reply(text if "leave" in text else text.upper() + "\n", "cut off" not in text)


class LongWinded(Copyist):
    """Answers with more than a small disk has room for."""

    def reply(self, text):
        return Reply(text * 1000, True)


@pytest.fixture
def copyist():
    return Rewriter(Copyist(), MODEL, batch_size=2)


def noisy(content, **fields):
    return {"content": content, "creation_year": 1900, "source_dataset": "x", "cleaning": ["joined-words"], **fields}


def test_noisy_passages_are_rewritten_and_both_texts_kept(copyist):
    passages = [
        {"content": "clean text", "creation_year": 1900},
        noisy("the noisy text"),
        {"content": "mended otherwise", "cleaning": ["mojibake"]},
        noisy("please refuse " * 20),
        noisy("to be cut off here"),
        noisy("leave it"),
    ]
    told = []
    rewritten = list(rewrite_noisy(passages, copyist, lambda passage, outcome: told.append((passage, outcome))))
    assert rewritten[0] is passages[0]
    assert rewritten[1] == noisy("THE NOISY TEXT", original_content="the noisy text", cleaning=["joined-words", "rewritten"])
    assert rewritten[2:] == passages[2:]
    assert [len(prompts) for prompts in copyist.engine.asked] == [2, 2]
    assert passages[1]["content"] == "the noisy text"
    assert told == list(zip((passages[place] for place in (1, 3, 4, 5)), ("rewritten", "no copy", "cut", "same"), strict=True))


def test_the_first_original_stays(copyist):
    (once,) = rewrite_noisy([noisy("the noisy text")], copyist)
    (twice,) = rewrite_noisy([{**once, "content": "the Noisy text"}], copyist)
    assert twice["original_content"] == "the noisy text"
    assert twice["content"] == "THE NOISY TEXT"
    assert twice["cleaning"] == ["joined-words", "rewritten"]


TEXT = "The childreu ran down to the water with their father, who had been a sai1or in his youth and knew the name of every ship."

OTHER = "It is a great pleasure to tell of the sea and of all who sail on it, from the first light of day until the night falls."


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(TEXT.replace("childreu", "children").replace("sai1or", "sailor"), True), "rewritten"),
        (Reply(TEXT.replace("childreu", "children"), False), "cut"),
        (Reply(TEXT, False), "cut"),
        (Reply(f"\n{TEXT} ", True), "same"),
        (Reply(TEXT[:90], True), "no copy"),
        (Reply(TEXT + TEXT, True), "no copy"),
        (Reply("", True), "no copy"),
        (Reply(OTHER, True), "no copy"),
    ],
)
def test_only_whole_copies_are_taken(reply, outcome):
    assert judge(TEXT, reply) == outcome


def test_what_is_too_long_is_not_asked_about_and_nothing_waits_for_ever():
    rewriter = Rewriter(Copyist(), MODEL, batch_size=1000, max_chars=20)
    outcomes = Counter()
    given = 0

    def passages():
        nonlocal given
        for number in range(1000):
            given += 1
            yield noisy(f"{number}" + "x" * (100 if number == 0 else 1))

    made = rewrite_noisy(passages(), rewriter, lambda passage, outcome: outcomes.update([outcome]))
    assert next(made)["content"].startswith("0x")
    assert given < 300
    assert len(list(made)) == 999
    assert (outcomes["too long"], outcomes["rewritten"]) == (1, 999)


@pytest.mark.parametrize("cleaning", [None, 5, "joined-words", [["joined-words"]], {"joined-words": 1}])
def test_codes_that_a_stranger_wrote_are_none(copyist, cleaning):
    passages = [noisy("text", cleaning=cleaning)]
    assert list(rewrite_noisy(passages, copyist)) == passages


@pytest.mark.parametrize("setting", ["batch_size", "max_new_tokens", "max_chars"])
def test_bounds_of_nothing_are_refused(setting):
    with pytest.raises(ValueError, match=f"{setting}=0: expected 1 or more"):
        Rewriter(Copyist(), MODEL, **{setting: 0})


# ---------------------------------------------------------------------- folders


@pytest.fixture
def cleaned(tmp_path):
    """As the cleaner leaves it, in two centuries, one of them early."""
    for name, passages in {
        "C019/1850.json": [noisy(TEXT, creation_year=1850), noisy("clean", creation_year=1850, cleaning=[])],
        "C010/0950.json": [noisy(TEXT + " cut off", creation_year=950), noisy(TEXT + " refuse", creation_year=950, genre="law")],
    }.items():
        path = tmp_path / "cleaned" / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(passages))
    return tmp_path / "cleaned"


def everything(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_rewritten_into_a_new_one(cleaned, tmp_path, copyist):
    before = everything(cleaned)
    report = rewrite_folder(cleaned, tmp_path / "out", copyist)
    assert everything(cleaned) == before
    out = tmp_path / "out"
    assert sorted(everything(out)) == ["C010/0950.json", "C019/1850.json", "report.json", "report.md"]
    first, second = json.loads((out / "C019" / "1850.json").read_text())
    assert (first["content"], first["original_content"]) == (TEXT.upper(), TEXT)
    assert second == json.loads((cleaned / "C019" / "1850.json").read_text())[1]
    assert json.loads((out / "C010" / "0950.json").read_text()) == json.loads((cleaned / "C010" / "0950.json").read_text())
    assert schema_fault(first) is None
    assert report == json.loads((out / "report.json").read_text())
    # Passages of several files are asked about together.
    assert [len(prompts) for prompts in copyist.engine.asked] == [2, 1]
    assert report["outcomes"] == {"C010": {"cut": 1, "no copy": 1}, "C019": {"rewritten": 1}}
    assert (report["model"], report["noisy_passages"], report["arithmetic"]) == ("any", 3, {"device": "paper"})
    page = (out / "report.md").read_text()
    assert "| noisy passages | C010 | C019 | all |" in page
    assert "| rewritten | 0 | 1 | 1 |" in page
    assert all(f"* {name}: " in page for name in OUTCOMES)


def test_what_is_cleaned_again_keeps_its_codes_and_its_first_text(tmp_path, copyist, passage, modern):
    path = tmp_path / "in" / "C020" / "1900.json"
    path.parent.mkdir(parents=True)
    first = passage("&amp; " + modern, original_content="as it was", cleaning=["joined-words", "rewritten"])
    path.write_text(json.dumps([first]))
    clean_folder(tmp_path / "in", tmp_path / "again")
    rewrite_folder(tmp_path / "again", tmp_path / "rewritten", copyist)
    (found,) = json.loads((tmp_path / "rewritten" / "C020" / "1900.json").read_text())
    assert found["cleaning"] == ["joined-words", "rewritten", "markup"]
    assert found["original_content"] == "as it was"
    assert found["content"].startswith("& THE HOUSE")


def test_what_was_answered_before_a_failure_is_not_asked_again(cleaned, tmp_path, copyist):
    path = cleaned / "C019" / "1851.json"
    path.write_text(json.dumps([noisy("break down", creation_year=1851)]))
    with pytest.raises(EngineError, match="the server is gone"):
        rewrite_folder(cleaned, tmp_path / "out", copyist)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cleaned", "out.replies.sqlite"]
    copyist.engine.reply = lambda text: Reply(text.upper(), True)
    rewrite_folder(cleaned, tmp_path / "out", copyist)
    assert [len(prompts) for prompts in copyist.engine.asked] == [2, 2, 2]
    assert copyist.engine.asked[2] == copyist.engine.asked[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cleaned", "out"]
    path.unlink()
    rewrite_folder(cleaned, tmp_path / "again", copyist)
    assert copyist.engine.asked[3] == copyist.engine.asked[0]


@pytest.mark.parametrize("other", [{"model": ModelRef("another")}, {"max_new_tokens": 9}, {"seed": 1}])
def test_what_another_was_asked_is_asked_again(tmp_path, copyist, other):
    for rewriter, n_asked in ((copyist, 1), (copyist, 1), (replace(copyist, **other), 2)):
        engine = KeepingEngine(copyist.engine, tmp_path / "replies")
        (passage,) = rewrite_noisy([noisy("the noisy text")], replace(rewriter, engine=engine))
        engine.close()
        assert passage["content"] == "THE NOISY TEXT"
        assert len(copyist.engine.asked) == n_asked


def test_equal_questions_are_asked_once(tmp_path, copyist):
    engine = KeepingEngine(copyist.engine, tmp_path / "replies")
    assert [reply.text for reply in engine.replies(MODEL, ["a", "b", "a"], temperature=0.0)] == ["A\n", "B\n", "A\n"]
    assert copyist.engine.asked == [["a", "b"]]
    engine.close()


def test_a_rewriting_that_is_killed_goes_on(cleaned, tmp_path, copyist):
    process = os.fork()
    if process == 0:
        rewriter = replace(copyist, batch_size=1)
        rewriter.engine.reply = lambda text: os.kill(os.getpid(), signal.SIGKILL) if copyist.engine.asked[1:] else Reply(text.upper(), True)
        rewrite_folder(cleaned, tmp_path / "out", rewriter)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    assert not (tmp_path / "out").exists()
    rewrite_folder(cleaned, tmp_path / "out", copyist)
    assert sum(map(len, copyist.engine.asked)) == 2


def test_damaged_replies_are_named_and_a_full_disk_too(cleaned, tmp_path, copyist):
    kept = tmp_path / "out.replies.sqlite"
    kept.write_bytes(b"no database" * 100)
    with pytest.raises(HistTextError, match=r"out\.replies\.sqlite is damaged: .*; remove it"):
        rewrite_folder(cleaned, tmp_path / "out", copyist)
    kept.unlink()
    with closing(KeepingEngine(copyist.engine, kept)) as engine:
        asked = engine.replies(copyist.model, ["May I?"], 64, 0.0, 0)
        engine._database.execute("UPDATE replies SET text = x'00ff'")
        with pytest.raises(HistTextError, match=r"is damaged: a reply is b'\\x00\\xff', which is no text; remove it"):
            engine.replies(copyist.model, ["May I?"], 64, 0.0, 0)
    assert isinstance(asked[0].text, str)
    kept.unlink()
    kept.mkdir()
    with pytest.raises(CannotWrite, match=r"out\.replies\.sqlite cannot be used"):
        rewrite_folder(cleaned, tmp_path / "out", copyist)
    kept.rmdir()
    with files_of_at_most(20_000), pytest.raises(CannotWrite, match=r"out\.replies\.sqlite cannot be used|File too large"):
        rewrite_folder(cleaned, tmp_path / "out", replace(copyist, engine=LongWinded()))
    rewrite_folder(cleaned, tmp_path / "out", copyist)


def test_what_cannot_be_rewritten_is_named_before_anything_is_asked(cleaned, tmp_path, copyist):
    with pytest.raises(ModelRefError, match="nowhere: no such model"):
        rewrite_folder(cleaned, tmp_path / "out", Rewriter(copyist.engine, ModelRef("nowhere")))
    with pytest.raises(FileExistsError, match="is there already"):
        rewrite_folder(cleaned, cleaned, copyist)
    (cleaned / "C019" / "1851.json").write_text(json.dumps([{"content": "not cleaned"}]))
    with pytest.raises(HistTextError, match=r"C019/1851\.json: passage 0: no field 'creation_year'"):
        rewrite_folder(cleaned, tmp_path / "out", copyist)
    for path in cleaned.rglob("*.json"):
        path.write_text(json.dumps([noisy("text", cleaning=["mojibake"])]))
    with pytest.raises(HistTextError, match=r"no passage was found noisy .* pg-envs clean"):
        rewrite_folder(cleaned, tmp_path / "out", copyist)
    assert copyist.engine.asked == []
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------- the command


def test_the_command_rewrites_with_a_model_on_disk(cleaned, tmp_path, capsys, random_base):
    bounds = ["--max-new-tokens", "4", "--max-chars", "1000"]
    assert cli.main(["rewrite", str(cleaned), str(tmp_path / "out"), "--model", str(random_base), *bounds]) == 0
    captured = capsys.readouterr()
    assert "| cut | 2 | 1 | 3 |" in captured.out
    assert "C010: the noisy passages (1/3)" in " ".join(captured.err.split())
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["model"], report["max_new_tokens"]) == (str(random_base), 4)
    assert json.loads((tmp_path / "out" / "C019" / "1850.json").read_text())[0]["content"] == TEXT


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["--model", "+adapter"], "names no model: expected BASE"),
        (["--model", "./nowhere"], "nowhere"),
        (["--model", "./nowhere", "--engine", "abacus"], "unknown engine 'abacus'"),
        (["--model", "./nowhere", "--batch-size", "0"], "batch_size=0: expected 1 or more"),
    ],
)
def test_the_command_names_what_is_wrong(cleaned, tmp_path, capsys, settings, says):
    assert cli.main(["rewrite", str(cleaned), str(tmp_path / "out"), *settings]) == cli.EXIT_BAD_INPUT
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_that_ends_its_replies_is_taken_at_its_word(cleaned, tmp_path, tokenizer, capsys):
    """A real model through the real engine: what it writes is no copy, but it is whole."""
    folder = save_llama(tmp_path / "model", tokenizer)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": list(range(len(tokenizer)))}))
    assert cli.main(["rewrite", str(cleaned), str(tmp_path / "out"), "--model", str(folder), "--max-new-tokens", "4"]) == 0
    assert "| no copy | 2 | 1 | 3 |" in capsys.readouterr().out
