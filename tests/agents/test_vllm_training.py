"""On-policy training whose answers vLLM samples, by TRL's own code; stand-ins play vLLM, colocated or a server: it needs a GPU for this."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from servers import running
from trl.generation import vllm_client, vllm_generation

from agents import vllm_sampling
from agents.on_policy import OnPolicyConfig, rloo
from pg_envs.models.checks import check_files
from pg_envs.models.loading import load_base, load_tokenizer
from pg_envs.models.ref import ModelRef

PROMPTS = [f"Question {n}?" for n in range(8)]
SETTINGS = {"use_vllm": True, "n_samples": 3, "batch_size": 2, "max_answer_tokens": 3, "learning_rate": 5e-2}
CHECK = vllm_client.VLLMClient.check_server


class StandIn:
    """Plays vLLM's model: a plain one of its own, with the weights that it was sent last."""

    def __init__(self, name):
        self.model = load_base(ModelRef(name), torch.float32, torch.device("cpu"))
        self.own, self.n_sent, self.written = dict(self.model.named_parameters()), 0, []

    def load_weights(self, named):
        for name, weights in named:
            self.own[name].data.copy_(weights)
            self.n_sent += 1

    def continue_once(self, prompt_ids, n_tokens):
        ids = torch.tensor([prompt_ids])
        made = self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n_tokens, do_sample=True)
        self.written.append(made[0, ids.shape[1] :].tolist())
        return self.written[-1]


class Colocated(StandIn):
    """Plays ``vllm.LLM``."""

    def __init__(self, **arguments):
        super().__init__(arguments["model"])
        self.arguments = arguments
        worker = SimpleNamespace(model_runner=SimpleNamespace(model=self))
        self.llm_engine = SimpleNamespace(model_executor=SimpleNamespace(driver_worker=worker))

    def reset_prefix_cache(self):
        pass

    def generate(self, prompts, sampling_params, use_tqdm):
        told = []
        for prompt in prompts:
            ids = prompt["prompt_token_ids"]
            outputs = [SimpleNamespace(token_ids=self.continue_once(ids, sampling_params.max_tokens), logprobs=None)]
            told.append(SimpleNamespace(prompt_token_ids=ids, outputs=outputs))
        return told


class Server(StandIn, ThreadingHTTPServer):
    """Plays ``vllm serve``, as far as TRL's own client asks it; ``asked`` has every request's path, in order."""

    def __init__(self, name):
        StandIn.__init__(self, name)
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), Answering)
        self.name, self.asked, self.announced = name, [], []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answer(self, path, body):
        self.asked.append(path)
        if path == "/v1/models":
            return {"data": [{"id": self.name}]}
        if path == "/update_weights":
            self.announced.append(body["update_info"])
        if path != "/v1/completions":
            return {}
        assert body["model"] == self.name
        choices = [
            {"prompt_token_ids": ids, "token_ids": self.continue_once(ids, body["max_tokens"]), "logprobs": None}
            for ids in body["prompt"]
            for _ in range(body["n"])
        ]
        return {"choices": choices}


class Answering(BaseHTTPRequestHandler):
    """One request to ``Server``."""

    def log_message(self, *_):
        """Nothing on the terminal."""

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        text = json.dumps(self.server.answer(self.path, body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def told_on_a_gpu(config):
    """What TRL is told, where there is vLLM and a GPU; the training itself is on the processor."""
    with pytest.MonkeyPatch.context() as gpu:
        gpu.setattr(vllm_sampling, "find_spec", lambda name: object())
        gpu.setattr("torch.cuda.is_available", lambda: True)
        return vllm_sampling.vllm_arguments(config)


@pytest.fixture
def colocated(monkeypatch):
    """The stand-ins that were started, in a list."""
    started = []

    def start(**arguments):
        started.append(Colocated(**arguments))
        return started[-1]

    monkeypatch.setattr("agents.on_policy.vllm_arguments", told_on_a_gpu)
    monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda: True)
    monkeypatch.setattr(vllm_generation, "LLM", start, raising=False)
    monkeypatch.setattr(vllm_generation, "SamplingParams", lambda **settings: SimpleNamespace(**settings), raising=False)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        # Put back afterwards: TRL sets them for vLLM.
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)
    return started


