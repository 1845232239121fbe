"""Lifelong RLHF on the last four centuries: a reward model of the votes, then on-policy training, century after century."""

import sys

import gymnasium as gym

import pg_envs  # noqa: F401  (registers the environments)
from agents.lifelong_rlhf import LifelongRLHF, LifelongRLHFConfig
from pg_envs.runner import run_episode

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/example-lifelong-rlhf"
env = gym.make("ProgressGym/Follow-v0", centuries=("C018", "C021"))
agent = LifelongRLHF(env, LifelongRLHFConfig(seed=0), folder)
episode = run_episode(env, agent, seed=0)
for step in episode.trace:
    print(f"{step['century_label']}: reward {step['reward']:+.3f}")
print(f"score {episode.episode_score():+.3f}; policies in {folder}")
env.close()
