"""Repositories as folders: what is whole in the cache is taken, what is not is announced and fetched, what cannot be had is explained."""

import logging
import shutil
from types import SimpleNamespace

import pytest
from hub_support import CACHED_COMMIT, HUB_COMMIT, put_in_cache, refusal
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from pg_envs.hub import commit_of, fetch
from pg_envs.models.bases import base_folder
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.progress import reporting_to
from pg_envs.repository import HubError, Repository

NAME = "them/thing"


def no_end(folder):
    return None if (folder / "end.txt").exists() else "no end.txt"


def repository(revision="main"):
    return Repository(NAME, revision, "model", ("*.txt", "*.bin"), ("*/*", "secret*"), no_end)


@pytest.fixture
def files(tmp_path):
    """What the hub has: 3,000 bytes that are wanted, and more that are not."""
    sizes = {"begin.txt": 1000, "end.txt": 2000, "secret.txt": 5, "code.py": 7, "sub/end.txt": 11}
    made = {}
    for filename, size in sizes.items():
        made[filename] = tmp_path / "served" / filename
        made[filename].parent.mkdir(parents=True, exist_ok=True)
        made[filename].write_bytes(filename.encode() + b"x" * (size - len(filename)))
    return made


@pytest.fixture
def hub(fake_hub, files):
    fake_hub.served[NAME] = files
    return fake_hub


def test_only_what_is_wanted_is_fetched_and_announced_before(hub, caplog):
    reports = []
    with caplog.at_level(logging.WARNING), reporting_to(lambda *told: reports.append((*told, len(hub.fetched)))):
        folder = fetch(repository())
    assert sorted(hub.fetched) == [f"{NAME}/begin.txt", f"{NAME}/end.txt"]
    assert sorted(path.name for path in folder.iterdir()) == ["begin.txt", "end.txt"]
    assert (folder / "end.txt").stat().st_size == 2000
    what = f"downloading {NAME} (3.0 kB in 2 files)"
    assert reports == [(what, 0, 1, 0), (what, 1, 1, 2)]
    said = [record.getMessage() for record in caplog.records if record.name == "pg_envs.hub"]
    assert said == [f"{what} at commit {HUB_COMMIT} from the Hugging Face hub into {hub.cache}"]


def test_what_was_fetched_is_not_asked_for_again_even_without_a_network(hub):
    folder = fetch(repository())
    hub.refusal = OfflineModeIsEnabled("offline")
    assert fetch(repository()) == folder
    assert len(hub.fetched) == 2


def test_the_rest_of_a_half_downloaded_repository_is_fetched(hub, files, caplog):
    put_in_cache(hub.cache, NAME, {"begin.txt": files["begin.txt"]}, commit=HUB_COMMIT)
    fetch(repository())
    assert hub.fetched == [f"{NAME}/end.txt"]
    assert "(2.0 kB in 1 files)" in caplog.text


def test_a_whole_copy_in_the_cache_is_taken_as_it_is(hub, files):
    hub.refusal = AssertionError("the hub was asked")
    snapshot = put_in_cache(hub.cache, NAME, {"end.txt": files["end.txt"]})
    assert fetch(repository()) == snapshot
    assert commit_of(repository()) == CACHED_COMMIT
    assert fetch(repository(CACHED_COMMIT)) == snapshot


def test_a_branch_stands_for_one_commit_throughout_a_process(hub, files):
    first = put_in_cache(hub.cache, NAME, {"end.txt": files["end.txt"]})
    assert fetch(repository()) == first
    put_in_cache(hub.cache, NAME, {"end.txt": files["begin.txt"]}, commit="d" * 40)
    assert fetch(repository()) == first
    assert commit_of(repository("d" * 40)) == "d" * 40


