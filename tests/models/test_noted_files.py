"""What is bundled, and what a finished run made, is held to its hashes when it is first used."""

import json
import shutil
from pathlib import Path

import pytest
from tests_support import save_adapter_at_random

from pg_envs.building.ingredients import hashed_files
from pg_envs.history.built import read_family
from pg_envs.models import noted_files
from pg_envs.models.checks import check_files
from pg_envs.models.ref import ModelRef, ModelRefError, local_path
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.storage import file_sha256

BUNDLED = ModelRef("pg_envs:histtiny/base", adapter="pg_envs:histtiny/C019")


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    noted_files._fault.cache_clear()
    yield
    noted_files._fault.cache_clear()


@pytest.fixture
def assets(tmp_path, monkeypatch):
    """A copy of the package's assets, of which one may be damaged."""
    shutil.copytree(local_path("pg_envs:histtiny"), tmp_path / "assets" / "histtiny")
    monkeypatch.setattr("pg_envs.models.ref.resources.files", lambda _: tmp_path)
    return tmp_path / "assets"


def flip(path):
    content = bytearray(Path(path).read_bytes())
    content[-9] ^= 4
    Path(path).write_bytes(content)


def test_the_bundled_family_is_what_its_manifest_says():
    folder = local_path("pg_envs:histtiny")
    assert read_family(folder).files == {name: hashed_files(folder / name) for name in read_family(folder).folders}


@pytest.mark.parametrize("name", ["base/model-00001-of-00002.safetensors", "base/tokenizer.json", "C019/adapter_model.safetensors"])
@pytest.mark.parametrize("use", [check_files, lambda ref: TransformersEngine().choice_logprobs(ref, ["Is it?"], [["yes", "no"]])])
def test_a_bundled_model_with_one_bit_flipped_is_not_asked(name, use, assets):
    check_files(BUNDLED)
    noted_files._fault.cache_clear()
    flip(assets / "histtiny" / name)
    with pytest.raises(ModelRefError, match=rf"{name} is damaged: expected SHA-256 .*; install pg-envs again"):
        use(BUNDLED)


def test_a_bundled_file_is_hashed_once_a_process(assets, monkeypatch):
    hashed = []
    monkeypatch.setattr("pg_envs.models.noted_files.damage", lambda path, _: hashed.append(path.name))
    for _ in range(3):
        check_files(BUNDLED)
    assert len(hashed) == len(set(hashed)) == 10


@pytest.fixture
def finished(random_base, tmp_path):
    """A policy in a finished run's folder, whose result knows its hashes."""
    ref = save_adapter_at_random(ModelRef(str(random_base)), tmp_path / "run" / "policies" / "C014", seed=0)
    files = {path.relative_to(tmp_path / "run").as_posix(): file_sha256(path) for path in sorted(Path(ref.adapter).iterdir())}
    (tmp_path / "run" / "result.json").write_text(json.dumps({"steps": [{"policy_files": files}, {"policy_files": {}}, 3], "seed": 0}))
    return ref, tmp_path / "run"


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_policy_of_another_run_is_held_to_what_that_run_noted(damage, finished):
    ref, run = finished
    check_files(ref)
    noted_files._fault.cache_clear()
    damage(run / "policies" / "C014" / "adapter_model.safetensors")
    with pytest.raises(
        ModelRefError, match=r"policies/C014/adapter_model\.safetensors is damaged: .*; restore it, or make the policy anew"
    ):
        check_files(ref)


def test_a_result_that_cannot_be_read_is_named(finished):
    ref, run = finished
    (run / "result.json").write_text("{")
    with pytest.raises(ModelRefError, match=r"run/result\.json: not readable as JSON.*copy the policy elsewhere"):
        check_files(ref)
    for whole in ("[]", '{"steps": 3}', '{"steps": [[]]}', '{"steps": [{"policy_files": {"../x": 1, "policies/other/y": "0"}}]}'):
        (run / "result.json").write_text(whole)
        check_files(ref)
        noted_files._fault.cache_clear()


def test_policies_of_a_run_that_goes_on_are_the_runs_own_affair(finished):
    ref, run = finished
    flip(run / "policies" / "C014" / "adapter_model.safetensors")
    (run / "progress.json").write_text("{}")
    check_files(ref)
