"""The action space of histories whose humans are language models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium import Space

from pg_envs.models.ref import ModelRef


class InvalidPolicy(ValueError):
    """An action that an environment cannot take; nothing happened, and the environment goes on."""


class AnyModelSpace(Space[ModelRef]):
    """All models, of any architecture and on any base.

    The space holds names, never weights, so it copies, compares and pickles cheaply. ``sample`` draws from
    ``examples`` (the history's own models), since a random name would name nothing.
    """

    def __init__(self, examples: Sequence[ModelRef], seed: int | np.random.Generator | None = None) -> None:
        """Make the space of all models.

        Args:
            examples: At least one ModelRef.
            seed: For ``sample``.

        Raises:
            ValueError: If there are no examples.
        """
        if not examples:
            raise ValueError(f"{type(self).__name__} needs at least one example; got none")
        self.examples = tuple(examples)
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False: a name has no array form."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> ModelRef:
        """One of ``examples``, uniformly; masks are not supported."""
        if mask is not None or probability is not None:
            raise ValueError(f"{type(self).__name__}.sample takes neither mask nor probability; draw from .examples instead")
        return self.examples[int(self.np_random.integers(len(self.examples)))]

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a ModelRef."""
        return isinstance(x, ModelRef)

    def to_jsonable(self, sample_n: Iterable[ModelRef]) -> list[Any]:
        """Samples as plain dicts."""
        return [ref.to_json() for ref in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[ModelRef]:
        """The samples that ``to_jsonable`` wrote."""
        return [ModelRef.from_json(data) for data in sample_n]

    def __eq__(self, other: object) -> bool:
        """Whether ``other`` is the same kind of space with the same examples."""
        return isinstance(other, AnyModelSpace) and type(other) is type(self) and self.examples == other.examples

    def __repr__(self) -> str:
        """``AnyModelSpace()``."""
        return "AnyModelSpace()"


class ModelSpace(AnyModelSpace):
    """All models on one base: the bare base and every LoRA adapter on it."""

    def __init__(self, examples: Sequence[ModelRef], seed: int | np.random.Generator | None = None) -> None:
        """Make the space of models that share the examples' base.

        Args:
            examples: At least one ModelRef; all must have the same base and revision.
            seed: For ``sample``.

        Raises:
            ValueError: If there are no examples, or they differ in base or revision.
        """
        bases = {(ref.base, ref.revision) for ref in examples}
        if len(bases) > 1:
            raise ValueError(f"a ModelSpace has one base; the examples have {len(bases)}: {sorted(map(str, bases))}")
        super().__init__(examples, seed)
        self.base, self.revision = examples[0].base, examples[0].revision

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a ModelRef on this base."""
        return isinstance(x, ModelRef) and (x.base, x.revision) == (self.base, self.revision)

    def __repr__(self) -> str:
        """``ModelSpace(base)``."""
        return f"ModelSpace({ModelRef(self.base, self.revision)})"


def named_policy(space: Space[Any], argument: str, name: str) -> ModelRef:
    """The policy that an argument names, as ``ModelRef.parse`` reads it.

    Raises:
        InvalidPolicy: If it is not in the space.
    """
    ref = ModelRef.parse(name)
    if not isinstance(space, AnyModelSpace) or ref not in space:
        raise InvalidPolicy(f"{argument}={name!r} is not in {space}, this history's policies; leave it out, or change history")
    return ref
