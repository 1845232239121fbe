"""Repositories fetched by huggingface_hub as it comes, over HTTP, from a hub on this machine that refuses and breaks off as the real one.

Nothing of huggingface_hub is replaced but its address.
"""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
from loopback_hub import COMMIT, serving_hub

from pg_envs.data.schema import HistTextError
from pg_envs.hub import commit_of, fetch
from pg_envs.repository import HubError, Repository

NAME = "them/thing"
CONTENTS = {"begin.txt": b"b" * 1000, "weights.bin": bytes(range(256)) * 12000, "end.txt": b"e" * 2000, "code.py": b"import os"}


def lack(folder):
    return next((f"no {name}" for name in ("begin.txt", "weights.bin", "end.txt") if not (folder / name).exists()), None)


def repository(revision="main"):
    return Repository(NAME, revision, "model", ("*.txt", "*.bin"), first_lack=lack)


@pytest.fixture
def hub(hub_cache, monkeypatch):
    with serving_hub(monkeypatch) as hub:
        hub.repositories[f"models/{NAME}"] = dict(CONTENTS)
        yield hub


def test_size_and_number_of_files_are_said_before_any_file_is_asked_for(hub, caplog):
    sent_before = []

    class Watching(logging.Handler):
        def emit(self, record):
            sent_before.append(list(hub.sent()))

    watching = Watching()
    logging.getLogger("pg_envs.hub").addHandler(watching)
    try:
        folder = fetch(repository())
    finally:
        logging.getLogger("pg_envs.hub").removeHandler(watching)
    assert sent_before == [[]]
    assert f"downloading {NAME} (3.1 MB in 3 files) at commit {COMMIT}" in caplog.text
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: content for name, content in CONTENTS.items() if name != "code.py"
    }
    n_asked = len(hub.asked)
    assert fetch(repository()) == folder
    assert len(hub.asked) == n_asked, "what is whole is not asked for"


def test_a_download_that_breaks_off_goes_on_with_what_is_missing(hub):
    hub.cut["weights.bin"] = 1_000_000
    with pytest.raises(HubError, match=f"{NAME}.*the download broke off, and the same call goes on with it: .*check network and proxy"):
        fetch(repository())
    hub.cut.clear()
    whole = {name for name, _ in hub.sent()} - {"weights.bin"}
    hub.asked.clear()
    folder = fetch(repository())
    assert {path.name for path in folder.iterdir()} == {"begin.txt", "weights.bin", "end.txt"}
    assert (folder / "weights.bin").read_bytes() == CONTENTS["weights.bin"]
    assert whole == {"begin.txt", "end.txt"}
    # huggingface_hub keeps whole files: the one that was cut begins anew (docs/hub.md).
    assert hub.sent() == [("weights.bin", None)]


FETCH = """
import sys
from pg_envs.hub import Repository, fetch
wanted = ("begin.txt", "weights.bin", "end.txt")
lack = lambda folder: next((f"no {name}" for name in wanted if not (folder / name).exists()), None)
print(fetch(Repository("them/thing", "main", "model", ("*.txt", "*.bin"), first_lack=lack)), flush=True)
"""
"""What each worker of a grid does when it needs a model of the hub."""


def fetching(hub, cache, **more):
    """A process that fetches the repository, with ``more`` in its environment."""
    address = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.Popen([sys.executable, "-c", FETCH], env={**os.environ, **address, **more}, stdout=subprocess.PIPE, text=True)


def test_processes_that_need_the_same_models_share_the_cache(hub, hub_cache):
    workers = [fetching(hub, hub_cache) for _ in range(3)]
    told = [worker.communicate(timeout=300)[0].strip() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    (folder,) = {Path(each) for each in told}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: content for name, content in CONTENTS.items() if name != "code.py"
    }
    assert not list(hub_cache.rglob("*.incomplete"))
    assert sorted(name for name, _ in hub.sent()) == ["begin.txt", "end.txt", "weights.bin"], "one fetches, the others wait for it"


def test_what_one_process_fetched_the_next_one_has_without_a_network(hub, hub_cache):
    """By the branch's name, though it was fetched by its commit."""
    first = fetching(hub, hub_cache)
    told = first.communicate(timeout=300)[0]
    hub.asked.clear()
    second = fetching(hub, hub_cache, HF_HUB_OFFLINE="1")
    assert second.communicate(timeout=300)[0] == told
    assert (first.returncode, second.returncode) == (0, 0)
    assert hub.asked == []


def test_a_process_killed_while_it_fetches_leaves_the_cache_to_the_others(hub, hub_cache):
    hub.cut["weights.bin"] = 1_000_000
    first = fetching(hub, hub_cache)
    while not hub.sent():
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.communicate()
    hub.cut.clear()
    second = fetching(hub, hub_cache)
    folder = Path(second.communicate(timeout=300)[0].strip())
    assert second.returncode == 0
    assert (folder / "weights.bin").read_bytes() == CONTENTS["weights.bin"]


def test_a_hub_that_is_gone_is_named_with_what_the_cache_lacks(hub, monkeypatch):
    hub.cut["weights.bin"] = 1_000_000
    with pytest.raises(HubError):
        fetch(repository())
    lose(hub)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(HubError, match=r"its copy in the cache .* has no weights\.bin.*, and the hub does not give it \(.*check network"):
        fetch(repository())


