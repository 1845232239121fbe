"""What ``benchmarks/fuzz.py`` found once, and examples that every reader must read, are fed to the readers for ever."""

from pathlib import Path

import pytest
from fuzz_readers import READERS, feed

FOUND = sorted((Path(__file__).parent / "fuzz_corpus").iterdir())


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_raises_nothing_but_declared_errors(path, tmp_path):
    feed(READERS[path.name.split("--")[0]], path.read_bytes(), tmp_path)


def test_something_was_found():
    assert len(FOUND) >= 8


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("histtext-loaded", "timelessqa")])
@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"null", b"\x00" * 100], ids=lambda data: repr(data[:8]))
def test_readers_refuse_what_is_nothing_with_declared_errors(name, data, tmp_path):
    feed(READERS[name], data, tmp_path)
