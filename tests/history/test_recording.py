"""A recording that is damaged, or of something else, is refused with what differs."""

import hashlib
import json
import shutil

import gymnasium as gym
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_envs.history.base import Values
from pg_envs.history.recording import Manifest, RecordingError, data_file
from pg_envs.history.recording_data import RecordedCentury, write_century
from pg_envs.storage import file_sha256
from pg_envs.values.items import Item

PREFERENCES, VALUES, REPLIES = (data_file("C019", kind) for kind in ("preferences", "values", "replies"))


@pytest.fixture
def copy(tiny_recording, tmp_path):
    """A copy of the recording, to be damaged."""
    return shutil.copytree(tiny_recording, tmp_path / "copy")


def change_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def read(folder, name):
    return pq.read_table(folder / name)


def replace(folder, name, table):
    """Another table in a data file's place, with a manifest that knows it."""
    pq.write_table(table, folder / name)
    approve(folder, name)


def approve(folder, name):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    change_manifest(folder, files={**files, name: file_sha256(folder / name)})


def use(folder, questionnaire, **kwargs):
    """An environment whose every recorded number has been read."""
    env = gym.make(
        "ProgressGym/Follow-v0", history=f"recorded:{folder}", questionnaire=questionnaire, disable_env_checker=True, **kwargs
    ).unwrapped
    env.reset(seed=0)
    env.step(env.history.human(1))
    env.history.respond(env.history.human(1), ["When is it right to break a promise?"], np.random.default_rng(0))
    return env


# ---------------------------------------------------------------------- found by gym.make


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no such folder; make one with: pg-envs record"),
        (lambda folder: (folder / "manifest.json").unlink(), "it has no manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), r"manifest.json: not readable as JSON: Expecting"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe\x00"), r"manifest.json: not readable as JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 200_000), r"manifest.json: not readable as JSON: .*recursion"),
        (lambda folder: (folder / "manifest.json").write_text(" " * (1 << 20) + "{}"), r"expected at most 1048576 bytes, found more"),
        (lambda folder: change_manifest(folder, reply_seed=float("nan")), r"not readable as JSON: NaN is no finite number"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), r"the whole: expected a JSON object, found 'list'"),
        (lambda folder: change_manifest(folder, format_version=3), r"format_version: expected 2, found 3; install a pg-envs"),
        (lambda folder: change_manifest(folder, format_version=True), r"format_version: expected 2, found True"),
        (
            lambda folder: change_manifest(folder, format_version=1, mode="generate"),
            r"expected 2, found 1 with mode 'generate', which does not say how many replies were invalid; record it again",
        ),
        (lambda folder: change_manifest(folder, more=1), r"keys: expected centuries, engine, .*found .*more"),
        (lambda folder: change_manifest(folder, name=3), r"name: expected text, found '3'"),
        (lambda folder: change_manifest(folder, reply_seed="0"), r"reply_seed: expected a whole number"),
        (
            lambda folder: change_manifest(folder, centuries=["C018", "C020", "C021"]),
            r"centuries: expected at least two different labels, those of centuries consecutive",
        ),
        (
            lambda folder: change_manifest(folder, centuries=["../C018", "C019"]),
            r"centuries: expected at least two different labels, those of centuries consecutive",
        ),
        (
            lambda folder: change_manifest(folder, centuries=[["C018"], "C019"]),
            r"centuries: expected at least two different labels, those of centuries consecutive",
        ),
        (lambda folder: change_manifest(folder, centuries=["C018", "C019", "C020"]), r"files: expected the 9 files of 3 centuries"),
        (lambda folder: change_manifest(folder, files={"/etc/passwd": "0"}), r"files: expected the 12 files"),
        (lambda folder: change_manifest(folder, models={}), r"models: expected one for each of the centuries"),
        (
            lambda folder: change_manifest(folder, models={f"C0{n}": {} for n in range(18, 22)}),
            r"models: C018: expected base",
        ),
        (lambda folder: change_manifest(folder, questionnaire={"name": "x"}), r"questionnaire: expected evaluation_sha256, name, survey"),
        (lambda folder: change_manifest(folder, mode="generate"), r"expected 'logprob', found 'generate'; pass mode='generate'"),
        (lambda folder: shutil.rmtree(folder / "C020"), r"lacks C020/preferences.parquet, which its manifest lists"),
        (lambda folder: (folder / VALUES).unlink(), r"lacks C019/values.parquet, which its manifest lists"),
    ],
)
def test_what_the_manifest_tells_is_refused_at_once(copy, small_questionnaire, damage, says):
    damage(copy)
    with pytest.raises(RecordingError, match=says) as caught:
        gym.make("ProgressGym/Follow-v0", history=f"recorded:{copy}", questionnaire=small_questionnaire)
    assert str(copy) in str(caught.value)


