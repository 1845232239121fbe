"""Reading JSON arrays value by value within limits."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_envs.data.json_stream import JsonLimits, JsonStreamError, read_array

TEXT = st.text(max_size=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def stream(text, **limits):
    return list(read_array(io.BytesIO(text.encode()), JsonLimits(**limits)))


@settings(deadline=None)
@given(st.lists(VALUES, max_size=5))
def test_reads_what_json_reads(values):
    text = json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")
    assert list(read_array(io.BytesIO(text))) == json.loads(text)


def test_values_come_before_the_file_is_read_to_its_end():
    class Endless(io.RawIOBase):
        asked = 0

        def readable(self):
            return True

        def read(self, n_bytes=-1):
            self.asked += 1
            return (b"[" if self.asked == 1 else b"") + b'{"a": 1},' * 1000

    file = Endless()
    assert next(read_array(file)) == {"a": 1}
    assert file.asked <= 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read"),
        ('{"content": "x"}', "expected a list of passages, found dict"),
        ("[{", "cannot be read"),
        ("[1] 2", "cannot be read"),
        ("[" + "1" * 5000 + "]", "cannot be read"),
        ("[" * 50, "nested deeper than 16"),
        ('["' + "x" * 200_000 + '"]', "a value of more than 100000 bytes"),
        ("[" + "1" * 200_000 + "]", "a value of more than 100000 bytes"),
        ("[" + " " * 200_000 + "]", "a value of more than 100000 bytes"),
        ('[{"a": [' + "1," * 100_000 + "1]}]", "a value of more than 100000 bytes"),
    ],
)
def test_refuses(text, says):
    with pytest.raises(JsonStreamError, match=says):
        stream(text, max_value_bytes=100_000)


def test_brackets_and_escaped_quotes_in_strings_are_no_structure():
    values = ['"[[[[', "\\", '\\"]]]]', "[" * 50, {"a": '"\\{'}]
    assert stream(json.dumps(values), max_depth=2) == values


def test_limits_are_for_each_value_and_not_for_the_file():
    values = [{"content": "x" * 900}] * 1000
    assert stream(json.dumps(values), max_value_bytes=1000) == values


class Repeating(io.RawIOBase):
    """``head``, then ``n_bytes`` of the byte ``x``, then ``tail``, without having it all in memory."""

    def __init__(self, head, n_bytes, tail=b""):
        self.parts, self.left, self.tail = [head], n_bytes, tail

    def readable(self):
        return True

    def read(self, n_bytes=-1):
        if self.parts:
            return self.parts.pop()
        now = min(n_bytes, self.left)
        self.left -= now
        return b"x" * now if now else self.tail


def peak_bytes(read):
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_line_of_a_gigabyte_is_refused_in_small_memory():
    file = Repeating(b'[{"content": "', 1 << 30)

    def read():
        with pytest.raises(JsonStreamError, match="a value of more than 1048576 bytes"):
            list(read_array(file, JsonLimits(max_value_bytes=1 << 20)))

    assert peak_bytes(read) < 4 << 20
    assert file.left > (1 << 30) - (2 << 20)  # most was never read


def test_memory_does_not_grow_with_the_file():
    class Passages(io.RawIOBase):
        def __init__(self, n):
            self.chunks = iter([b"[", *[b'{"content": "' + b"x" * 5000 + b'"},'] * n, b"1]"])

        def readable(self):
            return True

        def read(self, n_bytes=-1):
            return next(self.chunks, b"")

    def read(n):
        return lambda: [None for _ in read_array(Passages(n))]

    assert peak_bytes(read(4000)) < 1.5 * peak_bytes(read(400)) + (1 << 20)


def test_a_byte_order_mark_is_no_fault():
    assert list(read_array(io.BytesIO(b"\xef\xbb\xbf[1, 2]"))) == [1, 2]
    with pytest.raises(JsonStreamError, match="cannot be read as UTF-8 JSON"):
        list(read_array(io.BytesIO(b"\xef\xbb\xbf\xef\xbb\xbf[1, 2]")))


@pytest.mark.parametrize("text", [b"[\x1b]0;title\x07\x1b[2J]", "[é]".encode("latin-1"), '["é"]'.encode("utf-16"), b'["\xff\x1b"]'])
def test_what_is_quoted_of_a_bad_file_is_harmless(text):
    with pytest.raises(JsonStreamError, match="cannot be read as UTF-8 JSON: lexical error") as raised:
        list(read_array(io.BytesIO(text)))
    assert str(raised.value).isprintable()
    assert "b'" not in str(raised.value)
