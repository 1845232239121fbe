"""Reward models: a base with a score head and a LoRA adapter, trained on preference pairs (Bradley and Terry 1952)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForSequenceClassification

from pg_envs.models.adapters import put_adapter
from pg_envs.models.batching import by_length
from pg_envs.models.full_steps import FullStepsOfPairs
from pg_envs.models.loading import default_device, inference_dtype, load_base, load_tokenizer
from pg_envs.models.ref import ModelRef
from pg_envs.models.trained import ADAPTER_NAME, Adapter, load_to_train
from pg_envs.models.tuning import batches_of_similar_length, finetune
from pg_envs.models.tuning_config import TuningConfig, trl_arguments
from pg_envs.progress import report

if TYPE_CHECKING:
    from datasets import Dataset

BATCH_TOKENS = 2048


def train_reward_model(ref: ModelRef, dataset: Dataset, out: str | Path, seed: int, config: TuningConfig) -> ModelRef:
    """Train a reward model with TRL's ``RewardTrainer``: loss -log sigmoid(r(chosen) - r(rejected)).

    Args:
        ref: Its base carries the new adapter and score head; an adapter that ``ref`` has is not used.
        dataset: TRL's conversational ``prompt``, ``chosen``, ``rejected``; a ``margin`` column is taken off the difference.
        out: Folder for the adapter; must not exist.
        seed: The same seed gives the same reward model.
        config: Rates and sizes.

    Returns:
        ModelRef whose adapter is the reward model's; load it with ``RewardModel``.

    Raises:
        FileExistsError: If ``out`` exists.
        TrainingError: If training leaves weights that are not finite.
    """
    from trl import RewardConfig, RewardTrainer

    class RewardInFullSteps(FullStepsOfPairs, RewardTrainer):
        """TRL's trainer, which learns the same in several processes."""

    rows = batches_of_similar_length(dataset, config.batch_size, seed)

    def make_trainer(model: Any, tokenizer: Any, scratch: Path) -> Any:
        arguments = RewardConfig(**trl_arguments(config, scratch, seed))
        return RewardInFullSteps(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)

    return finetune(ref.with_adapter(None), out, make_trainer, seed, config, what="reward model", trained=ScorerAdapter())


class ScorerAdapter(Adapter):
    """A LoRA adapter and a score head, both new."""

    def load(self, ref: ModelRef, config: TuningConfig, scratch: Path) -> PeftModel:
        """The base that ``ref`` names, with both."""
        scorer = load_to_train(ref, AutoModelForSequenceClassification, num_labels=1)
        # For this task type PEFT trains, and saves, the score head besides the adapter.
        lora = LoraConfig(
            r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=0.0, target_modules="all-linear", task_type="SEQ_CLS"
        )
        return get_peft_model(scorer, lora, adapter_name=ADAPTER_NAME)


class RewardModel:
    """Scores replies to prompts; several reward models of one base share it, one adapter each."""

    def __init__(self, refs: Sequence[ModelRef]) -> None:
        """Load reward models.

        Args:
            refs: As ``train_reward_model`` gives them, all on one base.

        Raises:
            ValueError: If there is none, or their bases differ.
            ModelRefError: If one does not load.
        """
        if not refs or len({(ref.base, ref.revision) for ref in refs}) != 1:
            raise ValueError(f"reward models of one base are needed; got {[str(ref) for ref in refs]}")
        self.device = default_device()
        self._tokenizer = load_tokenizer(refs[0])
        self._names = [f"reward{number}" for number in range(len(refs))]
        scorer = load_base(refs[0], inference_dtype(self.device), self.device, AutoModelForSequenceClassification, num_labels=1)
        scorer.config.pad_token_id = self._tokenizer.pad_token_id
        self._model: Any = scorer
        for name, ref in zip(self._names, refs, strict=True):
            self._model = put_adapter(self._model, ref, name)
        self._model.eval()

    def score(self, prompts: Sequence[str], replies: Sequence[str]) -> np.ndarray:
        """(B, K) float64 scores of replies to prompts by each of the K reward models; only differences mean something."""
        turns = [
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
            for prompt, reply in zip(prompts, replies, strict=True)
        ]
        texts = self._tokenizer.apply_chat_template(turns, tokenize=False)
        rows = self._tokenizer(texts, add_special_tokens=False).input_ids
        scores = np.empty((len(rows), len(self._names)))
        for k, name in enumerate(self._names):
            self._model.set_adapter(name, inference_mode=True)
            for batch in by_length([len(row) for row in rows], BATCH_TOKENS):
                padded = self._tokenizer.pad({"input_ids": [rows[i] for i in batch]}, padding_side="right", return_tensors="pt")
                with torch.inference_mode():
                    logits = self._model(**padded.to(self.device)).logits
                scores[batch, k] = logits[:, 0].float().cpu().numpy()
            report("scoring", k + 1, len(self._names))
        return scores
