"""Disks that are full, read-only or broken: what was there is there, and the error names the file."""

import errno
import os

import numpy as np
import pytest
from tests_support import files_of_at_most

from pg_envs.results import write_json
from pg_envs.storage import CannotWrite, naming, replacing, write_text


def test_file_that_does_not_fit_leaves_the_one_before(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"score": 0.5})
    with (
        files_of_at_most(1000),
        pytest.raises(CannotWrite, match=r"result\.json cannot be written: File too large; raise the limit") as raised,
    ):
        write_json(path, list(range(10_000)))
    assert raised.value.errno == errno.EFBIG
    assert path.read_text() == '{\n "score": 0.5\n}\n'
    assert [found.name for found in tmp_path.iterdir()] == ["result.json"], "no half file takes the space that is missing"


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "quota"), (errno.EROFS, "mount it for writing"), (errno.EIO, "check the disk")],
)
@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_disk_that_refuses_is_named_with_what_to_do(where, number, remedy, tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    path.write_text("before")

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, where, refuse)
        with pytest.raises(CannotWrite, match=rf"state\.json cannot be written: .*; .*{remedy}.*, then go on"):
            write_text(path, "after")
    assert path.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1
    write_text(path, "after")
    assert path.read_text() == "after"


def test_weights_that_do_not_fit_are_named_too(tmp_path):
    from safetensors.numpy import save_file

    with files_of_at_most(1000), pytest.raises(CannotWrite, match=r"C014 cannot be written: File too large"), naming(tmp_path / "C014"):
        save_file({"w": np.zeros(10_000)}, tmp_path / "w.safetensors")


def test_other_errors_are_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError), naming(tmp_path):
        (tmp_path / "nowhere" / "x").write_text("")


def test_nothing_is_written_through_a_link_that_lies_where_the_half_file_will(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "config.json"
    victim.write_text("mine")
    path.with_name("config.json.tmp").symlink_to(victim)
    write_text(path, "new")
    assert (victim.read_text(), path.read_text(), path.is_symlink()) == ("mine", "new", False)


def test_what_fails_half_way_leaves_nothing(tmp_path):
    def write_half():
        with replacing(tmp_path / "x") as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert list(tmp_path.iterdir()) == []
