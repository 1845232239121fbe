"""Every command on a disk that takes no more, or nothing: the file is named with what to do, and then the same command goes on."""

import errno
import json
import os
import re

import pytest
from tests_support import SENTENCES, TINY_FAMILY_CENTURIES, files_of_at_most, save_llama, write_small_plan

from pg_envs.cli import main


@pytest.fixture(autouse=True)
def no_pictures_of_runs(monkeypatch):
    monkeypatch.setattr("pg_envs.one_run.plot_trajectory", lambda result, path: None)


@pytest.fixture
def passages(tmp_path):
    """A folder of text with a noisy passage, as ``clean`` leaves it."""
    rows = [
        {
            "content": f"{SENTENCES * 20} {number}",
            "creation_year": 1850,
            "source_dataset": "books",
            "source_document": f"d{number}",
            "cleaning": ["misread-letters"] if number == 0 else [],
        }
        for number in range(20)
    ]
    (tmp_path / "text" / "C019").mkdir(parents=True)
    (tmp_path / "text" / "C019" / "1850.json").write_text(json.dumps(rows))
    return tmp_path / "text"


@pytest.fixture
def commands(tmp_path, passages, tiny_family, small_questionnaire, random_base, tokenizer):
    """What makes ``tmp_path / "out"`` under each name."""
    out = str(tmp_path / "out")
    (tmp_path / "scratch").mkdir()
    assert main(["run", "--agent", "no-op", "--history", "simulated", "--out", str(tmp_path), "--name", "finished"]) == 0
    return {
        "run": ["run", "--agent", "no-op", "--history", "simulated", "--out", str(tmp_path), "--name", "out"],
        "benchmark": ["benchmark", "--agents", "no-op", "--seeds", "0", "--history", "simulated", "--out", out],
        "record": ["record", "--out", out, "--questionnaire", small_questionnaire, "--centuries", *TINY_FAMILY_CENTURIES],
        "build-history": ["build-history", str(write_small_plan(tmp_path, random_base, small_questionnaire)), "--out", out],
        "build-history from nothing": [
            "build-history",
            str(write_small_plan(tmp_path / "scratch", "", small_questionnaire)),
            "--out",
            out,
        ],
        "plot": ["plot", str(tmp_path / "finished"), "--out", out],
        "clean": ["clean", str(passages), out],
        "rewrite": ["rewrite", str(passages), out, "--model", str(save_llama(tmp_path / "rewriter", tokenizer)), "--max-new-tokens", "4"],
        "describe": ["describe", str(passages), "--out", out],
    }


def again(command, out):
    """The command that goes on."""
    if command[0] == "run":
        return ["run", "--resume", str(out)]
    return command


FULL = [
    ("run", 300),
    ("run", 3000),
    ("benchmark", 50),
    ("benchmark", 1500),
    ("record", 300),
    ("record", 3000),
    ("build-history", 300),
    # The state of AdamW.
    ("build-history", 9000),
    ("build-history", 20_000),
    # The tokenizer, and the text's lessons.
    ("build-history from nothing", 20_000),
    ("plot", 500),
    ("clean", 500),
    ("rewrite", 500),
    ("describe", 500),
]


@pytest.mark.parametrize(("name", "n_bytes"), FULL)
def test_a_file_that_does_not_fit_is_named_and_with_room_the_command_goes_on(name, n_bytes, commands, tmp_path, capsys):
    with files_of_at_most(n_bytes):
        assert main(commands[name]) == 1
    said = capsys.readouterr().err
    # Torch knows that it could not write, and not why.
    named = rf"{re.escape(str(tmp_path))}\S* cannot be (written: (File too large; raise the limit|Input/output error; check)|used: )"
    assert re.search(named, said), said
    if name == "plot":
        (tmp_path / "out").rmdir()
    assert main(again(commands[name], tmp_path / "out")) == 0
    assert (tmp_path / "out").is_dir()


COMMANDS = ("run", "benchmark", "record", "build-history", "plot", "clean", "rewrite", "describe")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_is_mounted_for_reading_is_named(name, commands, tmp_path, monkeypatch, capsys):
    make = os.mkdir

    def refuse(path, *arguments, **options):
        if str(tmp_path / "out") in str(path) or str(tmp_path / ".out") in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return make(path, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", refuse)
        if name == "rewrite":
            # Its first file is a database, in the folder that would be read-only.
            (tmp_path / "out.replies.sqlite").touch()
        assert main(commands[name]) == 1
    assert re.search(rf"{tmp_path}/\S+ cannot be written: Read-only file system; mount it for writing, then", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()
