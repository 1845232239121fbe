"""A training that was stopped goes on from a checkpoint that is whole, or from the beginning: to the same weights."""

import logging
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from datasets import Dataset
from transformers.trainer_callback import TrainerState

from pg_envs.models import checkpoints, work_folder
from pg_envs.models.checkpoints import last_checkpoint
from pg_envs.models.checks import fingerprint
from pg_envs.models.ref import ModelRef
from pg_envs.models.tuning import sft
from pg_envs.models.tuning_config import TuningConfig
from pg_envs.progress import reporting_to

ROWS = Dataset.from_list([{"prompt": f"q{i}", "completion": f" yes {i}"} for i in range(24)])
CONFIG = TuningConfig(learning_rate=1e-2, batch_size=4, save_every_steps=2)
LAST = 4
"""The step of the checkpoint that a training leaves which is stopped in its fifth step."""


class Stopped(BaseException):
    """As good as a kill: nothing that cleans up after errors sees it but ``finally``."""


def train(start, out, stop_at=None, config=CONFIG):
    """Train for six steps; gives the weights' fingerprint and the steps that were made."""
    steps = []

    def note(_, done, total):
        steps.append(done)
        if done == stop_at:
            raise Stopped

    with reporting_to(note):
        return fingerprint(sft(start, ROWS, out, seed=1, config=config)), steps


@pytest.fixture(scope="module")
def start(random_base):
    return ModelRef(str(random_base))


@pytest.fixture(scope="module")
def undisturbed(start, tmp_path_factory):
    """The weights' fingerprint."""
    return train(start, tmp_path_factory.mktemp("undisturbed") / "it")[0]


@pytest.fixture(scope="module")
def work(start, tmp_path_factory):
    """What a training leaves that was stopped in its fifth step."""
    out = tmp_path_factory.mktemp("stopped") / "it"
    with pytest.raises(Stopped):
        train(start, out, stop_at=5)
    return out.with_name("it.tmp")


@pytest.fixture
def stopped(work, tmp_path):
    """The folder that the stopped training was to make."""
    shutil.copytree(work, tmp_path / "it.tmp")
    return tmp_path / "it"


def checkpoint(stopped):
    return stopped.with_name("it.tmp") / "trainer" / f"checkpoint-{LAST}"


def test_one_whole_checkpoint_is_kept_and_gone_on_from(start, undisturbed, stopped):
    folder = checkpoint(stopped)
    assert {path.name for path in folder.parent.glob("checkpoint-*")} == {folder.name, f"{folder.name}.sha256.json"}
    assert last_checkpoint(folder.parent) == str(folder)
    assert train(start, stopped) == (undisturbed, [5, 6])


@pytest.mark.parametrize(
    "name",
    ["adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "../checkpoint-4.sha256.json"],
)
@pytest.mark.parametrize("damage", ["flipped", "half", "empty"])
def test_a_damaged_checkpoint_is_named_and_passed_over(name, damage, start, stopped, caplog):
    path = (checkpoint(stopped) / name).resolve()
    data = path.read_bytes()
    at = len(data) // 2
    path.write_bytes({"flipped": data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :], "half": data[:at], "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert last_checkpoint(checkpoint(stopped).parent) is None
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.endswith("; this checkpoint is passed over, and the training goes on from one before it")
    # A flipped bit in the note may be in any of its hashes.
    assert name.startswith("..") or str(path) in said


def test_a_training_whose_checkpoint_is_damaged_begins_anew(start, undisturbed, stopped):
    (checkpoint(stopped) / "optimizer.pt").write_bytes(b"")
    assert train(start, stopped) == (undisturbed, [1, 2, 3, 4, 5, 6])


def half_a_state(self, path):
    with open(path, "w"):
        raise Stopped


@pytest.mark.parametrize(
    ("where", "what", "instead"),
    [
        (TrainerState, "save_to_json", half_a_state),
        (checkpoints, "seal", lambda made: (_ for _ in ()).throw(Stopped)),
    ],
    ids=["while it is written", "before it is sealed"],
)
def test_a_training_killed_at_a_checkpoint_goes_on_from_the_one_before(where, what, instead, start, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        whole, calls = getattr(where, what), []

        def second(*arguments):
            calls.append(1)
            return (instead if len(calls) == 2 else whole)(*arguments)

        patched.setattr(where, what, second)
        with pytest.raises(Stopped):
            train(start, tmp_path / "it")
    assert train(start, tmp_path / "it") == (undisturbed, [3, 4, 5, 6])


def stops_within(folder):
    """Removes the first file of a folder, then is killed."""
    min(path for path in folder.rglob("*") if path.is_file()).unlink()
    raise Stopped


def test_a_training_killed_while_it_removes_the_checkpoint_before_goes_on_from_the_new_one(start, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "shutil", SimpleNamespace(rmtree=stops_within))
        with pytest.raises(Stopped):
            train(start, tmp_path / "it")
    assert train(start, tmp_path / "it") == (undisturbed, [5, 6])


def test_a_training_killed_while_it_removes_its_work_is_made_again(start, undisturbed, stopped, monkeypatch):
    anew = replace(CONFIG, save_every_steps=None)
    with monkeypatch.context() as patched:
        patched.setattr(work_folder, "shutil", SimpleNamespace(rmtree=lambda folder, **_: stops_within(folder)))
        with pytest.raises(Stopped):
            train(start, stopped, config=anew)
    assert train(start, stopped, config=anew) == (undisturbed, [1, 2, 3, 4, 5, 6])


def test_an_empty_folder_of_a_training_killed_as_it_began_is_used(start, undisturbed, tmp_path):
    (tmp_path / "it.tmp").mkdir()
    (tmp_path / "it.tmp" / f"{work_folder.WORK_MARK}.tmp").touch()
    assert train(start, tmp_path / "it")[0] == undisturbed


def test_checkpoints_of_a_training_with_other_settings_are_not_gone_on_with(start, undisturbed, stopped):
    with pytest.raises(
        FileExistsError, match=r"it\.tmp has the checkpoints of another.*learning_rate=0\.01.*learning_rate=0\.001.*; remove it"
    ):
        train(start, stopped, config=replace(CONFIG, learning_rate=1e-3))
    assert train(start, stopped, config=replace(CONFIG, save_every_steps=1)) == (undisturbed, [5, 6])
