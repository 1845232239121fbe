"""The openai engine's name: what it may say, and that it is no place for secrets."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_support import refusal_of_engine

from pg_envs.models import engine
from pg_envs.models.engine import EngineError, check_engine_name, make_engine
from pg_envs.models.openai_settings import OpenAISettings


def test_a_bare_url_has_defaults():
    assert OpenAISettings.parse("openai:http://127.0.0.1:8000/v1/") == OpenAISettings("http://127.0.0.1:8000/v1")


def test_the_bare_name_takes_the_url_in_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/")
    assert OpenAISettings.parse("openai") == OpenAISettings("http://127.0.0.1:8000/v1")
    assert make_engine("openai?retries=2").server.settings == OpenAISettings("http://127.0.0.1:8000/v1", retries=2)
    assert OpenAISettings.parse("openai:http://host/v1") == OpenAISettings("http://host/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:sk-secret@host/v1")
    assert "sk-secret" not in refusal_of_engine("openai")
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert "engine 'openai' names no server; write one as in 'openai:http://" in refusal_of_engine("openai?retries=2")
    assert "unknown engine 'openaix'" in refusal_of_engine("openaix")


@given(
    st.integers(1, 1000),
    st.integers(0, 100),
    st.floats(0, exclude_min=True, allow_infinity=False),
    st.floats(0, allow_infinity=False),
    st.booleans(),
)
def test_every_setting_is_read(concurrency, retries, timeout_s, backoff_s, load):
    numbers = {"backoff_s": backoff_s, "concurrency": concurrency, "timeout_s": timeout_s, "retries": retries}
    query = urlencode({**numbers, "load_adapters": str(load).lower()})
    found = OpenAISettings.parse(f"openai:https://host/v1?{query}")
    assert found == OpenAISettings("https://host/v1", concurrency, timeout_s, retries, backoff_s, load)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("", "'' is no URL of a server; expected an engine such as 'openai:http"),
        ("localhost:8000/v1", "'localhost:8000/v1' is no URL"),
        ("ftp://host/v1", "'ftp://host/v1' is no URL"),
        ("http:///v1", "'http:///v1' is no URL"),
        ("http://host:port/v1", "'http://host:port/v1' is no URL"),
        ("http://host/v1#top", "'http://host/v1#top' is no URL"),
        ("http://host/v1?concurrency=2.5", "concurrency='2.5': expected a whole number"),
        ("http://host/v1?concurrency=0", "concurrency=0: expected a number from 1 up"),
        ("http://host/v1?retries=-1", "retries=-1: expected a number from 0 up"),
        ("http://host/v1?backoff_s=inf", "backoff_s=inf: expected a number from 0 up"),
        ("http://host/v1?timeout_s=0", "timeout_s=0.0: expected a number of seconds above 0"),
        ("http://host/v1?timeout_s=nan", "timeout_s=nan: expected"),
        ("http://host/v1?timeout_s=", "timeout_s='': expected a number"),
        ("http://host/v1?load_adapters=yes", "load_adapters='yes': expected true or false"),
        ("http://host/v1?retries=1&retries=2", "retries is given twice"),
        ("http://host/v1?timeout=3", "unknown setting 'timeout'; choose from concurrency, timeout_s, retries, backoff_s, load_adapters"),
    ],
)
def test_a_wrong_name_is_refused_before_any_work(rest, message):
    assert message in refusal_of_engine(f"openai:{rest}")


@pytest.mark.parametrize("rest", ["http://host/v1?api_key=sk-secret", "http://me:sk-secret@host/v1", "http://me:sk-secret@host/v1?x=1"])
def test_a_key_in_the_name_is_refused_and_not_repeated(rest):
    with pytest.raises(EngineError) as raised:
        OpenAISettings.parse(f"openai:{rest}")
    assert "sk-secret" not in str(raised.value)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"pip install 'pg-envs\[openai\]'"):
        check_engine_name("openai:http://host/v1")
