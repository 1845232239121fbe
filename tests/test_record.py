"""The command that makes a recording: what it leaves, and what it leaves when it is stopped."""

import json
import shutil

import pytest
from tests_support import TINY_FAMILY_CENTURIES

from pg_envs.cli import main
from pg_envs.history.base import HistoryError
from pg_envs.history.live import LiveHistory
from pg_envs.history.recording import RecordingError
from pg_envs.models.checks import fingerprint
from pg_envs.record import record
from pg_envs.storage import file_sha256


@pytest.fixture
def command(tiny_family, small_questionnaire, tmp_path):
    """The command that records the random family at ``tmp_path / "it"``."""
    return ["record", "--out", str(tmp_path / "it"), "--questionnaire", small_questionnaire, "--centuries", *TINY_FAMILY_CENTURIES]


def stop_at(monkeypatch, century):
    """Ctrl-C when the humans of a century, an index, are about to be measured."""
    measured = LiveHistory.human_values

    def stopping(self, index):
        if index == century:
            raise KeyboardInterrupt
        return measured(self, index)

    monkeypatch.setattr(LiveHistory, "human_values", stopping)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_recording_says_what_it_is_of(command, tiny_family, tmp_path, capsys):
    assert main(command) == 0
    assert "use it as history='recorded:" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "it/manifest.json").read_text())
    assert manifest["centuries"] == ["C018", "C019", "C020", "C021"]
    assert (manifest["name"], manifest["mode"], manifest["engine"]) == ("histtiny", "logprob", "transformers")
    assert manifest["models"]["C020"] == {**tiny_family[2].to_json(), "sha256": fingerprint(tiny_family[2])}
    assert manifest["files"] == {name: file_sha256(tmp_path / "it" / name) for name in contents(tmp_path / "it") if name != "manifest.json"}
    assert len(manifest["files"]) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
    before = contents(tmp_path / "it")
    assert main(command) == 2
    assert "it exists and is never overwritten" in capsys.readouterr().err
    assert contents(tmp_path / "it") == before


def test_a_stopped_recording_is_not_at_its_place_and_is_gone_on_with(command, tiny_recording, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        stop_at(patched, 2)
        assert main(command) == 130
    assert "the same command goes on with it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["it.partial"]
    finished = {name: (tmp_path / "it.partial" / name).stat().st_mtime_ns for name in ("C018/values.parquet", "C019/replies.parquet")}
    assert not (tmp_path / "it.partial/C020").exists()
    # What a killed process leaves of a century that it was writing.
    (tmp_path / "it.partial/C020.tmp").mkdir()
    (tmp_path / "it.partial/C020.tmp/values.parquet").write_bytes(b"half")
    assert main(command) == 0
    assert {name: (tmp_path / "it" / name).stat().st_mtime_ns for name in finished} == finished
    assert contents(tmp_path / "it") == contents(tiny_recording), "as if it had not been stopped"


@pytest.mark.parametrize("damage", ["flipped", "half", "empty", "removed"])
def test_a_century_damaged_between_a_kill_and_going_on_is_named_and_recorded_again(
    damage, command, tiny_recording, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patched:
        stop_at(patched, 2)
        assert main(command) == 130
    path = tmp_path / "it.partial/C019/values.parquet"
    data = path.read_bytes()
    path.write_bytes({"flipped": bytes([data[0] ^ 1]) + data[1:], "half": data[:100]}.get(damage, b""))
    if damage == "removed":
        path.unlink()
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"{path} is damaged: expected SHA-256 " in said
    assert f"; remove the folder {path.parent} to have this century recorded again" in said
    assert not (tmp_path / "it").exists()
    shutil.rmtree(path.parent)
    assert main(command) == 0
    assert contents(tmp_path / "it") == contents(tiny_recording), "as if nothing had happened"


def test_centuries_of_a_version_that_noted_no_hashes_are_gone_on_with(command, tiny_recording, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patched:
        stop_at(patched, 1)
        assert main(command) == 130
    manifest = json.loads((tmp_path / "it.partial/manifest.json").read_text())
    (tmp_path / "it.partial/manifest.json").write_text(json.dumps({**manifest, "files": {}}))
    assert main(command) == 0
    assert "it.partial/C018 was recorded by a version that noted no hashes" in caplog.text
    assert contents(tmp_path / "it") == contents(tiny_recording)


@pytest.mark.parametrize("files", [None, [], {"C018/values.parquet": 1}])
def test_a_beginning_whose_hashes_are_none_is_left_alone(files, command, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        stop_at(patched, 1)
        assert main(command) == 130
    path = tmp_path / "it.partial/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": files}))
    assert main(command) == 2
    assert f"{path}: files: expected an object of texts, found " in capsys.readouterr().err


def test_the_beginning_of_another_recording_is_not_gone_on_with(command, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        stop_at(patched, 1)
        assert main(command) == 130
    before = contents(tmp_path / "it.partial")
    assert main([*command[:-2], "C019", "C021"]) == 2
    assert "it.partial is the beginning of another recording: centuries: expected" in capsys.readouterr().err
    assert contents(tmp_path / "it.partial") == before


def test_a_folder_of_something_else_is_left_alone(command, small_questionnaire, tmp_path):
    (tmp_path / "it.partial").mkdir()
    (tmp_path / "it.partial/precious").write_text("data")
    with pytest.raises(RecordingError, match="is not the beginning of a recording"):
        record(tmp_path / "it", questionnaire=small_questionnaire, centuries=TINY_FAMILY_CENTURIES)
    assert contents(tmp_path) == {"it.partial/precious": b"data"}


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ("[]", "expected a JSON object, found list"),
        ("[" * 100_000, "not readable as JSON"),
        ("{", "not readable as JSON"),
        ("", "it is empty"),
    ],
    ids=["list", "nested", "half", "empty"],
)
def test_a_beginning_whose_manifest_is_none_is_left_alone(manifest, says, command, tmp_path, capsys):
    (tmp_path / "it.partial").mkdir()
    (tmp_path / "it.partial/manifest.json").write_text(manifest)
    assert main(command) == 2
    said = capsys.readouterr().err
    for words in ("it.partial is not the beginning of a recording", says, "move it away, or choose another folder"):
        assert words in said
    assert contents(tmp_path) == {"it.partial/manifest.json": manifest.encode()}


@pytest.mark.parametrize(("history", "says"), [("simulated", "cannot be recorded"), ("nobody", "unknown history 'nobody'")])
def test_only_language_models_are_recorded(history, says, tmp_path):
    with pytest.raises(HistoryError, match=says):
        record(tmp_path / "it", history)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("agent", ["no-op", "oracle"])
def test_baselines_run_from_the_bundled_recording(agent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--history", "recorded:histtiny", "--agent", agent]) == 0
    result = json.loads((tmp_path / f"runs/follow-{agent}-recorded-histtiny-s0/result.json").read_text())
    assert result["skill"] == {"no-op": 0.0, "oracle": 1.0}[agent]
    assert result["baselines"]["oracle"] == 1.0
    assert result["baselines"]["no-op"] < 0.5, "C013 is far from what came later"
    assert result["history"]["name"] == "recorded:histtiny"
