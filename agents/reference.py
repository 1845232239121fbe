"""What a policy is held to while it is trained: a choice that DPO and on-policy agents share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from agents.training import TrainingConfig

Reference = Literal["uniform", "century", "base"]
REFERENCES: tuple[Reference, ...] = get_args(Reference)


@dataclass(frozen=True)
class ReferenceConfig(TrainingConfig):
    """What agents that hold their policy to a reference can be told."""

    references: ClassVar[tuple[Reference, ...]] = ("century", "base")
    """What there is to choose from; ``uniform`` where an agent has a way of its own to it."""
    reference: Reference = "century"
    """What the policy is held to: itself at the century's start (``century``), the bare base without any century's adapter (``base``), or
    no model, but answers that are all equally likely (``uniform``)."""

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        super().__post_init__()
        if self.reference not in self.references:
            raise ValueError(f"reference={self.reference!r}: choose from {', '.join(map(repr, self.references))}")
        if self.reference == "base" and self.weights == "full":
            raise ValueError("reference='base': with weights='full' a policy has no base but itself; choose reference='century'")


def hold_to(reference: Reference, model: Any) -> None:
    """Tell a TRL trainer that has just been made of ``model`` which model its reference is.

    ``uniform`` is no model: the reference stays the century's start, and whoever trains takes out again what that adds.

    TRL holds a policy that came with an adapter to a copy of it, called ``ref``, and to the bare base where there is no such copy; a policy
    without adapters to the model that its config's name leads to (see ``pg_envs.models.trained``).
    """
    if reference == "base" and "ref" in model.peft_config:
        model.delete_adapter("ref")
