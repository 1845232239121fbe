"""Run an agent from Python: lifelong DPO with settings of its own, on the last four centuries."""

import sys

import gymnasium as gym

import pg_envs  # noqa: F401  (registers the environments)
from agents.lifelong_dpo import LifelongDPO, LifelongDPOConfig
from pg_envs.runner import run_episode

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/example-lifelong-dpo"
env = gym.make("ProgressGym/Follow-v0", centuries=("C018", "C021"))
agent = LifelongDPO(env, LifelongDPOConfig(seed=0, rows_per_comparison=2), folder)
episode = run_episode(env, agent, seed=0)
for step in episode.trace:
    print(f"{step['century_label']}: reward {step['reward']:+.3f}")
print(f"score {episode.episode_score():+.3f}; policies in {folder}")
env.close()
