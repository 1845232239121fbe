"""What the vllm engine asks of vLLM and makes of its answers, with a stand-in for ``vllm`` that keeps a log."""

import shutil
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest
import torch
from tests_support import save_adapter_at_random

from pg_envs.models import loading, vllm_process
from pg_envs.models.engine import EngineError, make_engine
from pg_envs.models.ref import ModelRef, ModelRefError

PROMPTS, ANSWERS = ["Who goes there?", "Tell me of the sea."], [["A", "B"], ["It is wide and deep", "No", "I had rather not"]]
CONTEXT_TOKENS = 200


def as_it_comes(*args, **kwargs):
    return SimpleNamespace(args=args, **kwargs)


class StandIn:
    """Plays ``vllm``: a token has minus its own number as log-probability, and a reply is the prompt's last three tokens."""

    def __init__(self):
        self.events, self.started, self.asked, self.loaded = [], [], [], []
        self.failure = None

    def make_llm(self, **arguments):
        name = arguments["model"]
        self.events.append(("start", name))
        self.started.append(arguments)
        core = SimpleNamespace(shutdown=lambda: self.events.append(("end", name)))
        return SimpleNamespace(
            model_config=SimpleNamespace(max_model_len=CONTEXT_TOKENS),
            llm_engine=SimpleNamespace(engine_core=core, add_lora=self.load),
            generate=self.generate,
        )

    def load(self, request):
        self.loaded.append(request.args)
        if self.failure is not None:
            raise self.failure

    def generate(self, prompts, sampling, lora_request, use_tqdm):
        assert use_tqdm is False
        if self.failure is not None:
            raise self.failure
        self.asked += zip((prompt["prompt_token_ids"] for prompt in prompts), sampling, [lora_request] * len(prompts), strict=True)
        return [
            SimpleNamespace(
                prompt_token_ids=ids,
                prompt_logprobs=[None, *({token: as_it_comes(logprob=-token), -1: as_it_comes(logprob=0.0)} for token in ids[1:])],
                outputs=[SimpleNamespace(token_ids=ids[-3:], finish_reason="stop" if len(ids) % 2 else "length")],
            )
            for ids in (prompt["prompt_token_ids"] for prompt in prompts)
        ]


@pytest.fixture
def vllm(monkeypatch):
    played = StandIn()
    contents = {
        "vllm": {"LLM": played.make_llm, "SamplingParams": as_it_comes},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": as_it_comes},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    for name in vllm_process.ENVIRONMENT:
        # Put back afterwards, as the engine sets what is not there.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return played


@pytest.fixture(scope="module")
def base(random_base):
    return ModelRef(str(random_base))


@pytest.fixture(scope="module")
def adapted(base, tmp_path_factory):
    return [save_adapter_at_random(base, tmp_path_factory.mktemp("adapters") / str(seed), seed) for seed in (1, 2)]


def head(tokenizer, prompt):
    return tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False)


def test_an_answers_own_tokens_are_summed(vllm, base, tokenizer):
    scored = make_engine("vllm").choice_logprobs(base, PROMPTS, ANSWERS)
    tails = [[tokenizer(answer, add_special_tokens=False).input_ids for answer in group] for group in ANSWERS]
    assert [found.total.tolist() for found in scored] == [[-sum(tail) for tail in group] for group in tails]
    assert [found.n_tokens.tolist() for found in scored] == [[len(tail) for tail in group] for group in tails]
    rows = [head(tokenizer, prompt) + tail for prompt, group in zip(PROMPTS, tails, strict=True) for tail in group]
    assert [row for row, *_ in vllm.asked] == rows
    assert all(sampling.prompt_logprobs == 0 and sampling.max_tokens == 1 for _, sampling, _ in vllm.asked)


def test_replies_are_seeded_one_by_one(vllm, base, tokenizer):
    engine = make_engine("vllm")
    prompts = [PROMPTS[0]] * 2
    replies = [engine.generate(base, prompts, max_new_tokens=7, temperature=0.5, seed=seed) for seed in (1, 1, 2)]
    assert replies[0] == [tokenizer.decode(head(tokenizer, PROMPTS[0])[-3:], skip_special_tokens=True).strip()] * 2
    first, again, other = ([sampling.seed for _, sampling, _ in vllm.asked[i : i + 2]] for i in (0, 2, 4))
    assert first == again
    assert len({*first, *other}) == 4
    assert {(sampling.max_tokens, sampling.temperature) for _, sampling, _ in vllm.asked} == {(7, 0.5)}


def test_a_reply_is_whole_if_vllm_says_that_it_stopped(vllm, base, tokenizer):
    prompts = [PROMPTS[0], f"{PROMPTS[0]} x", f"{PROMPTS[0]} x y"]
    replies = make_engine("vllm").replies(base, prompts, max_new_tokens=7)
    assert [reply.is_whole for reply in replies] == [len(head(tokenizer, prompt)) % 2 == 1 for prompt in prompts]
    assert len({reply.is_whole for reply in replies}) == 2


