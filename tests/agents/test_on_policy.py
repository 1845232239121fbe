"""On-policy training makes rewarded answers likelier, held to the reference that was asked for."""

import itertools

import numpy as np
import pytest
from datasets import Dataset

from agents.lifelong_dpo import LifelongDPOConfig, dpo
from agents.offered_answers import less_what_is_said_already
from agents.on_policy import OnPolicyConfig, filled_up, rloo
from agents.token_level import train_on_token_rewards
from pg_envs.models.checks import fingerprint
from pg_envs.models.loading import load_tokenizer
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning import sft
from pg_envs.models.tuning_config import TuningConfig

PROMPTS = [f"Do you help the {who}? Answer yes or no." for who in ("farmer", "weaver", "child", "stranger")]


@pytest.fixture(scope="module")
def start(random_base, tmp_path_factory):
    """A random model that has learnt to answer A or B."""
    rows = [
        {"prompt": [{"role": "user", "content": prompt}], "completion": [{"role": "assistant", "content": letter}]}
        for prompt in PROMPTS
        for letter in "AB"
    ]
    out = tmp_path_factory.mktemp("start") / "adapter"
    config = TuningConfig(learning_rate=3e-2, n_epochs=12, batch_size=8)
    return sft(ModelRef(str(random_base)), Dataset.from_list(rows), out, config=config)


@pytest.fixture(scope="module")
def prompts():
    return Dataset.from_list([{"prompt": [{"role": "user", "content": prompt}]} for prompt in PROMPTS * 20])


def likes_a(prompts, replies):
    assert set(prompts) <= set(PROMPTS)
    return np.array([float(reply.startswith("A")) for reply in replies])


def p_a(ref):
    scored = TransformersEngine().choice_logprobs(ref, PROMPTS, [("A", "B")] * len(PROMPTS))
    return np.mean([1 / (1 + np.exp(s.total[1] - s.total[0])) for s in scored])


CONFIG = OnPolicyConfig(learning_rate=3e-2, batch_size=8, n_samples=6, kl=0.0)


def test_rewarded_answers_become_likelier(start, prompts, tmp_path):
    learnt = rloo(start, prompts, likes_a, tmp_path / "out", 0, CONFIG)
    assert p_a(learnt) > p_a(start) + 0.2


def test_a_price_on_divergence_holds_it_back(start, prompts, tmp_path):
    free = rloo(start, prompts, likes_a, tmp_path / "free", 0, CONFIG)
    held = rloo(start, prompts, likes_a, tmp_path / "held", 0, OnPolicyConfig(**{**vars(CONFIG), "kl": 5.0}))
    assert abs(p_a(held) - p_a(start)) < abs(p_a(free) - p_a(start))


def letters(ref):
    scored = TransformersEngine().choice_logprobs(ref, PROMPTS, [("A", "B")] * len(PROMPTS))
    return np.mean([s.total for s in scored])


NOTHING = {
    rloo: lambda prompts, replies: [0.0] * len(prompts),
    train_on_token_rewards: lambda prompts, ids: [[0.0] * len(row) for row in ids],
}


by_trainer = pytest.mark.parametrize("train", NOTHING, ids=lambda train: train.__name__)


@by_trainer
@pytest.mark.parametrize("reference", ["century", "base"])
def test_the_reference_is_the_one_asked_for(start, prompts, tmp_path, train, reference):
    """Where all answers are worth the same, divergence alone moves the policy: not at all from itself, and back to the base from there."""
    config = OnPolicyConfig(**{**vars(CONFIG), "learning_rate": 1e-2, "kl": 1.0, "reference": reference})
    held = letters(train(start, prompts, NOTHING[train], tmp_path / "out", 0, config))
    at_start, base = letters(start), letters(start.with_adapter(None))
    assert at_start - base > 1
    if reference == "century":
        assert held == pytest.approx(at_start, abs=0.02)
    else:
        assert held - base < 0.8 * (at_start - base)


