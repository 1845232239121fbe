"""Stable-Baselines3 steering language models: PPO weighs LoRA adapters of past centuries on histtiny (needs pg-envs[sb3]).

An action is three weights; the policy submitted is the base with the adapters of C013, C015 and C017 so mixed, which in C019 to C021
are the past. Every step measures a model, which takes a second or two: ``python examples/sb3_adapters.py 600`` trains for that many
(in rollouts of 15).
"""

import sys

import gymnasium as gym
from stable_baselines3 import PPO

import pg_envs  # noqa: F401  (registers the environments)
from pg_envs.history.live import histtiny_refs
from wrappers import AdapterMixture, ValueReadings


def judge(model: PPO, env: gym.Env) -> None:
    """Print an episode of what the policy finds best."""
    observation, _ = env.reset(seed=1)
    terminated = False
    while not terminated:
        weights, _ = model.predict(observation, deterministic=True)
        observation, reward, terminated, _, info = env.step(weights)
        told = ", ".join(f"{weight:+.2f}" for weight in info["mixture_weights"])
        print(f"after {model.num_timesteps} steps, {info['century_label']}: weights {told}, reward {reward:+.3f}")


n_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 64
env = gym.make("ProgressGym/Follow-v0", centuries=("C018", "C021"))
env = ValueReadings(AdapterMixture(env, histtiny_refs()[0:5:2]), memory=1)
rollout = min(n_steps, 15)
model = PPO("MultiInputPolicy", env, n_steps=rollout, batch_size=rollout, gamma=0.0, gae_lambda=0.0, seed=0, device="cpu")
judge(model, env)
model.learn(n_steps, progress_bar=True)
judge(model, env)
env.close()