def test_another_questionnaire_is_refused_with_both_hashes(tiny_recording):
    recorded = json.loads((tiny_recording / "manifest.json").read_text())["questionnaire"]["survey_sha256"]
    with pytest.raises(
        RecordingError, match=f"another questionnaire was recorded: expected the survey half .* found {recorded}.*pass that"
    ):
        gym.make("ProgressGym/Follow-v0", history=f"recorded:{tiny_recording}")


@pytest.mark.parametrize("half", ["survey", "evaluation"])
def test_each_half_of_the_questionnaire_must_be_the_recorded_one(copy, small_questionnaire, half):
    recorded = json.loads((copy / "manifest.json").read_text())["questionnaire"]
    change_manifest(copy, questionnaire={**recorded, f"{half}_sha256": "of another"})
    ours = recorded[f"{half}_sha256"]
    with pytest.raises(RecordingError, match=f"expected the {half} half {ours}, found of another of"):
        gym.make("ProgressGym/Follow-v0", history=f"recorded:{copy}", questionnaire=small_questionnaire)


def test_centuries_beyond_the_recording_are_refused(tiny_recording, small_questionnaire):
    with pytest.raises(RecordingError, match="no century C013: expected C013 to C020, found C018 to C021; narrow centuries"):
        use(tiny_recording, small_questionnaire, centuries=("C013", "C020"))


# ---------------------------------------------------------------------- found when a file is needed


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize("name", [PREFERENCES, VALUES, REPLIES])
@pytest.mark.parametrize("damage", [flip_a_bit, truncate])
def test_a_file_with_another_hash_is_refused_with_both(copy, small_questionnaire, name, damage):
    use(copy, small_questionnaire)
    expected = file_sha256(copy / name)
    damage(copy / name)
    found = hashlib.sha256((copy / name).read_bytes()).hexdigest()
    with pytest.raises(RecordingError, match=f"{name}: expected SHA-256 {expected}, found {found}; fetch the recording again"):
        use(copy, small_questionnaire)


@pytest.mark.parametrize("name", [PREFERENCES, VALUES, REPLIES])
def test_a_truncated_file_whose_hash_is_right_is_refused(copy, small_questionnaire, name):
    truncate(copy / name)
    approve(copy, name)
    with pytest.raises(RecordingError, match=f"{name}: no readable Parquet"):
        use(copy, small_questionnaire)


def first_row(table, column, value):
    """The table with another value in a column's first row."""
    values = table[column].to_pylist()
    index = table.schema.get_field_index(column)
    return table.set_column(index, table.schema.field(column), pa.array([value, *values[1:]], table.schema.field(column).type))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (PREFERENCES, lambda t: t.slice(1), r"expected \d+ to \d+ rows, found \d+"),
        (PREFERENCES, lambda t: t.drop_columns("theme"), r"expected the columns item_id \(string\), theme \(string\), .*, found item_id"),
        (PREFERENCES, lambda t: first_row(t, "item_id", "X_1"), r"row 0, item_id: expected '.*', found 'X_1'"),
        (PREFERENCES, lambda t: first_row(t, "probabilities", [0.5] * 3), r"expected 2 probabilities in \[0, 1\], found \[0.5, 0.5, 0.5\]"),
        (PREFERENCES, lambda t: first_row(t, "probabilities", [1.5, -0.5]), r"expected 2 probabilities in \[0, 1\], found \[1.5, -0.5\]"),
        (VALUES, lambda t: pa.concat_tables([t, t]), r"expected 19 to 19 rows, found 38"),
        (VALUES, lambda t: first_row(t, "dimension", "zeal"), r"row 0, dimension: expected '.*', found 'zeal'"),
        (VALUES, lambda t: first_row(t, "centred", float("nan")), r"expected finite numbers only"),
        (VALUES, lambda t: first_row(t, "n_invalid", 7), r"expected one n_invalid from 0 up in all rows, found \[0, 7\]"),
        (VALUES, lambda t: t.set_column(4, t.schema.field(4), [[-1] * 19]), r"expected one n_invalid from 0 up in all rows, found \[-1\]"),
        (VALUES, lambda t: t.drop_columns("n_invalid"), r"standard_error \(double\), n_invalid \(int64\), found dimension"),
        (VALUES, lambda t: t.cast(pa.schema([t.schema.field(0), *(f.with_type(pa.float32()) for f in list(t.schema)[1:])])), r"\(float\)"),
        (REPLIES, lambda t: pa.concat_tables([t] * 1000), r"expected 0 to 10000 rows, found 12000"),
    ],
)
def test_a_file_about_something_else_is_refused(copy, small_questionnaire, name, change, says):
    replace(copy, name, change(read(copy, name)))
    with pytest.raises(RecordingError, match=f"{name}: .*{says}"):
        use(copy, small_questionnaire)