@by_trainer
@pytest.mark.parametrize(("reference", "weights"), [("century", "lora"), ("base", "lora"), ("century", "full")])
def test_the_first_step_pays_for_divergence_from_the_reference_only(
    start, prompts, tmp_path, monkeypatch, float32, train, reference, weights
):
    """Nothing has moved by then. All weights would drift in a whole training: Adam makes steps of what rounding leaves."""
    from trl import GRPOTrainer, RLOOTrainer

    paid = []
    for trainer_class in (GRPOTrainer, RLOOTrainer):

        def noting(self, model, inputs, *args, loss_of=trainer_class.compute_loss, **kwargs):
            loss = loss_of(self, model, inputs, *args, **kwargs)
            # RLOO's price is in the rewards, GRPO's in the loss.
            paid.append(max(abs(float(loss.detach())), float(inputs["advantages"].abs().max())))
            return loss

        monkeypatch.setattr(trainer_class, "compute_loss", noting)
    config = OnPolicyConfig(**{**vars(CONFIG), "learning_rate": 1e-4, "kl": 1.0, "reference": reference, "weights": weights})
    train(start, prompts.select(range(8)), NOTHING[train], tmp_path / "out", 0, config)
    assert (paid[0] < 1e-3) == (reference == "century")


@pytest.mark.parametrize(("n", "batch_size", "length"), [(1, 8, 8), (7, 8, 8), (8, 8, 8), (9, 8, 16)])
def test_every_row_is_trained_on(n, batch_size, length):
    filled = filled_up(Dataset.from_dict({"prompt": [str(i) for i in range(n)]}), batch_size, seed=0)["prompt"]
    assert len(filled) == length
    assert filled[:n] == [str(i) for i in range(n)]
    assert set(filled) == set(filled[:n])
    assert n < length - n or len(set(filled[n:])) == length - n, "no row is drawn twice as long as there are others"


def test_what_is_said_already_is_not_rewarded_again(start, preferences):
    """The best policy at a price of 1 has the start's odds times exp(reward): with the lessened reward, exp(the plain reward) alone."""
    end = load_tokenizer(start).eos_token
    (scored,) = TransformersEngine().choice_logprobs(start, PROMPTS[:1], [["A" + end, "B" + end]])
    reward = less_what_is_said_already(likes_a, start, preferences, kl=1.0)
    of_a, of_b = reward(PROMPTS[:1] * 2, ["A", "B"])
    log_odds_at_start = scored.total[0] - scored.total[1]
    assert abs(log_odds_at_start) > 0.01
    assert log_odds_at_start + of_a - of_b == pytest.approx(1.0, abs=1e-3)


def test_answers_that_nobody_offered_are_not_rewarded_for_being_unlikely(start, preferences):
    reward = less_what_is_said_already(likes_a, start, preferences, kl=1.0)
    assert reward(PROMPTS[:1] * 3, ["Zzz qqq", "Another", ""]) == [0.0, 1.0, 0.0]


def test_dpo_is_held_to_the_reference_asked_for(start, tmp_path):
    rows = Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": prompt}],
                "chosen": [{"role": "assistant", "content": "A"}],
                "rejected": [{"role": "assistant", "content": "B"}],
            }
            for prompt in PROMPTS
        ]
    )
    learnt = {}
    for reference in ("century", "base"):
        config = LifelongDPOConfig(learning_rate=1e-3, batch_size=4, n_epochs=2.0, reference=reference)
        learnt[reference] = dpo(start, rows, tmp_path / reference, 0, config)
        assert p_a(learnt[reference]) > p_a(start)
    # The pull is weaker the further the start is from the reference in the right direction, so the steps differ.
    assert fingerprint(learnt["century"]) != fingerprint(learnt["base"])


