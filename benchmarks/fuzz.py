"""Bytes of strangers, by the million: ``python benchmarks/fuzz.py --inputs 1000000`` writes ``docs/fuzz.json``.

Every reader of ``tests/fuzz_readers.py`` is fed in a process of its own by atheris (``pip install atheris``), whose mutations are
guided by the coverage of this project's code; examples that are JSON are also changed as trees. What raises an error that its reader
does not declare, or takes longer than 5 seconds, is written to ``--found``. The exit code is 1 if anything was found.

``--inputs`` is for all readers together; each gets a share by how fast it is, and those that load datasets fewer. With ``--readers``
the others' rows of an earlier report stay.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
for variable in ("HF_HUB_OFFLINE", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

SHARES = dict.fromkeys(("manifest", "questionnaire-moralchoice", "base-", "progress", "vote-memory", "adapter_"), 2.0)
SHARES |= {"json-stream": 10.0, "archive": 0.3, "submission": 0.1, "run-config": 0.3}
SHARES |= {
    "histtext-loaded": 0.1,
    "timelessqa": 0.3,
    "names": 0.3,
    "undated": 0.1,
    "loaded-adapter": 0.1,
    "loaded-": 0.05,
    "embedder": 0.05,
}
"""How much more or less than others readers, or those whose names begin so, are fed, since some cost a hundred times what others do."""
# libFuzzer ends the process at a slow input, so its clock comes after ours.
LIMITS = ["-timeout=600", "-rss_limit_mb=4096", "-max_len=40000"]
ONE = "--one"
"""Makes this script the process of one reader."""
INSTRUMENTED = ("pg_envs", "agents")
"""Whose coverage guides the mutations."""
SLOW_S, HANGING_S = 5.0, 300.0
"""An input that takes longer is a fault; a reader that has not counted on for so long is killed."""
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 19, 2**31, 2**63, -(2**70), 10**400, 0.5, 1e-320, 1e308, -0.0),
    *("", "C013", "C022", "..", "/", "../../etc/passwd", "a" * 12_000, "\ud800", "\x00", "\x1b[31m", "NaN", "é", "simulated"),
    *([], {}, [[]], [None], {"": None}, [0] * 19, [float("nan")], float("inf")),
)
"""What a value of a JSON tree is replaced by."""


def share(reader: str) -> float:
    """How many inputs a reader gets, compared with the others."""
    return next((part for beginning, part in SHARES.items() if reader.startswith(beginning)), 1.0)


def changed_tree(data: bytes, rng: random.Random) -> bytes | None:
    """A JSON example with one to three of its values replaced, removed, doubled or swapped; None if it is no JSON."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(rng.randint(1, 3)):
        tree = _changed(tree, rng)
    try:
        return json.dumps(tree).encode()
    except (ValueError, RecursionError):
        return None


def _changed(tree: Any, rng: random.Random) -> Any:
    if not isinstance(tree, dict | list) or not tree or rng.random() < 0.15:
        return [tree] if rng.random() < 0.1 else copy.deepcopy(rng.choice(ODD))
    key = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
    action = rng.random()
    if action < 0.6:
        tree[key] = _changed(tree[key], rng)
    elif action < 0.75:
        del tree[key]
    elif action < 0.85:
        other = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
        tree[key], tree[other] = tree[other], tree[key]
    elif isinstance(tree, dict):
        tree[str(rng.choice(ODD))[:20]] = copy.deepcopy(tree[key])
    else:
        tree.insert(key, copy.deepcopy(tree[key]))
    return tree


