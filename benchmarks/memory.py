"""GPU memory of LoRA trainings, by formula: ``python benchmarks/memory.py`` prints the table of ``docs/scale.md``. Nothing is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llama3 import LLAMA_3_8B, LLAMA_3_70B

BF16, FP32 = 2, 4
"""Bytes a number."""
RANK = 8
PAIR_TOKENS = 2 * 512
"""A preference pair at its longest: ``max_length_tokens`` twice. On-policy, two answers with their prompts count as one."""
GPU = 80e9
"""Bytes of a GPU, of which vLLM is given a share."""


def n_weights(model: dict[str, Any]) -> int:
    """N: embedding and output matrix, and in each of L layers attention, feed-forward block and two norms; a norm at the end."""
    h, f, layers = model["hidden_size"], model["intermediate_size"], model["num_hidden_layers"]
    return 2 * model["vocab_size"] * h + layers * (2 * h * h + 2 * h * kv(model) + 3 * h * f + 2 * h) + h


def n_adapter_weights(model: dict[str, Any], rank: int = RANK) -> int:
    """A: rank x (inputs + outputs) of each of a layer's seven matrices."""
    h, f = model["hidden_size"], model["intermediate_size"]
    return model["num_hidden_layers"] * rank * (2 * (h + h) + 2 * (h + kv(model)) + 3 * (h + f))


def kv(model: dict[str, Any]) -> int:
    """Width of keys, and of values."""
    return model["hidden_size"] // model["num_attention_heads"] * model["num_key_value_heads"]


@dataclass(frozen=True)
class Training:
    """A way of training, as one of its GPUs sees it.

    Attributes:
        name: For the table.
        model: Its sizes.
        n_gpus: Over how many GPUs weights, adapters, gradients and optimiser are split; 1 if each has all.
        n_engines: Copies of the base that measure or judge on the same GPU: the environment's ``transformers`` engine, and the two of an
            implicit reward model.
        pairs: Preference pairs of a step on one GPU.
        checkpointing: Whether activations are computed anew.
        vllm: Share of the GPU that a vLLM beside it is given.
    """

    name: str
    model: dict[str, Any]
    n_gpus: int
    n_engines: int
    pairs: int
    checkpointing: bool
    vllm: float = 0.0

    def parts(self) -> dict[str, float]:
        """Bytes by part."""
        n, a, layers, h = n_weights(self.model), n_adapter_weights(self.model), self.model["num_hidden_layers"], self.model["hidden_size"]
        # Split weights are put together a layer at a time, and the next one's are fetched meanwhile.
        together = 2 * BF16 * n / layers if self.n_gpus > 1 else 0
        # Inputs of matrices and of the two norms, and float32 copies in the norms.
        layer = BF16 * (6 * h + 2 * kv(self.model) + 4 * self.model["intermediate_size"]) + 4 * FP32 * h
        per_token = BF16 * h * layers + layer if self.checkpointing else layers * layer
        return {
            "weights": BF16 * n / self.n_gpus + together,
            "engines": BF16 * n * self.n_engines,
            # The adapter and the frozen copy of it that the policy is held to.
            "adapters": 2 * FP32 * a / self.n_gpus,
            "gradients": FP32 * a / self.n_gpus,
            "optimiser": 2 * FP32 * a / self.n_gpus,
            "activations": self.pairs * PAIR_TOKENS * per_token,
            "vLLM": self.vllm * GPU,
        }


TRAININGS = (
    Training("8B, one GPU, `batch_size=4`", LLAMA_3_8B, 1, 1, 4, False),
    Training("the same, `gradient_checkpointing=true`", LLAMA_3_8B, 1, 1, 4, True),
    Training("8B, data parallel on eight, `batch_size=8`", LLAMA_3_8B, 1, 1, 1, False),
    Training("8B, FSDP2 or ZeRO-3 on eight, `batch_size=8`", LLAMA_3_8B, 8, 1, 1, False),
    # 8 prompts, 4 answers each.
    Training("8B, `lifelong-rlhf`, one GPU, `batch_size=8`, `gradient_checkpointing=true`", LLAMA_3_8B, 1, 3, 16, True),
    Training("the same, data parallel on eight, with `use_vllm=true`", LLAMA_3_8B, 1, 3, 2, True, 0.3),
    Training("the same, FSDP2 on eight", LLAMA_3_8B, 8, 3, 2, True, 0.3),
    Training("70B, FSDP2 on eight, `batch_size=8`, its server beside it", LLAMA_3_70B, 8, 0, 1, False, 0.4),
    Training("the same, `gradient_checkpointing=true`", LLAMA_3_70B, 8, 0, 1, True, 0.4),
)


def table() -> str:
    """The table in Markdown, in GB (10^9 bytes) on each GPU."""
    columns = list(TRAININGS[0].parts())
    rows = [["GB on each GPU", *columns, "sum"]]
    for training in TRAININGS:
        parts = training.parts()
        rows.append([training.name, *(f"{parts[column] / 1e9:.1f}" for column in columns), f"**{sum(parts.values()) / 1e9:.1f}**"])
    rows.insert(1, ["---", *["---:"] * (len(columns) + 1)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(table())
