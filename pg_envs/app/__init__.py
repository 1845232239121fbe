"""``pg-envs app``: leaderboard, trajectories, talk with the centuries, and which century answers most like its visitor."""
