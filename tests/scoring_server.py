"""A small real HTTP server that speaks as OpenAI-compatible ones do, answers from given models, and fails as it is told to."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from peft import PeftModel
from servers import running
from transformers import AutoModelForCausalLM

STALL_S = 20
FAULTS = ("500", "429", "stall", "cut", "not json", "another shape", "nan", "too few")


class ScoringServer(ThreadingHTTPServer):
    """Serves ``models`` by name; ``fault(body)`` names what goes wrong with a question now, or gives None.

    Adapters are loaded and unloaded as vLLM's server does, and ``adapters`` has what was told of them: ``("load", name)`` and so on.

    ``log`` has a row for every question in the order of arrival: its time, path, body and fate, which is ``"answered"`` or the fault.
    """

    daemon_threads = True

    def __init__(self, models, tokenizer, fault=lambda body: None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.models, self.tokenizer, self.fault = models, tokenizer, fault
        self.log, self.keys_seen, self.n_listings, self.adapters = [], set(), 0, []
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def fates(self):
        """For each question what became of it, time after time."""
        found = {}
        for _, path, body, fate in list(self.log):
            found.setdefault(path + json.dumps(body, sort_keys=True), []).append(fate)
        return found

    def tell_of_adapter(self, what, body):
        """Load or unload one; a status and, as vLLM, words for success and JSON for refusals."""
        name, known = body["lora_name"], body["lora_name"] in self.models
        if known == (what == "load"):
            return 400 if known else 404, json.dumps({"error": {"message": f"{name} has been loaded" if known else f"no {name}"}})
        if what == "load":
            config = json.loads((Path(body["lora_path"]) / "adapter_config.json").read_text())
            base = AutoModelForCausalLM.from_pretrained(config["base_model_name_or_path"])
            self.models[name] = PeftModel.from_pretrained(base, body["lora_path"]).eval()
        else:
            del self.models[name]
        self.adapters.append((what, name))
        return 200, f"Success: {what}ed {name}."

    def complete(self, body):
        """Echo the prompt's tokens with log-probabilities, one forward pass, and the likeliest next token with its own."""
        ids = torch.tensor([body["prompt"]])
        with torch.no_grad():
            logprobs = self.models[body["model"]](ids).logits.double().log_softmax(-1)[0]
        told = [None, *logprobs[:-1].gather(1, ids[0, 1:, None])[:, 0].tolist(), logprobs[-1].max().item()]
        return {"choices": [{"text": "", "logprobs": {"token_logprobs": told}}], "usage": {"prompt_tokens": ids.shape[1]}}

    def chat(self, body):
        """Write a token at a time: the likeliest at temperature 0, else drawn with the question's seed."""
        head = self.tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, return_dict=False)
        generator, ids = torch.Generator().manual_seed(body["seed"]), list(head)
        for _ in range(body["max_tokens"]):
            with torch.no_grad():
                logits = self.models[body["model"]](torch.tensor([ids])).logits[0, -1]
            greedy = body["temperature"] == 0
            ids.append(int(logits.argmax() if greedy else torch.multinomial(logits.softmax(-1), 1, generator=generator)))
            if ids[-1] == self.tokenizer.eos_token_id:
                break
        text = self.tokenizer.decode(ids[len(head) :], skip_special_tokens=True)
        reason = "stop" if ids[-1] == self.tokenizer.eos_token_id else "length"
        return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason}]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing on the terminal."""

    def do_GET(self):
        self.server.n_listings += 1
        self.reply(200, json.dumps({"object": "list", "data": [{"id": name} for name in self.server.models]}))

    def do_POST(self):
        body, server = json.loads(self.rfile.read(int(self.headers["Content-Length"]))), self.server
        server.keys_seen.add(self.headers["Authorization"])
        what, _, of_adapter = self.path.removeprefix("/v1/").partition("_lora_")
        if of_adapter:
            with server.lock:
                status, text = server.tell_of_adapter(what, body)
            self.reply(status, text, {} if status != 200 else {"Content-Type": "text/plain"})
            return
        with server.lock:
            fault = server.fault(body)
            server.log.append((time.monotonic(), self.path.removeprefix("/v1"), body, fault or "answered"))
            answer = server.chat(body) if "messages" in body else server.complete(body)
        self.act(fault, answer)

    def act(self, fault, answer):
        if fault in ("500", "429"):
            self.reply(int(fault), json.dumps({"error": {"message": "not now"}}), {"Retry-After": "1"} if fault == "429" else {})
        elif fault == "400":
            self.reply(400, json.dumps({"error": {"message": "echo is not supported; " + self.headers["Authorization"]}}))
        elif fault == "stall":
            self.server.closing.wait(STALL_S)
            self.close_connection = True
        elif fault == "cut":
            text = json.dumps(answer)
            self.reply(200, text[: len(text) // 2], {"Content-Length": str(len(text))})
            self.close_connection = True
        elif fault == "not json":
            self.reply(200, "<html>busy</html>")
        else:
            self.reply(200, json.dumps(self.spoil(fault, answer)))

    @staticmethod
    def spoil(fault, answer):
        if fault == "another shape":
            return {"hello": [1]}
        logprobs = answer["choices"][0].get("logprobs")
        if fault == "nan":
            logprobs["token_logprobs"][-2] = float("nan")
        elif fault == "too few":
            logprobs["token_logprobs"].pop()
        elif fault == "no logprobs":
            answer["choices"][0]["logprobs"] = None
        return answer

    def reply(self, status, text, headers=()):
        content = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(models, tokenizer, fault=lambda body: None):
    """A running server; it is stopped at the end."""
    server = ScoringServer(models, tokenizer, fault)
    with running(server):
        try:
            yield server
        finally:
            server.closing.set()
