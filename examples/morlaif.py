"""Many principles, one reward, on the last three centuries: a preference model for each of the nineteen value dimensions."""

import sys

import gymnasium as gym

import pg_envs  # noqa: F401  (registers the environments)
from agents.morlaif import MORLAIF, MORLAIFConfig
from pg_envs.runner import run_episode

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/example-morlaif"
env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"))
agent = MORLAIF(env, MORLAIFConfig(seed=0), folder)
episode = run_episode(env, agent, seed=0)
for step in episode.trace:
    print(f"{step['century_label']}: reward {step['reward']:+.3f}")
print(f"score {episode.episode_score():+.3f}; policies in {folder}")
env.close()
