"""On-policy training whose answers a colocated vLLM samples, by TRL's own code; a stand-in plays vLLM, which needs a GPU for this."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from trl.generation import vllm_generation

from agents import vllm_sampling
from agents.on_policy import OnPolicyConfig, rloo
from pg_envs.models.checks import check_files
from pg_envs.models.loading import load_base, load_tokenizer
from pg_envs.models.ref import ModelRef

PROMPTS = [f"Question {n}?" for n in range(8)]
SETTINGS = {"use_vllm": True, "vllm_gpu_memory_utilization": 0.4, "n_samples": 3, "batch_size": 2, "max_answer_tokens": 3}


class StandIn:
    """Plays ``vllm.LLM``: a plain model of its own, with the weights that it was sent last."""

    def __init__(self, **arguments):
        self.arguments = arguments
        self.model = load_base(ModelRef(arguments["model"]), torch.float32, torch.device("cpu"))
        self.own, self.n_sent, self.written = dict(self.model.named_parameters()), 0, []
        worker = SimpleNamespace(model_runner=SimpleNamespace(model=self))
        self.llm_engine = SimpleNamespace(model_executor=SimpleNamespace(driver_worker=worker))

    def load_weights(self, named):
        for name, weights in named:
            self.own[name].data.copy_(weights)
            self.n_sent += 1

    def reset_prefix_cache(self):
        pass

    def generate(self, prompts, sampling_params, use_tqdm):
        told = []
        for prompt in prompts:
            ids = torch.tensor([prompt["prompt_token_ids"]])
            made = self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=sampling_params.max_tokens, do_sample=True)
            self.written.append(made[0, ids.shape[1] :].tolist())
            told.append(
                SimpleNamespace(prompt_token_ids=ids[0].tolist(), outputs=[SimpleNamespace(token_ids=self.written[-1], logprobs=None)])
            )
        return told


@pytest.fixture
def vllm(monkeypatch):
    """The stand-ins that were started, in a list."""
    started = []

    def start(**arguments):
        started.append(StandIn(**arguments))
        return started[-1]

    config = OnPolicyConfig(**SETTINGS)
    with pytest.MonkeyPatch.context() as gpu:
        gpu.setattr(vllm_sampling, "find_spec", lambda name: object())
        gpu.setattr("torch.cuda.is_available", lambda: True)
        told = vllm_sampling.vllm_arguments(config)
    # The training itself is on the processor.
    monkeypatch.setattr("agents.on_policy.vllm_arguments", lambda config: told)
    monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda: True)
    monkeypatch.setattr(vllm_generation, "LLM", start, raising=False)
    monkeypatch.setattr(vllm_generation, "SamplingParams", lambda **settings: SimpleNamespace(**settings), raising=False)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        # Put back afterwards: TRL sets them for vLLM.
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)
    return started


@pytest.mark.usefixtures("float32")
def test_vllm_is_sent_what_was_learnt_and_its_answers_are_judged(vllm, random_base, tmp_path):
    base, judged = ModelRef(str(random_base)), []
    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": prompt}]} for prompt in PROMPTS])

    def favour_long(prompts, replies):
        judged.extend(replies)
        return [float(len(reply)) for reply in replies]

    config = OnPolicyConfig(**SETTINGS, learning_rate=5e-2)
    learnt = rloo(base, rows, favour_long, tmp_path / "learnt", 1, config)
    check_files(learnt)
    (engine,) = vllm
    arguments = engine.arguments
    assert (arguments["model"], arguments["gpu_memory_utilization"], arguments["tensor_parallel_size"]) == (str(random_base), 0.4, 1)
    assert arguments["trust_remote_code"] is False
    written = load_tokenizer(base).batch_decode(engine.written, skip_special_tokens=True)
    assert len(judged) == len(PROMPTS) * config.n_samples
    assert sorted(judged) == sorted(written), "what vLLM has written is what is judged"
    # Weights are sent before each of four steps, all that the model has, by the names that it has them under.
    assert engine.n_sent == 4 * len(engine.own)
    before = load_file(random_base / "model.safetensors")
    assert max(float((weights - before[name]).abs().max()) for name, weights in engine.own.items() if name in before) > 0.01
