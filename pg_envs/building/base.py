"""A small base made from nothing: tokenizer, language modelling and lessons on all periods' text."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from pg_envs.building.checks import check_held_out, check_lessons
from pg_envs.building.lessons import LessonBook
from pg_envs.building.period import FINISHED, seal_of_finished
from pg_envs.building.plan import ScratchPlan
from pg_envs.building.pretrain import make_model, token_stream, train_base
from pg_envs.building.stakes import train_stakes
from pg_envs.building.texts import PeriodText
from pg_envs.building.tokenizer import MAX_LENGTH_TOKENS, train_tokenizer
from pg_envs.seals import hold_to_seal, make_once
from pg_envs.storage import making, naming
from pg_envs.values.items import Questionnaire

TOKENIZER_SAMPLE_CHARACTERS = 1_500_000
"""Per period; more changes the vocabulary little."""
QUESTIONNAIRE_REPEATS = 10
"""How often the items stand in the vocabulary's sample, which has much more text of other kinds."""
SHARD_SIZE = "7MB"


def make_base(plan: ScratchPlan, texts: Mapping[str, PeriodText], questionnaire: Questionnaire, out: Path, work: Path, seed: int) -> None:
    """Make the base in the folder ``out``, unless it is there.

    Its lessons are about all items, those of the evaluation half too.

    Every stage leaves its result in ``work`` (the tokenizer, checkpoints, the model before its last lessons) and is skipped when it is
    there, so that an interrupted build goes on where it stopped. ``out`` appears in one go when all is done.

    Raises:
        CannotWrite: If the disk does not take what is made; what was finished is kept.
        Damaged: If a file of a finished stage, or of the base, is missing or has changed.
        HistTextError: If a period's text is too short.
        PlanError: If the tokenizer cannot tell answers apart.
    """
    finished = work / FINISHED
    if out.exists():
        hold_to_seal(out, seal_of_finished(work))
        return
    make_once(work / "tokenizer", lambda: _make_tokenizer(texts, questionnaire, work / "tokenizer", seed))
    tokenizer: Any = AutoTokenizer.from_pretrained(work / "tokenizer")
    check_held_out(texts, tokenizer)
    check_lessons(texts, tokenizer)
    streams = [token_stream(text.training, tokenizer) for text in texts.values()]
    book = LessonBook(questionnaire.items)
    reading = work / "reading"

    def read() -> None:
        model: Any = make_model(tokenizer, seed, llama_sizes(plan))
        train_base(model, tokenizer, streams, book, work / "lessons", seed, plan)
        with making(reading) as temporary:
            model.to(torch.bfloat16).save_pretrained(temporary)

    make_once(reading, read)

    def finish() -> None:
        model: Any = LlamaForCausalLM.from_pretrained(reading, dtype=torch.float32)
        train_stakes(model, tokenizer, streams, book, work / "stakes", seed, plan)
        with making(finished) as temporary:
            shutil.copytree(work / "tokenizer", temporary)
            model.to(torch.bfloat16).save_pretrained(temporary, max_shard_size=SHARD_SIZE)

    make_once(finished, finish)
    with naming(out):
        os.rename(finished, out)


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


def _make_tokenizer(texts: Mapping[str, PeriodText], questionnaire: Questionnaire, out: Path, seed: int) -> None:
    """Train the tokenizer and save it in ``out``."""
    sample = []
    for text in texts.values():
        room = TOKENIZER_SAMPLE_CHARACTERS
        for index in np.random.default_rng(seed).permutation(len(text.training)):
            sample.append(text.training[index][:room])
            room -= len(text.training[index])
            if room <= 0:
                break
    items = [" ".join((item.context, *item.options)) for item in questionnaire.items]
    with making(out) as temporary:
        train_tokenizer(sample + QUESTIONNAIRE_REPEATS * items).save_pretrained(temporary)
