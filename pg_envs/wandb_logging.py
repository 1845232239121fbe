"""What Weights & Biases is told of an episode, by ``pg-envs run --wandb`` and by the wrapper ``WandbLogger`` alike."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from pg_envs.models.ref import ModelRef, local_path
from pg_envs.run_folder import policy_from_record
from pg_envs.values.dimensions import DIMENSIONS

NUMBERS = ("score_upstream", "n_queries", "n_queries_total", "on_schedule", "lock_in_lag")
"""What is logged of a step under its own name, where there is such a thing."""
VECTORS = {"policy": "policy_vector", "target": "target_vector", "proxy": "proxy_vector"}
"""Prefixes of per-dimension values, and where in a step they are."""
NOT_SENT = ("offline", "dryrun", "disabled")
"""W&B's modes that need no login."""


class NotLogged(RuntimeError):
    """Raised where W&B does not take a finished run, whose result is whole all the same."""


def check_wandb(who: str) -> None:
    """Now, not after the first century has been trained on.

    Raises:
        ModuleNotFoundError: If ``wandb`` is not installed; ``who`` needs it.
    """
    found = importlib.util.find_spec("wandb")
    # A folder "wandb" that earlier runs have left in the working directory can be imported too, but has no file of its own.
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{who} needs the package wandb, which is not installed: pip install 'pg-envs[wandb]'")


def check_login(project: str) -> None:
    """Now, not after the last century; in a terminal W&B asks for what is missing. Nothing is left open.

    Raises:
        ModuleNotFoundError: If ``wandb`` is not installed.
        ValueError: If runs are to be sent and nobody is logged in.
    """
    check_wandb("--wandb")
    import wandb

    try:
        if wandb.setup().settings.mode not in NOT_SENT:
            wandb.login(verify=False)
    except wandb.Error as error:
        remedy = "say `wandb login` first, or set WANDB_MODE=offline, which sends nothing and leaves a folder for `wandb sync`"
        raise ValueError(f"--wandb {project}: expected somebody who is logged in to W&B, found {str(error)!r}; {remedy}") from error
    finally:
        wandb.teardown()


def step_numbers(step: dict[str, Any]) -> dict[str, float]:
    """A step of a trace or of a result as W&B's flat names and numbers."""
    numbers = {"reward": step["reward"], **{key: step[key] for key in NUMBERS if key in step}}
    for prefix, key in VECTORS.items():
        if key in step:
            numbers.update((f"{prefix}/{dimension.key}", float(value)) for dimension, value in zip(DIMENSIONS, step[key], strict=True))
    return numbers


def log_picture(run: Any, numbers: dict[str, float], picture: Path) -> None:
    """Log a step's numbers with the picture of the trajectory."""
    import wandb

    run.log({**numbers, "trajectory": wandb.Image(str(picture))})


def log_policy(run: Any, policy: Any, **metadata: Any) -> None:
    """Log a policy's own weights, an adapter's or a whole model's, as an artifact, if they lie in a local folder."""
    import wandb

    name = (policy.adapter or policy.base) if isinstance(policy, ModelRef) else None
    folder = local_path(name) if name is not None else None
    if folder is None:
        return
    told = {"base": policy.base, "revision": policy.revision, **metadata}
    artifact = wandb.Artifact(f"policy-{run.id}", type="model", metadata=told)
    artifact.add_dir(str(folder))
    run.log_artifact(artifact)


def log_result(project: str, result: dict[str, Any], folder: Path) -> None:
    """Log a finished run: every century's numbers, score and skill, the picture, and the last century's policy.

    Args:
        project: W&B's.
        result: As in ``result.json``.
        folder: The run's, with its picture and policies.

    Raises:
        NotLogged: If W&B refuses or cannot be reached.
    """
    import wandb

    *before, last = [{**step_numbers(step), "century": step["century_label"]} for step in result["steps"]]
    try:
        with wandb.init(project=project, config=result["config"], name=folder.name) as run:
            for numbers in before:
                run.log(numbers)
            log_picture(run, last, folder / "trajectory.png")
            run.summary.update({"score": result["score"], "skill": result["skill"]})
            log_policy(run, policy_from_record(result["steps"][-1]["policy"], folder))
    except wandb.Error as error:
        again = f"pg-envs run --resume {folder} --wandb {project}"
        raise NotLogged(f"W&B did not take the run, which is whole in {folder}: {error}; try once more with {again}") from error
