"""Build the bundled ``histtiny`` family: ``python -m pg_envs.building.histtiny --text FOLDER --out FOLDER``.

Stages: tokenizer, base (language modelling, lessons under one strong profile, then what is at stake), nine century adapters
(that century's text, then answers drawn from its planted values). Every stage leaves its result in the
output folder and is skipped when it is there, so an interrupted build goes on where it stopped. Reading the text needs ``pg-envs[data]``.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from pg_envs.building.century import build_century, name_base
from pg_envs.building.lessons import LessonBook
from pg_envs.building.pretrain import HISTTINY_SIZES, make_model, token_stream, train_base
from pg_envs.building.stakes import train_stakes
from pg_envs.building.tokenizer import train_tokenizer
from pg_envs.data.histtext import read_folder
from pg_envs.display import quieten_libraries
from pg_envs.history.base import CENTURIES
from pg_envs.history.trajectories import planted
from pg_envs.models.ref import ModelRef
from pg_envs.progress import reporting_to
from pg_envs.values.items import Questionnaire
from pg_envs.values.questionnaire import load_questionnaire

logger = logging.getLogger(__name__)

SEED = 0
BASE_NAME = "pg_envs:histtiny/base"
"""How the adapters name their base, once the family ships with the package."""
CHAINS = (("C021", "C020", "C019", "C018", "C017"), ("C013", "C014", "C015", "C016"))
"""Each chain begins at the base and goes on from neighbour to neighbour, which leaves less to learn; the chains are
independent of each other, so that two cores build them side by side."""
N_TEXT_STEPS = 700
N_LESSON_STEPS = 3300
N_STAKE_STEPS = 880
TOKENIZER_SAMPLE_CHARACTERS = 1_500_000
"""Per century; more changes the vocabulary little."""


def read_texts(folder: Path) -> dict[str, list[str]]:
    """The training passages by century (held-out documents left out)."""
    texts: dict[str, list[str]] = defaultdict(list)
    for passage in read_folder(folder):
        if not passage.held_out:
            texts[passage.century].append(passage.content)
    return dict(texts)


def questionnaire_texts(questionnaire: Questionnaire) -> list[str]:
    """What the items say, for the vocabulary."""
    return [" ".join((item.context, *item.options)) for item in questionnaire.items]


def build_tokenizer(texts: dict[str, list[str]], questionnaire: Questionnaire, out: Path) -> PreTrainedTokenizerFast:
    """Train or load the tokenizer in ``out``."""
    if not (out / "tokenizer.json").exists():
        sample = []
        for passages in texts.values():
            room = TOKENIZER_SAMPLE_CHARACTERS
            for index in np.random.default_rng(SEED).permutation(len(passages)):
                sample.append(passages[index][:room])
                room -= len(passages[index])
                if room <= 0:
                    break
        train_tokenizer(sample + 10 * questionnaire_texts(questionnaire)).save_pretrained(out)
    tokenizer: Any = AutoTokenizer.from_pretrained(out)
    return tokenizer


def build_base(
    texts: dict[str, list[str]], questionnaire: Questionnaire, tokenizer: PreTrainedTokenizerFast, out: Path, work: Path
) -> None:
    """Train the base model into ``out`` unless it is there; checkpoints and the model before its last lessons in ``work``."""
    if (out / "config.json").exists():
        return
    streams = [token_stream(passages, tokenizer) for passages in texts.values()]
    book = LessonBook(questionnaire.items)
    reading = work / "reading"
    if not reading.exists():
        model: Any = make_model(tokenizer, SEED, HISTTINY_SIZES)
        train_base(model, tokenizer, streams, book, work / "lessons", SEED, N_TEXT_STEPS, N_LESSON_STEPS)
        model.to(torch.bfloat16).save_pretrained(reading.with_suffix(".tmp"))
        reading.with_suffix(".tmp").rename(reading)
    model = LlamaForCausalLM.from_pretrained(reading, dtype=torch.float32)
    train_stakes(model, tokenizer, streams, book, work / "stakes", SEED, N_STAKE_STEPS)
    model.to(torch.bfloat16).save_pretrained(out, max_shard_size="7MB")


def build_chain(chain: tuple[str, ...], out: Path, work: Path, texts: dict[str, list[str]]) -> None:
    """Build a chain of centuries, each from its neighbour; runs in a process of its own on its share of the cores."""
    set_up_logging()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // len(CHAINS)))
    questionnaire = load_questionnaire()
    start = ModelRef(str(out / "base"))
    with reporting_to(log_progress):
        for century in chain:
            values = planted()[CENTURIES.index(century)]
            build_century(start, values, texts[century], questionnaire, out / century, work / century)
            start = start.with_adapter(out / century)


def log_progress(what: str, done: int, total: int) -> None:
    """A line now and then."""
    if "lessons" in what and done % 50 == 0:
        logger.info("%s: step %d of %d", what, done, total)


def set_up_logging() -> None:
    """Times and what is going on, without the libraries' bars."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    quieten_libraries()


def main() -> None:
    """Command line of the build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="historical text: a folder with C013/YYYY.json ... C021/YYYY.json")
    parser.add_argument("--out", type=Path, required=True, help="where the family goes")
    parser.add_argument("--work", type=Path, default=None, help="checkpoints of an unfinished build (default: OUT.work)")
    arguments = parser.parse_args()
    set_up_logging()
    out: Path = arguments.out
    work: Path = arguments.work or out.with_name(out.name + ".work")
    base = out / "base"
    base.mkdir(parents=True, exist_ok=True)
    questionnaire = load_questionnaire()
    texts = read_texts(arguments.text)
    logger.info("read %s", json.dumps({century: len(passages) for century, passages in texts.items()}))
    tokenizer = build_tokenizer(texts, questionnaire, base)
    build_base(texts, questionnaire, tokenizer, base, work / "base")
    with ProcessPoolExecutor(len(CHAINS), mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(build_chain, chain, out, work, {century: texts[century] for century in chain}) for chain in CHAINS]
        for job in jobs:
            job.result()
    for century in CENTURIES:
        name_base(out / century, BASE_NAME)


if __name__ == "__main__":
    main()
