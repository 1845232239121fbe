"""The ``vllm`` engine: vLLM runs the models, in a process that it starts on this machine."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from pg_envs.models.checks import adapter_key, adapter_shapes, check_files
from pg_envs.models.conversation import Prompt
from pg_envs.models.encoding import encode_prompts
from pg_envs.models.engine import AnswerLogprobs, EngineError, Reply, reply_seeds
from pg_envs.models.loading import default_device, load_tokenizer
from pg_envs.models.ref import ModelRef, ModelRefError, loadable_name
from pg_envs.models.vllm_process import adaptable_layers, dtype_name, shut_down, start
from pg_envs.models.vllm_settings import VLLMSettings
from pg_envs.models.whole_rows import Rows, scored_whole
from pg_envs.progress import report

ROWS_AT_ONCE = 512
"""Enough to keep vLLM's own batches full, and few enough for progress to be seen."""


class VLLMEngine:
    """Scores answers and generates text with ``vllm.LLM``.

    One base is in memory. Adapters are swapped on it by vLLM, which knows them by their weights. Prompts go to vLLM as
    the tokens that the other engines read too, so the numbers are the ``transformers`` engine's up to arithmetic.

    vLLM's process is started by ``spawn``, at the first question: scripts need ``if __name__ == "__main__":``. It ends
    when another base is asked for, with ``close``, and with the engine itself.
    """

    def __init__(self, settings: VLLMSettings) -> None:
        """Make an engine; nothing is loaded and no process is started yet."""
        self.settings = settings
        self._base: tuple[str, str | None] | None = None
        self._llm: Any = None
        self._tokenizer: Any = None
        self._stop: Callable[[], Any] = lambda: None
        self._adapter_numbers: dict[str, int] = {}

    def check(self, model: ModelRef) -> None:
        """Raise ``ModelRefError`` if the files behind ``model`` are missing, damaged, or for another base."""
        check_files(model)

    def arithmetic(self) -> dict[str, Any]:
        """Device and type of numbers."""
        device = default_device()
        return {"device": device.type, "dtype": dtype_name(self.settings, device)}

    def choice_logprobs(self, model: ModelRef, prompts: Sequence[str], answers: Sequence[Sequence[str]]) -> list[AnswerLogprobs]:
        """Score ``answers[i]`` as replies to ``prompts[i]``; see ``Engine``; vLLM reads every prompt once for each of its answers.

        Raises:
            EngineError: If vLLM does not start, or a prompt and its answer are too long.
            ModelRefError: If vLLM cannot run the adapter.
        """
        self._load(model)
        from vllm import SamplingParams

        # What vLLM writes after a row is not read; one token is the least that it writes.
        sampling = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        return scored_whole(
            self._tokenizer,
            prompts,
            answers,
            lambda rows: [_prompt_logprobs(out) for out in self._run(model, rows, [sampling] * len(rows), "asking")],
        )

    def generate(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[str]:
        """Reply to each prompt; see ``Engine``. Equal prompts have different seeds, so their replies may differ.

        Raises:
            EngineError: If vLLM does not start, or a prompt is too long.
            ModelRefError: If vLLM cannot run the adapter.
        """
        return [reply.text for reply in self.replies(model, prompts, max_new_tokens, temperature, seed)]

    def replies(
        self, model: ModelRef, prompts: Sequence[Prompt], max_new_tokens: int = 64, temperature: float = 1.0, seed: int = 0
    ) -> list[Reply]:
        """As ``generate``; a reply is whole if vLLM says that it stopped by itself.

        Raises:
            EngineError: If vLLM does not start, or a prompt is too long.
            ModelRefError: If vLLM cannot run the adapter.
        """
        self._load(model)
        from vllm import SamplingParams

        rows = encode_prompts(self._tokenizer, prompts)
        sampling = [
            SamplingParams(max_tokens=max_new_tokens, temperature=temperature, seed=own, detokenize=False)
            for own in reply_seeds(seed, len(rows))
        ]
        written = [out.outputs[0] for out in self._run(model, rows, sampling, "writing")]
        texts = self._tokenizer.batch_decode([one.token_ids for one in written], skip_special_tokens=True)
        return [Reply(text.strip(), one.finish_reason == "stop") for text, one in zip(texts, written, strict=True)]

    def close(self) -> None:
        """End vLLM's process; the next question starts it again."""
        self._stop()
        self._base, self._llm, self._adapter_numbers = None, None, {}

    def _load(self, model: ModelRef) -> None:
        self.check(model)
        if self._base != (model.base, model.revision):
            # The old base goes first: both need not fit.
            self.close()
            base = ModelRef(model.base, model.revision)
            report(f"loading {base}", 0, 1)
            self._tokenizer = load_tokenizer(base)
            self._llm = start(base, self.settings)
            self._stop = weakref.finalize(self, shut_down, self._llm)
            self._base = (model.base, model.revision)

    def _run(self, model: ModelRef, rows: Rows, sampling: Sequence[Any], what: str) -> list[Any]:
        """What vLLM gives for rows of tokens."""
        self._check_lengths(rows)
        adapter = self._adapter(model)
        outputs: list[Any] = []
        try:
            for first in range(0, len(rows), ROWS_AT_ONCE):
                asked = [{"prompt_token_ids": row} for row in rows[first : first + ROWS_AT_ONCE]]
                chosen = list(sampling[first : first + ROWS_AT_ONCE])
                outputs += self._llm.generate(asked, chosen, lora_request=adapter, use_tqdm=False)
                report(what, len(outputs), len(rows))
        except BaseException:
            # What is still under way in a vLLM that was interrupted would be taken for answers to the next questions.
            self.close()
            raise
        return outputs

    def _check_lengths(self, rows: Rows) -> None:
        """Refuse rows that leave vLLM no room for the one token that it always writes."""
        longest, room = max(map(len, rows), default=0), self._llm.model_config.max_model_len - 1
        if longest > room:
            raise EngineError(
                f"a prompt with its answer has {longest} tokens, expected at most {room}; "
                "shorten it, or raise max_model_len in the engine's name if the model can read more"
            )

    def _adapter(self, model: ModelRef) -> Any:
        """What tells vLLM to use the model's adapter, once vLLM has loaded it; None for a bare base."""
        if model.adapter is None:
            return None
        if self.settings.max_lora_rank == 0:
            raise ModelRefError(f"{model}: vLLM was started without adapters; leave max_lora_rank=0 out of the engine's name")
        changed = {name.split(".lora_")[0].split(".")[-1] for name in adapter_shapes(model, model.adapter)}
        if not changed <= set(adaptable_layers(model)):
            raise ModelRefError(
                f"{model}: the adapter changes {', '.join(sorted(changed - set(adaptable_layers(model))))}, which vLLM would leave "
                "unchanged where it scores answers; use the engine 'transformers'"
            )
        from vllm.lora.request import LoRARequest

        # Content, not paths, says whether vLLM has an adapter: a folder may have been written anew.
        key = adapter_key(model)
        number = self._adapter_numbers.setdefault(key, len(self._adapter_numbers) + 1)
        request = LoRARequest(f"adapter_{key}", number, loadable_name(model.adapter))
        try:
            # An adapter that only fails once questions wait for it would end vLLM's process.
            self._llm.llm_engine.add_lora(request)
        except Exception as error:  # vLLM hands failures of its process on as no narrower kind
            raise ModelRefError(
                f"{model}: vLLM does not load the adapter: {error}; one of a rank above {self.settings.max_lora_rank} needs "
                "a larger max_lora_rank in the engine's name"
            ) from error
        return request


def _prompt_logprobs(output: Any) -> list[float]:
    """The log-probabilities of a row's tokens, but for the first, which has none."""
    told = zip(output.prompt_token_ids[1:], output.prompt_logprobs[1:], strict=True)
    return [by_token[token].logprob for token, by_token in told]
