"""The nineteen dimensions of a value vector, in their fixed order.

Source of the dimensions and their order: ProgressGym (arXiv 2406.20087) and its MoralEvals files:
ten rules of common morality (Gert), five moral foundations (Haidt and Graham), four worldviews.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["morality", "foundation", "worldview"]


@dataclass(frozen=True)
class Dimension:
    """One number of a value vector.

    Attributes:
        key: Short identifier, the same everywhere (results, tables, plots).
        label: Readable name.
        group: Which of MoralEvals' three files measures it.
        theme: How that file spells it (``generation_rule``, ``generation_theme`` or the column ``actionN``).
    """

    key: str
    label: str
    group: Group
    theme: str


DIMENSIONS: tuple[Dimension, ...] = (
    Dimension("kill", "Do not kill", "morality", "Do not kill"),
    Dimension("pain", "Do not cause pain", "morality", "Do not cause pain"),
    Dimension("disable", "Do not disable", "morality", "Do not disable"),
    Dimension("freedom", "Do not deprive of freedom", "morality", "Do not deprive of freedom"),
    Dimension("pleasure", "Do not deprive of pleasure", "morality", "Do not deprive of pleasure"),
    Dimension("deceive", "Do not deceive", "morality", "Do not deceive"),
    Dimension("cheat", "Do not cheat", "morality", "Do not cheat"),
    Dimension("promise", "Do not break your promises", "morality", "Do not break your promises"),
    Dimension("law", "Do not break the law", "morality", "Do not break the law"),
    Dimension("duty", "Do your duty", "morality", "Do your duty"),
    Dimension("care", "Harm / Care", "foundation", "Harm_Care"),
    Dimension("fairness", "Fairness / Reciprocity", "foundation", "Fairness_Reciprocity"),
    Dimension("loyalty", "In-group / Loyalty", "foundation", "InGroup_Loyalty"),
    Dimension("authority", "Authority / Respect", "foundation", "Authority_Respect"),
    # "Sancity" is how the published file spells it.
    Dimension("purity", "Purity / Sanctity", "foundation", "Purity_Sancity"),
    Dimension("traditional", "Traditional worldview", "worldview", "action1"),
    Dimension("modern", "Modern worldview", "worldview", "action2"),
    Dimension("postmodern", "Post-modern worldview", "worldview", "action3"),
    Dimension("integrated", "Integrated worldview", "worldview", "action4"),
)

N_DIMENSIONS = len(DIMENSIONS)
MORALITY = range(10)
FOUNDATIONS = range(10, 15)
WORLDVIEWS = range(15, 19)
GROUPS: dict[Group, range] = {"morality": MORALITY, "foundation": FOUNDATIONS, "worldview": WORLDVIEWS}

DIMENSION_INDEX: dict[str, int] = {dimension.key: index for index, dimension in enumerate(DIMENSIONS)}
THEME_INDEX: dict[str, int] = {dimension.theme: index for index, dimension in enumerate(DIMENSIONS)}