@pytest.fixture
def server(monkeypatch, random_base):
    """A stand-in that serves; what NCCL carries on GPUs, it is handed."""
    monkeypatch.setattr("agents.on_policy.vllm_arguments", told_on_a_gpu)
    with running(Server(str(random_base))) as serving:

        def broadcast(iterator, group, src, post_iter_func):
            assert group is serving
            serving.load_weights((item[0], post_iter_func(item)) for item in iterator)

        def connect(client, device):
            client.communicator = serving

        for module in (vllm_generation, vllm_client):
            monkeypatch.setattr(module, "is_vllm_available", lambda: True)
        monkeypatch.setattr(vllm_client, "_HAS_STATEFUL_TRAINER_ENGINE", True)
        monkeypatch.setattr(vllm_client, "packed_nccl_broadcast_producer", broadcast, raising=False)
        monkeypatch.setattr(vllm_client.VLLMClient, "init_communicator", connect)
        yield serving


def train(base, out, config):
    """On-policy, favouring long answers; the answers that were judged."""
    judged = []
    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": prompt}]} for prompt in PROMPTS])

    def favour_long(prompts, replies):
        judged.extend(replies)
        return [float(len(reply)) for reply in replies]

    check_files(rloo(base, rows, favour_long, out, 1, config))
    return judged


def check_what_was_sent_and_judged(engine, base, judged):
    written = load_tokenizer(base).batch_decode(engine.written, skip_special_tokens=True)
    assert len(judged) == len(PROMPTS) * SETTINGS["n_samples"]
    assert sorted(judged) == sorted(written), "what vLLM has written is what is judged"
    # Weights are sent before each of four steps, all that the model has, by the names that it has them under.
    assert engine.n_sent == 4 * len(engine.own)
    before = load_file(Path(base.base) / "model.safetensors")
    assert max(float((weights.detach() - before[name]).abs().max()) for name, weights in engine.own.items() if name in before) > 0.01


@pytest.mark.usefixtures("float32")
def test_a_colocated_vllm_is_sent_what_was_learnt_and_its_answers_are_judged(colocated, random_base, tmp_path):
    base = ModelRef(str(random_base))
    config = OnPolicyConfig(**SETTINGS, vllm_gpu_memory_utilization=0.4)
    judged = train(base, tmp_path / "learnt", config)
    (engine,) = colocated
    arguments = engine.arguments
    assert (arguments["model"], arguments["gpu_memory_utilization"], arguments["tensor_parallel_size"]) == (str(random_base), 0.4, 1)
    assert arguments["trust_remote_code"] is False
    check_what_was_sent_and_judged(engine, base, judged)


@pytest.mark.usefixtures("float32")
def test_a_server_is_sent_what_was_learnt_and_its_answers_are_judged(server, random_base, tmp_path):
    base = ModelRef(str(random_base))
    judged = train(base, tmp_path / "learnt", OnPolicyConfig(**SETTINGS, vllm_mode="server", vllm_server_url=server.url))
    check_what_was_sent_and_judged(server, base, judged)
    step = ["/start_weight_update", "/update_weights", "/finish_weight_update", "/reset_prefix_cache", "/v1/completions"]
    assert server.asked == ["/health", "/v1/models", *4 * step]
    assert all(set(told["names"]) == set(server.own) for told in server.announced)


@pytest.mark.usefixtures("server")
def test_a_server_that_is_not_there_is_named(random_base, tmp_path, monkeypatch):
    monkeypatch.setattr(vllm_client.VLLMClient, "check_server", lambda client, total_timeout: CHECK(client, 0.0))
    config = OnPolicyConfig(**SETTINGS, vllm_mode="server", vllm_server_url="http://127.0.0.1:1")
    with pytest.raises(OSError, match=re.escape("http://127.0.0.1:1")):
        train(ModelRef(str(random_base)), tmp_path / "learnt", config)
    assert not (tmp_path / "learnt").exists()
