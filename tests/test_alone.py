"""Two processes in one folder: the second is refused, and a dead one is no hindrance."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pg_envs import alone
from pg_envs.alone import LOCK_FILE, InUse, alone_in
from pg_envs.commands import Run
from pg_envs.one_run import run_and_save
from pg_envs.record import record

HOLD = "import sys, time; from pathlib import Path; from pg_envs.alone import alone_in\n"
HOLD += "with alone_in(Path(sys.argv[1])):\n    print('in', flush=True)\n    time.sleep(600)"


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A folder that another process is in, and that process."""
    monkeypatch.setattr(alone, "PATIENCE_S", 0.1)
    folder = tmp_path / "it"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in\n"
        yield folder, process
        process.kill()


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


def test_recordings_are_made_by_one_process_too(tmp_path, monkeypatch):
    monkeypatch.setattr(alone, "PATIENCE_S", 0.1)
    with alone_in(tmp_path / "it.partial"), pytest.raises(InUse, match=r"it\.partial is in use by process"):
        record(tmp_path / "it")


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
