"""Folders that are gone on with are what they were when they were made."""

import json
import logging

import pytest

from pg_envs.seals import Damaged, hold_to_seal, make_once, seal, seal_beside

DAMAGE = {
    "flipped": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "half": lambda path: path.write_bytes(path.read_bytes()[:2]),
    "empty": lambda path: path.write_bytes(b""),
    "removed": lambda path: path.unlink(),
}


@pytest.fixture
def made(tmp_path):
    """How often ``make`` was called, and ``make``, which makes the folder ``it``."""
    calls = []

    def make():
        calls.append(1)
        (tmp_path / "it" / "within").mkdir(parents=True)
        for name in ("one", "within/two"):
            (tmp_path / "it" / name).write_text(f"what is in {name}")

    return calls, make


def test_what_is_there_is_not_made_again(made, tmp_path):
    calls, make = made
    for _ in range(3):
        make_once(tmp_path / "it", make)
    assert len(calls) == 1
    assert json.loads(seal_beside(tmp_path / "it").read_text()).keys() == {"one", "within/two"}
    assert {path.name for path in tmp_path.iterdir()} == {"it", "it.sha256.json"}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["one", "within/two"])
def test_damage_is_named_with_what_to_do_and_that_helps(name, damage, made, tmp_path):
    calls, make = made
    make_once(tmp_path / "it", make)
    path = tmp_path / "it" / name
    DAMAGE[damage](path)
    with pytest.raises(
        Damaged, match=rf"{path} is damaged: expected SHA-256 .*; remove the folder {tmp_path / 'it'} to have it made again"
    ):
        make_once(tmp_path / "it", make)
    for left in sorted((tmp_path / "it").rglob("*"), reverse=True):
        left.rmdir() if left.is_dir() else left.unlink()
    (tmp_path / "it").rmdir()
    make_once(tmp_path / "it", make)
    make_once(tmp_path / "it", make)
    assert len(calls) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"one": 1}'])
def test_a_damaged_note_is_named(content, made, tmp_path):
    _, make = made
    make_once(tmp_path / "it", make)
    note = seal_beside(tmp_path / "it")
    note.write_text(content)
    with pytest.raises(Damaged, match=rf"{note}.*; remove the folder {tmp_path / 'it'} to have it made again"):
        hold_to_seal(tmp_path / "it")


def test_a_folder_without_a_note_is_taken_as_it_is_once(made, tmp_path, caplog):
    _, make = made
    make()
    with caplog.at_level(logging.WARNING):
        hold_to_seal(tmp_path / "it")
        hold_to_seal(tmp_path / "it")
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'it'} has no hashes yet, so that damage before now is not seen; it is gone on with as it is"
    ]
    (tmp_path / "it" / "one").write_text("another")
    with pytest.raises(Damaged):
        hold_to_seal(tmp_path / "it")


def test_what_was_removed_and_made_anew_is_not_held_to_what_it_was_before(made, tmp_path):
    _, make = made
    make()
    seal(tmp_path / "it")
    (tmp_path / "it").rename(tmp_path / "away")

    def differs_and_is_killed_before_it_is_sealed():
        make()
        (tmp_path / "it" / "one").write_text("another")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once(tmp_path / "it", differs_and_is_killed_before_it_is_sealed)
    make_once(tmp_path / "it", make)
