"""The task inside a century as a task set of verifiers, version 1 (needs pg-envs[verifiers]).

Rewards are the interaction's objectives, by their names. Tasks hold the live interaction, so they are scored in the process
that has the environment; across processes, serve ``wrappers.openenv_task`` and name it to verifiers' own ``openenv`` task set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import verifiers.v1 as vf
from verifiers.v1.types import content_text

from pg_envs.interaction import Interaction


class InteractionData(vf.TaskData):
    """A survey question, and what it was drawn by."""

    answers: list[str]
    item_id: str
    seed: int


class InteractionTask(vf.Task[InteractionData]):
    """A survey question that one interaction scores."""

    def __init__(self, data: InteractionData, interaction: Interaction, config: vf.TaskConfig | None = None) -> None:
        """Make a task of a row of ``Interaction.prompts``."""
        super().__init__(data, config)
        self.interaction = interaction

    @vf.reward
    async def objectives(self, trace: vf.Trace) -> dict[str, float]:
        """The last turn's objectives; see ``Interaction.score``."""
        messages = [{"role": message.role, "content": content_text(message.content)} for message in trace.messages]
        return self.interaction.score(messages)


class InteractionTaskset(vf.Taskset[InteractionTask, vf.TasksetConfig]):
    """The prompts of several seeds as tasks, ``n_prompts`` a seed."""

    def __init__(
        self, interaction: Interaction, seeds: Iterable[int], n_prompts: int | None = None, config: vf.TasksetConfig | None = None
    ) -> None:
        """Name the prompts; see ``Interaction.prompts``.

        Args:
            interaction: Of a ProgressGym environment, which whoever trains steps from century to century.
            seeds: Of the prompts.
            n_prompts: Prompts a seed; None for all of the survey.
            config: Verifiers' own.
        """
        super().__init__(config or vf.TasksetConfig(id="pg-envs"))
        self.interaction, self.seeds, self.n_prompts = interaction, tuple(seeds), n_prompts

    def load(self) -> Iterator[InteractionTask]:
        """The tasks, seed by seed."""
        for seed in self.seeds:
            for row in self.interaction.prompts(seed, self.n_prompts):
                yield InteractionTask(InteractionData(**row), self.interaction, self.config.task)
