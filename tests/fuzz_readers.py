"""Everything of this project that reads files of strangers: how each is fed arbitrary bytes, and which errors it may raise.

``benchmarks/fuzz.py`` feeds them by the million, ``tests/test_fuzz_corpus.py`` feeds them what was found before.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pg_envs.history.base import Survey
from pg_envs.models.ref import ModelRef, local_path
from pg_envs.values.questionnaire import load_questionnaire

ASSETS = local_path("pg_envs:") or Path()
RECORDING = ASSETS / "recordings" / "histtiny"
ADAPTER = ASSETS / "histtiny" / "C021"


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        read: Given bytes and a folder of its own, which keeps what it put there before, reads the bytes.
        declared: The errors that may come out; anything else is a fault of the reader.
        names: One of these the message of such an error must contain: the file that is at fault, or the folder whose files do not fit.
        seeds: Examples to begin with.
        is_json: Whether examples are JSON, so that they can be changed as trees, too.
    """

    read: Callable[[bytes, Path], Any]
    declared: tuple[type[Exception], ...]
    names: tuple[str, ...]
    seeds: Callable[[], list[bytes]]
    is_json: bool = field(default=False, kw_only=True)


def feed(reader: Reader, data: bytes, folder: Path) -> None:
    """Have a reader read ``data``; only what is its fault is raised."""
    try:
        reader.read(data, folder)
    except reader.declared as error:
        if not any(name in str(error) for name in reader.names):
            raise AssertionError(f"the message names none of {reader.names}: {error}") from error


READERS: dict[str, Reader] = {}


# ---------------------------------------------------------------------- historical text


def _json_stream(data: bytes, folder: Path) -> None:
    from pg_envs.data.json_stream import JsonLimits, read_array

    for _ in read_array(io.BytesIO(data), JsonLimits(max_value_bytes=4096, max_depth=8)):
        pass


def _histtext(data: bytes, folder: Path) -> None:
    from pg_envs.data.histtext import read_folder

    _put(folder / "C013" / "1215.json", data)
    list(read_folder(folder, on_bad="skip"))
    list(read_folder(folder))


def _loaded_histtext(data: bytes, folder: Path) -> None:
    from pg_envs.data.loading import load_histtext

    _put(folder / "C013" / "1215.json", data)
    load_histtext(folder, on_bad="skip")
    load_histtext(folder)


def _timelessqa(data: bytes, folder: Path) -> None:
    from pg_envs.data.loading import load_timelessqa

    _put(folder / "timeless_qa.json", data)
    load_timelessqa(folder)


