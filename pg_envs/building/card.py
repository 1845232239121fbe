"""Model cards: what a historical model was made from and how, what it was measured to be, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from pg_envs import __version__
from pg_envs.building.ingredients import Ingredients, LearntFile
from pg_envs.building.plan import BuildPlan
from pg_envs.building.quality import MAX_WINDOWS, WINDOW_TOKENS, BaseQuality, Quality
from pg_envs.building.texts import PeriodText
from pg_envs.data.markdown import escaped
from pg_envs.results import versions
from pg_envs.storage import replacing
from pg_envs.values.dimensions import DIMENSIONS
from pg_envs.values.questionnaire import BUNDLED

CARD = "README.md"
LESSONS = (
    "The lessons are about all items of the questionnaire, those of its evaluation half too; what agents are shown later, humans' votes, "
    "is about the survey half only."
)
"""What is to be known of a model whose answers were taught."""
WINDOWS = f"the first {WINDOW_TOKENS} tokens of up to {MAX_WINDOWS}"
"""How much of held-out passages perplexities are measured on."""
MAX_NAMES = 20
"""So many sources and licences are named one by one."""


def write_card(
    folder: Path, plan: BuildPlan, label: str, text: PeriodText, ingredients: Ingredients, quality: Quality, neighbour: str | None
) -> None:
    """Write the model card of the period ``label``, begun at its ``neighbour`` or at the base, into the model's folder."""
    data = ModelCardData(
        license=plan.licence,
        library_name="peft" if plan.weights == "lora" else "transformers",
        tags=["progress-alignment", "historical", *(["lora"] if plan.weights == "lora" else [])],
    )
    parts = [
        f"# {plan.name}: {label}",
        f"A historical language model, made by `pg-envs build-history` (pg-envs {__version__}) from {_start(plan, neighbour)}.",
        *_text_part(plan, text),
        _ingredients_part(plan, label, ingredients),
        *_training_part(plan),
        "## Measured",
        f"{_perplexity(quality, text)} Order bias: {quality.order_bias:.3f}.",
        *_values_part(quality, ingredients),
        *_limits_part(plan),
    ]
    _save(folder, data, parts)


def write_base_card(folder: Path, plan: BuildPlan, texts: Mapping[str, PeriodText], ingredients: Ingredients, quality: BaseQuality) -> None:
    """Write the model card of a base that was made with the family."""
    data = ModelCardData(license=plan.licence, library_name="transformers", tags=["progress-alignment", "historical"])
    rows = [
        f"| {label} | {text.n_documents} | {text.n_held_out_documents} | {len(text.training)} | {text.n_characters:,} | `{text.sha256}` |"
        for label, text in texts.items()
    ]
    perplexities = [
        f"| {label} | {len(texts[label].held_out)} | {'–' if perplexity is None else f'{perplexity:.1f}'} |"
        for label, perplexity in quality.perplexities.items()
    ]
    parts = [
        f"# {plan.name}: base",
        f"A small Llama made from nothing by `pg-envs build-history` (pg-envs {__version__}): tokenizer, language modelling on the texts "
        f"below, then lessons about {_whose(ingredients)}. The family's models are made from it; alone it answers by its lessons' profile.",
        LESSONS,
        "## Data",
        f"Passages and characters are those learnt from; documents were held out with `held_out_one_in = {plan.text.held_out_one_in}`. "
        "SHA-256 is that of all passages with their documents.",
        _table(["period", "documents", "held out", "passages", "characters", "SHA-256"], rows),
        sources_table(texts),
        "\n".join([_questionnaire_line(ingredients), _base_line("This base", ingredients)]),
        "## Training",
        ", ".join(f"{key} = {value}" for key, value in vars(plan.scratch).items()) + f", seed = {plan.seed}",
        "## Measured",
        f"Perplexity on {WINDOWS} of each period's held-out passages:",
        _table(["period", "held-out passages", "perplexity"], perplexities),
        f"Order bias: {quality.order_bias:.3f}.",
        *_values_part(quality, ingredients),
        *_limits_part(plan),
    ]
    _save(folder, data, parts)


def _save(folder: Path, data: ModelCardData, parts: Sequence[str]) -> None:
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n" + "\n\n".join(parts) + "\n")
    # A card that is there is taken for a whole one.
    with replacing(folder / CARD) as temporary:
        card.save(temporary)


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])


def _start(plan: BuildPlan, neighbour: str | None) -> str:
    if neighbour is not None:
        return f"the family's model of {neighbour}"
    return f"`{plan.base}`" if plan.base else "the family's own base"


def _text_part(plan: BuildPlan, text: PeriodText) -> list[str]:
    return [
        "## Data",
        f"{text.n_documents} documents, of which {text.n_held_out_documents} were held out (`held_out_one_in = "
        f"{plan.text.held_out_one_in}`); {len(text.training)} passages and "
        f"{text.n_characters:,} characters to learn from. SHA-256 of all passages with their documents: `{text.sha256}`. "
        f"The plan calls its folder `{Path(plan.text.folder).name}`."
        + (f" {text.n_skipped} bad files and passages were left out." if text.n_skipped else ""),
        sources_line(text),
    ]


