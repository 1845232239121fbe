"""Histories whose humans answer from a recording: no human model is loaded, nor the libraries that would run it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_envs.history.base import Survey, Values
from pg_envs.history.model_history import ModelHistory
from pg_envs.history.recording import MANIFEST, Manifest, RecordingError, read_manifest
from pg_envs.history.recording_data import RecordedCentury
from pg_envs.models.bases import is_here, take_from_cache_only
from pg_envs.models.conversation import Prompt, as_messages, as_prompt
from pg_envs.models.ref import ModelRef, ModelRefError, local_path
from pg_envs.models.space import AnyModelSpace
from pg_envs.storage import file_sha256
from pg_envs.values.items import Item, Questionnaire
from pg_envs.values.measure import Mode

logger = logging.getLogger(__name__)

BUNDLED = {"histtiny": "pg_envs:recordings/histtiny"}
"""Recordings that ship with the package, by their short names."""


class RecordedHistory(ModelHistory):
    """Humans are recorded; policies are run live, whatever their architecture.

    Given the same seed, an episode of Follow or Predict is the one that the live history gives on the machine, with the
    number of threads and with the library versions of the recording, bit for bit: votes, answers to survey items, the
    humans' values and standard errors. (A policy's own values are measured where it is run.) Live numbers differ in
    their last digits from machine to machine; a recording's do not.

    A policy that bears the name of a recorded century's model has that century's recorded values, and is not loaded; where a model of
    that name is here, its weights must be those that were recorded. To be trained it must be on this machine: the hub is never asked for a
    model because a manifest names it.
    """

    def __init__(
        self,
        source: str,
        survey: Survey,
        evaluation: Questionnaire,
        centuries: tuple[str, ...] | None = None,
        engine: str = "transformers",
        mode: Mode = "logprob",
    ) -> None:
        """Read the manifest; data files are read, and checked against its hashes, when they are first needed.

        Args:
            source: A folder, ``pg_envs:...``, or the short name of a bundled recording (``histtiny``).
            survey: What humans are asked; must be what was recorded.
            evaluation: What values are measured on; must be what was recorded.
            centuries: Labels of consecutive centuries; None for all that were recorded.
            engine: Which engine runs policies.
            mode: How values are read; must be how they were recorded.

        Raises:
            RecordingError: If there is no such recording, or it is damaged, or of something else than asked for.
        """
        self.folder = recording_folder(source)
        self.manifest = manifest = read_manifest(self.folder)
        _check_same(self.folder, manifest, survey, evaluation, mode)
        labels = manifest.centuries if centuries is None else centuries
        missing = [label for label in labels if label not in manifest.centuries]
        if missing:
            has = f"{manifest.centuries[0]} to {manifest.centuries[-1]}"
            raise RecordingError(
                f"{self.folder}: no century {missing[0]}: expected {labels[0]} to {labels[-1]}, found {has}; narrow centuries"
            )
        refs = dict(zip(manifest.centuries, manifest.refs, strict=True))
        take_from_cache_only(manifest.refs)
        super().__init__(f"recorded:{manifest.name}", [refs[label] for label in labels], labels, survey, evaluation, engine, mode)
        self.policy_space = AnyModelSpace(self.refs)
        self._same_weights: dict[int, bool] = {}
        self._centuries = [RecordedCentury(self.folder, manifest, label, survey.questionnaire.items) for label in labels]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy in another process keeps to the cache there, too."""
        self.__dict__.update(state)
        take_from_cache_only(self.manifest.refs)

    def of_weights(self, century: int, ref: ModelRef) -> RecordedCentury | None:
        """A century's recorded answers, if they are those of ``ref``'s weights as they lie here; else None, which is logged."""
        if century not in self._same_weights:
            from pg_envs.models.checks import fingerprint

            self._same_weights[century] = fingerprint(ref) == self._recorded_sha256(century)
            if not self._same_weights[century]:
                logger.warning("%s: other weights than those of %s were recorded; they are asked anew", self.folder, ref)
        return self._centuries[century] if self._same_weights[century] else None

    def _recorded_sha256(self, century: int) -> str | None:
        return self.manifest.models[self.labels[century]]["sha256"]

    def human_values(self, century: int) -> Values:
        """The century's recorded values."""
        return self._centuries[century].values

    def _human_option_probabilities(self, century: int, items: Sequence[Item]) -> Mapping[Item, np.ndarray]:
        by_item = self._centuries[century].option_probabilities
        for item in items:
            if item not in by_item:
                raise RecordingError(
                    f"{self.folder} has no answer of {self.labels[century]} to item {item.item_id!r} ({item.context[:60]!r}): only the "
                    f"survey's {len(by_item)} items are recorded; ask about those, or use a live history"
                )
        return by_item

    def _human_replies(self, century: int, prompts: Sequence[Prompt], seed: int) -> list[str]:
        replies = self._centuries[century].replies
        asked = [as_prompt(as_messages(prompt)) for prompt in prompts]
        for prompt in asked:
            if not isinstance(prompt, str):
                raise RecordingError(
                    f"{self.folder} has replies to single prompts only, and {self.labels[century]} was to go on with a conversation of "
                    f"{len(prompt)} turns; use a live history"
                )
            if prompt not in replies:
                raise RecordingError(
                    f"{self.folder} has no reply of {self.labels[century]} to {prompt[:80]!r}: only {len(replies)} prompts are recorded, "
                    "those of pg_envs.values.open_questions when it was made; ask one of them, or use a live history"
                )
        return [replies[str(prompt)] for prompt in asked]

    def recorded_prompts(self) -> tuple[str, ...]:
        """The open questions that every century has a reply to, in the recording's order."""
        first, *others = [century.replies for century in self._centuries]
        return tuple(prompt for prompt in first if all(prompt in replies for replies in others))

    def influence(self, proxy: ModelRef, source: ModelRef, n_epochs: int, rng: np.random.Generator) -> ModelRef:
        """As live; what a recorded century teaches is drawn from its recorded probabilities.

        Raises:
            RecordingError: If the proxy is a recorded model that is not on this machine: it cannot learn. Or if it has other weights here.
        """
        try:
            self.engine.check(proxy)
        except ModelRefError as error:
            raise RecordingError(f"the human proxy must be a model that can be trained here; pass proxy='BASE+ADAPTER': {error}") from error
        self._check_recorded(proxy)
        return super().influence(proxy, source, n_epochs, rng)

    def describe(self) -> dict[str, Any]:
        """The recording's hash, and whom it says it recorded."""
        models = {label: self.manifest.models[label] for label in self.labels}
        recorded = {
            "manifest_sha256": file_sha256(self.folder / MANIFEST),
            "engine": self.manifest.engine,
            "versions": self.manifest.versions,
        }
        return {**super().describe(), "models": models, "recording": recorded}

    def check_policy(self, policy: ModelRef) -> None:
        """Raise ``ModelRefError`` if the policy is not recorded and cannot be loaded, ``RecordingError`` if other weights were recorded."""
        if policy not in self.refs:
            self.engine.check(policy)
        self._check_recorded(policy)

    def _check_recorded(self, policy: ModelRef) -> None:
        """Refuse a model under a recorded name whose weights, where they are here, are others: its recorded answers are not its own."""
        if policy not in self.refs or not is_here(policy):
            return
        from pg_envs.models.checks import fingerprint

        century = self.refs.index(policy)
        expected, found = self._recorded_sha256(century), fingerprint(policy)
        if found != expected:
            raise RecordingError(
                f"{self.folder}: {policy} has other weights here than were recorded of {self.labels[century]}: expected {expected}, "
                f"found {found}; put them into a folder of another name and submit that, or record anew with pg-envs record"
            )


