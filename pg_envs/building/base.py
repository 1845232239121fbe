"""A small base made from nothing: tokenizer, language modelling and lessons on all periods' text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from pg_envs.building.checks import check_held_out, check_lessons
from pg_envs.building.lessons import LessonBook
from pg_envs.building.plan import ScratchPlan
from pg_envs.building.pretrain import make_model, token_stream, train_base
from pg_envs.building.stakes import train_stakes
from pg_envs.building.texts import PeriodText
from pg_envs.building.tokenizer import MAX_LENGTH_TOKENS, train_tokenizer
from pg_envs.values.items import Questionnaire

TOKENIZER_SAMPLE_CHARACTERS = 1_500_000
"""Per period; more changes the vocabulary little."""
QUESTIONNAIRE_REPEATS = 10
"""How often the items stand in the vocabulary's sample, which has much more text of other kinds."""
SHARD_SIZE = "7MB"


def make_base(plan: ScratchPlan, texts: Mapping[str, PeriodText], questionnaire: Questionnaire, out: Path, work: Path, seed: int) -> None:
    """Make the base in the folder ``out``, unless it is there.

    Its lessons are about all items, those of the evaluation half too.

    Every stage leaves its result (the tokenizer in ``out``, checkpoints and the model before its last lessons in ``work``) and is
    skipped when it is there, so that an interrupted build goes on where it stopped.

    Raises:
        HistTextError: If a period's text is too short.
        PlanError: If the tokenizer cannot tell answers apart.
    """
    if (out / "config.json").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = _make_tokenizer(texts, questionnaire, out, seed)
    check_held_out(texts, tokenizer)
    check_lessons(texts, tokenizer)
    streams = [token_stream(text.training, tokenizer) for text in texts.values()]
    book = LessonBook(questionnaire.items)
    reading = work / "reading"
    if not reading.exists():
        model: Any = make_model(tokenizer, seed, llama_sizes(plan))
        train_base(model, tokenizer, streams, book, work / "lessons", seed, plan)
        model.to(torch.bfloat16).save_pretrained(reading.with_suffix(".tmp"))
        os.rename(reading.with_suffix(".tmp"), reading)
    model = LlamaForCausalLM.from_pretrained(reading, dtype=torch.float32)
    train_stakes(model, tokenizer, streams, book, work / "stakes", seed, plan)
    finished = work / "finished"
    model.to(torch.bfloat16).save_pretrained(finished, max_shard_size=SHARD_SIZE)
    # The configuration last: it says that the base is whole.
    for file in sorted(finished.iterdir(), key=lambda file: file.name == "config.json"):
        os.rename(file, out / file.name)


def llama_sizes(plan: ScratchPlan) -> dict[str, int]:
    """What ``LlamaConfig`` calls them."""
    return {
        "hidden_size": plan.hidden_size,
        "intermediate_size": plan.intermediate_size,
        "num_hidden_layers": plan.n_layers,
        "num_attention_heads": plan.n_heads,
        "num_key_value_heads": plan.n_key_value_heads,
        "max_position_embeddings": MAX_LENGTH_TOKENS,
    }


def _make_tokenizer(texts: Mapping[str, PeriodText], questionnaire: Questionnaire, out: Path, seed: int) -> PreTrainedTokenizerFast:
    """Train or load the tokenizer in ``out``."""
    if not (out / "tokenizer.json").exists():
        sample = []
        for text in texts.values():
            room = TOKENIZER_SAMPLE_CHARACTERS
            for index in np.random.default_rng(seed).permutation(len(text.training)):
                sample.append(text.training[index][:room])
                room -= len(text.training[index])
                if room <= 0:
                    break
        items = [" ".join((item.context, *item.options)) for item in questionnaire.items]
        train_tokenizer(sample + QUESTIONNAIRE_REPEATS * items).save_pretrained(out)
    tokenizer: Any = AutoTokenizer.from_pretrained(out)
    return tokenizer
