"""Stable-Baselines3 steering language models: PPO weighs LoRA adapters of past centuries on histtiny (needs pg-envs[sb3]).

An action is three weights; the policy submitted is the base with the adapters of C013, C015 and C017 so mixed, which in C019 to C021
are the past. Beside each reward stands what the first humans, those of C018, get who never learn. Every step measures a model, which
takes a second or two: ``python examples/sb3_adapters.py 600`` trains for that many (in rollouts of 15), and leaves the numbers in
``runs/sb3/sb3-adapters.json``.
"""

import json
import sys
import time
from pathlib import Path

import gymnasium as gym
from stable_baselines3 import PPO

import pg_envs  # noqa: F401  (registers the environments)
from pg_envs.history.live import histtiny_refs
from pg_envs.storage import write_text
from wrappers import AdapterMixture, ValueReadings

ENVIRONMENT = {"id": "ProgressGym/Follow-v0", "centuries": ("C018", "C021")}


def judge(model: PPO, env: gym.Env) -> list[dict]:
    """Print and tell an episode of what the policy finds best, beside one of never learning."""
    idle = gym.make(**ENVIRONMENT)
    idle.reset(seed=1)
    observation, _ = env.reset(seed=1)
    told, terminated = [], False
    while not terminated:
        weights, _ = model.predict(observation, deterministic=True)
        observation, reward, terminated, _, info = env.step(weights)
        century = {"century": info["century_label"], "weights": weights.tolist(), "reward": reward}
        told.append(century | {"reward_of_never": idle.step(idle.unwrapped.initial_policy)[1]})
        mixed = ", ".join(f"{weight:+.2f}" for weight in info["mixture_weights"])
        rewards = f"reward {reward:+.3f} (never learning {told[-1]['reward_of_never']:+.3f})"
        print(f"after {model.num_timesteps} steps, {info['century_label']}: weights {mixed}, {rewards}", flush=True)
    idle.close()
    return told


n_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 64
env = gym.make(**ENVIRONMENT)
env = ValueReadings(AdapterMixture(env, histtiny_refs()[0:5:2]), memory=1)
if n_steps < 2:
    sys.exit(f"{n_steps} steps: expected 2 or more, as PPO standardises what it learns from")
rollout = min(n_steps, 15)
model = PPO("MultiInputPolicy", env, n_steps=rollout, batch_size=rollout, gamma=0.0, gae_lambda=0.0, seed=0, device="cpu")
report: dict = {"seed": 0, "untrained": judge(model, env)}
clock, cpu = time.perf_counter(), time.process_time()
model.learn(n_steps, progress_bar=True)
report |= {"steps": model.num_timesteps, "wall_s": round(time.perf_counter() - clock, 1), "cpu_s": round(time.process_time() - cpu, 1)}
report["trained"] = judge(model, env)
env.close()
out = Path("runs/sb3/sb3-adapters.json")
out.parent.mkdir(parents=True, exist_ok=True)
write_text(out, json.dumps(report, indent=1) + "\n")
