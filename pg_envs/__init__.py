"""Gymnasium environments for progress alignment. Importing this registers them and loads nothing heavy."""

from gymnasium.envs.registration import register

__version__ = "0.1.0"

register(id="ProgressGym/Follow-v0", entry_point="pg_envs.challenges.follow:FollowEnv")
register(id="ProgressGym/Predict-v0", entry_point="pg_envs.challenges.predict:PredictEnv")
register(id="ProgressGym/Coevolve-v0", entry_point="pg_envs.challenges.coevolve:CoevolveEnv")

ENV_IDS = ("ProgressGym/Follow-v0", "ProgressGym/Predict-v0", "ProgressGym/Coevolve-v0")
