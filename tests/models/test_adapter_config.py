"""Adapters of strangers: what their configuration would have PEFT do is refused before PEFT sees it."""

import json
import shutil
import sys

import pytest

from pg_envs.models.checks import check_files
from pg_envs.models.ref import ModelRef, ModelRefError, local_path


@pytest.fixture
def says(tmp_path):
    """Checks a bundled adapter whose configuration says something else."""

    def check(**settings):
        folder = tmp_path / "adapter"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(local_path("pg_envs:histtiny/C021"), folder)
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, **settings}))
        check_files(ModelRef("pg_envs:histtiny/base", adapter=str(folder)))

    return check


def test_what_peft_writes_is_taken(says):
    says()
    says(r=8, lora_alpha=0.5, rank_pattern={"q_proj": 4}, alpha_pattern={"layers.0.q_proj": 2}, target_modules="all-linear")
    says(use_rslora=True, lora_dropout=0.1, some_future_field=None, task_type="SEQ_CLS", trainable_token_indices=[])
    says(layers_pattern="layers", layers_to_transform=[0], modules_to_save=["lm_head"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        # PEFT imports the module that megatron_core names.
        ("megatron_config", {"x": 1}),
        ("corda_config", {"cache_file": "/tmp/pickle"}),
        ("runtime_config", {"ephemeral_gpu_offload": True}),
        ("some_future_config", [1]),
        # These change the base's weights when they are loaded.
        ("init_lora_weights", "pissa"),
        ("layer_replication", [[0, 2]]),
        # Loads further adapters, of names that the configuration gives.
        ("peft_type", "XLORA"),
        ("peft_type", None),
        # A regular expression that takes for ever.
        ("target_modules", "(a+)+$"),
        ("target_modules", ["q_proj", 3]),
        ("exclude_modules", ".*"),
        ("layers_pattern", "(a+)+$"),
        ("modules_to_save", ["lm_head", "(a+)+$"]),
        ("rank_pattern", {"(a+)+$": 4}),
        # Memory.
        ("r", 2**40),
        ("r", 0),
        ("r", True),
        ("rank_pattern", {"q_proj": 2**40}),
        ("lora_alpha", 1e300),
        ("base_model_name_or_path", 3),
        # More than a change of the base's matrices, or not what PEFT can read.
        ("use_dora", True),
        ("lora_bias", True),
        ("bias", "all"),
        ("target_parameters", ["x"]),
        ("trainable_token_indices", [1, 2]),
        ("alora_invocation_tokens", [1]),
        ("use_some_future_thing", True),
        ("layers_to_transform", "x"),
        ("layers_to_transform", [2**40]),
        ("target_modules", None),
        ("task_type", "NOPE"),
        ("lora_dropout", "x"),
        ("lora_dropout", 5),
        ("inference_mode", "x"),
        ("revision", 5),
    ],
)
def test_what_is_more_than_plain_lora_is_refused(key, value, says):
    with pytest.raises(ModelRefError, match=rf"only plain LoRA adapters are read, and .*adapter_config\.json has {key}="):
        says(**{key: value})


def test_no_module_is_imported_because_an_adapter_names_it(says, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelRefError):
        says(megatron_core="stranger", megatron_config={"x": 1})
    assert "stranger" not in sys.modules
