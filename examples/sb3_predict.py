"""Stable-Baselines3 in Predict: PPO and SAC on simulated histories, with learning curves (needs pg-envs[sb3])."""

from pathlib import Path

import tyro
from sb3_training import compare


def main(out: Path = Path("runs/sb3"), ppo_steps: int = 40_000, sac_steps: int = 4_000, n_episodes: int = 50, n_points: int = 10) -> None:
    """Train, and leave sb3-predict.png and sb3-predict.json.

    Args:
        out: Folder for the curves.
        ppo_steps: Centuries that PPO trains on, a history.
        sac_steps: Centuries that SAC trains on, a history.
        n_episodes: Episodes, with seeds never trained on, that a point of a curve is the mean of.
        n_points: Points of a curve.
    """
    compare("ProgressGym/Predict-v0", out, ppo_steps, sac_steps, n_episodes, n_points)


if __name__ == "__main__":
    tyro.cli(main)