@pytest.fixture(scope="module")
def preferences():
    rows = [
        {"prompt": [{"role": "user", "content": prompt}], "chosen": [{"role": "assistant", "content": "A"}],
         "rejected": [{"role": "assistant", "content": "B"}]}
        for prompt in PROMPTS
    ]  # fmt: skip
    return Dataset.from_list(rows)


FULL = {"learning_rate": 1e-2, "weights": "full"}


def test_all_weights_make_a_model_of_its_own_by_dpo(start, preferences, tmp_path):
    first = dpo(start, preferences, tmp_path / "first", 0, LifelongDPOConfig(batch_size=4, n_epochs=4.0, **FULL))
    assert first == ModelRef(str(tmp_path / "first"))
    assert p_a(first) > p_a(start)
    again = dpo(first, preferences, tmp_path / "again", 0, LifelongDPOConfig(batch_size=4, n_epochs=4.0, **FULL))
    assert p_a(again) > p_a(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "first"]


@pytest.mark.parametrize(("reference", "weights"), [("century", "full"), ("century", "lora"), ("base", "lora"), ("uniform", "lora")])
def test_dpo_s_first_loss_tells_what_it_is_held_to(start, preferences, tmp_path, monkeypatch, float32, reference, weights):
    """Nothing has moved by then: the loss is -log sigmoid of the start's log-odds less the reference's, log 2 where they are the same."""
    from trl import DPOTrainer

    losses = []
    loss_of = DPOTrainer.compute_loss

    def noting(self, *args, **kwargs):
        loss = loss_of(self, *args, **kwargs)
        losses.append(float((loss[0] if isinstance(loss, tuple) else loss).detach()))
        return loss

    monkeypatch.setattr(DPOTrainer, "compute_loss", noting)
    config = LifelongDPOConfig(batch_size=4, beta=1.0, reference=reference, learning_rate=1e-2, weights=weights)
    dpo(start, preferences, tmp_path / "whole", 0, config)
    end = load_tokenizer(start).eos_token

    def log_odds(ref):
        scored = TransformersEngine().choice_logprobs(ref, PROMPTS, [("A" + end, "B" + end)] * len(PROMPTS))
        return np.array([s.total[0] - s.total[1] for s in scored])

    of_reference = {"century": log_odds(start), "base": log_odds(start.with_adapter(None)), "uniform": 0.0}
    expected = {name: np.mean(np.log1p(np.exp(odds - log_odds(start)))) for name, odds in of_reference.items()}
    assert min(abs(a - b) for a, b in itertools.combinations(expected.values(), 2)) > 0.004, "they tell references apart"
    assert expected["century"] == pytest.approx(np.log(2))
    assert losses[0] == pytest.approx(expected[reference], abs=0.001)


def test_all_weights_make_a_model_of_its_own_on_policy(start, prompts, tmp_path):
    config = OnPolicyConfig(**{**vars(CONFIG), **FULL, "kl": 0.1})
    learnt = rloo(start, prompts, likes_a, tmp_path / "out", 0, config)
    assert learnt == ModelRef(str(tmp_path / "out"))
    assert p_a(learnt) > p_a(start) + 0.1


def test_all_weights_leave_no_base_to_be_held_to():
    with pytest.raises(ValueError, match=r"reference='base': .* choose reference='century'"):
        OnPolicyConfig(weights="full", reference="base")


def test_the_same_seed_gives_the_same_policy(start, prompts, tmp_path):
    once, again = (rloo(start, prompts, likes_a, tmp_path / name, 3, CONFIG) for name in ("once", "again"))
    assert fingerprint(once) == fingerprint(again)


@pytest.mark.parametrize(
    ("setting", "says"),
    [({"n_samples": 1}, "n_samples=1"), ({"reference": "moon"}, "reference='moon'"), ({"weights": "half"}, "weights='half'")],
)
def test_settings_that_cannot_be_run(setting, says):
    with pytest.raises(ValueError, match=says):
        OnPolicyConfig(**setting)