def recording_folder(source: str) -> Path:
    """The folder of a recording: a folder, ``pg_envs:...``, or the short name of a bundled one."""
    return local_path(BUNDLED.get(source, source)) or Path(source)


def is_bundled_of(name: str, survey: Survey, evaluation: Questionnaire, engine: str, mode: Mode) -> bool:
    """Whether a recording of that name is bundled that was made with this questionnaire, by this engine and in this mode."""
    if name not in BUNDLED:
        return False
    manifest = read_manifest(recording_folder(name))
    return manifest.engine == engine and manifest.mode == mode and not _other_half(manifest, survey, evaluation)


def _other_half(manifest: Manifest, survey: Survey, evaluation: Questionnaire) -> tuple[str, str, str] | None:
    """The half of the questionnaire that differs from what was recorded: which, ours, theirs."""
    for half, ours in (("survey", survey.questionnaire.content_hash), ("evaluation", evaluation.content_hash)):
        theirs = manifest.questionnaire[f"{half}_sha256"]
        if theirs != ours:
            return half, ours, theirs
    return None


def _check_same(folder: Path, manifest: Manifest, survey: Survey, evaluation: Questionnaire, mode: Mode) -> None:
    """Refuse a recording that was made with another questionnaire or in another mode."""
    path = folder / MANIFEST
    differing = _other_half(manifest, survey, evaluation)
    if differing is not None:
        half, ours, theirs = differing
        raise RecordingError(
            f"{path}: another questionnaire was recorded: expected the {half} half {ours}, found {theirs} of "
            f"{manifest.questionnaire['name']!r}; pass that questionnaire, or record this one with pg-envs record --questionnaire"
        )
    if manifest.mode != mode:
        raise RecordingError(f"{path}: recorded in another mode: expected {mode!r}, found {manifest.mode!r}; pass mode={manifest.mode!r}")