def test_a_small_file_that_unpacks_to_much_is_refused(copy, small_questionnaire):
    schema = read(copy, REPLIES).schema
    n_rows, length = 2000, 40_000
    replace(copy, REPLIES, pa.table({"prompt": map(str, range(n_rows)), "reply": n_rows * ["a" * length]}, schema=schema))
    assert (copy / REPLIES).stat().st_size < n_rows * length / 1000
    with pytest.raises(RecordingError, match=f"{REPLIES}: expected at most 67108864 bytes of numbers and texts, found more"):
        use(copy, small_questionnaire)


def test_a_recording_of_the_format_before_is_read_where_nothing_could_be_invalid(copy, small_questionnaire):
    expected = use(copy, small_questionnaire).history.human_values(1)
    for label in ("C018", "C019", "C020", "C021"):
        name = data_file(label, "values")
        replace(copy, name, read(copy, name).drop_columns("n_invalid"))
    change_manifest(copy, format_version=1)
    found = use(copy, small_questionnaire).history.human_values(1)
    assert found.centred.tobytes() == expected.centred.tobytes()
    assert found.n_invalid == expected.n_invalid == 0


def test_nothing_is_read_before_it_is_needed(copy, small_questionnaire):
    truncate(copy / data_file("C021", "values"))
    env = use(copy, small_questionnaire)
    assert env.history.human_values(1).centred.shape == (19,)
    with pytest.raises(RecordingError, match=r"C021/values.parquet: expected SHA-256"):
        env.history.human_values(3)


# ---------------------------------------------------------------------- what is written is what is read

anything = st.floats(allow_nan=False, allow_infinity=False)
two_options = st.one_of(st.floats(0, 1).map(lambda p: [p, 1 - p]), st.just([float("nan")] * 2))


@given(
    vectors=st.lists(anything, min_size=57, max_size=57),
    answers=st.lists(two_options, min_size=3, max_size=3),
    reply=st.text(),
    n_invalid=st.integers(0, 10**9),
)
@settings(max_examples=25, deadline=None)
def test_nothing_is_rounded(tmp_path_factory, vectors, answers, reply, n_invalid):
    folder = tmp_path_factory.mktemp("written")
    (folder / "C013").mkdir()
    items = [Item(f"i{i}", "morality", "Do not kill", "When?", ("a", "b")) for i in range(3)]
    values = Values(*np.array(vectors).reshape(3, 19), n_invalid)
    write_century(folder / "C013", items, dict(zip(items, map(np.array, answers), strict=True)), values, {"Why?": reply})
    files = {data_file("C013", kind): file_sha256(folder / data_file("C013", kind)) for kind in ("preferences", "values", "replies")}
    century = RecordedCentury(folder, Manifest("x", ("C013", "C014"), {}, {}, "logprob", "transformers", {}, 0, files), "C013", items)
    for name in ("centred", "upstream", "standard_errors"):
        assert getattr(century.values, name).tobytes() == getattr(values, name).tobytes()
    assert century.values.n_invalid == n_invalid
    for item, answer in zip(items, answers, strict=True):
        np.testing.assert_array_equal(century.option_probabilities[item], answer)
    assert century.replies == {"Why?": reply}
