"""Stable-Baselines3 in Follow: PPO and SAC on simulated histories, with learning curves (needs pg-envs[sb3])."""

import tyro
from sb3_training import Settings, compare

if __name__ == "__main__":
    compare("ProgressGym/Follow-v0", tyro.cli(Settings, description=__doc__))
