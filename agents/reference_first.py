"""DPO whose reference is read before training begins, many pairs at a time: the same numbers in less time than step by step.

TRL offers that too (``precompute_ref_log_probs``), but reads when the trainer is made, before ``pg_envs.models.tuning`` has it read shared
beginnings once, and keeps what it read in the cache of ``datasets``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from trl import DPOTrainer

from pg_envs.models.full_steps import FullStepsOfPairs
from pg_envs.progress import report
from pg_envs.ranks import n_ranks

READ_AT_ONCE = 32
"""Pairs; more of about the same length would hardly be faster on a processor."""


class ReferenceFirstDPOTrainer(FullStepsOfPairs, DPOTrainer):
    """TRL's trainer, reading the reference's log-probabilities of all pairs first; in several processes, as TRL does it."""

    def hold_to_uniform(self) -> None:
        """Hold the policy to no model, but to answers that are all equally likely: before ``train``."""
        self._hold_to(np.zeros((2, len(self._rows)), np.float32))

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As TRL's; the reference is what the trainer holds its policy to when this is called."""
        if n_ranks() == 1 and not self.precompute_ref_logps:
            self._hold_to(self._read_reference())
        return super().train(*args, **kwargs)

    @property
    def _rows(self) -> Any:
        return self.train_dataset

    def _hold_to(self, logps: np.ndarray) -> None:
        """(2, rows) log-probabilities of chosen and rejected answers, in the columns where TRL looks for them."""
        self.train_dataset = self._rows.add_column("ref_chosen_logps", logps[0]).add_column("ref_rejected_logps", logps[1])
        self.precompute_ref_logps = True

    def _read_reference(self) -> np.ndarray:
        rows = self._rows
        lengths = [len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in rows]
        order = np.argsort(lengths, kind="stable")
        found = np.zeros((2, len(rows)), np.float32)
        for begin in range(0, len(rows), READ_AT_ONCE):
            report("reading what the policy is held to", begin, len(rows))
            at_once = order[begin : begin + READ_AT_ONCE]
            batch = self._prepare_inputs(self.data_collator([rows[int(index)] for index in at_once]))
            for logps, found_there in zip(self.compute_ref_log_probs(self.model, batch), found, strict=True):
                found_there[at_once] = logps.float().cpu().numpy()
        return found
