"""What ``pg-envs build-history`` is told: one TOML file a family of historical models."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from pg_envs.data.schema import HISTTEXT_YEARS, OnBad, Years
from pg_envs.history.base import are_labels
from pg_envs.history.built import BASE
from pg_envs.models.ref import Weights
from pg_envs.models.tuning_config import TuningConfig
from pg_envs.values.dimensions import WORLDVIEWS

NOTHING_ELSE: Any = {"extra": "forbid"}
"""For pydantic: a key that no field has is an error."""

Count = Annotated[int, Field(ge=1)]
"""A number of things of which there must be some."""
AnyCount = Annotated[int, Field(ge=0)]
"""The same where there may be none."""
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A number above 0."""
SEEDS_A_PERIOD = 10
"""Seeds of a period's stages lie within so many, of which the first is the pretraining's."""
Stages = Annotated[tuple[tuple[Count, Rate], ...], Field(min_length=1, max_length=SEEDS_A_PERIOD - 1)]
"""Steps and learning rate of each stage of planting."""
NAME = re.compile(r"(?![\s.])[^/\\\x00-\x1f\x7f]+")


class PlanError(ValueError):
    """A plan that cannot be carried out; the message names file and key."""


@dataclass(frozen=True)
class TextPlan:
    """Where the periods' texts are and what of them is not learnt from."""

    __pydantic_config__ = NOTHING_ELSE
    folder: str
    """A folder with one folder a period; seen from the plan's folder."""
    held_out_one_in: int = 10
    """One document in so many is kept for perplexities."""
    years: tuple[int, int] = (HISTTEXT_YEARS.first, HISTTEXT_YEARS.last)
    """The first and the last year that a passage in HistText's layout may be from; plain text has no years."""
    on_bad: OnBad = "raise"
    """``raise`` at the first file or passage that does not fit, or ``skip`` it; the card says how many were."""

    def __post_init__(self) -> None:
        """Refuse what is no range of years."""
        Years(*self.years)


@dataclass(frozen=True)
class Training:
    """Rates and sizes of one stage; see ``TuningConfig``."""

    __pydantic_config__ = NOTHING_ELSE
    learning_rate: Rate = 1e-3
    """Peak rate; 8B models want about a hundredth."""
    n_epochs: Rate = 1.0
    """Passes over the stage's data."""
    batch_size: Count = 16
    """Examples a step."""
    max_length_tokens: Annotated[int, Field(ge=2)] = 512
    """Longer examples are cut; of one token nothing is learnt."""
    save_every_steps: Count | None = None
    """Write a checkpoint so often, from which a killed training goes on; None: a stage begins anew."""

    def tuning(self, weights: Weights, lora_rank: int) -> TuningConfig:
        """The same for ``finetune``."""
        return TuningConfig(
            learning_rate=self.learning_rate,
            n_epochs=self.n_epochs,
            batch_size=self.batch_size,
            max_length_tokens=self.max_length_tokens,
            lora_rank=lora_rank,
            lora_alpha=2 * lora_rank,
            weights=weights,
            save_every_steps=self.save_every_steps,
        )


@dataclass(frozen=True)
class PretrainingPlan(Training):
    """Continued pretraining on a period's text."""

    excerpt_characters: Count = 900
    """Texts are cut to pieces of this length."""
    n_excerpts: Count | None = None
    """So many pieces, drawn anywhere; None: the whole text, cut from beginning to end."""
    n_excerpts_after_neighbour: Count | None = None
    """The same for periods that go on from their neighbour; None: as the others."""


@dataclass(frozen=True)
class InstructionPlan(Training):
    """Instruction tuning on a file of instructions, inputs and outputs (TimelessQA's schema)."""

    file: str = ""
    """The file, or a dataset on the hub; ``{period}`` in it stands for the label. Seen from the plan's folder."""


@dataclass(frozen=True)
class PlantedPlan:
    """Instruction tuning on questionnaire answers drawn from known values, which are thereby planted."""

    __pydantic_config__ = NOTHING_ELSE
    table: str
    """CSV with a column ``dimension`` and one a period, or ``pg_envs:histtiny/planted.csv``. Seen from the plan's folder."""
    stages: Stages = ((100, 3e-3), (50, 1.5e-3))
    """Steps and learning rate of each stage; from the second on, what is measured corrects what answers are drawn from."""
    stages_after_neighbour: Stages = ((60, 2e-3), (40, 1.5e-3))
    """The same for periods that go on from their neighbour."""


