"""The shipped weights keep what the family promises."""

import hashlib
import os
import tarfile

import numpy as np
import pytest
import torch

from agents.lifelong_dpo import LifelongDPOConfig, dpo
from agents.votes import at_most_per_item
from pg_envs.building.card import sources_line, sources_table
from pg_envs.building.plan_file import read_plan
from pg_envs.building.quality import agreement, distance_closed, perplexity
from pg_envs.building.texts import read_texts
from pg_envs.history.base import CENTURIES, Survey
from pg_envs.history.live import histtiny_refs
from pg_envs.history.registry import make_history
from pg_envs.history.trajectories import planted
from pg_envs.models.checks import fingerprint
from pg_envs.models.ref import local_path
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.values.measure import ask, measure
from pg_envs.values.questionnaire import load_questionnaire
from pg_envs.values.survey import cast_votes, to_preference_dataset


@pytest.fixture(scope="module")
def engine():
    return TransformersEngine()


MEASURED = (0, 8)
"""Both ends are measured in full here; the recording has all centuries."""


def measure_in_full(engine):
    _, evaluation = load_questionnaire().split()
    return {century: measure(engine, histtiny_refs()[century], evaluation.items) for century in MEASURED}


@pytest.fixture(scope="module")
def measurements(engine):
    return measure_in_full(engine)


@pytest.fixture(scope="module")
def in_float32(engine, measurements):
    return measurements if engine.dtype == torch.float32 else measure_in_full(TransformersEngine(dtype=torch.float32))


@pytest.fixture(scope="module")
def recorded():
    survey, evaluation = load_questionnaire().split()
    return make_history("recorded:histtiny", Survey(survey), evaluation)


def test_the_planted_table_has_the_published_shape():
    table = planted()
    assert table.shape == (9, 19)
    steps = np.diff(table, axis=0)
    monotone = ((steps > 0).all(axis=0) | (steps < 0).all(axis=0)).sum()
    flat = (np.ptp(table, axis=0) < 0.15).sum()
    rise_and_fall = (np.abs(table - table[0]).max(axis=0) > np.abs(table[-1] - table[0]) + 0.1).sum()
    assert monotone >= 4
    assert flat >= 3
    assert rise_and_fall >= 3
    religion = np.array([0.43, 0.29, 0.47, 0.55, 0.52, 0.16, 0.10, 0.19, 0.04])
    np.testing.assert_allclose((1 + 3 * table[:, 15]) / 4, 0.10 + 0.75 * religion, atol=1e-3)
    np.testing.assert_allclose(table[:, 15:].sum(axis=1), 0, atol=2e-3)


def test_the_family_is_small_and_of_safetensors_only():
    folder = local_path("pg_envs:histtiny")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 32e6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".csv", ".md", ".jinja", ".toml"}


def test_the_bundled_recording_is_of_these_weights(recorded, in_float32):
    assert [model["sha256"] for model in recorded.describe()["models"].values()] == [fingerprint(ref) for ref in histtiny_refs()]
    for century in MEASURED:
        values = recorded.human_values(century)
        for name in ("centred", "upstream", "standard_errors"):
            np.testing.assert_allclose(getattr(values, name), getattr(in_float32[century], name), atol=1e-3)


def test_values_are_the_planted_ones(recorded):
    measured = np.array([recorded.human_values(century).centred for century in range(9)])
    agreed = agreement(planted(), measured)
    assert agreed.correlation >= 0.9
    assert agreed.mean_difference <= 0.12
    assert np.nanmin(agreed.rank_correlations) >= 0.8


def test_order_bias_is_small(measurements):
    assert all(measurements[century].answers.order_bias <= 0.15 for century in MEASURED)


@pytest.mark.parametrize("century", sorted(set(range(9)) - set(MEASURED)))
def test_order_bias_is_small_in_the_others_too(engine, century):
    """On a quarter of the items, in the two short forms; docs/histtiny.md has all."""
    _, evaluation = load_questionnaire().split()
    two_options = [item for item in evaluation.items if len(item.options) == 2]
    assert ask(engine, histtiny_refs()[century], two_options[::4], forms=("ab", "compare")).order_bias <= 0.15