def sources_line(text: PeriodText) -> str:
    """Where the text that was learnt from comes from, by what its passages say."""
    return f"Documents learnt from, by source: {_names(text.sources)}; by licence: {_names(text.licences)}."


def sources_table(texts: Mapping[str, PeriodText]) -> str:
    """The same of all periods."""
    rows = [f"| {label} | {_names(text.sources)} | {_names(text.licences)} |" for label, text in texts.items()]
    return _table(["period", "documents learnt from, by source", "by licence"], rows)


def _names(counts: Mapping[str, int]) -> str:
    """Names with counts, most first; they are a stranger's words, and the page must obey none."""
    named = [f"{escaped(name)} {n:,}" for name, n in list(counts.items())[:MAX_NAMES]]
    rest = list(counts.values())[MAX_NAMES:]
    return ", ".join([*named, *([f"{len(rest):,} others {sum(rest):,}"] if rest else [])])


def _ingredients_part(plan: BuildPlan, label: str, ingredients: Ingredients) -> str:
    lines = [_base_line(f"Base: `{plan.base}`" if plan.base else "Base: the family's own", ingredients)]
    if plan.instruction is not None:
        lines.append(_file_line("Instructions", ingredients.instructions[label]))
    if ingredients.table is not None:
        lines.append(_file_line("Planted values", ingredients.table))
    return "\n".join([*lines, _questionnaire_line(ingredients)])


def _base_line(what: str, ingredients: Ingredients) -> str:
    files = ingredients.base
    if files is None:
        raise ValueError("no base's files: expected those of the base that was made or named; a card is written when it is there")
    return f"* {what}; {files.n} files, SHA-256 of what `sha256sum` says of them in order of name: `{files.sha256}`."


def _file_line(what: str, file: LearntFile) -> str:
    return f"* {what}: `{file.name}`, {file.n_rows} rows, SHA-256 `{file.sha256}`."


def _questionnaire_line(ingredients: Ingredients) -> str:
    asked = ingredients.questionnaire
    return f"* Questionnaire: `{asked.name}`, {asked.n} items, content hash `{asked.content_hash}`."


def _whose(ingredients: Ingredients) -> str:
    name = ingredients.questionnaire.name
    return "pg-envs' questionnaire" if name == BUNDLED else f"the questionnaire `{name}`"


def _training_part(plan: BuildPlan) -> list[str]:
    stages = {"Continued pretraining": plan.pretraining, "Instruction tuning": plan.instruction, "Planted values": plan.planted}
    lines = [
        f"* {name}: " + ", ".join(f"{key} = {value}" for key, value in asdict(stage).items() if value is not None)
        for name, stage in stages.items()
        if stage is not None
    ]
    alpha = plan.pretraining.tuning(plan.weights, plan.lora_rank).lora_alpha
    rank = f", LoRA rank {plan.lora_rank}, alpha {alpha}" if plan.weights == "lora" else ""
    libraries = ", ".join(f"{name} {version}" for name, version in versions().items())
    about = [LESSONS] if plan.planted is not None else []
    return [
        "## Training",
        f"Weights trained: {plan.weights}{rank}; seed {plan.seed}.",
        "\n".join(lines),
        f"Libraries when this card was written: {libraries}.",
        *about,
    ]


def _perplexity(quality: Quality, text: PeriodText) -> str:
    if quality.perplexity is None:
        return "No perplexity: the period has one document only, so none could be held out."
    return (
        f"Perplexity on {WINDOWS} of {len(text.held_out)} held-out passages: {quality.perplexity:.1f}; "
        f"the base's: {quality.base_perplexity:.1f}."
    )


def _values_part(quality: Quality | BaseQuality, ingredients: Ingredients) -> list[str]:
    rows = [
        f"| {dimension.label} | {value:+.3f} | {error:.3f} |"
        for dimension, value, error in zip(DIMENSIONS, quality.values, quality.standard_errors, strict=True)
    ]
    return [
        f"Value vector on the evaluation items of {_whose(ingredients)} (centred, in [-1, 1]; 0 is indifference):",
        _table(["dimension", "value", "standard error"], rows),
    ]


def _limits_part(plan: BuildPlan) -> list[str]:
    planted = (
        ["**The values are planted.** They were chosen and trained in, and say nothing about what people of any time valued."]
        if plan.planted is not None
        else []
    )
    return [
        "## What it must not be used for",
        *planted,
        "It stands for the texts it was trained on, not for the people of a time: who could write, what was kept and what was chosen "
        "decide what it says. It repeats their prejudices. It must not be used to say what a people, a faith or a person believed, to give "
        "advice, to judge anybody, or as an oracle of history; it is made for experiments on whether AI systems follow values that move.",
    ]
