"""What a policy is held to while it is trained: a choice that DPO and on-policy agents share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from agents.training import TrainingConfig

Reference = Literal["century", "base"]
REFERENCES: tuple[Reference, ...] = ("century", "base")


@dataclass(frozen=True)
class ReferenceConfig(TrainingConfig):
    """What agents that hold their policy to a reference can be told."""

    references: ClassVar[tuple[str, ...]] = REFERENCES
    """What there is to choose from."""
    reference: Reference = "century"
    """What the policy is held to: itself at the century's start, or the bare base without any century's adapter."""

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        super().__post_init__()
        if self.reference not in self.references:
            raise ValueError(f"reference={self.reference!r}: choose from {', '.join(map(repr, self.references))}")
        if self.reference == "base" and self.weights == "full":
            raise ValueError("reference='base': with weights='full' a policy has no base but itself; choose reference='century'")


def hold_to(reference: Reference, model: Any) -> None:
    """Tell a TRL trainer that has just been made of ``model`` what its reference is.

    TRL holds a policy that came with an adapter to a copy of it, called ``ref``, and to the bare base where there is no such copy; a policy
    without adapters to the model that its config's name leads to (see ``pg_envs.models.trained``).
    """
    if reference == "base" and "ref" in model.peft_config:
        model.delete_adapter("ref")
