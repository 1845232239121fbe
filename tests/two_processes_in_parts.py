"""What ``accelerate launch`` runs in two processes for ``test_ranks.py`` with FSDP2's and DeepSpeed's configurations: trainings.

accelerate has these for GPUs and the like only, so here the processor is passed off as one. The splitting and gathering is torch's own, or
DeepSpeed's, by gloo.

Usage: ``two_processes_in_parts.py BASE FOLDER``.
"""

import json
import os
import sys
from pathlib import Path

import torch
from accelerate import DistributedType, PartialState
from two_processes import DPO, PAIRS, train

from agents.lifelong_dpo import dpo
from pg_envs.models import trained, tuning
from pg_envs.models.ref import ModelRef
from pg_envs.ranks import by_all, rank


def pass_off_as_gpu():
    """Connections are there already; what follows believes that this is the device to split models over."""
    by_all(rank)
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState._prepare_backend = lambda *args, **kwargs: ("gloo", DistributedType.MULTI_GPU)
    PartialState._reset_state()
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        import deepspeed

        # DeepSpeed would compile an exchange by shared memory for processors, which takes minutes; without it gloo does all.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def note_kinds(kinds):
    """Note of what kind trained parameters are, and what share of them is here."""
    held_here = tuning._held_here

    def noting(parameter):
        here = held_here(parameter)
        kinds[type(parameter).__name__] = here.numel() / parameter.numel()
        return here

    tuning._held_here = noting


def train_as_on_a_gpu(base, folder):
    """DPO of a base in bfloat16; the types of numbers that frozen and trained parameters have in training."""
    types = {"base": set(), "adapters": set(), "trained": set()}
    trained.training_dtype = lambda device: torch.bfloat16
    os.environ["PG_ENVS_DTYPE"] = "bfloat16"

    class Noting(tuning._Watching):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            for name, parameter in model.named_parameters():
                types["adapters" if "lora_" in name else "base"].add(str(parameter.dtype))
                types["trained"].update([str(parameter.dtype)] if parameter.requires_grad else [])
            super().on_step_end(args, state, control, model=model, **kwargs)

    tuning._Watching = Noting
    dpo(ModelRef(base), PAIRS, folder / "bfloat16", 1, DPO)
    return {what: sorted(found) for what, found in types.items()}


if __name__ == "__main__":
    pass_off_as_gpu()
    kinds: dict[str, float] = {}
    note_kinds(kinds)
    folder = Path(sys.argv[2])
    train(sys.argv[1], folder)
    types = train_as_on_a_gpu(sys.argv[1], folder)
    (folder / f"rank{rank()}.json").write_text(json.dumps({"kinds": kinds, "types": types}))