def _archive(ending: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        from pg_envs.data.archives import ArchiveLimits, unpack

        _put(folder / f"text{ending}", data)
        shutil.rmtree(folder / "unpacked", ignore_errors=True)
        (folder / "unpacked").mkdir()
        unpack(folder / f"text{ending}", folder / "unpacked", ArchiveLimits(max_bytes=1 << 20, max_members=100))

    return read


PASSAGE = {"content": "Of the king's peace", "creation_year": 1215, "source_dataset": "x", "document_id": "d", "passage_index": 0}


def _passages() -> list[bytes]:
    return [json.dumps([PASSAGE, {**PASSAGE, "author": None, "translation_year": 1900}]).encode(), b"[]"]


def _questions() -> list[bytes]:
    return [json.dumps([{"instruction": "What is two and two?", "input": "", "output": "Four."}]).encode()]


def _archives(ending: str) -> Callable[[], list[bytes]]:
    def make() -> list[bytes]:
        import tarfile

        buffer, content = io.BytesIO(), _passages()[0]
        if ending == ".zip":
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("text/C013/1215.json", content)
        else:
            with tarfile.open(fileobj=buffer, mode="w:gz" if ending.endswith("gz") else "w") as tar:
                info = tarfile.TarInfo("C013/1215.json")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return [buffer.getvalue()]

    return make


def _text_readers() -> None:
    from pg_envs.data.json_stream import JsonStreamError
    from pg_envs.data.schema import HistTextError

    # A stream has no name; whoever opened it gives one.
    READERS["json-stream"] = Reader(_json_stream, (JsonStreamError,), ("",), _passages, is_json=True)
    READERS["histtext"] = Reader(_histtext, (HistTextError,), ("C013/1215.json",), _passages, is_json=True)
    READERS["histtext-loaded"] = Reader(_loaded_histtext, (HistTextError,), ("C013/1215.json",), _passages, is_json=True)
    READERS["timelessqa"] = Reader(_timelessqa, (HistTextError,), ("timeless_qa.json",), _questions, is_json=True)
    for ending in (".tar", ".tar.gz", ".zip"):
        READERS[f"archive{ending}"] = Reader(_archive(ending), (HistTextError,), (f"text{ending}",), _archives(ending))


# ---------------------------------------------------------------------- questionnaires


def _questionnaire(filename: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        from pg_envs.values.moral_evals import read_folder

        for name in ("moralchoice.csv", "foundation.csv", "views.csv"):
            if not (folder / name).exists():
                (folder / name).write_bytes(_first_rows(name))
        _put(folder / filename, data)
        survey, evaluation = read_folder(folder, "a stranger's").split()
        Survey(survey)
        evaluation.content_hash  # noqa: B018

    return read


@lru_cache
def _first_rows(filename: str) -> bytes:
    lines = (ASSETS / "questionnaire" / filename).read_bytes().splitlines(keepends=True)
    return b"".join(lines[:4])


def _questionnaire_readers() -> None:
    from pg_envs.values.items import QuestionnaireError

    for name in ("moralchoice.csv", "foundation.csv", "views.csv"):
        READERS[f"questionnaire-{name}"] = Reader(
            _questionnaire(name), (QuestionnaireError,), (name,), lambda name=name: [_first_rows(name)]
        )


# ---------------------------------------------------------------------- recordings


def _manifest(data: bytes, folder: Path) -> None:
    from pg_envs.history.recording import read_manifest

    if not (folder / "C013").exists():
        shutil.copytree(RECORDING, folder, dirs_exist_ok=True)
    _put(folder / "manifest.json", data)
    manifest = read_manifest(folder)
    manifest.to_json()
    manifest.refs  # noqa: B018


def _recorded(kind: str) -> Callable[[bytes, Path], None]:
    """A data file whose hash is the manifest's, as a stranger's manifest can say."""

    def read(data: bytes, folder: Path) -> None:
        from dataclasses import replace

        from pg_envs.history.recording import data_file, read_manifest
        from pg_envs.history.recording_data import RecordedCentury

        name = data_file("C013", kind)
        _put(folder / name, data)
        manifest = _recording_manifest(read_manifest)
        told = replace(manifest, files={**manifest.files, name: hashlib.sha256(data).hexdigest()})
        century = RecordedCentury(folder, told, "C013", _survey_items())
        getattr(century, {"preferences": "option_probabilities"}.get(kind, kind))

    return read


@lru_cache
def _recording_manifest(read_manifest: Any) -> Any:
    return read_manifest(RECORDING)


@lru_cache
def _survey_items() -> Any:
    return load_questionnaire().split()[0].items


def _recording_readers() -> None:
    from pg_envs.history.recording import KINDS, RecordingError

    READERS["manifest"] = Reader(
        _manifest, (RecordingError,), ("manifest.json",), lambda: [(RECORDING / "manifest.json").read_bytes()], is_json=True
    )
    for kind in KINDS:
        seeds = lambda kind=kind: [(RECORDING / "C013" / f"{kind}.parquet").read_bytes()]  # noqa: E731
        READERS[f"recorded-{kind}"] = Reader(_recorded(kind), (RecordingError,), (f"{kind}.parquet",), seeds)


# ---------------------------------------------------------------------- runs


def _result(data: bytes, folder: Path) -> None:
    from pg_envs.result_files import read_result

    _put(folder / "result.json", data)
    read_result(folder)


def _submission(data: bytes, folder: Path) -> None:
    from pg_envs.submission import check_submission

    _put(folder / "result.json", data)
    check_submission(folder)


@lru_cache
def _results() -> list[bytes]:
    """Of short simulated runs, one a challenge."""
    import gymnasium as gym

    import pg_envs
    from agents.baselines import RandomAgent
    from pg_envs.results import make_result, plain
    from pg_envs.runner import run_episode

    made = []
    for env_id in pg_envs.ENV_IDS:
        years = ("C019", "C021") if "Predict" not in env_id else ("C018", "C021")
        config = {"env": env_id, "env_args": {"history": "simulated", "centuries": years}, "agent": "random", "agent_args": {}, "seed": 0}
        env = gym.make(env_id, **config["env_args"])
        agent = RandomAgent(env)
        inner = run_episode(env, agent, 0)
        policies = [{"policy": step["policy_vector"], "policy_files": {}} for step in inner.trace]
        made.append(json.dumps(plain(make_result(inner, config, policies, []))).encode())
    return made


def _config(data: bytes, folder: Path) -> None:
    import gymnasium as gym

    from pg_envs.cli import _is_raised_on_purpose
    from pg_envs.one_run import OneRun
    from pg_envs.run_folder import read_config

    _put(folder / "config.json", data)
    config = read_config(folder)
    if ":" in config["env"] or ":" in config["agent"]:
        return  # What is named so is imported, as whoever starts the run wants it.
    try:
        OneRun(folder / "none", config).close()
    except (FileNotFoundError, ModuleNotFoundError, gym.error.Error):
        # What the values name does not exist, which is said in the words of whoever knows.
        return
    except (ValueError, TypeError) as error:
        if not _is_raised_on_purpose(error):
            raise AssertionError(f"a fault, as nobody's 'raise' made it: {error!r}") from error


def _configs() -> list[bytes]:
    env = {"history": "simulated", "centuries": ["C019", "C021"], "votes": "majority", "scoring": "upstream", "query_budget": 5}
    rest = {"env_args": env, "agent": "simulated-lifelong", "agent_args": {"votes_per_comparison": 2}, "seed": 1}
    return [json.dumps({**rest, "env": f"ProgressGym/{name}-v0"}).encode() for name in ("Follow", "Coevolve")]


def _progress(data: bytes, folder: Path) -> None:
    from pg_envs.run_folder import check_policy_files, policy_from_record, read_progress

    _put(folder / "progress.json", data)
    progress = read_progress(folder)
    for act in progress.acts:
        check_policy_files(act, folder)
        policy_from_record(act.policy, folder)
    progress.events  # noqa: B018


def _progresses() -> list[bytes]:
    files = {"policies/C014/adapter_config.json": "0" * 64}
    model = {"base": "pg_envs:histtiny/base", "revision": None, "adapter": "policies/C014"}
    acts = [
        {"policy": policy, "n_queries": 2, "events": [{"century": "C014", "event": "x"}], "files": {}} for policy in (model, [0.5, 0.1])
    ]
    return [
        json.dumps({"acts": [*acts, {**acts[0], "files": files}], "baselines": {"no-op": 0.5}, "versions": {"torch": "2.13.0"}}).encode()
    ]


def _votes(data: bytes, folder: Path) -> None:
    from agents.forecast import VoteMemory

    _put(folder / "votes.json", data)
    VoteMemory(folder / "votes.json").recall(1)


def _run_readers() -> None:
    from pg_envs.result_schema import ResultError
    from pg_envs.run_folder import RunFolderError

    READERS["result"] = Reader(_result, (ResultError,), ("result.json",), _results, is_json=True)
    READERS["submission"] = Reader(_submission, (ResultError,), ("result.json",), _results, is_json=True)
    READERS["run-config"] = Reader(_config, (RunFolderError,), ("config.json",), _configs, is_json=True)
    READERS["progress"] = Reader(_progress, (RunFolderError,), ("progress.json", "policies/"), _progresses, is_json=True)
    votes = b'{"1": [0.5, null, -1.0], "2": [1, 1, 1]}'
    READERS["vote-memory"] = Reader(_votes, (ValueError,), ("votes.json",), lambda: [votes], is_json=True)


# ---------------------------------------------------------------------- building families


def _plan(data: bytes, folder: Path) -> None:
    from pg_envs.building.plan_file import read_plan

    _put(folder / "plan.toml", data)
    read_plan(folder / "plan.toml").all_chains()


def _names(data: bytes, folder: Path) -> None:
    """A name that a plan or a configuration gives, wherever one is taken."""
    from agents.principles import load_principles
    from pg_envs.building.ingredients import seen_from, settled_base
    from pg_envs.building.planted import read_table
    from pg_envs.building.texts import read_texts
    from pg_envs.data.loading import load_timelessqa
    from pg_envs.history.built import read_family
    from pg_envs.history.recorded import recording_folder
    from pg_envs.history.recording import read_manifest
    from pg_envs.models.checks import check_files

    name = data.decode("utf-8", errors="replace")[:6000]
    takers: tuple[Callable[[], Any], ...] = (
        lambda: check_files(ModelRef.parse(settled_base(name, folder))),
        lambda: check_files(ModelRef("pg_envs:histtiny/base", adapter=name)),
        lambda: read_texts(folder / name, ("a", "b"), 10),
        lambda: read_table(seen_from(folder, name), ("a", "b")),
        lambda: load_questionnaire(seen_from(folder, name)),
        lambda: load_timelessqa(seen_from(folder, name)),
        lambda: read_family(Path(name)),
        lambda: read_manifest(recording_folder(name)),
        lambda: load_principles(name),
    )
    for take in takers:
        try:
            take()
        except _named_errors():
            continue


@lru_cache
def _named_errors() -> tuple[type[Exception], ...]:
    from agents.principles import PrincipleError
    from pg_envs.building.plan import PlanError
    from pg_envs.data.schema import HistTextError
    from pg_envs.history.base import HistoryError
    from pg_envs.history.recording import RecordingError
    from pg_envs.models.ref import ModelRefError
    from pg_envs.values.items import QuestionnaireError

    return PlanError, HistTextError, QuestionnaireError, HistoryError, RecordingError, ModelRefError, PrincipleError


def _table(data: bytes, folder: Path) -> None:
    from pg_envs.building.planted import read_table

    _put(folder / "planted.csv", data)
    read_table(str(folder / "planted.csv"), ("C013", "C014"))


def _genres(data: bytes, folder: Path) -> None:
    from pg_envs.data.describing.genres import read_genres

    _put(folder / "genres.csv", data)
    read_genres(folder / "genres.csv")


def _family(data: bytes, folder: Path) -> None:
    from pg_envs.history.built import read_family

    _put(folder / "history.json", data)
    family = read_family(folder)
    family.refs(folder)
    family.to_json()


def _begun(data: bytes, folder: Path) -> None:
    from pg_envs.building.build import Places, _begin

    _put(folder / "it.work" / "begun.json", data)
    _begin(Places(folder / "plan.toml", folder, folder / "it"), {"plan": "x", "texts": {"a": "0"}})


def _plain_text(data: bytes, folder: Path) -> None:
    from pg_envs.building.texts import read_texts

    _put(folder / "a" / "all.txt", data)
    read_texts(folder, ("a",), 10)


def _undated(data: bytes, folder: Path) -> None:
    from pg_envs.data.cleaning.folders import clean_folder

    (folder / "text" / "C013").mkdir(parents=True, exist_ok=True)
    _put(folder / "text" / "undated.json", data)
    shutil.rmtree(folder / "clean", ignore_errors=True)
    clean_folder(folder / "text", folder / "clean")


def _cleaned(data: bytes, folder: Path) -> None:
    from pg_envs.data.cleaning.rewrite import Rewriter, rewrite_noisy
    from pg_envs.data.cleaning.rewrite_folder import _find, _passages

    class Copying:
        def replies(self, model: Any, prompts: Any, *_: Any, **__: Any) -> list[Any]:
            from pg_envs.models.engine import Reply

            return [Reply(prompt.rpartition("\n\n")[2], True) for prompt in prompts]

    _put(folder / "C013" / "1215.json", data)
    engine: Any = Copying()
    list(rewrite_noisy(_passages(_find(folder)), Rewriter(engine, ModelRef("none"))))


def _kept_replies(data: bytes, folder: Path) -> None:
    from contextlib import closing

    from pg_envs.data.cleaning.kept_replies import KeepingEngine
    from pg_envs.models.engine import Reply

    class Silent:
        def replies(self, model: Any, prompts: Any, *_: Any, **__: Any) -> list[Reply]:
            return [Reply("yes", True) for _ in prompts]

    for left in folder.glob("kept.sqlite*"):
        left.unlink()
    _put(folder / "kept.sqlite", data)
    engine: Any = Silent()
    with closing(KeepingEngine(engine, folder / "kept.sqlite")) as keeping:
        assert all(isinstance(reply.text, str) for reply in keeping.replies(ModelRef("none"), ["May I?", "Why?"]))


def _databases() -> list[bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        _kept_replies(b"", Path(folder))
        return [(Path(folder) / "kept.sqlite").read_bytes()]


def _principles(data: bytes, folder: Path) -> None:
    from agents.principles import load_principles

    _put(folder / "principles.json", data)
    load_principles(str(folder / "principles.json"))


def _families() -> list[bytes]:
    files = {"a1": {"adapter_model.safetensors": "0" * 64}, "b1": {}}
    family = {"format_version": 2, "name": "x", "periods": ["a1", "b1"], "weights": "lora", "base": "pg_envs:histtiny/base", "files": files}
    return [json.dumps(family).encode(), json.dumps({**family, "base": "", "files": {**files, "base": {}}}).encode()]


def _building_readers() -> None:
    from agents.principles import PrincipleError
    from pg_envs.building.plan import PlanError
    from pg_envs.data.schema import HistTextError
    from pg_envs.history.base import HistoryError
    from pg_envs.storage import CannotWrite

    noisy = {**PASSAGE, "content": "Of the kiug's p e a c e", "cleaning": ["ocr_noise", "spaced_letters"]}
    names = [
        "pg_envs:histtiny/base",
        "owner/name@main",
        "~nouser/x",
        "a" * 300,
        "../x\x00",
        "twelve",
        "base+adapter",
        "a b/c",
        "a--b/c",
        "/",
    ]
    passages = [json.dumps([noisy]).encode(), *_passages()]
    principles = json.dumps([{"name": "kindness", "question": "Which is kinder?", "dimension": "kill"}]).encode()
    plan = (ASSETS / "histtiny" / "plan.toml").read_bytes()
    table = (ASSETS / "histtiny" / "planted.csv").read_bytes()
    READERS["plan"] = Reader(_plan, (PlanError,), ("plan.toml",), lambda: [plan])
    READERS["names"] = Reader(_names, (), ("",), lambda: [name.encode() for name in names])
    READERS["planted-table"] = Reader(_table, (PlanError,), ("planted.csv",), lambda: [table])
    genres = b'document,genre\nrolls,law\n"psalms, and hymns",sermon\n'
    READERS["genres"] = Reader(_genres, (HistTextError,), ("genres.csv",), lambda: [genres])
    READERS["family"] = Reader(_family, (HistoryError,), ("history.json",), _families, is_json=True)
    begun = [b'{"plan": "x", "texts": {"a": "0"}}']
    READERS["begun"] = Reader(_begun, (PlanError,), ("it.work",), lambda: begun, is_json=True)
    READERS["plain-text"] = Reader(_plain_text, (HistTextError,), ("a/all.txt", "/a'"), lambda: [b"Of the king's peace.", b"\xef\xbb\xbfx"])
    READERS["undated"] = Reader(_undated, (HistTextError,), ("undated.json", "/text'"), lambda: passages, is_json=True)
    READERS["cleaned"] = Reader(_cleaned, (HistTextError,), ("C013/1215.json",), lambda: passages, is_json=True)
    READERS["kept-replies"] = Reader(_kept_replies, (HistTextError, CannotWrite), ("kept.sqlite",), _databases)
    READERS["principles"] = Reader(_principles, (PrincipleError,), ("principles.json",), lambda: [principles], is_json=True)


# ---------------------------------------------------------------------- models


def _adapter_file(filename: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        from pg_envs.models.checks import check_files

        adapter = folder / "an-adapter"
        if not adapter.exists():
            adapter.mkdir()
            for name in ("adapter_config.json", "adapter_model.safetensors"):
                shutil.copy(ADAPTER / name, adapter / name)
        _put(adapter / filename, data)
        check_files(ModelRef("pg_envs:histtiny/base", adapter=str(adapter)))

    return read


def _small_adapter() -> list[bytes]:
    """Weights that fit the bundled base, of one matrix only."""
    import numpy as np
    from safetensors import numpy

    return [numpy.save({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": np.zeros((8, 256), np.float16)})]


def _base_config(filename: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        from pg_envs.models.checks import check_files

        check_files(ModelRef(str(_changed_base(ASSETS / "histtiny" / "base", filename, data, folder))))

    return read


def _changed_base(original: Path, filename: str, data: bytes, folder: Path) -> Path:
    """The folder of a base, one of whose files has other bytes."""
    base = folder / "a-base"
    if not base.exists():
        base.mkdir()
        for path in original.iterdir():
            (base / path.name).symlink_to(path)
    (base / filename).unlink(missing_ok=True)
    _put(base / filename, data)
    return base


@lru_cache
def _little() -> tuple[Path, Any]:
    """The folder of a base that is loaded in milliseconds, with an adapter in the folder ``adapter`` beside it; and the base, loaded."""
    import atexit
    import tempfile

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from pg_envs.models.trained import save_adapter

    folder = Path(tempfile.mkdtemp(prefix="pg-envs-little-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=4096, pad_token_id=0, tie_word_embeddings=True, **sizes))
    model.save_pretrained(folder / "base")
    for path in (ASSETS / "histtiny" / "base").iterdir():
        if "token" in path.name or "template" in path.name:
            shutil.copy(path, folder / "base" / path.name)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    save_adapter(adapted, ModelRef(str(folder / "base")), folder / "adapter")
    return folder, LlamaForCausalLM.from_pretrained(folder / "base").to(torch.float32)


def _load_base(filename: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        import torch

        from pg_envs.models.loading import load_base

        base = _changed_base(_little()[0] / "base", filename, data, folder)
        load_base(ModelRef(str(base)), torch.float32, torch.device("cpu"))

    return read


def _load_tokenizer(filename: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        from pg_envs.models.loading import load_tokenizer

        load_tokenizer(ModelRef(str(_changed_base(_little()[0] / "base", filename, data, folder))))

    return read


def _load_adapter(filename: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        import copy

        from pg_envs.models.adapters import put_adapter

        little, base = _little()
        adapter = folder / "an-adapter"
        if not adapter.exists():
            shutil.copytree(little / "adapter", adapter)
        _put(adapter / filename, data)
        put_adapter(copy.deepcopy(base), ModelRef(str(little / "base"), adapter=str(adapter)), "default")

    return read


def _embedder(data: bytes, folder: Path) -> None:
    from pg_envs.data.describing.embedder import load_embedder

    load_embedder(str(_changed_base(_little()[0] / "base", "modules.json", data, folder)))


def _model_readers() -> None:
    from pg_envs.data.schema import HistTextError
    from pg_envs.models.ref import ModelRefError

    of_adapter: dict[str, Callable[[], list[bytes]]] = {
        "adapter_config.json": lambda: [(ADAPTER / "adapter_config.json").read_bytes()],
        "adapter_model.safetensors": _small_adapter,
    }
    for name, seeds in of_adapter.items():
        READERS[name] = Reader(_adapter_file(name), (ModelRefError,), ("an-adapter",), seeds, is_json=name.endswith(".json"))
        little = lambda name=name: [(_little()[0] / "adapter" / name).read_bytes()]  # noqa: E731
        READERS[f"loaded-{name}"] = Reader(_load_adapter(name), (ModelRefError,), ("an-adapter",), little, is_json=name.endswith(".json"))
    for name in ("config.json", "model.safetensors.index.json"):
        seeds = lambda name=name: [(ASSETS / "histtiny" / "base" / name).read_bytes()]  # noqa: E731
        READERS[f"base-{name}"] = Reader(_base_config(name), (ModelRefError,), ("a-base",), seeds, is_json=True)
    loads = {"config.json": _load_base, "model.safetensors": _load_base}
    loads |= dict.fromkeys(("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"), _load_tokenizer)
    for name, load in loads.items():
        little = lambda name=name: [(_little()[0] / "base" / name).read_bytes()]  # noqa: E731
        READERS[f"loaded-{name}"] = Reader(load(name), (ModelRefError,), ("a-base",), little, is_json=name.endswith(".json"))
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    READERS["embedder"] = Reader(
        _embedder, (HistTextError, ModuleNotFoundError), ("a-base", "pip install"), lambda: [json.dumps(modules).encode()], is_json=True
    )


def _put(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


for _add in (_text_readers, _questionnaire_readers, _recording_readers, _run_readers, _building_readers, _model_readers):
    _add()
