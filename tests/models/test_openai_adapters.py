"""The openai engine has a server load adapters, judges each by its own weights, and has it unload them in the end."""

import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from scoring_server import serving
from tests_support import FOLLOW, save_adapter_at_random
from transformers import AutoModelForCausalLM

from pg_envs.models.engine import EngineError, make_engine
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.values.forms import make_questions
from pg_envs.values.questionnaire import load_questionnaire

LOADING = "?backoff_s=0.01&retries=1&load_adapters=true"


pytestmark = pytest.mark.usefixtures("straight_to_servers")


@pytest.fixture(scope="module")
def base(random_base):
    return ModelRef(str(random_base))


@pytest.fixture
def server(base, tokenizer):
    """One that serves the base only."""
    with serving({str(base): AutoModelForCausalLM.from_pretrained(base.base).eval()}, tokenizer) as server:
        yield server


@pytest.fixture(scope="module")
def questions():
    return make_questions(load_questionnaire().items[:1], ("ab",))


def totals(engine, ref, questions):
    scored = engine.choice_logprobs(ref, [q.prompt for q in questions], [q.answers for q in questions])
    return np.array([answers.total for answers in scored])


def local(ref, questions):
    return totals(TransformersEngine(torch.device("cpu"), torch.float32), ref, questions)


def test_an_adapter_is_loaded_once_and_unloaded_in_the_end(base, server, questions, tmp_path):
    adapted = save_adapter_at_random(base, tmp_path / "adapter", seed=1)
    engine = make_engine(f"openai:{server.url}{LOADING}")
    engine.check(adapted)
    assert [what for what, _ in server.adapters] == ["load"]
    np.testing.assert_allclose(totals(engine, adapted, questions), local(adapted, questions), atol=1e-3)
    np.testing.assert_allclose(totals(engine, base, questions), local(base, questions), atol=1e-3)
    assert len(engine.generate(adapted, ["Who goes there?"], max_new_tokens=2)) == 1
    assert len(server.adapters) == 1
    del engine
    (_, loaded), (what, unloaded) = server.adapters
    assert (what, unloaded) == ("unload", loaded)
    assert list(server.models) == [str(base)]


def test_other_weights_in_the_same_folder_are_another_model(base, server, questions, tmp_path):
    """What an earlier run left on the server, or this one asked before, is not taken for it."""
    first = save_adapter_at_random(base, tmp_path / "adapter", seed=1)
    engine = make_engine(f"openai:{server.url}{LOADING}")
    before = totals(engine, first, questions)
    second = save_adapter_at_random(base, tmp_path / "adapter", seed=2)
    assert first == second
    found = totals(engine, second, questions)
    np.testing.assert_allclose(found, local(second, questions), atol=1e-3)
    assert np.abs(found - before).max() > 0.01


def test_several_processes_may_load_the_same_adapter_at_once(base, server, questions, tmp_path, monkeypatch):
    """The second one looks before the first has loaded it, and comes too late."""
    adapted = save_adapter_at_random(base, tmp_path / "adapter", seed=1)
    first, second = (make_engine(f"openai:{server.url}{LOADING}") for _ in range(2))
    model_names = second.server.model_names
    stale = [model_names()]
    monkeypatch.setattr(second.server, "model_names", lambda: stale.pop() if stale else model_names())
    expected = totals(first, adapted, questions)
    np.testing.assert_array_equal(totals(second, adapted, questions), expected)
    assert stale == []
    assert [what for what, _ in server.adapters] == ["load"]


def test_an_adapter_that_another_run_unloaded_is_loaded_again(base, server, questions, tmp_path):
    adapted = save_adapter_at_random(base, tmp_path / "adapter", seed=1)
    first, second = (make_engine(f"openai:{server.url}{LOADING}") for _ in range(2))
    expected = totals(first, adapted, questions)
    totals(second, adapted, questions)
    del first
    assert list(server.models) == [str(base)]
    np.testing.assert_array_equal(totals(second, adapted, questions), expected)


def test_what_is_no_adapter_is_refused_before_the_server_is_asked(base, server, tmp_path):
    engine = make_engine(f"openai:{server.url}{LOADING}")
    with pytest.raises(ModelRefError, match="no adapter folder at"):
        engine.check(base.with_adapter(tmp_path / "nowhere"))
    assert server.n_listings == 0


def test_a_server_that_does_not_load_adapters_is_told_what_to_do(base, server, tmp_path, monkeypatch):
    adapted = save_adapter_at_random(base, tmp_path / "adapter", seed=1)
    monkeypatch.setattr(server, "tell_of_adapter", lambda *_: (404, '{"detail": "Not Found"}'))
    with pytest.raises(EngineError, match=r"/load_lora_adapter refused a question with status 404.*VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        make_engine(f"openai:{server.url}{LOADING}").check(adapted)


def test_what_a_program_loaded_is_unloaded_when_it_ends(base, server, tmp_path):
    adapted = save_adapter_at_random(base, tmp_path / "adapter", seed=1)
    code = (
        "import sys\n"
        "from pg_envs.models.engine import make_engine\n"
        "from pg_envs.models.ref import ModelRef\n"
        "engine = make_engine(sys.argv[1])\n"
        "engine.check(ModelRef.parse(sys.argv[2]))\n"
    )
    subprocess.run([sys.executable, "-c", code, f"openai:{server.url}{LOADING}", str(adapted)], check=True)
    assert [what for what, _ in server.adapters] == ["load", "unload"]


def test_an_agent_trains_and_is_judged_on_the_server(base, server, tiny_recording, small_questionnaire, tmp_path):
    """As docs/scale.md has the 70B do it: recorded humans, training here, judging there."""
    from agents.lifelong_dpo import LifelongDPO, LifelongDPOConfig

    env = gym.make(
        FOLLOW,
        history=f"recorded:{tiny_recording}",
        centuries=("C019", "C021"),
        questionnaire=small_questionnaire,
        engine=f"openai:{server.url}{LOADING}",
        initial_policy=str(base),
        disable_env_checker=True,
    )
    observation, _ = env.reset(seed=0)
    agent, ended, policies = LifelongDPO(env, LifelongDPOConfig(learning_rate=1e-2), tmp_path), False, []
    while not ended:
        policies.append(agent.act(observation))
        observation, _, ended, _, info = env.step(policies[-1])
        assert np.abs(info["policy_vector"]).max() > 0
    assert len(set(policies)) == 2
    assert [what for what, _ in server.adapters] == ["load", "load"]
    assert all(Path(policy.adapter).name in name for policy, (_, name) in zip(policies, server.adapters, strict=True))
    env.close()
    assert list(server.models) == [str(base)]
