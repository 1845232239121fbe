"""A hub and a cache for tests: huggingface_hub's own code runs, but what it asks the network for is served from folders."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

HUB_COMMIT = "a" * 40
"""What ``main`` of every served repository stands for."""
CACHED_COMMIT = "c" * 40
"""What ``main`` stands for in the cache, where ``put_in_cache`` is not told otherwise."""


def save_llama3(folder: Path, tokenizer, seed: int) -> Path:
    """A random model laid out as HistLlama3: Llama 3's architecture, bfloat16, four shards, no chat template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        **{key: getattr(tokenizer, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    n_bytes_of_layers = sum(parameter.nbytes for parameter in model.model.layers.parameters())
    # Input and output embeddings are larger than that and get a shard each.
    model.save_pretrained(folder, max_shard_size=n_bytes_of_layers * 6 // 10)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink()
    assert len(list(folder.glob("*.safetensors"))) == 4
    return folder


def put_in_cache(cache: Path, name: str, files: dict[str, Path], commit=CACHED_COMMIT, revision="main", kind="model") -> Path:
    """Lay files out as the hub's cache does: blobs by their hash, links to them in the snapshot; returns the snapshot."""
    storage = cache / f"{kind}s--{name.replace('/', '--')}"
    snapshot = storage / "snapshots" / commit
    for folder in (storage / "blobs", storage / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    (storage / "refs" / revision).write_text(commit)
    for filename, source in files.items():
        content = source.read_bytes()
        blob = storage / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        link = snapshot / filename
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(blob)
    return snapshot


def files_of(folder: Path) -> dict[str, Path]:
    """The files in a folder, by their names in it."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def refusal(kind, status: int):
    """One of huggingface_hub's errors about an answer of the hub."""
    return kind(f"{status} Client Error", response=SimpleNamespace(headers={}, request=None, status_code=status))


class FakeHub:
    """Serves folders as repositories, and keeps what was fetched."""

    def __init__(self, monkeypatch, cache: Path):
        self.cache, self.served, self.fetched = cache, {}, []
        self.refusal: Exception | None = None
        """Raised instead of an answer about a repository."""
        self.breaks_at: tuple[str, Exception] | None = None
        """A file that is not given, and what is raised instead."""
        commit = SimpleNamespace(sha=HUB_COMMIT)
        monkeypatch.setattr("huggingface_hub.HfApi.repo_info", lambda *_, **__: self._answer(commit))
        monkeypatch.setattr("huggingface_hub.HfApi.list_repo_tree", lambda _, repo_id, **__: self._answer(self._tree(repo_id)))
        monkeypatch.setattr("huggingface_hub._snapshot_download.hf_hub_download", self._file)

    def _answer(self, answer):
        if self.refusal is not None:
            raise self.refusal
        return answer

    def _tree(self, name):
        from huggingface_hub.hf_api import RepoFile

        return [
            RepoFile(path=filename, size=path.stat().st_size, oid=hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest())
            for filename, path in self.served[name].items()
        ]

    def _file(self, name, filename, repo_type, revision, dry_run, **_):
        from huggingface_hub import DryRunFileInfo

        source = self.served[name][filename]
        cached = self.cache / f"{repo_type}s--{name.replace('/', '--')}" / "snapshots" / revision / filename
        if dry_run:
            return DryRunFileInfo(revision, source.stat().st_size, filename, str(source), cached.exists(), not cached.exists())
        if cached.exists():
            return str(cached)
        if self.breaks_at is not None and filename == self.breaks_at[0]:
            raise self.breaks_at[1]
        self.fetched.append(f"{name}/{filename}")
        return str(put_in_cache(self.cache, name, {filename: source}, revision, kind=repo_type) / filename)


def shard_names(folder: Path) -> list[str]:
    """The shards that a model folder's index lists, in order."""
    return sorted(set(json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"].values()))
