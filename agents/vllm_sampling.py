"""Having vLLM sample the answers of on-policy training, as TRL does it: what can be told, and what TRL is told of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any, Literal, get_args

from pg_envs.ranks import n_ranks

VLLMMode = Literal["colocate", "server"]


@dataclass(frozen=True)
class VLLMConfig:
    """Settings; names are TRL's where it has them."""

    use_vllm: bool = False
    """Have vLLM sample the answers, as TRL does it; needs GPUs."""
    vllm_mode: VLLMMode = "colocate"
    """Where vLLM runs: on the GPUs that train (``colocate``), or as a server on others (``server``), see docs/scale.md."""
    vllm_server_url: str = ""
    """Where the server is, e.g. http://127.0.0.1:8000; only with vllm_mode='server'."""
    vllm_gpu_memory_utilization: float = 0.3
    """Share of each GPU's memory that vLLM takes; only with vllm_mode='colocate'."""
    vllm_tensor_parallel_size: int = 1
    """GPUs over which vLLM splits the weights; must divide the number of processes; only with vllm_mode='colocate'."""


def check_vllm(config: VLLMConfig) -> None:
    """Refuse settings that contradict each other; whether vLLM is here is asked when it is needed.

    Raises:
        ValueError: Naming the setting, its value and what was expected.
    """
    if config.vllm_mode not in get_args(VLLMMode):
        raise ValueError(f"vllm_mode={config.vllm_mode!r}: choose from {', '.join(map(repr, get_args(VLLMMode)))}")
    if not 0 < config.vllm_gpu_memory_utilization <= 1:
        raise ValueError(f"vllm_gpu_memory_utilization={config.vllm_gpu_memory_utilization}: expected a share above 0, at most 1")
    if config.vllm_tensor_parallel_size < 1:
        raise ValueError(f"vllm_tensor_parallel_size={config.vllm_tensor_parallel_size}: expected at least 1")
    defaults = {field.name: field.default for field in fields(VLLMConfig)}
    changed = [name for name in defaults if name.startswith("vllm_") and getattr(config, name) != defaults[name]]
    if changed and not config.use_vllm:
        raise ValueError(f"{changed[0]}={getattr(config, changed[0])!r}: without use_vllm=True it does nothing; add that, or leave it out")
    server, colocated = "vllm_server_url", ("vllm_gpu_memory_utilization", "vllm_tensor_parallel_size")
    if config.vllm_mode == "server":
        if not config.vllm_server_url.startswith(("http://", "https://")):
            raise ValueError(f"{server}={config.vllm_server_url!r}: vllm_mode='server' needs the server's address, as http://HOST:PORT")
        for name in colocated:
            if name in changed:
                raise ValueError(f"{name}={getattr(config, name)!r}: with vllm_mode='server' tell the server instead, when it is started")
    elif server in changed:
        raise ValueError(f"{server}={config.vllm_server_url!r}: only with vllm_mode='server'; add that, or leave it out")


def vllm_arguments(config: VLLMConfig) -> dict[str, Any]:
    """What TRL is told about vLLM.

    Raises:
        ValueError: If vLLM is not installed, there is no GPU, or the processes do not come out even.
    """
    import torch

    if find_spec("vllm") is None:
        raise ValueError("use_vllm=True needs the package vllm, which is not installed: pip install 'trl[vllm]', or leave it out")
    if not torch.cuda.is_available():
        raise ValueError("use_vllm=True needs a GPU, and there is none here; leave it out")
    if config.vllm_mode == "server":
        return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": config.vllm_server_url}
    size = config.vllm_tensor_parallel_size
    if n_ranks() % size:
        raise ValueError(f"vllm_tensor_parallel_size={size}: {n_ranks()} processes cannot be put in groups of that size")
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": config.vllm_gpu_memory_utilization,
        "vllm_tensor_parallel_size": size,
    }