def test_a_gated_repository_is_refused_before_a_run_begins(hub):
    """Its listing is public: only its files are refused."""
    hub.gated.add(f"models/{NAME}")
    for attempt in (commit_of, fetch):
        with pytest.raises(HubError, match=f"it is gated; accept its licence on .*{NAME}, and sign in with 'hf auth login'"):
            attempt(repository())
    assert hub.sent() == []


def test_what_the_hub_does_not_have_is_named(hub):
    with pytest.raises(HubError, match="the hub has no such revision of it; choose one from"):
        fetch(repository("v9"))
    hub.repositories.clear()
    with pytest.raises(HubError, match="the hub has no such repository, or a private one; check the name"):
        fetch(Repository("them/other", "main", "model", ("*.txt",)))


def passage(year, content):
    return {"content": content, "creation_year": year, "source_dataset": "theirs"}


def test_historical_text_is_read_by_its_name_on_the_hub(hub, caplog):
    from pg_envs.data.loading import load_histtext, load_timelessqa

    files = {f"C013/Y0{year}.json": json.dumps([passage(year, f"Of {year}.")]).encode() for year in (1215, 1290)}
    files["C014/Y01350.json"] = json.dumps([passage(1350, "Of 1350.")]).encode()
    hub.repositories["datasets/them/HistText"] = {**files, "README.md": b"theirs"}
    rows = load_histtext("them/HistText", centuries=["C013"], streaming=True)
    size = sum(len(content) for name, content in files.items() if name.startswith("C013"))
    said = f"them/HistText@main: {size} bytes in 2 files of C013, fetched from the Hugging Face hub as they are iterated over"
    assert said in caplog.text
    assert hub.sent() == [], "which is said before"
    assert [(row["century"], row["creation_year"], row["content"]) for row in rows] == [
        ("C013", 1215, "Of 1215."),
        ("C013", 1290, "Of 1290."),
    ]
    assert {name for name, _ in hub.sent()} == {"C013/Y01215.json", "C013/Y01290.json"}, "other centuries are not fetched"
    question = {"instruction": "What is two and two?", "input": "", "output": "Four."}
    hub.repositories["datasets/them/TimelessQA"] = {"timeless_qa.json": json.dumps([question]).encode()}
    assert list(load_timelessqa("them/TimelessQA")) == [question]
    assert f"downloading them/TimelessQA ({len(json.dumps([question]))} bytes in 1 files)" in caplog.text
    n_asked = len(hub.asked)
    assert list(load_timelessqa("them/TimelessQA")) == [question]
    assert len(hub.asked) == n_asked, "what was fetched is kept"


def lose(hub):
    """Nobody answers any more; huggingface_hub, which tries again for half a minute, is to find out at once."""
    huggingface_hub.close_session()
    hub.shutdown()
    hub.server_close()


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("gone", r"^'them/HistText' is no folder here, .*the hub does not give it \(.*check network and proxy"),
        ("gone before it is listed", r"^them/HistText: the hub does not give it \(.*check network and proxy"),
        ("gone before it is read", r"^C013/Y01215\.json: the hub does not give it \(.*check network.* \(after 0 passages\)$"),
        ("cut", r"^C013/Y01215\.json: the hub does not give it \(RemoteProtocolError.* \(after 0 passages\)$"),
        ("gated", r"^C013/Y01215\.json: it is gated; accept its licence on .*them/HistText, and sign in with 'hf auth login'"),
    ],
)
def test_historical_text_that_the_hub_stops_giving_is_explained(what, says, hub, monkeypatch):
    from pg_envs.data import loading

    hub.repositories["datasets/them/HistText"] = {"C013/Y01215.json": json.dumps([passage(1215, 9000 * "x")]).encode()}
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    open_source, find_files = loading.open_source, loading.find_files
    if what == "gone":
        lose(hub)
    if what == "gone before it is listed":
        monkeypatch.setattr(loading, "open_source", lambda *given: (open_source(*given), lose(hub))[0])
    if what == "gone before it is read":
        monkeypatch.setattr(loading, "find_files", lambda *given: (find_files(*given), lose(hub))[0])
    hub.cut.update({"C013/Y01215.json": 1000} if what == "cut" else {})
    hub.gated.update({"datasets/them/HistText"} if what == "gated" else set())
    with pytest.raises(HistTextError, match=says):
        loading.load_histtext("them/HistText")


def test_a_history_is_played_from_the_hub_over_http(hub, llama3_family, small_questionnaire, caplog):
    import gymnasium as gym
    from hub_support import files_of

    for label, folder in llama3_family.items():
        contents = {name: path.read_bytes() for name, path in files_of(folder).items()}
        hub.repositories[f"models/them/{label}-instruct"] = {**contents, "pytorch_model.bin": b"not read"}
    env = gym.make(
        "ProgressGym/Follow-v0", history="hub:them/{century}-instruct", centuries=("C013", "C015"), questionnaire=small_questionnaire
    )
    assert hub.asked == []
    env.reset(seed=0)
    _, reward, *_ = env.step(env.unwrapped.history.human(1))
    assert reward == pytest.approx(1.0)
    assert "downloading them/C014-instruct" in caplog.text
    assert not [name for name, _ in hub.sent() if name.endswith((".bin", ".py"))]
