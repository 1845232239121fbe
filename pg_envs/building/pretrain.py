"""Training a small base: language modelling on the corpus, then lessons with text mixed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments

from pg_envs.building.lessons import LETTER_FORMS, WHOLE_ANSWER_FORMS, Lesson, LessonBook, strong_profile
from pg_envs.building.plan import ScratchPlan
from pg_envs.models.checkpoints import SealCheckpoints, last_checkpoint
from pg_envs.models.encoding import encode_answer, encode_prompts
from pg_envs.models.loading import default_device, uses_bfloat16
from pg_envs.storage import naming
from pg_envs.values.dimensions import N_DIMENSIONS

END_WEIGHT = 0.1
"""Of what follows an answer's first token, if that alone is learnt: mostly its end. Against 1 for the answer."""
TEXT_LENGTH_TOKENS = 256
TEXT_BATCH = 12
LESSON_BATCH = 32
SHAPE_STEP = 32
"""Widths and numbers of answers are filled up to a multiple of this: processors compile a kernel for every new shape."""

Batch = dict[str, torch.Tensor]
MakeBatch = Callable[[int, np.random.Generator], Batch]
"""Makes the batch of a step from the step and random numbers of its own."""


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int, sizes: Mapping[str, Any]) -> LlamaForCausalLM:
    """A small random Llama with tied embeddings; ``sizes`` as ``LlamaConfig`` calls them."""
    torch.manual_seed(seed)
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **special, **sizes))


class AnswerTrainer(Trainer):
    """A Trainer that computes logits only where there is something to learn."""

    def compute_loss(self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """Mean over the batch, in nats; see ``loss_of``."""
        causal: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        # Only model.forward, which is not called here, would enter mixed precision by itself.
        with self.accelerator.autocast():
            states = causal.model(input_ids=inputs["input_ids"], use_cache=False, output_hidden_states=True)
            loss = self.loss_of(causal, states, inputs)
        return (loss, {}) if return_outputs else loss

    def loss_of(self, model: Any, states: Any, inputs: Batch) -> torch.Tensor:
        """Weighted mean cross-entropy of ``tokens`` as continuations of ``places`` (row, position)."""
        logits = model.lm_head(states.last_hidden_state[inputs["places"][:, 0], inputs["places"][:, 1]])
        losses = cross_entropy(logits.float(), inputs["tokens"], reduction="none")
        return (losses * inputs["weights"]).sum() / inputs["weights"].sum()


class BatchDataset(Dataset):
    """Whole batches, each made from (seed, index) alone, so that an interrupted training resumes exactly."""

    def __init__(self, n_batches: int, seed: int, make_batch: MakeBatch) -> None:
        """``make_batch(index, rng)`` makes the batch of a step."""
        self.n_batches, self.seed, self.make_batch = n_batches, seed, make_batch

    def __len__(self) -> int:
        """Number of training steps."""
        return self.n_batches

    def __getitem__(self, index: int) -> Batch:
        """The batch of step ``index``."""
        return self.make_batch(index, np.random.default_rng([self.seed, index]))


def token_stream(passages: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Passages as one stream of uint32 tokens, separated by the end token."""
    encoded = tokenizer(list(passages), add_special_tokens=False).input_ids
    return np.concatenate([np.array([*ids, tokenizer.eos_token_id], dtype=np.uint32) for ids in encoded])


def text_batch(token_streams: Sequence[np.ndarray], rng: np.random.Generator) -> Batch:
    """Random windows of text, every century as likely as any other."""
    rows = []
    for stream in rng.integers(len(token_streams), size=TEXT_BATCH):
        tokens = token_streams[stream]
        start = rng.integers(len(tokens) - TEXT_LENGTH_TOKENS)
        rows.append(tokens[start : start + TEXT_LENGTH_TOKENS].astype(np.int64))
    ids = torch.from_numpy(np.stack(rows))
    places = torch.cartesian_prod(torch.arange(TEXT_BATCH), torch.arange(TEXT_LENGTH_TOKENS - 1))
    return {"input_ids": ids, "places": places, "tokens": ids[:, 1:].flatten(), "weights": torch.ones(len(places))}


def lesson_batch(lessons: Sequence[Lesson], tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Lessons as one batch, padded on the right; only answers and their end are learnt.

    Every lesson weighs 1, however long its answer is, shared among its answers and their tokens. A prompt with
    several answers is read once, followed by the first of them; of each its first token is learnt. Places of weight 0 fill the batch up.
    Lessons that are choices come with ``stakes`` (B,), their classes, and ``answer_places`` (B,), where the answer is read.

    Raises:
        ValueError: If two of a lesson's answers begin with the same token.
    """
    rows, places, tokens, weights, answer_places = [], [], [], [], []
    prompts = encode_prompts(tokenizer, [lesson.prompt for lesson in lessons])
    for row, (lesson, prompt) in enumerate(zip(lessons, prompts, strict=True)):
        answers = [(encode_answer(tokenizer, answer), share) for answer, share in lesson.answers]
        if len({ids[0] for ids, _ in answers}) < len(answers):
            raise ValueError(
                f"answers {[answer for answer, _ in lesson.answers]}: expected different first tokens, by which they are learnt"
            )
        first = [*answers[0][0], tokenizer.eos_token_id]
        rows.append(prompt + first)
        answer_places.append(len(prompt) - 1)
        if len(answers) > 1 or len(first) == 2:
            learnt = [(len(prompt) - 1, ids[0], share) for ids, share in answers] + [(len(prompt), first[1], END_WEIGHT)]
        else:
            learnt = [(len(prompt) - 1 + i, token, 1 / len(first)) for i, token in enumerate(first)]
        for position, token, weight in learnt:
            places.append((row, position))
            tokens.append(token)
            weights.append(weight)
    for _ in range(-len(places) % SHAPE_STEP):
        places.append((0, 0))
        tokens.append(tokenizer.pad_token_id)
        weights.append(0.0)
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest + -longest % SHAPE_STEP), tokenizer.pad_token_id)
    for row, tokens_of_row in enumerate(rows):
        ids[row, : len(tokens_of_row)] = torch.tensor(tokens_of_row)
    batch = {"input_ids": ids, "places": torch.tensor(places), "tokens": torch.tensor(tokens), "weights": torch.tensor(weights)}
    if all(lesson.stake is not None for lesson in lessons):
        batch["stakes"] = torch.tensor([lesson.stake for lesson in lessons])
        batch["answer_places"] = torch.tensor(answer_places)
    return batch


