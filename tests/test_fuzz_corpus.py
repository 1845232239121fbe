"""What ``benchmarks/fuzz.py`` found once, examples that every reader must read, and changed ones, are fed to the readers for ever."""

import json
import tempfile
from pathlib import Path

import pytest
from fuzz_readers import READERS, Reader, feed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FOUND = sorted((Path(__file__).parent / "fuzz_corpus").iterdir())


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_raises_nothing_but_declared_errors(path, tmp_path):
    feed(READERS[path.name.split("--")[0]], path.read_bytes(), tmp_path)


@pytest.mark.parametrize("name", READERS)
def test_examples_are_read(name, tmp_path):
    """Else mutations would change what is refused at its first byte."""
    for example in READERS[name].seeds():
        READERS[name].read(example, tmp_path)


def test_something_was_found():
    assert len(FOUND) >= 8


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"null", b"\x00" * 100], ids=lambda data: repr(data[:8]))
def test_readers_refuse_what_is_nothing_with_declared_errors(name, data, tmp_path):
    feed(READERS[name], data, tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["../x", "~nouser", "a" * 5000, "\0"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)


def with_a_part_replaced(tree, draw):
    """A JSON tree in which some value, however deep, is another one."""
    if not isinstance(tree, dict | list) or not tree or draw(st.integers(0, 5)) == 0:
        return draw(JSON)
    key = draw(st.sampled_from(sorted(tree) if isinstance(tree, dict) else range(len(tree))))
    changed = tree.copy()
    changed[key] = with_a_part_replaced(tree[key], draw)
    return changed


@st.composite
def changed_examples(draw, reader):
    """Bytes of an example, some of which are others, too many or too few; of a JSON tree perhaps a value instead."""
    example = draw(st.sampled_from(reader.seeds()))
    if reader.is_json and draw(st.booleans()):
        return json.dumps(with_a_part_replaced(json.loads(example), draw)).encode()
    begin = draw(st.integers(0, len(example)))
    return example[:begin] + draw(st.binary(max_size=20)) + example[begin + draw(st.sampled_from([0, 1, 4, 1000])) :]


@pytest.mark.parametrize("name", READERS)
def test_whatever_is_changed_only_declared_errors_come_out(name):
    with tempfile.TemporaryDirectory() as folder:

        @settings(max_examples=30, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
        @given(data=changed_examples(READERS[name]))
        def check(data):
            feed(READERS[name], data, Path(folder))

        check()


def test_an_error_that_is_not_declared_or_does_not_name_its_file_is_seen(tmp_path):
    def fail(data, folder):
        raise ValueError("something is wrong")

    with pytest.raises(ValueError, match="something"):
        feed(Reader(fail, (KeyError,), ("",), list), b"", tmp_path)
    with pytest.raises(AssertionError, match="the message names none of"):
        feed(Reader(fail, (ValueError,), ("config.json",), list), b"", tmp_path)