@dataclass(frozen=True)
class ScratchPlan:
    """A small base made from nothing, on all periods' text and lessons about the questionnaire."""

    __pydantic_config__ = NOTHING_ELSE
    hidden_size: Annotated[int, Field(ge=2 * WORLDVIEWS.start)] = 256
    """At least two directions for every dimension but the worldviews, in which the last lessons put what is at stake."""
    intermediate_size: Count = 1024
    n_layers: Count = 3
    n_heads: Count = 4
    n_key_value_heads: Count = 2
    learning_rate: Rate = 1.5e-3
    n_text_steps: AnyCount = 700
    """Steps of language modelling before the first lesson."""
    n_lesson_steps: Count = 3000
    """Steps under one strong profile, text mixed in."""
    n_stake_steps: Count = 880
    """Steps in which what is at stake becomes readable."""

    def __post_init__(self) -> None:
        """Refuse heads that the width cannot be shared out to; a head turns pairs of numbers by their place."""
        if self.hidden_size % (2 * self.n_heads) or self.n_heads % self.n_key_value_heads:
            raise ValueError(
                f"hidden_size={self.hidden_size}, n_heads={self.n_heads}, n_key_value_heads={self.n_key_value_heads}: expected an even "
                "number for each head, and as many heads for each key-value head"
            )


@dataclass(frozen=True)
class BuildPlan:
    """A family of historical models.

    Attributes:
        name: What it is called in results and model cards.
        periods: Labels, oldest first; each has a folder of that name in ``text.folder``.
        text: The periods' texts.
        pretraining: Continued pretraining.
        base: What every period starts from: a folder (seen from the plan's), a hub id (``OWNER/NAME@REVISION``) or
            ``pg_envs:histtiny/base``; empty with ``scratch``.
        scratch: How the base is made, if it is made here.
        instruction: Instruction tuning from a file, or none.
        planted: Instruction tuning that plants values, or none.
        questionnaire: What values are planted and measured on, as an environment's; a folder is seen from the plan's.
        weights: ``lora``: adapters on one base; ``full``: a whole model a period.
        lora_rank: Of new adapters.
        chains: Periods that go on from each other, each chain from the base; a period in no chain starts at the base.
        workers: How many chains are built at a time, each in a process of its own.
        seed: The same seed, text and machine give the same family.
        licence: For the model cards.
    """

    __pydantic_config__ = NOTHING_ELSE
    name: str
    periods: tuple[str, ...]
    text: TextPlan
    pretraining: PretrainingPlan = field(default_factory=PretrainingPlan)
    base: str = ""
    scratch: ScratchPlan | None = None
    instruction: InstructionPlan | None = None
    planted: PlantedPlan | None = None
    questionnaire: str = "bundled"
    weights: Weights = "lora"
    lora_rank: Count = 8
    chains: tuple[tuple[str, ...], ...] = ()
    workers: Count = 1
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    licence: str = "other"

    def __post_init__(self) -> None:
        """Refuse what cannot be carried out."""
        for met, fault in self._demands():
            if not met:
                raise ValueError(fault)

    def _demands(self) -> list[tuple[bool, str]]:
        in_chains = [label for chain in self.chains for label in chain]
        return [
            (
                are_labels(list(self.periods)),
                f"periods={self.periods}: expected at least two different names of letters, digits, _ and -, as they name folders; "
                "where one of C013 to C021 is among them, centuries one after another",
            ),
            (
                bool(self.base) != (self.scratch is not None),
                "base and [scratch]: expected exactly one of them, what every period starts from",
            ),
            (self.instruction is None or self.planted is None, "[instruction] and [planted]: expected at most one of them"),
            (self.planted is None or self.weights == "lora", f"weights={self.weights!r}: [planted] trains adapters only; expected 'lora'"),
            (self.instruction is None or bool(self.instruction.file), "[instruction] file: expected a file or a dataset's name"),
            (
                len(set(in_chains)) == len(in_chains) and set(in_chains) <= set(self.periods),
                f"chains={self.chains}: expected each of {self.periods} in at most one",
            ),
            (self.text.held_out_one_in >= 2, f"[text] held_out_one_in={self.text.held_out_one_in}: expected at least 2"),
            (
                self.scratch is None or BASE not in self.periods,
                f"periods={self.periods}: with [scratch] none can be called {BASE!r}, which is the folder of the base that is made",
            ),
            (
                bool(NAME.fullmatch(self.name)),
                f"name={self.name!r}: expected a line without / and \\ that begins with no space or full stop: adapters name their base so",
            ),
        ]

    def all_chains(self) -> tuple[tuple[str, ...], ...]:
        """The chains, and periods in none as chains of their own."""
        in_chains = {label for chain in self.chains for label in chain}
        return (*self.chains, *((label,) for label in self.periods if label not in in_chains))
