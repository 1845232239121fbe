"""Runs that are stopped anywhere, and run folders that are damaged: nothing is lost, and errors name the file."""

import json
import os
import shutil
import time

import numpy as np
import pytest
from tests_support import files_of_at_most

from agents.base import Agent
from agents.baselines import Oracle
from agents.forecast import VoteMemory
from pg_envs import alone
from pg_envs.alone import InUse, alone_in
from pg_envs.challenges.follow import FollowEnv
from pg_envs.hashed_json import _say_once
from pg_envs.models.ref import ModelRef
from pg_envs.one_run import OneRun
from pg_envs.result_files import read_result
from pg_envs.result_schema import ResultError
from pg_envs.results import versions
from pg_envs.run_folder import (
    Act,
    RunFolderError,
    check_policy_files,
    file_hashes,
    has_begun,
    policy_from_record,
    policy_record,
    read_config,
    read_progress,
    remove_unfinished,
)
from pg_envs.storage import CannotWrite


class Stopped(BaseException):
    """As good as a kill: nothing that cleans up after errors sees it but ``finally``."""


class Writer(Agent):
    """Leaves a file of its century, which must not be there yet; notes and asks something."""

    acted: list[str] = []  # noqa: RUF012 - reset by the fixture

    def act(self, observation):
        label = self.label(observation)
        Writer.acted.append(label)
        self.env.ask(self.env.survey[:3])
        (self.workdir / label).mkdir(parents=True)
        self.note(observation, "wrote")
        self.policy = self.century_rng(observation).uniform(-1, 1, 19)
        return self.policy


@pytest.fixture
def config(monkeypatch):
    monkeypatch.setattr("pg_envs.one_run.plot_trajectory", lambda result, path: None)
    Writer.acted = []
    history = {"history": "simulated-random", "centuries": ["C018", "C021"]}
    return {"env": "ProgressGym/Follow-v0", "env_args": history, "agent": f"{__name__}:Writer", "agent_args": {}, "seed": 3}


@pytest.fixture
def whole(config, tmp_path):
    """The bytes of the undisturbed result."""
    OneRun(tmp_path / "whole", config).carry_out()
    Writer.acted = []
    return (tmp_path / "whole" / "result.json").read_bytes()


def stop_when_judged(monkeypatch, century):
    """Stops the run when the policy of a century, an index, is judged."""
    judge = FollowEnv._judge

    def stop(self, policy):
        if self.century == century:
            raise Stopped
        return judge(self, policy)

    monkeypatch.setattr(FollowEnv, "_judge", stop)


@pytest.fixture
def stopped(config, tmp_path, monkeypatch):
    """A run that was stopped while its second policy was judged."""
    with monkeypatch.context() as patched:
        stop_when_judged(patched, 2)
        with pytest.raises(Stopped):
            OneRun(tmp_path / "it", config).carry_out()
    assert Writer.acted == ["C019", "C020"]
    return tmp_path / "it"


def test_run_stopped_while_a_policy_is_judged_does_not_act_again(config, whole, stopped):
    assert [act.events for act in read_progress(stopped).acts] == [[{"century": label, "event": "wrote"}] for label in ("C019", "C020")]
    OneRun(stopped, config).carry_out()
    assert Writer.acted == ["C019", "C020", "C021"]
    assert (stopped / "result.json").read_bytes() == whole
    assert not (stopped / "progress.json").exists()


def test_run_whose_disk_is_full_goes_on_once_there_is_room(config, whole, tmp_path):
    with files_of_at_most(3000), pytest.raises(CannotWrite, match=r"result\.json cannot be written: File too large; .*, then go on"):
        OneRun(tmp_path / "it", config).carry_out()
    assert Writer.acted == ["C019"]
    assert not [path.name for path in (tmp_path / "it").iterdir() if path.suffix == ".tmp"], "what does not fit takes no room"
    OneRun(tmp_path / "it", config).carry_out()
    assert Writer.acted == ["C019", "C020", "C021"]
    assert (tmp_path / "it" / "result.json").read_bytes() == whole