class Feeding:
    """One reader's run: counts inputs, keeps one example of each kind of fault, and says so in a file."""

    def __init__(self, name: str, inputs: int, report: Path, found: Path) -> None:
        from fuzz_readers import READERS

        self.name, self.reader, self.inputs, self.report, self.found = name, READERS[name], inputs, report, found
        self.n, self.faults = 0, {}
        self.began = time.monotonic()
        self._scratch = tempfile.TemporaryDirectory(prefix="pg-envs-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.folder = Path(self._scratch.name)

    def feed(self, data: bytes) -> None:
        """One input; ends the process after the last."""
        from fuzz_readers import feed

        # The processor's time: others may keep it from us.
        began = time.process_time()
        try:
            feed(self.reader, data, self.folder)
            if (took := time.process_time() - began) > SLOW_S:
                raise TimeoutError(f"{took:.1f} seconds")
        except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
            self._keep(data, error)
        self.n += 1
        if self.n % 1000 == 0 or self.n == self.inputs:
            self._write()
        if self.n == self.inputs:
            self._scratch.cleanup()
            os._exit(0)

    def _keep(self, data: bytes, error: Exception) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
        if kind not in self.faults:
            self.found.mkdir(parents=True, exist_ok=True)
            path = self.found / f"{self.name}-{hashlib.sha256(kind.encode()).hexdigest()[:8]}"
            path.write_bytes(data)
            self.faults[kind] = {"file": path.name, "n": 0, "message": ascii(error)[:300]}
        self.faults[kind]["n"] += 1

    def _write(self) -> None:
        told = {"inputs": self.n, "seconds": round(time.monotonic() - self.began, 1), "faults": self.faults}
        self.report.write_text(json.dumps(told), encoding="utf-8")


def feed_one(name: str, inputs: int, report: Path, found: Path, corpus: Path) -> None:
    """The process of one reader; never returns."""
    import atheris

    if early := sorted(module for module in sys.modules if module.partition(".")[0] in INSTRUMENTED):
        raise RuntimeError(f"{', '.join(early)} imported before imports are instrumented: coverage would guide nothing")
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from fuzz_readers import feed

        feeding = Feeding(name, inputs, report, found)
        # What is imported at first use is imported now, while imports are instrumented.
        for example in feeding.reader.seeds():
            feed(feeding.reader, example, feeding.folder)
    for index, example in enumerate(feeding.reader.seeds()):
        (corpus / f"seed-{index}").write_bytes(example)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        changed = changed_tree(data, rng) if rng.random() < 0.7 else None
        return changed if changed is not None and len(changed) <= max_size else atheris.Mutate(data, max_size)

    mutators = {"custom_mutator": mutate} if feeding.reader.is_json else {}
    atheris.Setup([sys.argv[0], *LIMITS, f"-artifact_prefix={found}/{name}-", str(corpus)], feeding.feed, **mutators)
    atheris.Fuzz()


def watched(command: list[str], report: Path, output: BinaryIO) -> int:
    """Run a reader's process until it ends, or has not counted on for too long; gives its exit code."""
    with subprocess.Popen(command, stdout=output, stderr=output) as process:
        last, since = 0.0, time.monotonic()
        while process.poll() is None:
            time.sleep(0.5)
            written = report.stat().st_mtime if report.exists() else 0.0
            if written > last:
                last, since = written, time.monotonic()
            elif time.monotonic() - since > HANGING_S:
                process.kill()
        return process.returncode


def report_all(readers: dict[str, Any], out: Path) -> None:
    """Write what is known so far."""
    n_inputs = sum(row["inputs"] for row in readers.values())
    n_faults = sum(len(row["faults"]) for row in readers.values())
    whole = {"atheris": version("atheris"), "inputs": n_inputs, "kinds_of_faults": n_faults, "readers": readers}
    out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def fed_before(out: Path, anew: Collection[str]) -> dict[str, Any]:
    """What an earlier report says of readers that are still there and are not fed anew."""
    from fuzz_readers import READERS

    rows = json.loads(out.read_text(encoding="utf-8"))["readers"] if out.exists() else {}
    return {name: row for name, row in rows.items() if name in READERS and name not in anew}


def main() -> int:
    """Feed all readers, one after the other, and report; or, as the process of one, feed that."""
    if sys.argv[1:2] == [ONE]:
        # Nothing of the project may have been imported.
        _, _, name, inputs, report, found, corpus = sys.argv
        feed_one(name, int(inputs), Path(report), Path(found), Path(corpus))
    from fuzz_readers import READERS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="over all readers")
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="where inputs go that raised what they must not")
    parser.add_argument("--out", type=Path, default=Path("docs/fuzz.json"))
    arguments = parser.parse_args()
    arguments.found.mkdir(parents=True, exist_ok=True)
    of_all = sum(map(share, arguments.readers))
    readers = fed_before(arguments.out, arguments.readers)
    for name in arguments.readers:
        inputs = -int(-arguments.inputs * share(name) // of_all)
        with tempfile.TemporaryDirectory(prefix="pg-envs-fuzz-") as scratch:
            report, corpus = Path(scratch) / "report.json", Path(scratch) / "corpus"
            corpus.mkdir()
            command = [sys.executable, __file__, ONE, name, *map(str, (inputs, report, arguments.found, corpus))]
            log = arguments.found / f"{name}.log"
            with log.open("wb") as output:
                code = watched(command, report, output)
            told = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"inputs": 0, "seconds": 0.0, "faults": {}}
        readers[name] = {**told, "finished": code == 0}
        print(
            f"{name}: {told['inputs']:,} inputs in {told['seconds']:.0f} s, {len(told['faults'])} kinds of faults, exit code {code}",
            flush=True,
        )
        report_all(readers, arguments.out)
    return int(any(row["faults"] or not row["finished"] for row in readers.values()))


if __name__ == "__main__":
    sys.exit(main())
