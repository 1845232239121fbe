"""Write the bundled family's model cards anew: ``PG_ENVS_DTYPE=float32 python benchmarks/histtiny_cards.py --text FOLDER_OR_ARCHIVE``.

``pg-envs build-history`` writes cards as it builds; when a card comes to say more, this says it of the models that are there. All is
computed from them and from what they were made from; texts other than those that the cards name are refused.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

from pg_envs.building.card import CARD, write_base_card, write_card
from pg_envs.building.ingredients import gather
from pg_envs.building.plan_file import read_plan
from pg_envs.building.quality import base_quality_of, quality_of
from pg_envs.building.texts import read_texts
from pg_envs.display import quieten_libraries
from pg_envs.history.built import BASE
from pg_envs.history.live import histtiny_refs
from pg_envs.models.ref import local_path
from pg_envs.values.questionnaire import load_questionnaire


def main() -> None:
    """Measure the models and write their cards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="the text that the family was built from")
    arguments = parser.parse_args()
    quieten_libraries()
    family = Path(str(local_path("pg_envs:histtiny")))
    plan = read_plan(family / "plan.toml")
    texts = read_texts(arguments.text, plan.periods, plan.text.held_out_one_in)
    for label, text in texts.items():
        if text.sha256 not in (family / label / CARD).read_text(encoding="utf-8"):
            raise SystemExit(f"{arguments.text}: {label} is not the text that its model was made from, which has another SHA-256")
    questionnaire = load_questionnaire(plan.questionnaire)
    _, evaluation = questionnaire.split()
    ingredients = gather(plan, family).with_base(family / BASE)
    refs = dict(zip(plan.periods, histtiny_refs(), strict=True))
    base = refs[plan.periods[0]].with_adapter(None)
    neighbours = {label: before for chain in plan.all_chains() for before, label in pairwise(chain)}
    held_out = {label: text.held_out for label, text in texts.items()}
    write_base_card(family / BASE, plan, texts, ingredients, base_quality_of(base, held_out, evaluation.items))
    for label, ref in refs.items():
        quality = quality_of(ref, base, held_out[label], evaluation.items)
        write_card(family / label, plan, label, texts[label], ingredients, quality, neighbours.get(label))


if __name__ == "__main__":
    main()
