"""Forecasting in seconds, without a language model: a line through the votes against the last votes, two centuries ahead."""

import tempfile

import gymnasium as gym

import pg_envs  # noqa: F401  (registers the environments)
from agents.simulated import SimulatedExtrapolative, SimulatedExtrapolativeConfig
from pg_envs.runner import run_episode

env = gym.make("ProgressGym/Predict-v0", history="simulated-random", lookahead=2)
for order, name in ((0, "the last votes"), (1, "a line through the votes")):
    config = SimulatedExtrapolativeConfig(order=order, votes_per_comparison=64)
    agent = SimulatedExtrapolative(env, config, tempfile.mkdtemp())
    scores = [run_episode(env, agent, seed).episode_score() for seed in range(5)]
    print(f"{name}: mean score {sum(scores) / len(scores):.3f} over {len(scores)} seeds")