def similar_lengths(lessons: list[Lesson], rng: np.random.Generator, size: int = LESSON_BATCH) -> list[Lesson]:
    """One batch of lessons of about the same length out of a larger draw, to pad little."""
    ranked = sorted(lessons, key=lambda lesson: lesson.length)
    start = size * rng.integers(len(ranked) // size)
    return ranked[start : start + size]


READING_MIX = ("text", "choice", "principle", "choice", "copy", "choice", "principle", "choice")
"""Kinds of batches that take turns, see ``mixed_batches``."""


def mixed_batches(
    mix: Sequence[str], profile: np.ndarray, book: LessonBook, token_streams: Sequence[np.ndarray], tokenizer: PreTrainedTokenizerFast
) -> MakeBatch:
    """Batches whose kinds take turns as ``mix`` says.

    ``text``: windows of text. ``choice``: choices in one-letter forms, answered by the (19,) ``profile``. ``principle``: what
    is at stake. ``copy``: either option repeated, drawn evenly, for whole answers are there to learn copying, not to learn by
    heart which text is right.
    """
    indifferent, n_drawn = np.zeros(N_DIMENSIONS), 8 * LESSON_BATCH
    draw: dict[str, Callable[[np.random.Generator], list[Lesson]]] = {
        "choice": lambda rng: book.draw(profile, LETTER_FORMS, n_drawn, rng),
        "principle": lambda rng: book.draw_principles(n_drawn, rng),
        "copy": lambda rng: book.draw(indifferent, WHOLE_ANSWER_FORMS, n_drawn, rng),
    }

    def make_batch(step: int, rng: np.random.Generator) -> Batch:
        kind = mix[step % len(mix)]
        if kind == "text":
            return text_batch(token_streams, rng)
        return lesson_batch(similar_lengths(draw[kind](rng), rng), tokenizer)

    return make_batch


def train_base(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    token_streams: Sequence[np.ndarray],
    book: LessonBook,
    work: Path,
    seed: int,
    plan: ScratchPlan,
) -> None:
    """Train the base in place: first text only, then ``READING_MIX`` under ``strong_profile``; see ``train_steps``."""
    mixed = mixed_batches(READING_MIX, strong_profile(), book, token_streams, tokenizer)

    def make_batch(step: int, rng: np.random.Generator) -> Batch:
        return text_batch(token_streams, rng) if step < plan.n_text_steps else mixed(step, rng)

    train_steps(AnswerTrainer, model, make_batch, work, plan.n_text_steps + plan.n_lesson_steps, seed, plan.learning_rate)


def train_steps(
    trainer_class: type[AnswerTrainer],
    model: LlamaForCausalLM,
    make_batch: MakeBatch,
    work: Path,
    n_steps: int,
    seed: int,
    learning_rate: float,
) -> None:
    """Train the whole model in place on ``make_batch``'s batches; checkpoints go to ``work`` and are resumed from."""
    device = default_device()
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=n_steps,
        per_device_train_batch_size=1,
        train_sampling_strategy="sequential",
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.03,
        weight_decay=0.01,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        use_cpu=device.type == "cpu",
        bf16=uses_bfloat16(device),
        seed=seed,
        save_steps=100,
        # They are removed once the next one is sealed.
        save_total_limit=None,
        logging_steps=20,
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
        dataloader_num_workers=0,
    )
    dataset = BatchDataset(n_steps, seed, make_batch)
    trainer = trainer_class(model=model, args=arguments, train_dataset=dataset, data_collator=lambda batches: batches[0])
    trainer.add_callback(SealCheckpoints())
    with naming(work):
        trainer.train(resume_from_checkpoint=last_checkpoint(work))
