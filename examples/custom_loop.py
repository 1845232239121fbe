"""A training loop of your own: three centuries, a policy that is fine-tuned on each one's votes."""

import tempfile

import gymnasium as gym
import numpy as np

import pg_envs  # noqa: F401  (registers the environments)
from pg_envs.models.tuning import sft
from pg_envs.values.survey import to_preference_dataset

env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"))
observation, info = env.reset(seed=0)
policy, survey, rng, terminated = env.unwrapped.initial_policy, env.unwrapped.survey, np.random.default_rng(0), False
policies = tempfile.mkdtemp(prefix="custom-loop-")
while not terminated:
    votes = to_preference_dataset(survey, observation["votes"], rng)  # prompt, chosen, rejected
    data = votes.rename_column("chosen", "completion").remove_columns("rejected")
    policy = sft(policy, data, f"{policies}/{env.unwrapped.history.labels[observation['century']]}")  # or any ModelRef on its base
    observation, reward, terminated, truncated, info = env.step(policy)
    print(f"{info['century_label']}: reward {reward:+.3f}")
env.close()
