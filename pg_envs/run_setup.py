"""What a run is before it begins: its configuration, its folder's name and its environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

import pg_envs
from pg_envs.env import ProgressEnv
from pg_envs.plugins import init_parameters
from pg_envs.run_folder import has_begun, read_config
from pg_envs.settings import parse_settings

if TYPE_CHECKING:
    from pg_envs.commands import Run


SHORT_NAMES = {name.split("/")[-1].removesuffix("-v0"): name for name in pg_envs.ENV_IDS}
"""Environments by the names that the command line may call them."""


def resumed_run(options: Run) -> tuple[Path, dict[str, Any]]:
    """The folder of the run to go on with, and its configuration.

    Raises:
        ValueError: If something else is asked for than what the run is: it would be ignored.
    """
    assert options.resume is not None
    config = read_config(options.resume)
    default, found = _flat(_asked(type(options)())), _flat(config)
    if options.name is not None or options.out != type(options)().out:
        raise ValueError(f"--resume {options.resume} names the run's folder, and --name or --out another; leave them out")
    for what, asked in _flat(_asked(options)).items():
        if asked not in (default.get(what), found.get(what)):
            raise ValueError(
                f"--resume {options.resume} goes on with a run whose {what} is {found.get(what)!r}, and {asked!r} was asked for; "
                "leave that out, or begin another run without --resume"
            )
    return options.resume, config


def new_run(options: Run) -> tuple[Path, dict[str, Any]]:
    """A new run's folder, which does not exist yet, and its configuration."""
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed}: expected a whole number, 0 or more")
    config = _asked(options)
    challenge = config["env"].split("/")[-1].removesuffix("-v0")
    name = options.name or folder_name(challenge, options.agent, config["env_args"]["history"], options.seed)
    folder = options.out / name
    if has_begun(folder) and options.name:
        raise FileExistsError(f"{folder} exists and is never overwritten; choose another --name, or go on with --resume {folder}")
    number = 1
    while has_begun(folder):
        number += 1
        folder = options.out / f"{name}-{number}"
    return folder, config


def _asked(options: Run) -> dict[str, Any]:
    """The configuration that options ask for."""
    return {
        "env": SHORT_NAMES.get(options.env, options.env),
        "env_args": {"history": options.history, **parse_settings(options.env_args)},
        "agent": options.agent,
        "agent_args": parse_settings(options.agent_args),
        "seed": options.seed,
    }


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration's parts, those of the environment and the agent each by itself."""
    inner = {f"{key}: {name}": value for key in ("env_args", "agent_args") for name, value in config[key].items()}
    return {**{key: config[key] for key in ("env", "agent", "seed")}, **inner}


def folder_name(environment: str, agent: str, history: Any, seed: int) -> str:
    """The name of a run's folder, e.g. ``follow-no-op-simulated-s0``."""
    # An agent's name may hold a colon, a recorded history's a path.
    parts = (environment.lower(), agent.replace(":", "."), str(history), f"s{seed}")
    return "-".join(re.sub(r"[^\w.-]+", "-", part) for part in parts)


def make_env(config: dict[str, Any]) -> Any:
    """The environment that a run's configuration names.

    Raises:
        ValueError: If there is none of that name, or it has no such argument.
    """
    name, arguments = config["env"], config["env_args"]
    try:
        return gym.make(name, disable_env_checker=True, **arguments)
    except gym.error.UnregisteredEnv as error:
        raise ValueError(f"unknown environment {name!r}; choose from {', '.join(pg_envs.ENV_IDS)}") from error
    except ModuleNotFoundError as error:
        raise ValueError(f"environment {name!r}: {error}; the part before the colon is imported first") from error
    except TypeError as error:
        entry_point: Any = gym.spec(name.split(":")[-1]).entry_point
        env_class: Any = load_env_creator(entry_point)
        if not issubclass(env_class, ProgressEnv):
            raise ValueError(f"{name!r} is no ProgressGym environment; choose from {', '.join(pg_envs.ENV_IDS)}") from error
        known = list(init_parameters(env_class))
        unknown = [argument for argument in arguments if argument not in known]
        if not unknown:
            raise
        raise ValueError(f"{name} has no argument {unknown[0]!r}; it has {', '.join(known)}") from error
