"""Histories whose humans are language models, run by an engine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pg_envs.history.base import CENTURIES, History, Survey, Values
from pg_envs.models.engine import Engine, make_engine
from pg_envs.models.ref import ModelRef
from pg_envs.models.space import ModelSpace
from pg_envs.progress import report
from pg_envs.values.measure import Mode, ask, measure
from pg_envs.values.questionnaire import Item, Questionnaire
from pg_envs.values.survey import VOTE_FORMS, Comparison, first_preferred, to_completion_dataset


def histtiny_refs() -> tuple[ModelRef, ...]:
    """The bundled family: one base, an adapter a century."""
    return tuple(ModelRef("pg_envs:histtiny/base", adapter=f"pg_envs:histtiny/{label}") for label in CENTURIES)


class LiveHistory(History):
    """Humans are ModelRefs; their values and votes are read from the models when first needed, then remembered."""

    def __init__(
        self,
        name: str,
        refs: Sequence[ModelRef],
        labels: Sequence[str],
        survey: Survey,
        evaluation: Questionnaire,
        engine: str = "transformers",
        mode: Mode = "logprob",
    ) -> None:
        """Name the history; nothing is loaded until it is needed.

        Args:
            name: For results.
            refs: One model a century, all on one base.
            labels: The centuries' labels.
            survey: What humans are asked.
            evaluation: What values are measured on.
            engine: Which engine runs the models.
            mode: How values are read, see ``pg_envs.values.measure``.
        """
        self.name, self.refs, self.labels = name, tuple(refs), tuple(labels)
        self.survey, self.evaluation, self.mode = survey, evaluation, mode
        self.policy_space = ModelSpace(self.refs)
        self._engine_name = engine
        self._human_values: dict[int, Values] = {}
        self._human_answers: dict[ModelRef, dict[Item, np.ndarray]] = {ref: {} for ref in self.refs}
        self._scratch: Path | None = None

    @cached_property
    def engine(self) -> Engine:
        """The engine, made at first use."""
        return make_engine(self._engine_name)

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the proxies of the last episode; the humans are always the same."""
        self._drop_scratch()

    def human(self, century: int) -> ModelRef:
        """The century's model."""
        return self.refs[century]

    def human_values(self, century: int) -> Values:
        """The century's model's values; measured once."""
        if century not in self._human_values:
            report(f"measuring the humans of {self.labels[century]}", 0, 1)
            self._human_values[century] = self._measure(self.refs[century])
        return self._human_values[century]

    def values(self, policy: ModelRef) -> Values:
        """Measure a model on the evaluation items; a model that is a century's humans is measured once."""
        if policy in self.refs:
            return self.human_values(self.refs.index(policy))
        return self._measure(policy)

    def _measure(self, policy: ModelRef) -> Values:
        measured = measure(self.engine, policy, self.evaluation.items, mode=self.mode)
        return Values(measured.centred, measured.upstream, measured.standard_errors)

    def preferences(self, policy: ModelRef, comparisons: Sequence[Comparison]) -> np.ndarray:
        """(Q,) P(first over second), read from one-letter answers in balanced orders; humans are asked an item once."""
        by_item = self._human_answers.get(policy, {})
        new = [item for item in dict.fromkeys(comparison.item for comparison in comparisons) if item not in by_item]
        if new:
            answers = ask(self.engine, policy, new, forms=VOTE_FORMS, mode=self.mode)
            by_item.update(zip(new, answers.probabilities, strict=True))
        return np.array([first_preferred(comparison, by_item[comparison.item]) for comparison in comparisons])

    def human_survey_preferences(self, century: int) -> np.ndarray:
        """(Q,) preferences of the century's model on the survey; asked once."""
        if not self._human_answers[self.refs[century]]:
            report(f"surveying the humans of {self.labels[century]}", 0, 1)
        return self.preferences(self.refs[century], self.survey.comparisons)

    def respond(self, policy: ModelRef, prompts: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Sampled replies at temperature 1."""
        return self.engine.generate(policy, prompts, seed=int(rng.integers(2**31)))

    def influence(self, proxy: ModelRef, source: ModelRef, n_epochs: int, rng: np.random.Generator) -> ModelRef:
        """Fine-tune the proxy on drawn answers of the source to the survey items.

        The new adapter lies in a temporary folder that the next ``reset`` or ``close`` removes.
        """
        from pg_envs.models.tuning import TuningConfig, sft

        items = self.survey.questionnaire.items
        answers = ask(self.engine, source, items, forms=VOTE_FORMS, mode=self.mode)
        dataset = to_completion_dataset(items, answers.probabilities, rng)
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="pg-envs-"))
        out = self._scratch / f"proxy-{len(list(self._scratch.iterdir()))}"
        return sft(proxy, dataset, out, seed=int(rng.integers(2**31)), config=TuningConfig(n_epochs=n_epochs))

    def describe(self) -> dict[str, Any]:
        """Names and hashes of the models."""
        from pg_envs.models.checks import fingerprint

        models = {label: {**ref.to_json(), "sha256": fingerprint(ref)} for label, ref in zip(self.labels, self.refs, strict=True)}
        return {**super().describe(), "engine": self._engine_name, "mode": self.mode, "models": models}

    def check_policy(self, policy: ModelRef) -> None:
        """Raise ``ModelRefError`` if the policy cannot be loaded."""
        self.engine.check(policy)

    def close(self) -> None:
        """Remove the proxies and let go of the models."""
        self._drop_scratch()
        self.__dict__.pop("engine", None)

    def _drop_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
