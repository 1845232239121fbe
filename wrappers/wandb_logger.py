"""Episodes in Weights & Biases."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym

from pg_envs.plots import plot_trajectory
from pg_envs.wandb_logging import check_wandb, log_picture, log_policy, step_numbers
from wrappers.shared import progress_env


class WandbLogger(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Logs an environment to one Weights & Biases run, from the first step until ``close``.

    | what | when |
    |---|---|
    | ``reward``, ``score`` (the episode's so far), ``score_upstream``, ``n_queries``, ``n_queries_total``, ``episode`` | every step |
    | ``policy/KEY``, ``target/KEY`` for each of the 19 dimensions | every step |
    | ``on_schedule``, ``lock_in_lag``, ``proxy/KEY`` | every step, in Coevolve |
    | ``trajectory``, the picture | at the end of an episode |
    | the last policy's adapter or model, as an artifact of type ``model`` | at the end of an episode, if it lies in a local folder |

    ``reward`` is the environment's own, whatever wrappers make of it. Adapters are seen only where actions are ModelRefs:
    put this inside ``AdapterMixture``. Needs ``pip install pg-envs[wandb]``; nothing is logged unless an environment is wrapped.
    A pickled or copied environment logs to a run of its own, from its next step on.

    ## Example
    ```python
    import gymnasium as gym

    import pg_envs  # registers the environments
    from wrappers import WandbLogger

    env = WandbLogger(gym.make("ProgressGym/Follow-v0", history="simulated"), "my-project", mode="offline")
    env.reset(seed=0)
    env.step(env.action_space.sample())  # begins the run
    env.close()
    ```
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        project: str,
        name: str | None = None,
        agent: str = "agent",
        mode: Literal["online", "offline"] | None = None,
        folder: str | None = None,
    ) -> None:
        """Wrap a ProgressGym environment.

        Args:
            env: The environment.
            project: The W&B project.
            name: Of the run; None lets W&B choose.
            agent: What the agent is called in the run's configuration and in the picture's title.
            mode: ``"offline"`` sends nothing and leaves a folder to be synchronised; None is W&B's own setting (``WANDB_MODE``).
            folder: Where W&B keeps its files; None is W&B's own setting (``WANDB_DIR``).

        Raises:
            ImportError: If ``wandb`` is not installed.
            ValueError: If it is no ProgressGym environment.
        """
        gym.utils.RecordConstructorArgs.__init__(self, project=project, name=name, agent=agent, mode=mode, folder=folder)
        gym.Wrapper.__init__(self, env)
        self._inner = progress_env(env, type(self))
        check_wandb(type(self).__name__)
        self._settings: dict[str, Any] = {"project": project, "name": name, "mode": mode, "dir": folder}
        self._agent = agent
        self._run: Any = None
        self._episode = -1
        self._seed: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._episode, self._seed = self._episode + 1, seed
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's; logs the step."""
        import wandb

        if self._run is None:
            # Several runs in one process, as vector environments have them, are kept apart.
            self._run = wandb.init(**self._settings, config=self._config(), reinit="create_new")
        observation, reward, terminated, truncated, info = self.env.step(action)
        numbers = {"episode": self._episode, "score": self._inner.episode_score(), **step_numbers(self._inner.trace[-1])}
        if terminated or truncated:
            self._log_with_picture(numbers)
            log_policy(self._run, action, episode=self._episode)
        else:
            self._run.log(numbers)
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Finish the run, then close the environment; steps after another reset begin a new run."""
        if self._run is not None:
            self._run.finish()
            self._run = None
        super().close()

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: all but the run, which two cannot log to."""
        return {**self.__dict__, "_run": None}

    def _config(self) -> dict[str, Any]:
        """What was asked for, as results have it."""
        spec = self._inner.spec
        arguments = {} if spec is None else spec.kwargs
        return {
            "env": type(self._inner).__name__ if spec is None else spec.id,
            "env_args": {**arguments, "history": self._inner.history.name, "scoring": self._inner.scoring},
            "agent": self._agent,
            "seed": self._seed,
        }

    def _log_with_picture(self, numbers: dict[str, float]) -> None:
        inner = self._inner
        result = {
            "config": self._config(),
            "steps": inner.trace,
            "score": inner.episode_score(),
            "skill": None,
            "complete": len(inner.trace) == inner.n_steps,
        }
        with tempfile.TemporaryDirectory(prefix="pg-envs-") as folder:
            path = Path(folder) / "trajectory.png"
            plot_trajectory(result, path)
            # W&B copies the file when it is logged, not before.
            log_picture(self._run, numbers, path)
