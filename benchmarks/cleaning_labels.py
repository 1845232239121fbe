"""What the labels of dirty passages mean for the cleaner's rules, and which clean documents rules may be tuned on."""

from __future__ import annotations

import hashlib
from typing import Any

MEANT: dict[str, set[str]] = {
    "anachronistic_text": {"electronic-text", "impossible-year"},
    "boilerplate_header": {"electronic-text"},
    "boilerplate_licence": {"electronic-text"},
    "case_lost": {"near-duplicate"},
    "control_characters": {"invisible-characters"},
    "editorial_introduction": {"editors-matter"},
    "editorial_notes": {"editors-matter", "editors-brackets"},
    "embedded_editor_note": {"editors-brackets"},
    "exact_duplicate_of_main_set": {"duplicate"},
    "hard_wrapped_lines": {"hard-wraps"},
    "html_entities": {"markup"},
    "hyphenated_line_breaks": {"line-end-marks"},
    "illegible_gap_marks": {"gaps"},
    "index_or_list": {"editors-matter"},
    "joined_words": {"joined-words"},
    "markup_left_in": {"markup"},
    "mislabelled_year": {"document-year", "author-year", "impossible-year"},
    "mojibake": {"mojibake"},
    "near_duplicate_of_main_set": {"near-duplicate"},
    "not_english": {"foreign-language"},
    "ocr_noise": {"misread-letters"},
    "running_heads": {"running-heads"},
    "schema_creation_year_is_string": {"year-type"},
    "schema_empty_content": {"no-content"},
    "schema_missing_source_dataset": {"no-source"},
    "schema_null_content": {"no-content"},
    "schema_null_creation_year": {"no-year"},
    "soft_hyphen_marks": {"line-end-marks"},
    "too_long": {"too-long"},
    "too_short": {"too-short"},
    "wrong_language_tag": {"foreign-language"},
    "year_out_of_range": {"no-year"},
}
"""The rules written for each labelled problem."""


def meant_spoke(row: dict[str, Any], problem: str) -> bool:
    """Whether a rule written for this problem found something in a dirty passage."""
    return any(reason in MEANT[problem] for reason, _, _ in row["findings"])


def meant_decided(row: dict[str, Any]) -> bool:
    """Whether what was done to a dirty passage was the doing, too, of a rule written for one of its problems."""
    reasons = {reason for reason, action, _ in row["findings"] if action == row["action"]}
    return any(reasons & MEANT[problem] for problem in row["problems"])


def is_held_out(passage: dict[str, Any]) -> bool:
    """Whether a passage's document is in the half on which rules are not tuned."""
    return hashlib.sha256(str(passage["document_id"]).encode()).digest()[0] % 2 == 1
