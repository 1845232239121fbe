"""Making a recording: a live history is asked everything once, and a folder keeps the answers."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from pg_envs.alone import LOCK_FILE, alone_in
from pg_envs.history.base import HistoryError, Survey
from pg_envs.history.live import LiveHistory
from pg_envs.history.recording import KINDS, MANIFEST, MANIFEST_LIMITS, Manifest, RecordingError, data_file
from pg_envs.history.recording_data import write_century
from pg_envs.history.registry import make_history
from pg_envs.plain_json import read_plain_json
from pg_envs.progress import report
from pg_envs.results import versions, write_json
from pg_envs.run_folder import has_begun
from pg_envs.seals import hashes_in
from pg_envs.storage import damage, making, naming
from pg_envs.values.measure import Mode
from pg_envs.values.open_questions import OPEN_QUESTIONS
from pg_envs.values.questionnaire import load_questionnaire

logger = logging.getLogger(__name__)

REPLY_SEED = 0


def record(
    out: Path,
    history: str = "histtiny",
    questionnaire: str = "bundled",
    centuries: tuple[str, str] | None = None,
    engine: str = "transformers",
    mode: Mode = "logprob",
) -> Path:
    """Record a live history.

    Centuries are written to the folder ``OUT.partial``, which is renamed when all are there: a recording that was
    interrupted never lies at ``out``, and the same call goes on with the centuries that are missing.

    Args:
        out: The folder to make.
        history: Which history; its humans must be language models that are run here.
        questionnaire: As an environment's.
        centuries: First and last label; None for all.
        engine: What runs the models.
        mode: How values are read.

    Returns:
        ``out``.

    Raises:
        FileExistsError: If ``out`` exists.
        HistoryError: If there is no such history, or its humans are no language models.
        RecordingError: If ``OUT.partial`` is the beginning of another recording.
        InUse: If another process makes this recording.
        CannotWrite: If the disk does not take what is to be kept; the finished centuries are kept.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists and is never overwritten; choose another folder")
    survey, evaluation = load_questionnaire(questionnaire).split()
    live = make_history(history, Survey(survey), evaluation, centuries, engine, mode)
    if not isinstance(live, LiveHistory):
        raise HistoryError(f"history {history!r} cannot be recorded: expected one whose humans are language models run here, e.g. histtiny")
    # Everything is asked here, whatever an earlier recording says.
    live.recording = None
    manifest = _describe(live, questionnaire)
    partial = out.with_name(out.name + ".partial")
    # Before anything is put there, a lock included.
    _check_beginning(partial, manifest)
    with alone_in(partial), closing(live):
        if out.exists():
            raise FileExistsError(f"{out} was made by another process in the meantime")
        manifest = _begin(partial, manifest)
        for century, label in enumerate(live.labels):
            report(f"{label}: the humans are asked", century, live.n_centuries)
            if (partial / label).exists():
                manifest = _held_to_its_hashes(manifest, partial / label)
            else:
                manifest = _record_century(live, century, partial / label, manifest)
        names = [data_file(label, kind) for label in live.labels for kind in KINDS]
        write_json(partial / MANIFEST, replace(manifest, files={name: manifest.files[name] for name in names}).to_json())
        with naming(out):
            (partial / LOCK_FILE).unlink()
            os.rename(partial, out)
    return out


def _describe(live: LiveHistory, questionnaire: str) -> Manifest:
    """The manifest of a recording that has no files yet."""
    told = live.describe()
    halves = {
        "name": Path(questionnaire).name,
        "survey_sha256": live.survey.questionnaire.content_hash,
        "evaluation_sha256": live.evaluation.content_hash,
    }
    return Manifest(
        name=live.name,
        centuries=live.labels,
        models=told["models"],
        questionnaire=halves,
        mode=live.mode,
        engine=live.engine_name,
        versions=versions(),
        reply_seed=REPLY_SEED,
        files={},
    )


def _begin(partial: Path, manifest: Manifest) -> Manifest:
    """Begin a recording in its folder, or make sure that what lies there is the beginning of this one; the manifest with its hashes."""
    if not has_begun(partial):
        write_json(partial / MANIFEST, manifest.to_json())
    return replace(manifest, files=_check_beginning(partial, manifest))


def _check_beginning(partial: Path, manifest: Manifest) -> dict[str, str]:
    """Refuse a folder that holds anything but the beginning of this recording; the SHA-256 of the files that were finished."""
    if not has_begun(partial):
        return {}
    path, ours = partial / MANIFEST, manifest.to_json()
    remedy = f"{partial} is not the beginning of a recording; move it away, or choose another folder"
    try:
        theirs = read_plain_json(path, RecordingError, remedy, MANIFEST_LIMITS)
    except OSError as error:
        raise RecordingError(f"{error}; {remedy}") from error
    if not isinstance(theirs, dict):
        raise RecordingError(f"{path}: expected a JSON object, found {type(theirs).__name__}; {remedy}")
    differing = [key for key in ours if key != "files" and theirs.get(key) != ours[key]]
    if differing:
        key = differing[0]
        raise RecordingError(
            f"{partial} is the beginning of another recording: {key}: expected {ours[key]!r}, found {theirs.get(key)!r}; "
            "remove it to begin anew, or choose another folder"
        )
    files = theirs.get("files")
    if not isinstance(files, dict) or not all(isinstance(sha256, str) for sha256 in files.values()):
        raise RecordingError(f"{path}: files: expected an object of texts, found {str(files)[:200]}; {remedy}")
    return files


def _held_to_its_hashes(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest, to whose hashes the finished century in ``folder`` was held.

    Raises:
        RecordingError: If a file is missing or has changed.
    """
    names = [data_file(folder.name, kind) for kind in KINDS]
    if not manifest.files.keys() & set(names):
        logger.warning("%s was recorded by a version that noted no hashes: damage before now is not seen", folder)
        return _with_hashes(manifest, folder, folder.name)
    for name in names:
        if fault := damage(folder.parent / name, manifest.files.get(name, "none")):
            raise RecordingError(f"{fault}; remove the folder {folder} to have this century recorded again")
    return manifest


def _with_hashes(manifest: Manifest, folder: Path, label: str) -> Manifest:
    """The manifest with the hashes of a century's files, which lie in ``folder``."""
    return replace(manifest, files={**manifest.files, **{f"{label}/{name}": sha256 for name, sha256 in hashes_in(folder).items()}})


def _record_century(live: LiveHistory, century: int, folder: Path, manifest: Manifest) -> Manifest:
    """Ask a century's humans everything, in the order of an episode, and write it to ``folder`` in one go.

    Returns:
        The manifest with the files' hashes, which is written first: whatever lies in ``folder`` is held to it.
    """
    human, items = live.human(century), live.survey.questionnaire.items
    probabilities = live.option_probabilities(human, items)
    values = live.human_values(century)
    replies = live.respond(human, OPEN_QUESTIONS, np.random.default_rng(REPLY_SEED))
    with making(folder) as temporary:
        temporary.mkdir()
        write_century(temporary, items, probabilities, values, dict(zip(OPEN_QUESTIONS, replies, strict=True)))
        manifest = _with_hashes(manifest, temporary, folder.name)
        write_json(folder.parent / MANIFEST, manifest.to_json())
    return manifest
