"""Extrapolative RLHF on the last four centuries, judged a century ahead: the reward model learns votes that are forecast."""

import sys

import gymnasium as gym

import pg_envs  # noqa: F401  (registers the environments)
from agents.extrapolative_rlhf import ExtrapolativeRLHF, ExtrapolativeRLHFConfig
from pg_envs.runner import run_episode

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/example-extrapolative-rlhf"
env = gym.make("ProgressGym/Predict-v0", lookahead=1, centuries=("C018", "C021"))
agent = ExtrapolativeRLHF(env, ExtrapolativeRLHFConfig(seed=0, order=1, votes_per_comparison=64), folder)
episode = run_episode(env, agent, seed=0)
for step in episode.trace:
    print(f"{step['century_label']}, judged by {step['target_label']}: reward {step['reward']:+.3f}, {step['n_queries']} questions")
print(f"score {episode.episode_score():+.3f}; events {agent.events}")
env.close()
