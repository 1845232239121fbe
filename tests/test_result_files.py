"""Reading results of anybody: what is no result is refused with its place named."""

import copy
import json

import pytest
from results_support import SHORT, run_result

from pg_envs import result_files
from pg_envs.plain_json import Limits
from pg_envs.result_files import LIMITS, read_result
from pg_envs.result_schema import ResultError


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return run_result(tmp_path_factory.mktemp("good"), env="ProgressGym/Coevolve-v0", env_args=[SHORT])


def written(tmp_path, data):
    path = tmp_path / "result.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_what_a_run_wrote_is_read_back(good, tmp_path):
    path = written(tmp_path, good)
    assert read_result(path) == read_result(tmp_path) == good


def changed(data, keys, value):
    data = copy.deepcopy(data)
    place = data
    for key in keys[:-1]:
        place = place[key]
    if value is KeyError:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return data


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("complete",), 1, ["complete", "true or false", "found 1"]),
        (("score",), "0.5", ["score", "a number"]),
        (("score",), True, ["score", "a number"]),
        (("score",), 1.1, ["score", "from -1 to 1", "1.1"]),
        (("skill",), KeyError, ["skill is missing"]),
        (("baselines",), {"no-op": None}, ["baselines"]),
        (("config",), [], ["config", "an object"]),
        (("config", "seed"), -1, ["config: seed", "0 or more"]),
        (("config", "agent"), "", ["config: agent"]),
        (("dimensions", 0), "hunger", ["dimensions"]),
        (("history", "centuries"), ["C019", "C021"], ["history: centuries", "consecutive"]),
        (("steps",), [], ["steps", "1 to 2"]),
        (("steps", 1), 7, ["step 1", "an object"]),
        (("steps", 1, "step"), 0, ["step 1: step"]),
        (("steps", 1, "century_label"), "C020", ["step 1: century_label", "C021"]),
        (("steps", 0, "policy_vector", 3), 1.5, ["step 0: policy_vector", "19 numbers"]),
        (("steps", 0, "target_vector"), [0.0] * 18, ["step 0: target_vector", "19 numbers"]),
        (("steps", 1, "proxy_vector"), None, ["step 1: proxy_vector"]),
        (("steps", 1, "lock_in_lag"), 0.5, ["step 1: lock_in_lag", "whole number"]),
        (("steps", 1, "policy_standard_errors", 0), -0.1, ["policy_standard_errors", "0 to 2"]),
        (("steps", 0, "policy"), {"base": "x"}, ["step 0: policy"]),
    ],
)
def test_field_that_is_wrong_is_named(keys, value, words, good, tmp_path):
    path = written(tmp_path, changed(good, keys, value))
    with pytest.raises(ResultError) as error:
        read_result(path)
    for word in (str(path), *words, "pg-envs run"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"complete": true', "JSON"),
        ('{"score": NaN}', "NaN is no finite number"),
        ('{"score": 1e999}', "out of all bounds"),
        ('{"seed": 99999999999999999999}', "out of all bounds"),
        ('{"seed": ' + "9" * 5000 + "}", "JSON"),
        ('{"a": 1, "a": 2}', "same key twice"),
        ('{"a": "\\ud800"}', "half a character"),
        ("[" * 100_000, "JSON"),
        ("[" * (LIMITS.max_depth + 2) + "]" * (LIMITS.max_depth + 2), "within each other"),
        ('"' + "x" * 20_000 + '"', "longer than"),
        ("[]", "expected an object"),
    ],
    ids=range(11),
)
def test_what_is_no_result_is_refused(text, words, tmp_path):
    with pytest.raises(ResultError, match=words):
        read_result(written(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "result.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ResultError, match="not readable"):
        read_result(tmp_path)


def test_large_file_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(result_files, "LIMITS", Limits(max_bytes=100))
    monkeypatch.setattr("pg_envs.plain_json.json.loads", None)
    with pytest.raises(ResultError, match="at most 100 bytes"):
        read_result(written(tmp_path, "x" * 101))


def test_missing_result_is_named_with_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_result(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no result\.json"):
        read_result(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="no century was finished; go on with: pg-envs run --resume"):
        read_result(tmp_path)