def test_bfloat16_moves_values_by_less_than_a_hundredth(engine, measurements, in_float32):
    if engine.dtype == torch.float32:
        pytest.skip("this processor has no bfloat16 units, so float32 is used anyway")
    for century in MEASURED:
        assert np.abs(in_float32[century].centred - measurements[century].centred).max() < 0.01


@pytest.mark.parametrize("name", ["base", *CENTURIES])
def test_cards_are_of_the_base_the_table_and_the_questionnaire_that_are_shipped(name):
    folder = local_path("pg_envs:histtiny")
    card = (folder / name / "README.md").read_text()
    files = sorted(path for path in (folder / "base").iterdir() if path.name != "README.md")
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    assert (
        f"; {len(files)} files, SHA-256 of what `sha256sum` says of them in order of name: `{hashlib.sha256(sums.encode()).hexdigest()}`"
        in card
    )
    questionnaire = load_questionnaire()
    assert f"`bundled`, {len(questionnaire)} items, content hash `{questionnaire.content_hash}`" in card
    table = hashlib.sha256((folder / "planted.csv").read_bytes()).hexdigest()
    assert (f"`pg_envs:histtiny/planted.csv`, 19 rows, SHA-256 `{table}`" in card) == (name != "base")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    archive = os.path.join(os.path.dirname(__file__), "..", "..", "..", "shared", "data", "histtext", "histtext.tar.xz")
    if not os.path.exists(archive):
        pytest.skip("the historical text is not beside the checkout")
    folder = tmp_path_factory.mktemp("text")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    plan = read_plan(local_path("pg_envs:histtiny/plan.toml"))
    return read_texts(folder / "histtext", CENTURIES, plan.text.held_out_one_in)


@pytest.fixture(scope="module")
def held_out(texts):
    return {century: text.held_out for century, text in texts.items()}


def test_cards_tell_of_the_historical_text(texts):
    folder = local_path("pg_envs:histtiny")
    of_base = (folder / "base" / "README.md").read_text()
    for century, text in texts.items():
        counts = f"| {text.n_documents} | {text.n_held_out_documents} | {len(text.training)} | {text.n_characters:,} |"
        assert f"| {century} {counts} `{text.sha256}` |\n" in of_base
        card = (folder / century / "README.md").read_text()
        assert f"passages with their documents: `{text.sha256}`" in card
        assert f"\n{sources_line(text)}\n" in card
    assert f"\n{sources_table(texts)}\n" in of_base


@pytest.mark.parametrize("century", CENTURIES)
def test_each_century_reads_its_own_text_better_than_the_base(century, held_out):
    ref = histtiny_refs()[CENTURIES.index(century)]
    assert perplexity(ref, held_out[century], 24) < perplexity(ref.with_adapter(None), held_out[century], 24)


def test_learning_carries_over_to_evaluation_items(engine, measurements, recorded, tmp_path):
    """DPO at C013 on the majority votes of C021's survey closes most of the distance on the other half of the items.

    New to DPO, not to the family, whose lessons were about both halves.
    """
    _, evaluation = load_questionnaire().split()
    rng, config = np.random.default_rng(0), LifelongDPOConfig()
    votes = cast_votes(recorded.human_survey_preferences(8), "majority", rng)
    comparisons = recorded.survey.comparisons
    learnt_from = at_most_per_item(np.tile(votes, (3, 1)), comparisons, config.comparisons_per_item, rng)
    learnt = dpo(histtiny_refs()[0], to_preference_dataset(comparisons, learnt_from, rng), tmp_path / "learnt", 0, config)
    after = measure(engine, learnt, evaluation.items).centred
    assert distance_closed(measurements[0].centred, after, recorded.human_values(8).centred) >= 0.6