def test_a_commit_is_told_without_fetching(hub):
    assert commit_of(repository()) == HUB_COMMIT
    assert hub.fetched == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OfflineModeIsEnabled("offline"), ["it is not in the cache", "HF_HUB_OFFLINE is set", "unset it", f"hf download {NAME}"]),
        (refusal(GatedRepoError, 403), ["gated", "accept its licence", f"https://huggingface.co/{NAME}", "hf auth login"]),
        (refusal(RepositoryNotFoundError, 404), ["no such repository", "check the name", "hf auth login"]),
        (refusal(RevisionNotFoundError, 404), ["no such revision", f"https://huggingface.co/{NAME}/commits/main"]),
        (refusal(HfHubHTTPError, 500), ["refused", "500", "try again later"]),
        (TimeoutError("too slow"), ["does not give it", "too slow", "network and proxy", f"hf download {NAME}"]),
    ],
)
def test_what_cannot_be_had_is_explained(hub, error, words):
    hub.refusal = error
    for attempt in (fetch, commit_of):
        with pytest.raises(HubError) as caught:
            attempt(repository())
        for word in (f"{NAME}@main", *words):
            assert word in str(caught.value)
    assert hub.fetched == []


def test_unfinished_files_are_counted_where_the_rest_cannot_be_had(hub, files):
    snapshot = put_in_cache(hub.cache, NAME, {"begin.txt": files["begin.txt"]})
    (snapshot.parents[1] / "blobs" / "0123.incomplete").write_bytes(b"half")
    hub.refusal = OfflineModeIsEnabled("offline")
    with pytest.raises(HubError, match=r"has no end\.txt \(unfinished downloads: 1\), and HF_HUB_OFFLINE is set"):
        fetch(repository())


@pytest.mark.parametrize(
    ("error", "says"),
    [(refusal(GatedRepoError, 403), "accept its licence"), (LocalEntryNotFoundError("connection lost"), "connection lost")],
)
def test_a_download_that_breaks_off_keeps_what_it_has_and_goes_on(hub, error, says):
    hub.breaks_at = ("end.txt", error)
    with pytest.raises(HubError, match=f"the download broke off.*{says}"):
        fetch(repository())
    hub.breaks_at = None
    fetch(repository())
    assert sorted(hub.fetched) == [f"{NAME}/begin.txt", f"{NAME}/end.txt"]


def test_a_repository_without_what_is_needed_is_named(hub, files):
    hub.served[NAME] = {"begin.txt": files["begin.txt"]}
    with pytest.raises(HubError, match=r"what the hub gave has no end\.txt; see https://huggingface\.co/them/thing"):
        fetch(repository())
    hub.served["them/code"] = {"code.py": files["code.py"]}
    with pytest.raises(HubError, match=r"has none of \*\.txt, \*\.bin"):
        fetch(Repository("them/code", "main", "model", ("*.txt", "*.bin")))


def test_nothing_is_fetched_where_there_is_no_room(hub, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2999))
    with pytest.raises(HubError, match=r"needs 3\.0 kB, and .* has 3\.0 kB left; make room"):
        fetch(repository())
    assert hub.fetched == []


@pytest.mark.parametrize("name", ["a/b/c", "white space/x", "", "a--b/..", "them/thing.git"])
def test_what_names_no_repository(name):
    with pytest.raises(HubError, match="expected OWNER/NAME"):
        Repository(name, "main", "model", ("*",))


@pytest.mark.parametrize(
    "revision",
    ["", "..", "../secret", "a/../../secret", "/etc/hostname", "/", "a/", ".", ".hidden", "a/./b", "a b", "a\\b", "a\0b", "a\n", "*"],
)
def test_what_names_no_revision_is_not_looked_for(revision):
    with pytest.raises(HubError, match="expected a branch, tag or commit"):
        repository(revision)


@pytest.mark.parametrize("revision", ["main", "v1.0", "v1.0-rc.1", "refs/pr/1", "feature/of_mine", HUB_COMMIT, HUB_COMMIT[:7], "größer"])
def test_what_names_a_revision_is_taken(revision):
    assert repository(revision).revision == revision


def test_a_file_beside_the_cache_is_not_shown_in_an_error(hub, tmp_path):
    (tmp_path / "secret").write_text("swordfish")
    with pytest.raises(ModelRefError, match="names no revision") as raised:
        base_folder(ModelRef(NAME, revision=str(tmp_path / "secret")))
    assert "swordfish" not in str(raised.value)


def test_datasets_have_another_page_and_command():
    data = Repository(NAME, "v1", "dataset", ("*",))
    assert data.page == f"https://huggingface.co/datasets/{NAME}"
    assert data.download_command == f"hf download {NAME} --type dataset --revision v1"
