"""Passages that look like code, paths, instructions: cleaned and rewritten as text, and nothing of it obeyed."""

import json
import os
import subprocess
from random import Random

import pytest
from tests_support import HARM

from pg_envs import cli
from pg_envs.data.cleaning.rewrite import INSTRUCTION, Rewriter
from pg_envs.data.cleaning.rewrite_folder import rewrite_folder
from pg_envs.models.engine import Reply
from pg_envs.models.ref import ModelRef

FIELDS = ("source_dataset", "document_id", "language", "genre", "author", "source_document", "culture")


@pytest.fixture
def nothing_started(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("a process was started")

    for module, name in ((subprocess, "Popen"), (os, "system"), (os, "execv"), (os, "posix_spawn")):
        monkeypatch.setattr(module, name, fail)


@pytest.fixture
def harmful(tmp_path, modern, monkeypatch, nothing_started):
    """A folder ``in`` of passages with harm in text, fields, names of fields, and files that are no JSON; the current folder holds it."""
    monkeypatch.chdir(tmp_path)
    words = modern.split()
    passages = [
        {
            # Each a text of its own, so that none is a duplicate of another.
            "content": f"{harm}\n\n{' '.join(Random(n).sample(words, len(words)))} {harm}",
            "creation_year": 1900 if n % 2 else f" {1900 + n}",
            "passage_index": harm,
            harm: harm,
            **dict.fromkeys(FIELDS, harm),
        }
        for n, harm in enumerate(HARM)
    ]
    passages += [
        {**passages[0], "creation_year": harm, "document_id": None} for harm in ("../../../1900", "__import__('os')", "1900; touch x")
    ]
    folder = tmp_path / "in" / "C020"
    folder.mkdir(parents=True)
    (folder / "1900.json").write_text(json.dumps(passages))
    for n, harm in enumerate(HARM):
        (folder / f"19{10 + n}.json").write_text(f"[{harm}]")
        (folder / f"{harm.replace('/', '_')}.json").write_text("[]")
    return tmp_path


def names_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_cleaning_obeys_nothing(harmful, capsys):
    before = names_below(harmful)
    assert cli.main(["clean", "in", "out", "--min-chars", "10"]) == 0
    written = names_below(harmful) - before
    assert all(name.startswith("out/") for name in written)
    assert {name for name in written if "/C" not in name} == {"out/report.json", "out/report.md", "out/findings.jsonl"}
    assert {os.path.dirname(name) for name in written} == {"out", "out/C020"}
    kept = [row for path in (harmful / "out").glob("C*/*.json") for row in json.loads(path.read_text())]
    fields = {row["document_id"] for row in kept}
    assert len(kept) == len(HARM)
    assert fields == set(HARM)  # not one was evaluated, mended or cut
    assert all(row[row["document_id"]] == row["document_id"] for row in kept)
    assert all("passage_index" not in row for row in kept)
    said, page = capsys.readouterr(), (harmful / "out" / "report.md").read_text()
    for shown in (page, said.out, said.err):
        assert "\x1b" not in shown
        assert "\x07" not in shown
    assert "<script>" not in page
    assert "![x]" not in page


class Obedient:
    """Writes what the passage asks for, or what it is told to."""

    def __init__(self, reply):
        self.reply = reply

    def check(self, model):
        pass

    def arithmetic(self):
        return {}

    def replies(self, model, prompts, max_new_tokens, temperature, seed):
        assert all(prompt.startswith(INSTRUCTION) for prompt in prompts)
        return [Reply(self.reply(prompt.removeprefix(INSTRUCTION)), True) for prompt in prompts]


@pytest.mark.parametrize("obeys", [True, False])
def test_rewriting_obeys_nothing(harmful, obeys):
    """A model that falls for a passage changes nothing; one that copies it has its copy written as text."""
    assert cli.main(["clean", "in", "out", "--min-chars", "10"]) == 0
    n_noisy = 0
    for path in (harmful / "out").glob("C*/*.json"):
        rows = [{**row, "cleaning": ["joined-words"]} for row in json.loads(path.read_text())]
        n_noisy += len(rows)
        path.write_text(json.dumps(rows))
    before = names_below(harmful)
    reply = (lambda text: " ".join(HARM) * 5) if obeys else (lambda text: text + " end")
    report = rewrite_folder("out", "rewritten", Rewriter(Obedient(reply), ModelRef("any")))
    assert {name.split("/")[0] for name in names_below(harmful) - before} == {"rewritten"}
    assert report["outcomes"]["C020"] == ({"no copy": n_noisy} if obeys else {"rewritten": n_noisy})
    kept = [row for path in (harmful / "rewritten").glob("C*/*.json") for row in json.loads(path.read_text())]
    assert {row["document_id"] for row in kept} == set(HARM)
    assert all(row.get("original_content") == (None if obeys else row["content"].removesuffix(" end")) for row in kept)
