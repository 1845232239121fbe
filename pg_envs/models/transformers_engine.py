"""The ``transformers`` engine: models are run in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from peft import PeftModel

from pg_envs.models.batching import Batch, by_length, plan
from pg_envs.models.checks import check_files
from pg_envs.models.conversation import Prompt
from pg_envs.models.encoding import encode_prompts
from pg_envs.models.engine import AnswerLogprobs, Reply
from pg_envs.models.loading import default_device, inference_dtype
from pg_envs.models.memory import halving_batch_once, was_halved
from pg_envs.models.ref import ModelRef
from pg_envs.models.resident import MERGED_UP_TO_BYTES, Resident
from pg_envs.models.reuse import going_on, inside, last_feed_forward_at
from pg_envs.models.side_by_side import side_by_side
from pg_envs.progress import report

PROCESSOR_BATCH_TOKENS, GPU_BATCH_TOKENS = 4096, 16384
"""What fits a processor's caches, and what keeps a GPU busy."""
MOST_AT_ONCE = 4
"""Batches; with more, threads wait for each other's turn at Python."""
PLANS_KEPT = 4
"""The same questions are put to one century's models after another's."""


class TransformersEngine:
    """Scores answers and generates text with Hugging Face transformers, in this process.

    The prompts of a batch have one length up to a few tokens of padding on the right, which nothing looks at; a
    prompt is read once for all its answers; logits are computed for the last prompt token and the answers'. Where memory
    does not do, ``batch_tokens`` is halved, once (``pg_envs.models.memory``).
    """

    def __init__(
        self,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        batch_tokens: int | None = None,
        merged_up_to_bytes: int = MERGED_UP_TO_BYTES,
    ) -> None:
        """Make an engine; nothing is loaded yet.

        Args:
            device: Defaults to the first GPU, else the processor.
            dtype: Defaults to bfloat16 where the device has units for it, else float32, unless ``PG_ENVS_DTYPE`` says which.
            batch_tokens: About how many prompt tokens are in a batch; defaults to what a processor's caches hold, and to more
                on a GPU. Small models on a processor have up to four batches computed at once, until memory does not do.
            merged_up_to_bytes: Adapters of bases up to this size are merged into a copy of the base, one at a time;
                those of larger ones are swapped on the base itself.
        """
        self.device = device or default_device()
        self.dtype = dtype or inference_dtype(self.device)
        self.batch_tokens = batch_tokens or (PROCESSOR_BATCH_TOKENS if self.device.type == "cpu" else GPU_BATCH_TOKENS)
        self._resident = Resident(self.device, self.dtype, merged_up_to_bytes)
        self._plan = lru_cache(PLANS_KEPT)(plan)

    def check(self, model: ModelRef) -> None:
        """Raise ``ModelRefError`` if the files behind ``model`` are missing, damaged, or for another base."""
        check_files(model)

    def arithmetic(self) -> dict[str, Any]:
        """Device, type of numbers and, on a processor, threads: numbers are the same again where all three are."""
        on = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        threads = {"threads": torch.get_num_threads()} if self.device.type == "cpu" else {}
        return {"device": on, "dtype": str(self.dtype).removeprefix("torch."), **threads}

    @halving_batch_once
    def choice_logprobs(self, model: ModelRef, prompts: Sequence[str], answers: Sequence[Sequence[str]]) -> list[AnswerLogprobs]:
        """Score ``answers[i]`` as replies to ``prompts[i]``; see ``Engine``."""
        results: dict[int, AnswerLogprobs] = {}
        with self._loaded(model) as running:
            asked = self._plan(self._resident.tokenizer, tuple(prompts), tuple(map(tuple, answers)), self.batch_tokens)

            def score(body: Any, batch: Batch) -> np.ndarray:
                return self._score(body, batch, [asked.answers[i] for i in batch.members])

            for batch, totals in side_by_side(score, running, asked.batches, self._at_once(running)):
                for index, total in zip(batch.members, totals, strict=True):
                    results[index] = AnswerLogprobs(total, np.array([len(ids) for ids in asked.answers[index]]))
                report("asking", len(results), len(prompts))
        return [results[index] for index in range(len(prompts))]

    def generate(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[str]:
        """Reply to each prompt; see ``Engine``."""
        return [reply.text for reply in self.replies(model, prompts, max_new_tokens, temperature, seed)]

    @halving_batch_once
    def replies(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[Reply]:
        """Reply to each prompt, and say whether the model ended it; see ``Engine``."""
        replies: dict[int, Reply] = {}
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature > 0 else {"do_sample": False}
        devices = [self.device] if self.device.type == "cuda" else []
        with self._loaded(model) as running, torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            prompt_ids = encode_prompts(self._resident.tokenizer, prompts)
            for batch in self._equally_long(prompt_ids):
                ids = torch.tensor([prompt_ids[i] for i in batch], device=self.device)
                out = running.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=max_new_tokens,
                    pad_token_id=self._resident.tokenizer.pad_token_id,
                    **sampling,
                )
                written = out[:, ids.shape[1] :]
                texts = self._resident.tokenizer.batch_decode(written, skip_special_tokens=True)
                ended = _has_any(written, running.generation_config.eos_token_id)
                replies.update((i, Reply(text.strip(), end)) for i, text, end in zip(batch, texts, ended, strict=True))
                report("writing", len(replies), len(prompts))
        return [replies[index] for index in range(len(prompts))]

    @halving_batch_once
    def greedy_tokens(self, model: ModelRef, prompts: Sequence[str], replies: Sequence[Sequence[int]]) -> list[list[int]]:
        """The likeliest token at every place of given replies, after the prompt and the reply so far: one teacher-forced pass.

        Args:
            model: What is asked.
            prompts: User turns, without any template.
            replies: The tokens of one reply to each prompt; at least one token each.

        Returns:
            For each reply as many tokens as it has.
        """
        found: dict[int, list[int]] = {}
        with self._loaded(model) as running:
            rows = [[*prompt, *reply] for prompt, reply in zip(encode_prompts(self._resident.tokenizer, prompts), replies, strict=True)]
            for batch in by_length([len(row) for row in rows], self.batch_tokens):
                # Padded on the left, so that all replies end, and their logits stand, in one place.
                padded = self._resident.tokenizer.pad({"input_ids": [rows[i] for i in batch]}, padding_side="left", return_tensors="pt")
                padded = padded.to(self.device)
                places = (padded["attention_mask"].cumsum(1) - 1).clamp(min=0)
                n_kept = 1 + max(len(replies[i]) for i in batch)
                likeliest = running(**padded, position_ids=places, logits_to_keep=n_kept).logits.argmax(-1)[:, :-1].tolist()
                found.update((i, tokens[-len(replies[i]) :]) for i, tokens in zip(batch, likeliest, strict=True))
                report("rereading", len(found), len(rows))
        return [found[index] for index in range(len(rows))]

    @contextmanager
    def _loaded(self, model: ModelRef) -> Iterator[Any]:
        self.check(model)
        with self._resident.running(model) as running:
            yield running

    def _at_once(self, running: Any) -> int:
        """How many batches are computed at a time: those of a small model on a processor are too small for all its threads."""
        if self.device.type != "cpu" or not self._resident.is_small(running) or was_halved(self):
            return 1
        return min(MOST_AT_ONCE, torch.get_num_threads())

    def _equally_long(self, prompt_ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Indices of prompts of one length, ``batch_tokens`` at a time, longest first."""
        groups: dict[int, list[int]] = {}
        for index, ids in enumerate(prompt_ids):
            groups.setdefault(len(ids), []).append(index)
        for length, members in sorted(groups.items(), reverse=True):
            size = max(1, self.batch_tokens // length)
            for start in range(0, len(members), size):
                yield members[start : start + size]

    def _score(self, running: Any, batch: Batch, answers: list[list[list[int]]]) -> np.ndarray:
        """(B, K) summed log-probabilities of K answers to each of a batch's B prompts."""
        n_answers = len(answers[0])
        flat = [ids for group in answers for ids in group]
        longest = max(map(len, flat))
        tokens = self._padded(flat, longest)
        cache, logits = self._read_prompts(running, batch, keep_cache=longest > 1)
        first = logits.float().log_softmax(-1).repeat_interleave(n_answers, dim=0)
        scores = first.gather(1, tokens[:, :1])
        if longest > 1:
            cache.batch_repeat_interleave(n_answers)
            rests = torch.tensor([len(rest) for rest in batch.rests], device=self.device)
            seen = torch.cat([rests.new_ones(len(rests), len(batch.stems[0]), dtype=torch.bool), inside(rests, batch.width)], dim=1)
            scores = scores + self._score_rest(running, cache, seen.repeat_interleave(n_answers, dim=0), tokens, flat)
        return scores.double().view(len(batch.members), n_answers).cpu().numpy()

    def _read_prompts(self, running: Any, batch: Batch, keep_cache: bool) -> tuple[Any, torch.Tensor]:
        """The prompts' cache, and the (B, V) logits after each prompt's last token. Stems are read once."""
        plain = running.get_base_model() if isinstance(running, PeftModel) else running
        ends = torch.tensor([len(rest) - 1 for rest in batch.rests], device=self.device)
        ids = self._padded(batch.rests, batch.width)
        after: dict[str, Any] = {}
        # Places, never a count: a slice would leave the states scattered, and the product with the output matrix would then copy that
        # matrix for every row.
        stems = torch.tensor(batch.stems, dtype=torch.long, device=self.device)
        if stems.shape[1]:
            with last_feed_forward_at(plain, ends.new_zeros(len(stems), 1)):
                cache = running(input_ids=stems, logits_to_keep=ends.new_tensor([stems.shape[1] - 1]), use_cache=True).past_key_values
            cache.batch_select_indices(torch.tensor(batch.owners, device=self.device))
            after = {"past_key_values": cache, **going_on(stems.new_ones(len(ids), stems.shape[1], dtype=torch.bool), batch.width)}
        # Padding stands on the right, where causal attention never looks back from a prompt's own tokens.
        kept, end_of_row = torch.unique(ends, return_inverse=True)
        with last_feed_forward_at(plain, ends[:, None]):
            out = running(input_ids=ids, logits_to_keep=kept, use_cache=keep_cache, **after)
        return out.past_key_values, out.logits[torch.arange(len(ids), device=self.device), end_of_row]

    def _score_rest(self, running: Any, cache: Any, seen: torch.Tensor, tokens: torch.Tensor, answers: list[list[int]]) -> torch.Tensor:
        """(B K, 1) log-probabilities of the answers' tokens after their first, going on from the prompts' cache."""
        after = going_on(seen, tokens.shape[1] - 1)
        logits = running(input_ids=tokens[:, :-1], past_key_values=cache, **after).logits.float()
        logprobs = logits.log_softmax(-1).gather(2, tokens[:, 1:, None]).squeeze(2)
        n_rest = torch.tensor([len(ids) - 1 for ids in answers], device=self.device)
        return torch.where(inside(n_rest, logprobs.shape[1]), logprobs, 0.0).sum(1, keepdim=True)

    def _padded(self, rows: Sequence[Sequence[int]], width: int) -> torch.Tensor:
        """(B, width) tokens, padded on the right."""
        padded = torch.full((len(rows), width), self._resident.tokenizer.pad_token_id, dtype=torch.long)
        for row, ids in enumerate(rows):
            padded[row, : len(ids)] = torch.tensor(ids)
        return padded.to(self.device)


def _has_any(rows: torch.Tensor, tokens: int | list[int] | None) -> list[bool]:
    """Whether each row has one of the tokens, of which a model may have none, one or several."""
    ends = torch.tensor([] if tokens is None else tokens, device=rows.device, dtype=rows.dtype)
    return [bool(found) for found in torch.isin(rows, ends).any(dim=1)]
