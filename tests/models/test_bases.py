"""A hub id's files are checked as a folder's are, and a whole model without a template is asked in Alpaca's words."""

import json
import shutil

import pytest
import torch
from hub_support import CACHED_COMMIT, files_of, put_in_cache
from tests_support import save_adapter_at_random, save_llama

from pg_envs.models.bases import base_folder, first_lack, pinned
from pg_envs.models.checks import check_files, fingerprint
from pg_envs.models.loading import load_base, load_tokenizer
from pg_envs.models.ref import ModelRef, ModelRefError

THEM = ModelRef("them/base")


@pytest.fixture
def snapshot(llama3_family, hub_cache):
    return put_in_cache(hub_cache, THEM.base, files_of(llama3_family["C013"]))


def test_a_hub_id_loads_from_the_cache(snapshot, llama3_family):
    check_files(THEM)
    assert base_folder(THEM) == snapshot
    loaded = load_base(THEM, torch.float32, torch.device("cpu"))
    original = load_base(ModelRef(str(llama3_family["C013"])), torch.float32, torch.device("cpu"))
    assert loaded.config.rope_parameters["rope_type"] == "llama3"
    assert loaded.config.num_key_value_heads == 2
    for ours, theirs in zip(loaded.parameters(), original.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_models_without_a_template_are_asked_in_alpacas_words(snapshot):
    asked = load_tokenizer(THEM).apply_chat_template([{"role": "user", "content": "May I?"}], add_generation_prompt=True, tokenize=False)
    assert asked.endswith("### Instruction:\nMay I?\n\n### Response:\n")


def test_a_revision_is_pinned_and_fingerprints_follow_it(snapshot, hub_cache, llama3_family):
    assert pinned(THEM) == ModelRef(THEM.base, CACHED_COMMIT)
    assert pinned(ModelRef("/a/folder", adapter="x")) == ModelRef("/a/folder", adapter="x")
    put_in_cache(hub_cache, THEM.base, files_of(llama3_family["C014"]), commit="d" * 40, revision="v2")
    assert fingerprint(THEM) == fingerprint(pinned(THEM)) != fingerprint(ModelRef(THEM.base, "v2"))


def test_damaged_weights_in_the_cache_are_named_with_what_to_do(snapshot):
    shard = snapshot / "model-00002-of-00004.safetensors"
    shard.resolve().write_bytes(shard.read_bytes()[:500])
    with pytest.raises(ModelRefError, match=rf"{shard.name} is damaged.*hf download them/base --revision {CACHED_COMMIT} --force-download"):
        check_files(THEM)


def test_a_missing_adapter_is_named_before_its_base_is_fetched(fake_hub):
    fake_hub.refusal = AssertionError("the hub was asked")
    with pytest.raises(ModelRefError, match="no adapter folder"):
        check_files(THEM.with_adapter("runs/nowhere"))


def test_an_adapter_must_fit_a_base_of_the_hub(snapshot, hub_cache, tokenizer, tmp_path):
    fits = save_adapter_at_random(THEM, tmp_path / "fits", seed=0)
    check_files(fits)
    config = tmp_path / "fits" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": "somebody/else"}))
    with pytest.raises(ModelRefError, match="trained on another base, 'somebody/else'"):
        check_files(fits)
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": None}))
    # One that does not say what it was trained on is held to the layers.
    put_in_cache(hub_cache, "them/wider", files_of(save_llama(tmp_path / "wider", tokenizer, hidden_size=48)))
    with pytest.raises(ModelRefError, match="the adapter is for another base"):
        check_files(ModelRef("them/wider", adapter=fits.adapter))


@pytest.mark.parametrize(
    ("remove", "lack"),
    [
        (["config.json"], "no config.json"),
        (["tokenizer.json"], "no tokenizer (tokenizer.json, *.model, vocab.*)"),
        (["model.safetensors.index.json"], "no model.safetensors.index.json, though its weights are in several files"),
        (
            ["model-00001-of-00004.safetensors", "model-00003-of-00004.safetensors"],
            "no model-00001-of-00004.safetensors, which model.safetensors.index.json lists (2 of 4 files are missing)",
        ),
        (
            ["model.safetensors.index.json", *(f"model-0000{n}-of-00004.safetensors" for n in range(1, 5))],
            "no *.safetensors; other formats are not read",
        ),
    ],
)
def test_what_a_model_folder_lacks(llama3_family, tmp_path, remove, lack):
    folder = shutil.copytree(llama3_family["C013"], tmp_path / "model")
    assert first_lack(folder) is None
    for name in remove:
        (folder / name).unlink()
    assert first_lack(folder) == lack


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_an_index_that_cannot_be_read(llama3_family, tmp_path, text):
    folder = shutil.copytree(llama3_family["C013"], tmp_path / "model")
    (folder / "model.safetensors.index.json").write_text(text)
    assert first_lack(folder) == "no readable model.safetensors.index.json"


def test_what_names_no_repository():
    with pytest.raises(ModelRefError, match="expected OWNER/NAME"):
        check_files(ModelRef("white space"))
