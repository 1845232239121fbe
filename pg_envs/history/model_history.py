"""What histories of language models share, wherever the humans' answers come from: an engine that runs policies."""

from __future__ import annotations

import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pg_envs.history.base import History, Survey, Values
from pg_envs.models.conversation import Prompt
from pg_envs.models.engine import Engine, make_engine
from pg_envs.models.ref import ModelRef
from pg_envs.ranks import by_first, is_first
from pg_envs.values.items import Item, Questionnaire
from pg_envs.values.measure import Mode, ask, measure
from pg_envs.values.survey import VOTE_FORMS, Comparison, first_preferred, to_completion_dataset


class ModelHistory(History):
    """Humans are named by ModelRefs; an engine, made at first use, runs policies.

    A subclass says where the humans' values, answers and replies come from: ``human_values``,
    ``_human_option_probabilities`` and ``_human_replies``.
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
    ) -> None:
        """Name the history; nothing is loaded until it is needed.

        Args:
            name: For results.
            refs: One model a century.
            labels: The centuries' labels.
            survey: What humans are asked.
            evaluation: What values are measured on.
            engine: Which engine runs the models.
            mode: How values are read, see ``pg_envs.values.measure``.
        """
        self.name, self.refs, self.labels = name, tuple(refs), tuple(labels)
        self.survey, self.evaluation, self.mode = survey, evaluation, mode
        self.engine_name = engine
        self._scratch: Path | None = None

    @abstractmethod
    def _human_option_probabilities(self, century: int, items: Sequence[Item]) -> Mapping[Item, np.ndarray]:
        """How a century's humans answer at least these items; see ``option_probabilities``."""

    @abstractmethod
    def _human_replies(self, century: int, prompts: Sequence[Prompt], seed: int) -> list[str]:
        """Replies of a century's humans to open questions, or to conversations."""

    @cached_property
    def engine(self) -> Engine:
        """The engine, made at first use."""
        return make_engine(self.engine_name)

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the proxies of the last episode; the humans are always the same."""
        self._drop_scratch()

    def human(self, century: int) -> ModelRef:
        """The century's model."""
        return self.refs[century]

    def values(self, policy: ModelRef) -> Values:
        """Measure a model on the evaluation items; a model that is a century's humans has their values."""
        return self.human_values(self.refs.index(policy)) if policy in self.refs else self._measure(policy)

    def _measure(self, policy: ModelRef) -> Values:
        measured = measure(self.engine, policy, self.evaluation.items, mode=self.mode)
        return Values(measured.centred, measured.upstream, measured.standard_errors, measured.answers.n_invalid)

    def option_probabilities(self, policy: ModelRef, items: Sequence[Item]) -> Mapping[Item, np.ndarray]:
        """How a policy answers items in the forms that humans vote in: for each item (K,) float64 probabilities of its options.

        The mapping may hold further items.
        """
        if policy in self.refs:
            return self._human_option_probabilities(self.refs.index(policy), items)
        return self._ask(policy, items)

    def _ask(self, policy: ModelRef, items: Sequence[Item]) -> dict[Item, np.ndarray]:
        answers = ask(self.engine, policy, items, forms=VOTE_FORMS, mode=self.mode)
        return dict(zip(items, answers.probabilities, strict=True))

    def preferences(self, policy: ModelRef, comparisons: Sequence[Comparison]) -> np.ndarray:
        """(Q,) P(first over second), read from one-letter answers in balanced orders."""
        items = list(dict.fromkeys(comparison.item for comparison in comparisons))
        by_item = self.option_probabilities(policy, items)
        return np.array([first_preferred(comparison, by_item[comparison.item]) for comparison in comparisons])

    def human_survey_preferences(self, century: int) -> np.ndarray:
        """(Q,) preferences of the century's model on the survey."""
        return self.preferences(self.refs[century], self.survey.comparisons)

    def respond(self, policy: ModelRef, prompts: Sequence[Prompt], rng: np.random.Generator) -> list[str]:
        """Replies to open questions, or to conversations, sampled at temperature 1."""
        # Drawn whoever replies, so that draws that follow are the same from a recording as they were live.
        seed = int(rng.integers(2**31))
        if not prompts:
            return []
        if policy in self.refs:
            return self._human_replies(self.refs.index(policy), prompts, seed)
        return self.engine.generate(policy, prompts, seed=seed)

    def influence(self, proxy: ModelRef, source: ModelRef, n_epochs: int, rng: np.random.Generator) -> ModelRef:
        """Fine-tune the proxy on drawn answers of the source to the survey items.

        The new adapter lies in a temporary folder that the next ``reset`` or ``close`` removes.
        """
        from pg_envs.models.tuning import sft
        from pg_envs.models.tuning_config import TuningConfig

        items = self.survey.questionnaire.items
        answers = self.option_probabilities(source, items)
        dataset = to_completion_dataset(items, [answers[item] for item in items], rng)
        if self._scratch is None:
            self._scratch = by_first(lambda: Path(tempfile.mkdtemp(prefix="pg-envs-")))
        out = self._scratch / f"proxy-{len(list(self._scratch.iterdir()))}"
        return sft(proxy, dataset, out, seed=int(rng.integers(2**31)), config=TuningConfig(n_epochs=n_epochs))

    def fingerprint(self, policy: ModelRef) -> str:
        """16 hexadecimal digits that change with the policy's weights."""
        from pg_envs.models.checks import fingerprint

        return fingerprint(policy)

    def describe(self) -> dict[str, Any]:
        """How models are run here: the engine, and what it says of its arithmetic."""
        return {**super().describe(), "engine": self.engine_name, "mode": self.mode, "arithmetic": self.engine.arithmetic()}

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: all but the engine, which a copy makes anew, and the proxies' folder, which the original removes.

        A copy that was made within an episode of Coevolve needs the original's proxy until its next ``reset``: keep the original open.
        """
        return {**{key: value for key, value in self.__dict__.items() if key != "engine"}, "_scratch": None}

    def close(self) -> None:
        """Remove the proxies and let go of the models."""
        self._drop_scratch()
        self.__dict__.pop("engine", None)

    def _drop_scratch(self) -> None:
        if self._scratch is not None:
            if is_first():
                shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
