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
        names: What the message of such an error must contain: the file that is at fault.
        seeds: Examples to begin with.
        is_json: Whether examples are JSON, so that they can be changed as trees, too.
    """

    read: Callable[[bytes, Path], Any]
    declared: tuple[type[Exception], ...]
    names: str
    seeds: Callable[[], list[bytes]]
    is_json: bool = field(default=False, kw_only=True)


def feed(reader: Reader, data: bytes, folder: Path) -> None:
    """Have a reader read ``data``; only what is its fault is raised."""
    try:
        reader.read(data, folder)
    except reader.declared as error:
        if reader.names not in str(error):
            raise AssertionError(f"the message does not name {reader.names!r}: {error}") from error


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

    READERS["json-stream"] = Reader(_json_stream, (JsonStreamError,), "", _passages, is_json=True)
    READERS["histtext"] = Reader(_histtext, (HistTextError,), "C013/1215.json", _passages, is_json=True)
    READERS["histtext-loaded"] = Reader(_loaded_histtext, (HistTextError,), "C013/1215.json", _passages, is_json=True)
    READERS["timelessqa"] = Reader(_timelessqa, (HistTextError,), "timeless_qa.json", _questions, is_json=True)
    for ending in (".tar", ".tar.gz", ".zip"):
        READERS[f"archive{ending}"] = Reader(_archive(ending), (HistTextError,), f"text{ending}", _archives(ending))


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
        READERS[f"questionnaire-{name}"] = Reader(_questionnaire(name), (QuestionnaireError,), name, lambda name=name: [_first_rows(name)])


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
        _manifest, (RecordingError,), "manifest.json", lambda: [(RECORDING / "manifest.json").read_bytes()], is_json=True
    )
    for kind in KINDS:
        seeds = lambda kind=kind: [(RECORDING / "C013" / f"{kind}.parquet").read_bytes()]  # noqa: E731
        READERS[f"recorded-{kind}"] = Reader(_recorded(kind), (RecordingError,), f"{kind}.parquet", seeds)


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

    from pg_envs.one_run import OneRun
    from pg_envs.run_folder import read_config

    _put(folder / "config.json", data)
    config = read_config(folder)
    if ":" in config["env"] or ":" in config["agent"]:
        return  # What is named so is imported, as whoever starts the run wants it.
    try:
        OneRun(folder / "none", config).close()
    except (ValueError, TypeError, FileNotFoundError, ModuleNotFoundError, gym.error.Error):
        # What the values name does not exist or does not fit, which is said in the words of whoever knows.
        return


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

    READERS["result"] = Reader(_result, (ResultError,), "result.json", _results, is_json=True)
    READERS["submission"] = Reader(_submission, (ResultError,), "result.json", _results, is_json=True)
    READERS["run-config"] = Reader(_config, (RunFolderError,), "config.json", _configs, is_json=True)
    READERS["progress"] = Reader(_progress, (RunFolderError,), "", _progresses, is_json=True)
    votes = b'{"1": [0.5, null, -1.0], "2": [1, 1, 1]}'
    READERS["vote-memory"] = Reader(_votes, (ValueError,), "votes.json", lambda: [votes], is_json=True)


# ---------------------------------------------------------------------- models


def _adapter_file(filename: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        from pg_envs.models.checks import check_files

        for name in ("adapter_config.json", "adapter_model.safetensors"):
            if not (folder / name).exists():
                shutil.copy(ADAPTER / name, folder / name)
        _put(folder / filename, data)
        check_files(ModelRef("pg_envs:histtiny/base", adapter=str(folder)))

    return read


def _small_adapter() -> list[bytes]:
    """Weights that fit the bundled base, of one matrix only."""
    import numpy as np
    from safetensors import numpy

    return [numpy.save({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": np.zeros((8, 256), np.float16)})]


def _base_config(filename: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        from pg_envs.models.checks import check_files

        base = ASSETS / "histtiny" / "base"
        if not (folder / "tokenizer.json").exists():
            for path in base.iterdir():
                (folder / path.name).unlink(missing_ok=True)
                (folder / path.name).symlink_to(path)
        (folder / filename).unlink(missing_ok=True)
        _put(folder / filename, data)
        check_files(ModelRef(str(folder)))

    return read


def _model_readers() -> None:
    from pg_envs.models.ref import ModelRefError

    of_adapter: dict[str, Callable[[], list[bytes]]] = {
        "adapter_config.json": lambda: [(ADAPTER / "adapter_config.json").read_bytes()],
        "adapter_model.safetensors": _small_adapter,
    }
    for name, seeds in of_adapter.items():
        READERS[name] = Reader(_adapter_file(name), (ModelRefError,), "", seeds, is_json=name.endswith(".json"))
    for name in ("config.json", "model.safetensors.index.json"):
        seeds = lambda name=name: [(ASSETS / "histtiny" / "base" / name).read_bytes()]  # noqa: E731
        READERS[f"base-{name}"] = Reader(_base_config(name), (ModelRefError,), "", seeds, is_json=True)


def _put(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_bytes(data)


for _add in (_text_readers, _questionnaire_readers, _recording_readers, _run_readers, _model_readers):
    _add()
