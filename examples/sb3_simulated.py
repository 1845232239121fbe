"""Stable-Baselines3 on a simulated history: PPO learns to read values off the votes (needs pg-envs[sb3])."""

import sys

import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

import pg_envs  # noqa: F401  (registers the environments)

n_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
env = gym.make("ProgressGym/Follow-v0", history="simulated-random")
model = PPO("MultiInputPolicy", env, n_steps=512, batch_size=128, seed=0, device="cpu")
before, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=20)
model.learn(n_steps)
after, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=20)
print(f"mean episode return (at most 8): {before:.2f} before, {after:.2f} after {n_steps} steps")
