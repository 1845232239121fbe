"""Reward models learn pairs, share a base, and refuse what does not fit."""

import numpy as np
import pytest
from datasets import Dataset

from pg_envs.models.ref import ModelRef
from pg_envs.models.reward import RewardModel, train_reward_model
from pg_envs.models.tuning import TrainingError
from pg_envs.models.tuning_config import TuningConfig

PROMPTS = [f"Do you help the {who}?" for who in ("farmer", "weaver", "child", "stranger", "widow", "miller", "smith", "monk")]


def pairs(chosen, rejected):
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": prompt}],
                "chosen": [{"role": "assistant", "content": chosen}],
                "rejected": [{"role": "assistant", "content": rejected}],
            }
            for prompt in PROMPTS
        ]
    )


@pytest.fixture(scope="module")
def refs(random_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rewards")
    config = TuningConfig(learning_rate=3e-2, n_epochs=10, batch_size=4)
    base = ModelRef(str(random_base))
    return [
        train_reward_model(base, pairs("A", "B"), folder / "a", 0, config),
        train_reward_model(base, pairs("B", "A"), folder / "b", 0, config),
    ]


def test_chosen_answers_score_higher_and_each_adapter_has_its_own_head(refs):
    model = RewardModel(refs)
    scores = model.score([*PROMPTS, *PROMPTS], ["A"] * 8 + ["B"] * 8)
    assert scores.shape == (16, 2)
    difference = scores[:8] - scores[8:]
    assert (difference[:, 0] > 0.5).all()
    assert (difference[:, 1] < -0.5).all()


def test_a_score_does_not_depend_on_the_batch_or_on_who_else_is_loaded(refs):
    prompts = [PROMPTS[0], PROMPTS[0] + " " + "He has walked for three days. " * 6]
    together = RewardModel(refs).score(prompts, ["A", "B"])
    alone = [RewardModel([refs[1]]).score([prompt], [reply])[0, 0] for prompt, reply in zip(prompts, "AB", strict=True)]
    np.testing.assert_allclose(together[:, 1], alone, atol=1e-4)


def test_the_same_seed_gives_the_same_reward_model(random_base, tmp_path):
    config = TuningConfig(learning_rate=1e-2, batch_size=4)
    base = ModelRef(str(random_base))
    scores = [
        RewardModel([train_reward_model(base, pairs("A", "B"), tmp_path / str(run), seed, config)]).score(PROMPTS[:1], ["A"])[0, 0]
        for run, seed in enumerate((0, 0, 1))
    ]
    assert scores[0] == scores[1] != scores[2]


def test_what_does_not_fit_is_refused(refs, random_base, tmp_path):
    with pytest.raises(ValueError, match="reward models of one base"):
        RewardModel([])
    with pytest.raises(ValueError, match="reward models of one base"):
        RewardModel([refs[0], ModelRef("elsewhere", adapter="x")])
    with pytest.raises(TrainingError, match="not finite"):
        train_reward_model(ModelRef(str(random_base)), pairs("A", "B"), tmp_path / "mad", 0, TuningConfig(learning_rate=float("inf")))
    assert list(tmp_path.iterdir()) == []


def test_a_margin_is_taken_off_the_difference(random_base, tmp_path):
    """So a loss of -log sigmoid(r_c - r_r - m) asks for a larger difference, by about m once it is small."""
    config, base = TuningConfig(learning_rate=3e-2, n_epochs=30, batch_size=8), ModelRef(str(random_base))
    rows, differences = pairs("A", "B"), {}
    for margin in (None, 0.0, 6.0):
        dataset = rows if margin is None else rows.add_column("margin", [margin] * len(rows))
        scores = RewardModel([train_reward_model(base, dataset, tmp_path / str(margin), 0, config)]).score(
            PROMPTS * 2, ["A"] * 8 + ["B"] * 8
        )
        differences[margin] = float((scores[:8] - scores[8:]).mean())
    assert differences[None] == differences[0.0]
    assert differences[6.0] > differences[0.0] + 3
