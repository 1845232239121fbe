"""The last step of a pass in several processes, where the rows that are left are no full step.

One process takes them as a shorter step. Several must each take as many rows, so accelerate fills the step up with the pass's first rows,
which are then learnt twice: another step than one process's. Here it is filled up with rows from which nothing is learnt, so that it is the
same. In a single process nothing is changed.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset, concatenate_datasets
from transformers import Trainer

from pg_envs.models.labelled_only import NO_LABEL
from pg_envs.ranks import n_ranks


class FullSteps(Trainer):
    """Base to put before a trainer whose loss is a mean over the labelled tokens of all processes, as TRL's ``SFTTrainer``'s is."""

    train_dataset: Any
    n_left_over = 0
    """Rows of a pass's last step, where it had to be filled up; else 0."""

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As the trainer's."""
        batch_size = self.args.train_batch_size * n_ranks()
        if n_ranks() > 1 and len(self.train_dataset) % batch_size:
            self.n_left_over = len(self.train_dataset) % batch_size
            rows = self._fit_to_be_filled_up(self.train_dataset)
            # In memory: a map's cache would be written by every process.
            fill = [self._nothing_to_learn(rows[-1])] * (batch_size - self.n_left_over)
            self.train_dataset = concatenate_datasets([rows, Dataset.from_list(fill, features=rows.features)])
        return super().train(*args, **kwargs)

    def _fit_to_be_filled_up(self, rows: Dataset) -> Dataset:
        # TRL takes every token for labelled where there is no such column.
        return rows if "labels" in rows.column_names else rows.add_column("labels", rows["input_ids"][:])

    def _nothing_to_learn(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "labels": [NO_LABEL] * len(row["labels"])}


class FullStepsOfPairs(FullSteps):
    """The same for a trainer whose loss is a mean over pairs and learns from their difference, as TRL's for preferences do."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """As the trainer's, over the pairs that are there to be learnt; evaluation, which alone asks for outputs, has no others."""
        found: Any = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if return_outputs or not self.n_left_over:
            return found
        batch_size = self.args.train_batch_size * n_ranks()
        last_step = len(self.train_dataset) // batch_size - 1
        in_last_step = self.state.global_step % (last_step + 1) == last_step
        # The trainer's mean counts the pairs that fill up too.
        return found * (batch_size / self.n_left_over) if in_last_step else found

    def _fit_to_be_filled_up(self, rows: Dataset) -> Dataset:
        return rows

    def _nothing_to_learn(self, row: dict[str, Any]) -> dict[str, Any]:
        # The gradients of two answers that are the same cancel each other.
        return {**row, "rejected_ids": row["chosen_ids"]}
