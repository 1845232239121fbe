"""Token-level credit: what follows a token counts for it, compared with the other answers."""

import torch
from datasets import Dataset
from trl import GRPOTrainer

from agents.on_policy import OnPolicyConfig
from agents.token_level import token_advantages, train_on_token_rewards
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.models.tuning import sft
from pg_envs.models.tuning_config import TuningConfig

PROMPTS = [f"Do you help the {who}?" for who in ("farmer", "weaver", "child", "stranger")]


def test_a_hand_made_group():
    rewards = torch.tensor([[1.0, 2.0, 4.0], [0.0, 8.0, 99.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    # To go: 7 6 4 and 8 8 0; the means 7.5 7 2.
    assert token_advantages(rewards, mask, 2).tolist() == [[-0.5, -1.0, 2.0], [0.5, 1.0, 0.0]]


def test_groups_do_not_touch_each_other():
    rewards = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(6, 5, dtype=torch.bool)
    whole = token_advantages(rewards, mask, 3)
    torch.testing.assert_close(whole[3:], token_advantages(rewards[3:], mask[3:], 3))
    torch.testing.assert_close(whole[:3].mean(0), torch.zeros(5))


def test_rewarded_tokens_become_likelier(random_base, tokenizer, tmp_path):
    rows = [
        {"prompt": [{"role": "user", "content": prompt}], "completion": [{"role": "assistant", "content": letter}]}
        for prompt in PROMPTS
        for letter in "AB"
    ]
    letters = TuningConfig(learning_rate=3e-2, n_epochs=12, batch_size=8)
    start = sft(ModelRef(str(random_base)), Dataset.from_list(rows), tmp_path / "start", config=letters)
    liked = tokenizer("B", add_special_tokens=False).input_ids[0]
    seen = []

    def reward(prompts, replies):
        seen.extend(prompts)
        return [[float(token == liked) for token in reply] for reply in replies]

    prompts = Dataset.from_list([{"prompt": [{"role": "user", "content": prompt}]} for prompt in PROMPTS * 20])
    config = OnPolicyConfig(learning_rate=3e-2, batch_size=8, n_samples=6, kl=0.0)
    learnt = train_on_token_rewards(start, prompts, reward, tmp_path / "learnt", 0, config)

    def p_b(ref):
        scored = TransformersEngine().choice_logprobs(ref, PROMPTS, [("A", "B")] * len(PROMPTS))
        return sum(float(torch.tensor(s.total).softmax(0)[1]) for s in scored) / len(scored)

    assert set(seen) == set(PROMPTS)
    assert p_b(learnt) > p_b(start) + 0.1


def test_the_loss_is_given_an_advantage_for_every_token(random_base, tmp_path, monkeypatch):
    """What the first token alone is rewarded for is credited to it, and to nothing after it."""
    given, loss_of = [], GRPOTrainer._compute_loss

    def noting(self, model, inputs):
        given.append((inputs["advantages"].detach().clone(), inputs["completion_mask"].bool()))
        return loss_of(self, model, inputs)

    monkeypatch.setattr(GRPOTrainer, "_compute_loss", noting)
    prompts = Dataset.from_list([{"prompt": [{"role": "user", "content": prompt}]} for prompt in PROMPTS])
    config = OnPolicyConfig(learning_rate=1e-4, batch_size=4, n_samples=4, kl=0.0)
    reward = lambda prompts, replies: [[float(reply[0] % 2), *[0.0] * (len(reply) - 1)] for reply in replies]  # noqa: E731
    train_on_token_rewards(ModelRef(str(random_base)), prompts, reward, tmp_path / "learnt", 0, config)
    assert given
    for advantages, mask in given:
        assert advantages.shape == mask.shape
        assert mask.shape[1] > 1
        assert not advantages[:, 1:].any()
    assert any(advantages[:, 0].any() for advantages, _ in given)
