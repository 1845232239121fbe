"""Training the histtiny base: language modelling on the corpus, then lessons with text mixed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments

from pg_envs.building.lessons import Lesson, LessonBook, strong_profile
from pg_envs.building.tokenizer import MAX_LENGTH_TOKENS

IGNORED = -100
TEXT_LENGTH_TOKENS = 256
TEXT_BATCH = 12
LESSON_BATCH = 32

Batch = dict[str, torch.Tensor]


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A small Llama: wide and shallow, because matrix products are what processors do well.

    Head size 64 and grouped-query attention are what vLLM's kernels expect.
    """
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=MAX_LENGTH_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


class AnswerTrainer(Trainer):
    """A Trainer that computes logits only where there is something to learn."""

    def compute_loss(self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """Mean cross-entropy over the positions whose label is not ``IGNORED``; loss in nats."""
        labels = inputs["labels"][:, 1:]
        learnt = labels != IGNORED
        # Only model.forward, which is not called here, would enter mixed precision by itself.
        with self.accelerator.autocast():
            hidden = model.model(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state[:, :-1]
            logits = model.lm_head(hidden[learnt])
        loss = cross_entropy(logits.float(), labels[learnt])
        return (loss, {"logits": logits}) if return_outputs else loss


class BatchDataset(Dataset):
    """Whole batches, each made from (seed, index) alone, so that an interrupted training resumes exactly."""

    def __init__(self, n_batches: int, seed: int, make_batch: Callable[[int, np.random.Generator], Batch]) -> None:
        """``make_batch(index, rng)`` makes the batch of a step."""
        self.n_batches, self.seed, self.make_batch = n_batches, seed, make_batch

    def __len__(self) -> int:
        """Number of training steps."""
        return self.n_batches

    def __getitem__(self, index: int) -> Batch:
        """The batch of step ``index``."""
        return self.make_batch(index, np.random.default_rng([self.seed, index]))


def text_batch(token_streams: Sequence[np.ndarray], rng: np.random.Generator) -> Batch:
    """Random windows of text, every century as likely as any other."""
    rows = []
    for stream in rng.integers(len(token_streams), size=TEXT_BATCH):
        tokens = token_streams[stream]
        start = rng.integers(len(tokens) - TEXT_LENGTH_TOKENS)
        rows.append(tokens[start : start + TEXT_LENGTH_TOKENS].astype(np.int64))
    ids = torch.from_numpy(np.stack(rows))
    return {"input_ids": ids, "labels": ids.clone()}


def lesson_batch(lessons: Sequence[Lesson], tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Lessons as one batch, padded on the right; only answers (and their end) are labelled."""
    prompts = [
        tokenizer.apply_chat_template([{"role": "user", "content": lesson.prompt}], add_generation_prompt=True, return_dict=False)
        for lesson in lessons
    ]
    answers = [ids + [tokenizer.eos_token_id] for ids in tokenizer([lesson.answer for lesson in lessons]).input_ids]
    length = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    ids = torch.full((len(lessons), length), tokenizer.pad_token_id)
    labels = torch.full((len(lessons), length), IGNORED)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    return {"input_ids": ids, "labels": labels}


def similar_lengths(lessons: list[Lesson], rng: np.random.Generator) -> list[Lesson]:
    """One batch of lessons of about the same length out of a larger draw, to pad little."""
    ranked = sorted(lessons, key=lambda lesson: len(lesson.prompt) + len(lesson.answer))
    start = LESSON_BATCH * rng.integers(len(ranked) // LESSON_BATCH)
    return ranked[start : start + LESSON_BATCH]


def train_base(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    token_streams: Sequence[np.ndarray],
    book: LessonBook,
    work: Path,
    seed: int,
    n_text_steps: int,
    n_lesson_steps: int,
) -> None:
    """Train the base in place: first text only, then three lesson batches to every text batch.

    Half of the lessons ask for a choice under ``strong_profile``, half for the principle at stake. Checkpoints
    go to ``work`` and are resumed from.
    """
    profile = strong_profile()

    def make_batch(step: int, rng: np.random.Generator) -> Batch:
        if step < n_text_steps or step % 4 == 0:
            return text_batch(token_streams, rng)
        n_drawn = 8 * LESSON_BATCH
        lessons = book.draw(profile, n_drawn, rng) if step % 2 else book.draw_principles(n_drawn, rng)
        return lesson_batch(similar_lengths(lessons, rng), tokenizer)

    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=n_text_steps + n_lesson_steps,
        per_device_train_batch_size=1,
        train_sampling_strategy="sequential",
        learning_rate=1e-3,
        lr_scheduler_type="cosine",
        warmup_steps=100,
        weight_decay=0.01,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        use_cpu=not torch.cuda.is_available(),
        bf16=True,
        seed=seed,
        save_steps=500,
        save_total_limit=1,
        logging_steps=50,
        report_to=[],
        remove_unused_columns=False,
        dataloader_num_workers=0,
    )
    dataset = BatchDataset(n_text_steps + n_lesson_steps, seed, make_batch)
    trainer = AnswerTrainer(model=model, args=arguments, train_dataset=dataset, data_collator=lambda batches: batches[0])
    trainer.train(resume_from_checkpoint=any(work.glob("checkpoint-*")))
