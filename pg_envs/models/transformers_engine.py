"""The ``transformers`` engine: one resident base, LoRA adapters swapped on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from pg_envs.models.checks import check_files, fingerprint
from pg_envs.models.engine import AnswerLogprobs
from pg_envs.models.loading import default_device, inference_dtype, load_base, load_tokenizer
from pg_envs.models.ref import ModelRef, ModelRefError, loadable_name
from pg_envs.progress import report

MAX_ADAPTERS = 16
"""Adapters kept on the base; the least recently used one leaves first."""


class TransformersEngine:
    """Scores answers and generates text with Hugging Face transformers, in this process.

    The prompts of a batch have equal length, so nothing is padded on the left and no mask is needed; a
    prompt is read once for all its answers; logits are computed for the last prompt token and the answers'.
    """

    def __init__(self, device: torch.device | None = None, dtype: torch.dtype | None = None, batch_tokens: int = 6144) -> None:
        """Make an engine; nothing is loaded yet.

        Args:
            device: Defaults to the first GPU, else the processor.
            dtype: Defaults to bfloat16 where the device has units for it, else float32.
            batch_tokens: About how many prompt tokens go through the model at once.
        """
        self.device = device or default_device()
        self.dtype = dtype or inference_dtype(self.device)
        self.batch_tokens = batch_tokens
        self._base: tuple[str, str | None] | None = None
        self._model: Any = None
        self._tokenizer: Any = None
        self._adapters: dict[str, str] = {}

    def check(self, model: ModelRef) -> None:
        """Raise ``ModelRefError`` if the files behind ``model`` are missing, damaged, or for another base."""
        check_files(model)

    def choice_logprobs(
        self, model: ModelRef, prompts: Sequence[str], answers: Sequence[Sequence[str]]
    ) -> list[AnswerLogprobs]:
        """Score ``answers[i]`` as replies to ``prompts[i]``; see ``Engine``."""
        self._activate(model)
        prompt_ids = self._encode_prompts(prompts)
        answer_ids = [[self._encode_answer(answer) for answer in group] for group in answers]
        results: list[AnswerLogprobs | None] = [None] * len(prompts)
        done = 0
        for batch in self._batches(prompt_ids, [(len(group), max(map(len, group)) > 1) for group in answer_ids]):
            totals = self._score([prompt_ids[i] for i in batch], [answer_ids[i] for i in batch])
            for row, index in enumerate(batch):
                lengths = np.array([len(ids) for ids in answer_ids[index]])
                results[index] = AnswerLogprobs(totals[row], lengths)
            done += len(batch)
            report("asking", done, len(prompts))
        return [result for result in results if result is not None]

    @torch.inference_mode()
    def generate(
        self, model: ModelRef, prompts: Sequence[str], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[str]:
        """Reply to each prompt; see ``Engine``."""
        self._activate(model)
        prompt_ids = self._encode_prompts(prompts)
        replies = [""] * len(prompts)
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature > 0 else {"do_sample": False}
        done = 0
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            for batch in self._batches(prompt_ids, [(1, False)] * len(prompts)):
                ids = torch.tensor([prompt_ids[i] for i in batch], device=self.device)
                out = self._model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=max_new_tokens,
                    pad_token_id=self._tokenizer.pad_token_id,
                    **sampling,
                )
                texts = self._tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
                for index, text in zip(batch, texts, strict=True):
                    replies[index] = text.strip()
                done += len(batch)
                report("writing", done, len(prompts))
        return replies

    def _activate(self, ref: ModelRef) -> None:
        """Make ``ref`` the model that runs: load what is not resident, switch adapters."""
        self.check(ref)
        if self._base != (ref.base, ref.revision):
            # Let go of the old base before the new one is loaded: both need not fit.
            self._base, self._model, self._adapters = None, None, {}
            self._tokenizer = load_tokenizer(ref)
            self._model = load_base(ref, self.dtype, self.device)
            self._base = (ref.base, ref.revision)
        if ref.adapter is None:
            if self._adapters:
                self._model.disable_adapters()
            return
        # Weights, not paths, say whether an adapter is resident: a folder may have been written anew.
        key = fingerprint(ref)
        if key in self._adapters:
            self._adapters[key] = self._adapters.pop(key)
        else:
            self._load_adapter(ref, key)
        self._model.enable_adapters()
        self._model.set_adapter(self._adapters[key])

    def _load_adapter(self, ref: ModelRef, key: str) -> None:
        if len(self._adapters) >= MAX_ADAPTERS:
            self._model.delete_adapter(self._adapters.pop(next(iter(self._adapters))))
        name = f"adapter_{key}"
        try:
            self._model.load_adapter(loadable_name(ref.adapter or ""), adapter_name=name, use_safetensors=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelRefError(f"{ref}: the adapter does not load: {error}") from error
        self._model.to(dtype=self.dtype).eval()
        self._adapters[key] = name

    def _encode_prompts(self, prompts: Sequence[str]) -> list[list[int]]:
        turns = [[{"role": "user", "content": prompt}] for prompt in prompts]
        texts = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return self._tokenizer(texts, add_special_tokens=False).input_ids

    def _encode_answer(self, answer: str) -> list[int]:
        ids = self._tokenizer(answer, add_special_tokens=False).input_ids
        if not ids:
            raise ValueError(f"an answer must have at least one token; {answer!r} has none")
        return ids

    def _batches(self, prompt_ids: Sequence[Sequence[int]], kinds: Sequence[tuple[int, bool]]) -> Iterator[list[int]]:
        """Indices of prompts of one length and one kind of answers, ``batch_tokens`` at a time, longest first."""
        groups: dict[tuple[int, tuple[int, bool]], list[int]] = {}
        for index, (ids, kind) in enumerate(zip(prompt_ids, kinds, strict=True)):
            groups.setdefault((len(ids), kind), []).append(index)
        for (length, _), members in sorted(groups.items(), reverse=True):
            size = max(1, self.batch_tokens // length)
            for start in range(0, len(members), size):
                yield members[start : start + size]

    @torch.inference_mode()
    def _score(self, prompts: list[list[int]], answers: list[list[list[int]]]) -> np.ndarray:
        """(B, K) summed log-probabilities of K answers to each of B prompts of equal length."""
        n_answers = len(answers[0])
        longest = max(len(ids) for group in answers for ids in group)
        tokens = torch.full((len(prompts) * n_answers, longest), self._tokenizer.pad_token_id, dtype=torch.long)
        lengths = torch.zeros(len(tokens), 1, dtype=torch.long)
        for row, ids in enumerate(ids for group in answers for ids in group):
            tokens[row, : len(ids)] = torch.tensor(ids)
            lengths[row] = len(ids)
        tokens, lengths = tokens.to(self.device), lengths.to(self.device)
        out = self._model(input_ids=torch.tensor(prompts, device=self.device), logits_to_keep=1, use_cache=longest > 1)
        first = out.logits[:, -1].float().log_softmax(-1).repeat_interleave(n_answers, dim=0)
        scores = first.gather(1, tokens[:, :1])
        if longest > 1:
            cache = out.past_key_values
            cache.batch_repeat_interleave(n_answers)
            # Padding stands on the right, where causal attention never looks back from an answer's own tokens.
            logits = self._model(input_ids=tokens[:, :-1], past_key_values=cache).logits.float()
            later = logits.log_softmax(-1).gather(2, tokens[:, 1:, None]).squeeze(2)
            inside = torch.arange(1, longest, device=self.device) < lengths
            scores = scores + torch.where(inside, later, 0.0).sum(1, keepdim=True)
        return scores.double().view(len(prompts), n_answers).cpu().numpy()
