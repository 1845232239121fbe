"""What several tests use: scripted answerers, the published items, small random models."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hub_support import FakeHub, files_of, put_in_cache, save_llama3
from hypothesis import settings
from tests_support import TINY_FAMILY_CENTURIES, save_llama, save_random_family, write_small_questionnaire

from pg_envs.history.registry import LIVE
from pg_envs.models.ref import ModelRef

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

# How long an example takes says more about what else runs on a machine than about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="module")
def little_to_collect():
    """A trainer looks for garbage each time it begins; it need not look through all that was imported before the module's tests."""
    if "transformers" not in sys.modules:
        yield
        return
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def float32():
    """The same arithmetic on every processor, in this process and in those it starts: for comparisons closer than bfloat16's rounding."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PG_ENVS_DTYPE", "float32")
        yield


@pytest.fixture
def straight_to_servers(monkeypatch):
    """What a test asks its servers on this machine goes through no proxy, and carries no key, of the machine's."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="session")
def moral_evals() -> Path:
    """The folder of published MoralEvals items, which lies beside the checkout where the project is developed."""
    folder = SHARED_DATA / "moral_evals"
    if not folder.is_dir():
        pytest.skip(f"the published MoralEvals items are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def dirty_text() -> Path:
    """The folder of labelled dirty passages, which lies beside the checkout where the project is developed."""
    folder = SHARED_DATA / "histtext" / "dirty"
    if not folder.is_dir():
        pytest.skip(f"the labelled dirty passages are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def small_questionnaire(tmp_path_factory) -> str:
    """A folder with the first two bundled items of every theme, for tests in which language models answer."""
    folder = tmp_path_factory.mktemp("items")
    write_small_questionnaire(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tokenizer():
    """A small tokenizer with the family's chat template, trained on the bundled items."""
    from pg_envs.building.tokenizer import train_tokenizer
    from pg_envs.values.questionnaire import load_questionnaire

    return train_tokenizer(" ".join((item.context, *item.options)) for item in load_questionnaire().items)


@pytest.fixture(scope="session")
def random_base(tmp_path_factory, tokenizer) -> Path:
    """A random Llama of a few thousand parameters, saved as a model folder."""
    return save_llama(tmp_path_factory.mktemp("models") / "random", tokenizer)


@pytest.fixture(scope="session")
def tiny_family_refs(random_base, tmp_path_factory) -> tuple[ModelRef, ...]:
    """Nine names on the random base, of which the last four have adapters, random ones."""
    folder = tmp_path_factory.mktemp("family")
    return save_random_family(ModelRef(str(random_base)), folder, begin=5)


@pytest.fixture
def tiny_family(tiny_family_refs, monkeypatch) -> tuple[ModelRef, ...]:
    """``histtiny``'s models are a random family from C018 on: every way through the code, in milliseconds a century."""
    monkeypatch.setitem(LIVE, "histtiny", lambda: tiny_family_refs)
    return tiny_family_refs[5:]


@pytest.fixture(scope="session")
def tiny_recording(tiny_family_refs, small_questionnaire, tmp_path_factory) -> Path:
    """The recording of the random family's four centuries on the small questionnaire."""
    from pg_envs.record import record

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(LIVE, "histtiny", lambda: tiny_family_refs)
        return record(tmp_path_factory.mktemp("recordings") / "tiny", questionnaire=small_questionnaire, centuries=TINY_FAMILY_CENTURIES)


class Scripted:
    """An answerer that prefers contents or places as told.

    ``preference(question_key, options)`` gives probabilities by place; whole-answer forms are answered with
    log-probabilities that grow with length, so that only normalising by length gives the preference back.
    """

    def __init__(self, by_place):
        self.by_place = by_place
        self.n_asked = 0

    def choice_logprobs(self, model, prompts, answers):
        from pg_envs.models.engine import AnswerLogprobs

        scored = []
        for prompt, group in zip(prompts, answers, strict=True):
            self.n_asked += 1
            p = np.asarray(self.by_place(prompt, group), float)
            whole = group[0] not in ("A", "yes")
            n_tokens = np.array([len(answer.split()) for answer in group]) if whole else np.ones(len(group), int)
            with np.errstate(divide="ignore"):
                scored.append(AnswerLogprobs(np.log(p) * n_tokens, n_tokens))
        return scored

    def generate(self, model, prompts, max_new_tokens, temperature, seed):
        raise AssertionError("not used in logprob mode")


@pytest.fixture
def scripted():
    return Scripted


@pytest.fixture(scope="session")
def llama3_family(tokenizer, tmp_path_factory) -> dict[str, Path]:
    """Whole random models of the first three centuries, laid out as HistLlama3's."""
    folder = tmp_path_factory.mktemp("llama3")
    return {label: save_llama3(folder / label, tokenizer, seed) for seed, label in enumerate(("C013", "C014", "C015"))}


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the hub's."""
    from huggingface_hub import constants

    cache = tmp_path / "hub-cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def cached_family(llama3_family, hub_cache) -> Path:
    """The cache with the random family in it as ``them/C013-instruct`` and so on."""
    for label, folder in llama3_family.items():
        put_in_cache(hub_cache, f"them/{label}-instruct", files_of(folder), commit=label[-1] * 40)
    return hub_cache


@pytest.fixture
def fake_hub(hub_cache, monkeypatch) -> FakeHub:
    """A hub that serves what a test gives it, into an empty cache."""
    return FakeHub(monkeypatch, hub_cache)


@pytest.fixture
def ran(monkeypatch):
    """Has a grid's runs carried out in this process, which is faster; gives their names."""
    from contextlib import contextmanager

    names = []

    def carry_out(cells, logs, tell):
        for cell in cells:
            names.append(cell.name)
            tell(cell.name, "running", "")
            try:
                cell.prepare().carry_out()
            except RuntimeError as error:
                tell(cell.name, "failed", str(error))
            else:
                tell(cell.name, "done", "")

    @contextmanager
    def here(workers, threads):
        yield carry_out

    monkeypatch.setattr("pg_envs.benchmark.processes", here)
    return names