def test_one_base_runs_at_a_time_and_ends_with_the_engine(vllm, base, random_base, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(random_base, other)
    engine = make_engine("vllm")
    assert vllm.events == []
    for ref in (base, base, ModelRef(str(other))):
        engine.generate(ref, PROMPTS)
    assert vllm.events == [("start", base.base), ("end", base.base), ("start", str(other))]
    del engine
    assert vllm.events[3:] == [("end", str(other))]


def test_adapters_are_known_by_their_weights(vllm, base, adapted, tmp_path):
    engine = make_engine("vllm")
    place = base.with_adapter(tmp_path / "policy")
    for source in adapted:
        shutil.rmtree(place.adapter, ignore_errors=True)
        shutil.copytree(source.adapter, place.adapter)
        engine.generate(place, PROMPTS[:1])
    for ref in (adapted[0], base):
        engine.generate(ref, PROMPTS[:1])
    first, rewritten, elsewhere, bare = (request for *_, request in vllm.asked)
    assert first.args[:2] != rewritten.args[:2]
    assert first.args[0] != rewritten.args[0]
    assert elsewhere.args == (*first.args[:2], adapted[0].adapter)
    assert bare is None
    assert len(vllm.loaded) == 3
    assert vllm.started[0]["lora_target_modules"] == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


def test_adapters_that_differ_in_scale_only_are_two_to_vllm(vllm, adapted, tmp_path):
    louder = shutil.copytree(adapted[0].adapter, tmp_path / "louder") / "adapter_config.json"
    louder.write_text(louder.read_text().replace('"lora_alpha": 8', '"lora_alpha": 9'))
    engine = make_engine("vllm")
    for ref in (adapted[0], adapted[0].with_adapter(louder.parent)):
        engine.generate(ref, PROMPTS[:1])
    assert len({request.args[:2] for *_, request in vllm.asked}) == 2


def test_what_vllm_would_leave_out_of_an_adapter_is_refused(vllm, base, tmp_path):
    headed = save_adapter_at_random(base, tmp_path / "headed", 3, target_modules=["q_proj", "lm_head"])
    with pytest.raises(ModelRefError, match="headed: the adapter changes lm_head, which vLLM would leave unchanged"):
        make_engine("vllm").choice_logprobs(headed, PROMPTS, ANSWERS)


def test_an_adapter_that_vllm_refuses_is_named(vllm, adapted):
    vllm.failure = RuntimeError("LoRA rank 64 is greater than max_lora_rank 8.")
    with pytest.raises(ModelRefError, match=r"rank 64 is greater.*above 8 needs a larger max_lora_rank"):
        make_engine("vllm?max_lora_rank=8").generate(adapted[0], PROMPTS)
    with pytest.raises(ModelRefError, match="without adapters; leave max_lora_rank=0 out"):
        make_engine("vllm?max_lora_rank=0").generate(adapted[0], PROMPTS)
    assert "enable_lora" not in vllm.started[-1]


def test_too_long_a_prompt_is_refused_before_anything_is_asked(vllm, base):
    with pytest.raises(EngineError, match=f"expected at most {CONTEXT_TOKENS - 1}; shorten it, or raise max_model_len"):
        make_engine("vllm").choice_logprobs(base, [PROMPTS[0], "sea " * CONTEXT_TOKENS], [["A"], ["A"]])
    assert vllm.asked == []


def test_an_interrupted_vllm_is_ended_and_started_anew(vllm, base):
    engine = make_engine("vllm")
    engine.generate(base, PROMPTS)
    vllm.failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        engine.generate(base, PROMPTS)
    vllm.failure = None
    assert len(engine.generate(base, PROMPTS)) == 2
    assert [event for event, _ in vllm.events] == ["start", "end", "start"]


@pytest.mark.parametrize(
    ("device", "fast_bfloat16", "name", "expected"),
    [
        ("cpu", False, "vllm", ("float32", 2 * 2**30, None)),
        ("cpu", True, "vllm?kv_cache_gib=0.5&max_model_len=64", ("bfloat16", 2**29, 64)),
        ("cuda", True, "vllm", ("bfloat16", None, None)),
        ("cuda", True, "vllm?dtype=float16&kv_cache_gib=3", ("float16", 3 * 2**30, None)),
    ],
)
def test_vllm_is_started_for_the_device(vllm, base, monkeypatch, device, fast_bfloat16, name, expected):
    monkeypatch.setattr(vllm_process, "default_device", lambda: torch.device(device))
    monkeypatch.setattr(loading, "has_fast_bfloat16", lambda device: fast_bfloat16)
    make_engine(name).generate(base, PROMPTS)
    asked = vllm.started[0]
    assert (asked["dtype"], asked["kv_cache_memory_bytes"], asked["max_model_len"]) == expected
    assert (asked["load_format"], asked["trust_remote_code"], asked["enable_prefix_caching"]) == ("safetensors", False, True)


def test_a_vllm_that_does_not_start_says_so(vllm, base, monkeypatch):
    def broken(**arguments):
        raise RuntimeError("Engine core initialization failed")

    monkeypatch.setattr(sys.modules["vllm"], "LLM", broken)
    with pytest.raises(EngineError, match=r"vLLM does not start: Engine core initialization failed.*kv_cache_gib"):
        make_engine("vllm").generate(base, PROMPTS)
