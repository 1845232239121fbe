"""What the commands on historical text do: clean, rewrite, describe, build-history; each gives the exit code.

Heavy modules are imported where they are used, as in ``pg_envs.cli``.
"""

from __future__ import annotations

import sys

from pg_envs.commands import BuildHistory, Clean, Describe, Rewrite


def clean(command: Clean) -> int:
    """Clean, and show the report."""
    from pg_envs.data.cleaning.folders import clean_folder
    from pg_envs.data.cleaning.language import Languages
    from pg_envs.data.cleaning.verdict import Lengths
    from pg_envs.data.schema import Years
    from pg_envs.display import LiveDisplay
    from pg_envs.progress import reporting_to

    with LiveDisplay(f"cleaning {command.source}") as display, reporting_to(display.report):
        report = clean_folder(
            command.source,
            command.out,
            Lengths(command.min_chars, command.max_chars),
            Languages(tuple(command.languages)),
            Years(*command.years),
        )
    print(report.as_markdown())
    print(f"texts, report.json, report.md and findings.jsonl in {command.out}")
    return 0


def rewrite(command: Rewrite) -> int:
    """Rewrite, and show the report."""
    from pg_envs.data.cleaning.rewrite import Rewriter
    from pg_envs.data.cleaning.rewrite_folder import as_markdown, rewrite_folder
    from pg_envs.display import LiveDisplay, quieten_libraries
    from pg_envs.models.engine import make_engine
    from pg_envs.models.ref import ModelRef
    from pg_envs.progress import reporting_to

    quieten_libraries()
    with LiveDisplay(f"rewriting {command.source}") as display, reporting_to(display.report):
        rewriter = Rewriter(
            make_engine(command.engine), ModelRef.parse(command.model), command.batch_size, command.max_new_tokens, command.max_chars
        )
        report = rewrite_folder(command.source, command.out, rewriter)
    print(as_markdown(report))
    print(f"texts, report.json and report.md in {command.out}")
    return 0


def describe(command: Describe) -> int:
    """Describe, and show what is warned of."""
    from pg_envs.data.cleaning.language import Languages
    from pg_envs.data.describing.describe import describe_folder
    from pg_envs.data.schema import Years
    from pg_envs.display import LiveDisplay, quieten_libraries
    from pg_envs.progress import reporting_to

    if command.embedder is not None:
        quieten_libraries()
    with LiveDisplay(f"describing {command.source}") as display, reporting_to(display.report):
        description = describe_folder(
            command.source,
            command.out,
            command.embedder,
            command.sample,
            command.seed,
            Languages(tuple(command.languages)),
            Years(*command.years),
            command.periods,
            command.genres,
        )
    for warning in description["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    for century, row in description["centuries"].items():
        print(f"{century}: {row['documents']:,} documents, {row['passages']:,} passages, {row['words']:,} words")
    if n_left_out := sum(description["left_out"]["counts"].values()):
        print(f"{n_left_out} files and passages were left out; report.md says why", file=sys.stderr)
    print(f"report.md, report.json and pictures in {command.out}")
    return 0


def build_history(command: BuildHistory) -> int:
    """Build a family, and say how it is used."""
    from pg_envs.building import build
    from pg_envs.building.quality import movement
    from pg_envs.display import LiveDisplay, quieten_libraries
    from pg_envs.progress import reporting_to

    quieten_libraries()
    with LiveDisplay(f"building {command.out}") as display, reporting_to(display.report):
        try:
            family = build.build_history(command.plan, command.out, command.text)
        except KeyboardInterrupt:
            print(f"What was finished is in {command.out} and {command.out}.work; the same command goes on with it.", file=sys.stderr)
            raise
    moved = movement(command.out, family.periods)
    print(f"{moved.dimension} moves most: by {moved.range:.2f}, from {moved.lowest} (lowest) to {moved.highest} (highest)")
    if moved.is_flat:
        print(
            "warning: no dimension moves by much, so agents have next to nothing to follow, and rewards are near 1 without learning; "
            "have the models learn from more text, in more steps or at a higher rate, or from instructions",
            file=sys.stderr,
        )
    print(f"{family.name}: {', '.join(family.periods)}, each with its model card; use it as history='built:{command.out}'")
    return 0