def test_on_a_slow_disk_a_run_is_slower_and_nobody_elses(config, whole, tmp_path, monkeypatch):
    refused = []

    def slow(file):
        time.sleep(0.05)
        with pytest.raises(InUse), alone_in(tmp_path / "it"):
            pass
        refused.append(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", slow)
        patched.setattr(alone, "PATIENCE_S", 0.1)
        OneRun(tmp_path / "it", config).carry_out()
    assert len(refused) >= len(json.loads(whole)["steps"])
    assert (tmp_path / "it" / "result.json").read_bytes() == whole


def test_a_run_that_is_taken_up_with_other_versions_says_so(config, whole, stopped, monkeypatch):
    newer = {**versions(), "torch": "99.0"}
    for module in ("one_run", "results"):
        monkeypatch.setattr(f"pg_envs.{module}.versions", lambda: newer)
    result = OneRun(stopped, config).carry_out()
    said = {"century": "C020", "event": f"after this century the run was taken up with torch 99.0 instead of {versions()['torch']}"}
    expected = json.loads(whole)["events"]
    assert result["events"] == [*expected[:2], said, *expected[2:]]
    assert result["versions"]["torch"] == "99.0"


def test_what_a_century_left_that_was_not_finished_is_made_anew(config, whole, stopped):
    # As if it had been killed in the middle of C021: half a folder, and scratch.
    (stopped / "policies" / "C021").mkdir()
    (stopped / "policies" / "C021" / "adapter_model.safetensors").write_text("half")
    (stopped / "policies" / "C021.tmp").mkdir()
    (stopped / "policies" / "C019-of-mine").mkdir()
    OneRun(stopped, config).carry_out()
    assert (stopped / "result.json").read_bytes() == whole
    assert sorted(path.name for path in (stopped / "policies").iterdir()) == ["C019", "C019-of-mine", "C020", "C021"]
    assert not list((stopped / "policies" / "C021").iterdir())


@pytest.mark.parametrize("whole_folder", [True, False])
def test_nothing_is_removed_through_a_strangers_link(whole_folder, config, whole, stopped, tmp_path):
    mine, policies = tmp_path / "mine", stopped / "policies"
    (mine / "C021").mkdir(parents=True)
    if whole_folder:
        shutil.rmtree(policies)
        policies.symlink_to(mine)
        with pytest.raises(RunFolderError, match=rf"{policies} is a link, .*; put the folder itself there"):
            OneRun(stopped, config).carry_out()
    else:
        (policies / "C021").symlink_to(mine / "C021")
        OneRun(stopped, config).carry_out()
        assert (stopped / "result.json").read_bytes() == whole
    assert (mine / "C021").is_dir()


@pytest.mark.parametrize(
    ("labels", "policy", "others_kept", "removed"),
    [
        (
            ("medieval", "victorian-early", "victorian"),
            "victorian-early",
            ["victorian-early-x", "medieval-x"],
            ["victorian", "victorian-x"],
        ),
        (
            ("medieval", "victorian", "victorian-early"),
            "victorian",
            ["victorian-x", "votes.json"],
            ["victorian-early", "victorian-early-x"],
        ),
        # Named like another century's, but what was submitted in a finished one.
        (("medieval", "edwardian", "victorian"), "victorian-and-more", ["edwardian"], ["victorian"]),
    ],
)
def test_labels_that_begin_with_one_another_are_told_apart(labels, policy, others_kept, removed, tmp_path):
    for name in (policy, *others_kept, *removed):
        (tmp_path / "policies" / name).mkdir(parents=True)
    record = {"base": "b", "revision": None, "adapter": f"policies/{policy}"}
    remove_unfinished(tmp_path, labels, [Act(record, 0, [], {f"policies/{policy}/adapter_config.json": "0"})])
    assert {path.name for path in (tmp_path / "policies").iterdir()} == {policy, *others_kept}


def test_baselines_that_were_run_are_not_run_again(config, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Oracle, "act", lambda self, observation: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            OneRun(tmp_path / "it", config).carry_out()
    assert list(read_progress(tmp_path / "it").baselines) == ["no-op"]
    monkeypatch.setattr("agents.baselines.NoOp.act", lambda self, observation: (_ for _ in ()).throw(AssertionError))
    OneRun(tmp_path / "it", config).carry_out()
    assert (tmp_path / "it" / "result.json").read_bytes() == whole


def test_finished_run_is_not_run_again(config, whole, tmp_path):
    made = OneRun(tmp_path / "whole", config).carry_out()
    assert made == {key: value for key, value in json.loads(whole).items() if key != "sha256"}
    assert Writer.acted == []
    assert (tmp_path / "whole" / "result.json").read_bytes() == whole


def test_folder_of_another_run_is_left_alone(config, stopped):
    before = (stopped / "progress.json").read_bytes()
    with pytest.raises(FileExistsError, match="holds another run"):
        OneRun(stopped, {**config, "seed": 4}).carry_out()
    assert (stopped / "progress.json").read_bytes() == before
    assert read_config(stopped) == config


def test_folder_in_which_a_run_was_killed_at_once_is_used(config, whole, tmp_path):
    folder = tmp_path / "it"
    folder.mkdir()
    (folder / "config.json.tmp").write_text('{"env": "Prog')
    (folder / ".lock").touch()
    assert not has_begun(folder)
    OneRun(folder, config).carry_out()
    assert (folder / "result.json").read_bytes() == whole
    assert has_begun(folder)


DAMAGE = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "bit-flipped": lambda data: data.replace(b"{", b"[", 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("name", "error"), [("config.json", RunFolderError), ("progress.json", RunFolderError), ("result.json", ResultError)]
)
def test_damaged_file_is_named_and_the_others_stay(name, error, damage, config, stopped):
    path = stopped / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    before = {found: found.read_bytes() for found in stopped.rglob("*.json")}
    with pytest.raises(error, match=rf"{path}: .*; \w+"):
        OneRun(stopped, config).carry_out()
    assert {found: found.read_bytes() for found in stopped.rglob("*.json")} == before


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize("name", ["config.json", "progress.json"])
def test_what_is_no_file_where_one_belongs_is_named_and_not_waited_for(name, make, config, stopped):
    (stopped / name).unlink()
    make(stopped / name)
    with pytest.raises(RunFolderError, match=rf"{stopped / name}: expected a file, found a folder, a pipe or a device; \w+"):
        OneRun(stopped, config).carry_out()


@pytest.fixture
def stopped_forecaster(config, tmp_path, monkeypatch):
    """A run like ``stopped``, of an agent that remembers votes."""
    with monkeypatch.context() as patched:
        stop_when_judged(patched, 2)
        with pytest.raises(Stopped):
            OneRun(tmp_path / "it", {**config, "agent": "simulated-extrapolative"}).carry_out()
    return tmp_path / "it"


def recalled(path):
    """What a memory of votes says."""
    memory = VoteMemory(path)
    for century in (1, 2):
        memory.recall(century)
    return [votes.tolist() for votes in memory.up_to(2)]


READ = {
    "config.json": lambda path: read_config(path.parent),
    "progress.json": lambda path: read_progress(path.parent),
    "result.json": read_result,
    "policies/votes.json": recalled,
}


@pytest.mark.parametrize("name", READ)
def test_no_flipped_bit_changes_what_is_read(name, stopped_forecaster):
    path, read = stopped_forecaster / name, READ[name]
    before, data, errors = read(path), path.read_bytes(), []
    for at in range(0, len(data), max(1, len(data) // 300)):
        for bit in range(8):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            try:
                found = read(path)
            except ValueError as error:
                errors.append(str(error))
                continue
            # Spaces between values may change, and in a result the hash's key, under which nothing is read then.
            assert ({key: found[key] for key in before} if name == "result.json" else found) == before
    assert len(errors) > 1000
    assert all(str(path) in error for error in errors)


def test_a_flipped_digit_is_said_to_be_damage_and_the_run_does_not_go_on(config, stopped):
    data = (stopped / "progress.json").read_bytes()
    assert b'"n_queries": 3' in data
    (stopped / "progress.json").write_bytes(data.replace(b'"n_queries": 3', b'"n_queries": 2', 1))
    with pytest.raises(RunFolderError, match=r"progress\.json is damaged, or was edited: .*; restore it, or remove"):
        OneRun(stopped, config).carry_out()


def test_a_folder_of_a_version_that_wrote_no_hashes_is_gone_on_with(config, whole, stopped, caplog):
    _say_once.cache_clear()
    for name in ("config.json", "progress.json", "result.json"):
        data = json.loads((stopped / name).read_text())
        del data["sha256"]
        (stopped / name).write_text(json.dumps(data))
    OneRun(stopped, config).carry_out()
    for name in ("config.json", "progress.json", "result.json"):
        assert caplog.text.count(f"a {name} has no SHA-256 of its own, as earlier versions wrote none: damage") == 1
    assert (stopped / "result.json").read_bytes() == whole


def test_policies_are_not_removed_because_nobody_knows_of_them(config, stopped):
    (stopped / "progress.json").unlink()
    with pytest.raises(RunFolderError, match=r"progress\.json: no such file, though result\.json has some centuries; restore it, or"):
        OneRun(stopped, config).carry_out()
    assert (stopped / "policies" / "C019").is_dir()
    (stopped / "result.json").unlink()
    OneRun(stopped, config).carry_out()
    assert Writer.acted == ["C019", "C020", "C019", "C020", "C021"]


# ---------------------------------------------------------------------- policies that lie in the folder


@pytest.fixture
def policy(tmp_path):
    """A policy in the folder of a run, and what was noted of it."""
    folder = tmp_path / "run"
    adapter = folder / "policies" / "C020"
    adapter.mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (adapter / name).write_bytes(name.encode() * 10)
    record = policy_record(ModelRef("base", adapter=str(adapter)), folder)
    return folder, Act(record, 0, [], file_hashes(record, folder))


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
def test_damaged_policy_is_named_with_what_to_do(name, damage, policy):
    folder, act = policy
    check_policy_files(act, folder)
    path = folder / "policies" / "C020" / name
    data = path.read_bytes()
    changed = {"flip": bytes([data[0] ^ 1]) + data[1:], "truncate": data[:-1], "empty": b""}
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(changed[damage])
    with pytest.raises(RunFolderError, match=rf"{path} is damaged: expected SHA-256 .*, or remove the folder {path.parent} to have"):
        check_policy_files(act, folder)


def test_removing_a_policys_folder_has_its_century_run_again(policy, tmp_path):
    folder, act = policy
    first = {"policy": [0.5] * 19, "n_queries": 1, "events": [], "files": {}}
    acts = [first, {**vars(act)}, first]
    (folder / "progress.json").write_text(json.dumps({"acts": acts, "baselines": {"no-op": 0.5}, "versions": {}}))
    assert len(read_progress(folder).acts) == 3
    shutil.rmtree(folder / "policies" / "C020")
    left = read_progress(folder)
    assert [act.policy for act in left.acts] == [[0.5] * 19]
    assert left.baselines == {}


@pytest.mark.parametrize("kind", ["adapter", "base"])
def test_names_in_the_folder_move_with_it(kind, tmp_path):
    (tmp_path / "run" / "policies" / "C020").mkdir(parents=True)
    inside = str(tmp_path / "run" / "policies" / "C020")
    ref = ModelRef(inside) if kind == "base" else ModelRef("pg_envs:histtiny/base", adapter=inside)
    record = policy_record(ref, tmp_path / "run")
    assert record[kind] == "policies/C020"
    assert str(tmp_path) not in json.dumps(record)
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = policy_from_record(record, tmp_path / "moved")
    assert getattr(moved, kind) == str(tmp_path / "moved" / "policies" / "C020")


def test_names_that_lead_out_of_the_folder_are_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("x")
    record = {"base": "../elsewhere", "revision": None, "adapter": "../elsewhere"}
    assert policy_from_record(record, tmp_path / "run") == ModelRef("../elsewhere", adapter="../elsewhere")
    assert file_hashes(record, tmp_path / "run") == {}
    noted = {
        "acts": [{"policy": record, "n_queries": 0, "events": [], "files": {"policies/../../elsewhere/secret": "0"}}],
        "baselines": {},
        "versions": {},
    }
    (tmp_path / "run" / "progress.json").write_text(json.dumps(noted))
    with pytest.raises(RunFolderError, match=r"progress\.json: expected acts"):
        read_progress(tmp_path / "run")


def test_vectors_stay_vectors(tmp_path):
    values = np.linspace(-1, 1, 19)
    np.testing.assert_array_equal(policy_from_record(policy_record(values, tmp_path), tmp_path), values)


@pytest.mark.parametrize("change", [{"seed": -1}, {"seed": True}, {"agent": None}, {"env_args": []}, {"extra": 1}])
def test_config_that_is_none_is_refused(change, config, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(RunFolderError, match=r"config\.json: expected env and agent"):
        read_config(tmp_path)


@pytest.fixture
def no_baselines(whole, monkeypatch):
    """Baselines cannot be run any more."""
    from agents.baselines import NoOp, Oracle

    for baseline in (NoOp, Oracle):
        monkeypatch.setattr(baseline, "act", lambda self, observation: pytest.fail("a baseline was run"))


@pytest.mark.usefixtures("no_baselines")
def test_baselines_are_taken_from_a_run_of_the_same_environment_and_seed(config, whole, tmp_path):
    for name, text in (("another", json.dumps({**config, "seed": 5})), ("damaged", "{"), ("not begun", json.dumps(config))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    (tmp_path / "no file" / "config.json").mkdir(parents=True)
    OneRun(tmp_path / "it", config, siblings_in=tmp_path).carry_out()
    assert (tmp_path / "it" / "result.json").read_bytes() == whole


@pytest.mark.usefixtures("no_baselines")
@pytest.mark.parametrize(
    "other", [{"seed": 4}, {"env_args": {"history": "simulated-random", "centuries": ["C017", "C021"]}}, {"env": "ProgressGym/Predict-v0"}]
)
def test_baselines_of_anything_else_are_not(config, whole, tmp_path, other):
    with pytest.raises(pytest.fail.Exception, match="a baseline was run"):
        OneRun(tmp_path / "it", {**config, **other}, siblings_in=tmp_path).carry_out()


@pytest.mark.usefixtures("no_baselines")
def test_a_damaged_or_unfinished_sibling_is_done_without(config, whole, tmp_path):
    folder = tmp_path / "whole" / "result.json"
    result = {key: value for key, value in json.loads(whole).items() if key != "sha256"}
    for damaged in ("{", json.dumps({**result, "baselines": {}}), json.dumps({**result, "versions": {"torch": "other"}})):
        folder.write_text(damaged)
        with pytest.raises(pytest.fail.Exception, match="a baseline was run"):
            OneRun(tmp_path / f"it{len(damaged)}", config, siblings_in=tmp_path).carry_out()
