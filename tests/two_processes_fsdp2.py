"""What ``accelerate launch`` runs in two processes for ``test_ranks.py`` with FSDP2's configuration: one training.

accelerate has FSDP for GPUs and the like only, so here the processor is passed off as one. The splitting and gathering is torch's own, by
gloo.

Usage: ``two_processes_fsdp2.py BASE FOLDER``.
"""

import json
import os
import sys
from pathlib import Path

from accelerate import DistributedType, PartialState
from two_processes import train

from pg_envs.models import tuning
from pg_envs.ranks import by_all, rank


def pass_off_as_gpu():
    """Connections are there already; what follows believes that this is the device to split models over."""
    by_all(rank)
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState._prepare_backend = lambda *args, **kwargs: ("gloo", DistributedType.MULTI_GPU)
    PartialState._reset_state()


def note_kinds(kinds):
    """Note of what kind trained parameters are, and what share of them is here."""
    held_here = tuning._held_here

    def noting(parameter):
        here = held_here(parameter)
        kinds[type(parameter).__name__] = here.numel() / parameter.numel()
        return here

    tuning._held_here = noting


if __name__ == "__main__":
    pass_off_as_gpu()
    kinds: dict[str, float] = {}
    note_kinds(kinds)
    folder = Path(sys.argv[2])
    train(sys.argv[1], folder)
    (folder / f"rank{rank()}.json").write_text(json.dumps(kinds))
