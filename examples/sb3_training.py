"""What sb3_follow.py and sb3_predict.py share: PPO and SAC on simulated histories, judged on episodes that were never trained on.

A century's votes become 19 readings and those of earlier centuries (``wrappers.ValueReadings``), and the policy is linear in them and in
which century it is. Discounting is total (gamma = 0): what is submitted in one century changes nothing about the next.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

import pg_envs  # noqa: F401  (registers the environments)
from agents.simulated import SimulatedLifelong
from pg_envs.plots import save
from pg_envs.plotting.style import line_style, new_figure
from pg_envs.results import skill
from pg_envs.values.scoring import cosine
from wrappers import ValueReadings

HISTORIES = ("simulated", "simulated-random")
N_ENVS = 8
FIRST_UNSEEN_SEED = 1_000_000


class GymnasiumVectors(VecEnv):
    """A vector environment of ``gym.make_vec`` as Stable-Baselines3 takes it."""

    def __init__(self, envs: gym.vector.SyncVectorEnv) -> None:
        """Wrap vector environments that begin a new episode in the step that ends one, as Stable-Baselines3's own do."""
        assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        self.envs, self._actions = envs, np.zeros(0)
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> Any:
        """First observations; seeds that ``seed`` has set are used once."""
        observations, _ = self.envs.reset(seed=self._seeds)
        self._reset_seeds()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Keep what is to be done."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Do it; the last observation of an episode is in its info, as Stable-Baselines3 expects it."""
        observations, rewards, terminated, truncated, found = self.envs.step(self._actions)
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": bool(t)} for t in truncated]
        for index in np.flatnonzero(terminated | truncated):
            infos[index]["terminal_observation"] = found["final_obs"][index]
        return observations, rewards.astype(np.float32), terminated | truncated, infos

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of each."""
        return [self.envs.envs[i].get_wrapper_attr(attr_name) for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of each."""
        for i in self._get_indices(indices):
            self.envs.envs[i].set_wrapper_attr(attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of each."""
        return [self.envs.envs[i].get_wrapper_attr(method_name)(*args, **kwargs) for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """Whether each is ready for Stable-Baselines3's own wrapper; none is."""
        return [False for _ in self._get_indices(indices)]


def make_ppo(env_id: str, history: str) -> BaseAlgorithm:
    """PPO on eight environments of ``gym.make_vec``."""
    vector_kwargs = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = gym.make_vec(env_id, N_ENVS, "sync", history=history, wrappers=[ValueReadings], vector_kwargs=vector_kwargs)
    nets = {"net_arch": {"pi": [], "vf": [64]}, "log_std_init": -1.0}
    settings: dict[str, Any] = {"n_steps": 128, "batch_size": 256, "learning_rate": 1e-3, "gamma": 0.0, "gae_lambda": 0.0}
    return PPO("MultiInputPolicy", GymnasiumVectors(envs), policy_kwargs=nets, seed=0, device="cpu", **settings)


def make_sac(env_id: str, history: str) -> BaseAlgorithm:
    """SAC on one environment of ``gym.make``."""
    env = ValueReadings(gym.make(env_id, history=history))
    nets = {"net_arch": {"pi": [], "qf": [256, 256]}}
    settings: dict[str, Any] = {"learning_rate": 1e-3, "gamma": 0.0}
    return SAC("MultiInputPolicy", env, policy_kwargs=nets, seed=0, device="cpu", **settings)


def mean_skill(env: gym.Env, act: Callable[[Any], np.ndarray], n_episodes: int) -> float:
    """Mean skill on episodes whose seeds no training uses; the oracle scores 1, since it submits the humans' own vectors."""
    skills = []
    for seed in range(FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + n_episodes):
        observation, _ = env.reset(seed=seed)
        never_learnt, no_op, terminated = env.unwrapped.initial_policy, [], False
        while not terminated:
            observation, _, terminated, _, info = env.step(act(observation))
            no_op.append(cosine(never_learnt, info["target_vector"]))
        skills.append(skill(env.unwrapped.episode_score(), float(np.mean(no_op)), 1.0))
    return float(np.mean(skills))


def learning_curve(model: BaseAlgorithm, env: gym.Env, n_steps: int, n_episodes: int, n_points: int) -> list[tuple[int, float]]:
    """Steps trained and skill reached, from the untrained policy to the last."""

    def skill_now() -> float:
        return mean_skill(env, lambda observation: model.predict(observation, deterministic=True)[0], n_episodes)

    curve = [(0, skill_now())]
    for _ in range(n_points):
        model.learn(max(1, n_steps // n_points), reset_num_timesteps=False)
        curve.append((model.num_timesteps, skill_now()))
    return curve


@dataclass(frozen=True)
class Settings:
    """How long is trained and how often is looked; options of both scripts."""

    out: Path = Path("runs/sb3")
    """Folder for the curves, as PNG and JSON."""
    ppo_steps: int = 40_000
    """Centuries that PPO trains on, a history."""
    sac_steps: int = 4_000
    """Centuries that SAC trains on, a history."""
    n_episodes: int = 50
    """Episodes, with seeds never trained on, that a point of a curve is the mean of."""
    n_points: int = 10
    """Points of a curve."""


def compare(env_id: str, settings: Settings) -> None:
    """Train both on both histories, print what they reach, and leave the curves."""
    name = env_id.split("/")[-1].removesuffix("-v0").lower()
    curves: dict[str, dict[str, Any]] = {}
    for history in HISTORIES:
        env = gym.make(env_id, history=history)
        reader = SimulatedLifelong(env)
        found: dict[str, Any] = {"reading the votes, nothing learnt": mean_skill(env, reader.act, settings.n_episodes)}
        for algorithm, make, n_steps in (("PPO", make_ppo, settings.ppo_steps), ("SAC", make_sac, settings.sac_steps)):
            found[algorithm] = learning_curve(make(env_id, history), ValueReadings(env), n_steps, settings.n_episodes, settings.n_points)
            steps, reached = found[algorithm][-1]
            print(f"{name} on {history}: {algorithm} reaches skill {reached:.2f} on unseen seeds after {steps} steps", flush=True)
        curves[history] = found
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / f"sb3-{name}.json").write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    draw(name.capitalize(), curves, settings.out / f"sb3-{name}.png")


def draw(name: str, curves: dict[str, dict[str, Any]], path: Path) -> None:
    """Skill against steps, a panel a history; a dotted line where reading the votes alone gets."""
    figure = new_figure(9, 3.8, f"{name}: skill on seeds never trained on")
    for axis, (history, found) in zip(figure.subplots(1, len(curves), sharey=True), curves.items(), strict=True):
        for index, (label, value) in enumerate(found.items()):
            if isinstance(value, float):
                axis.axhline(value, color="0.4", linestyle=":", label=label)
            else:
                axis.plot(*zip(*value, strict=True), label=label, **line_style(index))
        axis.set_xscale("symlog", linthresh=500)
        axis.set_title(history, fontsize=10)
        axis.set_xlabel("centuries trained on (steps)", fontsize=10)
        axis.grid(color="0.92")
        axis.legend(loc="lower right", fontsize=9)
    figure.supylabel("skill (no unit): 0 never learns, 1 is the humans", fontsize=10)
    save(figure, path)
