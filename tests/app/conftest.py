"""A folder of results as a leaderboard has it (good ones, a tampered one, a malformed one), and the app that serves it."""

import json

import pytest
from app_support import watched_app
from results_support import SHORT, run_result


@pytest.fixture(scope="session")
def results_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    options = {"agent": "simulated-lifelong", "env_args": [SHORT]}
    runs = {
        "follow-0": {},
        "follow-1": {"seed": 1},
        "coevolve": {"env": "ProgressGym/Coevolve-v0"},
        "anew": {"history": "simulated-random"},
    }
    for name, more in runs.items():
        result = run_result(tmp_path_factory.mktemp(name), **{**options, **more})
        (folder / "grid" / name).mkdir(parents=True)
        (folder / "grid" / name / "result.json").write_text(json.dumps(result), encoding="utf-8")
    tampered = json.loads((folder / "grid/follow-0/result.json").read_text(encoding="utf-8"))
    tampered["score"] = 0.999
    (folder / "tampered.result.json").write_text(json.dumps(tampered), encoding="utf-8")
    (folder / "<img src=x>.result.json").write_text('{"score": 1', encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def app(results_folder, tmp_path_factory):
    with watched_app(results_folder, tmp_path_factory.mktemp("app")) as app:
        yield app


@pytest.fixture(scope="session")
def recorded_app(results_folder, tmp_path_factory):
    with watched_app(results_folder, tmp_path_factory.mktemp("recorded-app"), "--history", "recorded:histtiny") as app:
        yield app
