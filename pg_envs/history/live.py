"""Histories whose humans are language models, run by an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pg_envs.history.base import CENTURIES, Survey, Values
from pg_envs.history.model_history import ModelHistory
from pg_envs.history.recorded import RecordedHistory
from pg_envs.history.recording_data import RecordedCentury
from pg_envs.models.bases import check_bases, pinned
from pg_envs.models.conversation import Prompt
from pg_envs.models.engine import is_openai
from pg_envs.models.ref import ModelRef
from pg_envs.models.space import AnyModelSpace, ModelSpace
from pg_envs.progress import report
from pg_envs.values.items import Item, Questionnaire
from pg_envs.values.measure import Mode


def histtiny_refs() -> tuple[ModelRef, ...]:
    """The bundled family: one base, an adapter a century."""
    return tuple(ModelRef("pg_envs:histtiny/base", adapter=f"pg_envs:histtiny/{label}") for label in CENTURIES)


class LiveHistory(ModelHistory):
    """Humans are run like policies; their values and votes are read from the models when first needed, then remembered.

    Where a recording of the very same weights is given, what it holds is taken from there instead.
    """

    def __init__(
        self,
        name: str,
        refs: Sequence[ModelRef],
        labels: Sequence[str],
        survey: Survey,
        evaluation: Questionnaire,
        engine: str = "transformers",
        mode: Mode = "logprob",
        recording: RecordedHistory | None = None,
    ) -> None:
        """As ``ModelHistory``; policies are on the ``refs``' base if they have one in common, and any models if not.

        With ``recording``, the same centuries' recorded answers to the same questions, what it holds of the same weights is not asked here.
        """
        super().__init__(name, refs, labels, survey, evaluation, engine, mode)
        self.recording = recording
        self._one_base = len({(ref.base, ref.revision) for ref in self.refs}) == 1
        self.policy_space = ModelSpace(self.refs) if self._one_base else AnyModelSpace(self.refs)
        self._human_values: dict[int, Values] = {}
        self._human_answers: dict[int, dict[Item, np.ndarray]] = {century: {} for century in range(len(self.refs))}

    def reset(self, rng: np.random.Generator) -> None:
        """As ``ModelHistory``'s; where models are run here, nothing begins unless every century's base is here or on the hub.

        Raises:
            ModelRefError: If one is not to be had, with what to do.
        """
        if not is_openai(self.engine_name):
            check_bases(self.refs)
        super().reset(rng)

    def human_values(self, century: int) -> Values:
        """The century's model's values; measured once."""
        recorded = self._recorded(century)
        if recorded is not None:
            return recorded.values
        if century not in self._human_values:
            report(f"measuring the humans of {self.labels[century]}", 0, 1)
            self._human_values[century] = self._measure(self.human(century))
            self._ask_while_loaded(century)
        return self._human_values[century]

    def _human_option_probabilities(self, century: int, items: Sequence[Item]) -> Mapping[Item, np.ndarray]:
        """Asked once an item."""
        by_item, recorded = self._human_answers[century], self._recorded(century)
        if recorded is not None and not by_item:
            by_item.update(recorded.option_probabilities)
        new = [item for item in items if item not in by_item]
        if new:
            report(f"asking the humans of {self.labels[century]}", 0, 1)
            by_item.update(self._ask(self.human(century), new))
            self._ask_while_loaded(century)
        return by_item

    def _ask_while_loaded(self, century: int) -> None:
        """Where every century is a model of its own: ask all that an episode needs, which costs less than loading it again."""
        if not self._one_base:
            self.human_values(century)
            self._human_option_probabilities(century, self.survey.questionnaire.items)

    def _recorded(self, century: int) -> RecordedCentury | None:
        """The century's recorded answers, if there are any and they are these weights'."""
        return None if self.recording is None else self.recording.of_weights(century, self.refs[century])

    def _human_replies(self, century: int, prompts: Sequence[Prompt], seed: int) -> list[str]:
        return self.engine.generate(self.human(century), prompts, seed=seed)

    def describe(self) -> dict[str, Any]:
        """Names and hashes of the models; hub ids with the commit that their revision stands for.

        Raises:
            ModelRefError: If neither the cache nor the hub knows a hub id.
        """
        from pg_envs.models.checks import fingerprint

        models = {label: {**pinned(ref).to_json(), "sha256": fingerprint(ref)} for label, ref in zip(self.labels, self.refs, strict=True)}
        told = {**super().describe(), "models": models}
        return told if self.recording is None else {**told, "recording": self.recording.describe()["recording"]}

    def check_policy(self, policy: ModelRef) -> None:
        """Raise ``ModelRefError`` if the policy cannot be loaded."""
        self.engine.check(policy)
