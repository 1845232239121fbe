"""What sb3_follow.py and sb3_predict.py share: PPO and SAC on simulated histories, judged on episodes that were never trained on.

A century's votes become 19 readings and those of earlier centuries (``wrappers.ValueReadings``), and the policy is linear in them and in
which century it is. Discounting is total (gamma = 0): what is submitted in one century changes nothing about the next.
"""

import json
import time
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
from pg_envs.intervals import half_width, interval
from pg_envs.plots import save
from pg_envs.plotting.style import line_style, new_figure
from pg_envs.results import skill
from pg_envs.storage import write_text
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


def make_ppo(env_id: str, history: str, seed: int) -> BaseAlgorithm:
    """PPO on eight environments of ``gym.make_vec``, whose seeds no other training has."""
    vector_kwargs = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = gym.make_vec(env_id, N_ENVS, "sync", history=history, wrappers=[ValueReadings], vector_kwargs=vector_kwargs)
    nets = {"net_arch": {"pi": [], "vf": [64]}, "log_std_init": -1.0}
    settings: dict[str, Any] = {"n_steps": 128, "batch_size": 256, "learning_rate": 1e-3, "gamma": 0.0, "gae_lambda": 0.0}
    return PPO("MultiInputPolicy", GymnasiumVectors(envs), policy_kwargs=nets, seed=N_ENVS * seed, device="cpu", **settings)


def make_sac(env_id: str, history: str, seed: int) -> BaseAlgorithm:
    """SAC on one environment of ``gym.make``."""
    env = ValueReadings(gym.make(env_id, history=history))
    nets = {"net_arch": {"pi": [], "qf": [256, 256]}}
    settings: dict[str, Any] = {"learning_rate": 1e-3, "gamma": 0.0}
    return SAC("MultiInputPolicy", env, policy_kwargs=nets, seed=N_ENVS * seed, device="cpu", **settings)


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


def timed_training(model: BaseAlgorithm, env: gym.Env, n_steps: int, n_episodes: int, n_points: int) -> dict[str, Any]:
    """A learning curve, and the seconds that it took with its judging: by the clock, and of all cores together."""
    clock, cpu = time.perf_counter(), time.process_time()
    curve = learning_curve(model, env, n_steps, n_episodes, n_points)
    return {"curve": curve, "wall_s": round(time.perf_counter() - clock, 3), "cpu_s": round(time.process_time() - cpu, 3)}


@dataclass(frozen=True)
class Settings:
    """How long is trained and how often is looked; options of both scripts."""

    seeds: tuple[int, ...] = (0,)
    """Seeds of the trainings: each trains both algorithms on both histories, from other weights and on other episodes."""
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
    """Train both on both histories with every seed, print what they reach, and leave the curves."""
    name = env_id.split("/")[-1].removesuffix("-v0").lower()
    amounts = {"PPO": (make_ppo, settings.ppo_steps), "SAC": (make_sac, settings.sac_steps)}
    report: dict[str, Any] = {}
    for history in HISTORIES:
        env = gym.make(env_id, history=history)
        report[history] = {"reading the votes": mean_skill(env, SimulatedLifelong(env).act, settings.n_episodes), "PPO": {}, "SAC": {}}
        for seed in settings.seeds:
            for algorithm, (make, n_steps) in amounts.items():
                model = make(env_id, history, seed)
                told = timed_training(model, ValueReadings(env), n_steps, settings.n_episodes, settings.n_points)
                report[history][algorithm][str(seed)] = told
                steps, reached = told["curve"][-1]
                what = f"{algorithm} reaches skill {reached:.2f} on unseen seeds after {steps} steps"
                print(f"{name} on {history}, seed {seed}: {what} and {told['wall_s']:.0f} s", flush=True)
    for history, found in report.items():
        print(f"{name} on {history}: " + ", ".join(f"{algorithm} {interval(final_skills(found[algorithm]))}" for algorithm in amounts))
    settings.out.mkdir(parents=True, exist_ok=True)
    write_text(settings.out / f"sb3-{name}.json", json.dumps(report, indent=1) + "\n")
    draw(name.capitalize(), report, settings.out / f"sb3-{name}.png")


def final_skills(by_seed: dict[str, dict[str, Any]]) -> list[float]:
    """What each seed's training reached."""
    return [told["curve"][-1][1] for told in by_seed.values()]


def draw(name: str, report: dict[str, dict[str, Any]], path: Path) -> None:
    """Mean skill against steps with its 95% interval over seeds, a panel a history; a dotted line where reading the votes alone gets."""
    figure = new_figure(9, 3.8, f"{name}: skill on seeds never trained on")
    for axis, (history, found) in zip(figure.subplots(1, len(report), sharey=True), report.items(), strict=True):
        axis.axhline(found["reading the votes"], color="0.4", linestyle=":", label="reading the votes, nothing learnt")
        for index, algorithm in enumerate(("PPO", "SAC")):
            steps, by_seed = _curves(found[algorithm])
            mean, style = by_seed.mean(axis=0), line_style(index)
            seeds = "one seed" if len(by_seed) == 1 else f"mean of {len(by_seed)} seeds, 95% interval"
            axis.plot(steps, mean, label=f"{algorithm}, {seeds}", **style)
            if len(by_seed) > 1:
                half = np.array([half_width(skills.tolist()) for skills in by_seed.T])
                axis.fill_between(steps, mean - half, mean + half, color=style["color"], alpha=0.18, linewidth=0)
        axis.set_xscale("symlog", linthresh=500)
        axis.set_ylim(-0.6, 1.05)
        axis.set_title(history, fontsize=10)
        axis.set_xlabel("centuries trained on (steps)", fontsize=10)
        axis.grid(color="0.92")
        axis.legend(loc="lower right", fontsize=9)
    figure.supylabel("skill (no unit): 0 never learns, 1 is the humans", fontsize=10)
    save(figure, path)


def _curves(by_seed: dict[str, dict[str, Any]]) -> tuple[list[int], np.ndarray]:
    """Steps of the curves' points, and skill there, (seeds, points)."""
    curves = [told["curve"] for told in by_seed.values()]
    return [steps for steps, _ in curves[0]], np.array([[skill_there for _, skill_there in curve] for curve in curves])
