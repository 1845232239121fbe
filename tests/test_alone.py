"""Two processes in one folder: the second is refused, and a dead one is no hindrance."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests_support import write_small_plan

from pg_envs import alone
from pg_envs.alone import LOCK_FILE, InUse, alone_in
from pg_envs.cli import main
from pg_envs.commands import Run
from pg_envs.one_run import run_and_save
from pg_envs.storage import CannotWrite

HOLD = "import sys, time; from pathlib import Path; from pg_envs.alone import alone_in\n"
HOLD += "with alone_in(Path(sys.argv[1])):\n    print('in', flush=True)\n    time.sleep(600)"


@contextmanager
def holding(folder):
    """Another process that is in a folder."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in\n"
        yield process
        process.kill()


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A folder that another process is in, and that process."""
    monkeypatch.setattr(alone, "PATIENCE_S", 0.1)
    with holding(tmp_path / "it") as process:
        yield tmp_path / "it", process


def test_second_process_is_told_who_is_in_there_and_for_how_long_and_a_dead_one_is_taken_over(held):
    folder, process = held
    with pytest.raises(InUse) as raised, alone_in(folder):
        pass
    assert re.search(rf"{folder} is in use by process {process.pid} on \S+, since 0:0\d:\d\d", str(raised.value))
    # Refused commands change nothing, and a run that is refused is not numbered away from the folder it was to go on in.
    with pytest.raises(InUse, match=f"process {process.pid} "):
        run_and_save(Run(agent="no-op", history="simulated", out=folder.parent, name="it"))
    assert [path.name for path in folder.iterdir()] == [LOCK_FILE]
    process.kill()
    process.wait()
    with alone_in(folder):
        assert (folder / LOCK_FILE).read_text().split()[0] == str(os.getpid())


@pytest.mark.parametrize(("name", "locked"), [("benchmark", "it"), ("record", "it.partial"), ("build-history", "it.work")])
def test_every_command_that_is_gone_on_with_is_carried_out_by_one_process(
    name, locked, random_base, small_questionnaire, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(alone, "PATIENCE_S", 0.1)
    arguments = {
        "benchmark": ["--agents", "no-op", "--seeds", "0", "--history", "simulated"],
        "record": ["--questionnaire", small_questionnaire],
        "build-history": [str(write_small_plan(tmp_path, random_base, small_questionnaire))],
    }
    with holding(tmp_path / locked) as process:
        assert main([name, *arguments[name], "--out", str(tmp_path / "it")]) == 2
    said = rf"pg-envs: {tmp_path / locked} is in use by process {process.pid} on \S+, since 0:0\d:\d\d \(hours:minutes:seconds\)"
    assert re.search(said, capsys.readouterr().err)
    assert [path.name for path in (tmp_path / locked).iterdir()] == [LOCK_FILE]


NO_FLOCK = "import errno, fcntl\ndef refuse(*_):\n    raise OSError(errno.ENOSYS, 'no locks here')\nfcntl.flock = refuse\n"


def test_where_a_file_system_has_no_locks_the_second_is_refused_and_a_dead_one_taken_over_too(tmp_path):
    command = [sys.executable, "-c", NO_FLOCK + HOLD.replace("600", "int(sys.argv[2])"), str(tmp_path)]
    with subprocess.Popen([*command, "600"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in\n"
        second = subprocess.run([*command, "0"], capture_output=True, text=True, check=False)
        process.kill()
    assert re.search(rf"in use by process {process.pid} on \S+, since 0:0\d:\d\d", second.stderr)
    assert subprocess.run([*command, "0"], capture_output=True, text=True, check=True).stdout == "in\n"


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_lock_that_is_no_file_is_named_and_nothing_is_written_through_it(kind, tmp_path):
    victim, lock = tmp_path / "victim", tmp_path / "run" / LOCK_FILE
    victim.write_text("mine")
    lock.parent.mkdir()
    lock.symlink_to(victim) if kind == "link" else lock.mkdir()
    with pytest.raises(CannotWrite, match=rf"{lock} is a link or a folder, .*; remove it"), alone_in(lock.parent):
        pass
    assert victim.read_text() == "mine"


def test_folder_is_free_again_whatever_happened_in_it(tmp_path):
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path):
        raise ZeroDivisionError
    with alone_in(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3 4", "\x00"])
def test_lock_file_that_says_nothing_still_locks(tmp_path, monkeypatch, text):
    monkeypatch.setattr(alone, "PATIENCE_S", 0.1)
    with alone_in(tmp_path):
        Path(tmp_path / LOCK_FILE).write_text(text)
        with pytest.raises(InUse, match="in use by another process"), alone_in(tmp_path):
            pass
