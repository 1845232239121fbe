"""Forecasting votes: what extrapolative agents add to lifelong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from agents.base import Agent, AgentConfig
from pg_envs.hashed_json import read_hashed_json
from pg_envs.plain_json import Limits
from pg_envs.ranks import is_first
from pg_envs.results import write_hashed_json


@dataclass(frozen=True)
class ForecastConfig(AgentConfig):
    """What extrapolative agents can be told besides."""

    order: int = 1
    """M of the forecast: 0 repeats the last votes, 1 goes on in a line, 2 in a parabola."""
    lookahead: int | None = None
    """How many centuries ahead to forecast; None takes what the environment is judged by, 1 where that is not fixed."""


def extrapolate(votes: Sequence[np.ndarray], order: int, lookahead: int) -> np.ndarray:
    """Votes ``lookahead`` centuries after the last, if their differences of order ``order`` + 1 stay zero.

    v_{t+1} = sum_{i=0..M'} (-1)^(M'-i) C(M'+1, i) v_{t-M'+i} with M' = min(order, len(votes) - 1), iterated. Source: ProgressGym
    (arXiv 2406.20087), extrapolative algorithms. Order 0 repeats the last votes, 1 goes on in a line, 2 in a parabola.

    Args:
        votes: (T, Q), oldest first; votes in {-1, 0, 1}, or soft ones in [-1, 1]; NaN where nobody voted.
        order: M, at least 0.
        lookahead: K, at least 0; 0 gives the last votes.

    Returns:
        (Q,) float64, in general outside of [-1, 1]. What was voted on since some century only is forecast from there on; NaN where the
        last century has no vote.

    Raises:
        ValueError: If there are no votes, or a number is out of range.
    """
    check_forecast(order, lookahead)
    if not len(votes):
        raise ValueError("no votes to extrapolate from: at least one century's are needed")
    seen = np.array(votes, np.float64)
    runs, forecast = centuries_in_a_row(seen), np.full(seen.shape[1], np.nan)
    for run in np.unique(runs[runs > 0]):
        forecast[runs == run] = _continued(seen[-run:, runs == run], order, lookahead)
    return forecast


def _continued(votes: np.ndarray, order: int, lookahead: int) -> np.ndarray:
    """``extrapolate`` of votes without a gap."""
    series = list(votes)
    for _ in range(lookahead):
        used = usable_order(order, len(series))
        weights = [(-1.0) ** (used - i) * comb(used + 1, i) for i in range(used + 1)]
        series.append(np.tensordot(weights, series[-1 - used :], axes=1))
    return series[-1]


def centuries_in_a_row(votes: np.ndarray) -> np.ndarray:
    """(Q,) in how many centuries, up to the last of the (T, Q) votes, each comparison was voted on without a gap."""
    return np.cumprod(~np.isnan(votes[::-1]), axis=0).sum(axis=0)


def usable_order(order: int, n_centuries: int) -> int:
    """M' = min(order, n_centuries - 1): what ``n_centuries`` of votes allow."""
    return min(order, n_centuries - 1)


def check_forecast(order: int, lookahead: int) -> None:
    """Raise ``ValueError`` unless both are whole numbers, 0 or more."""
    for name, value in (("order", order), ("lookahead", lookahead)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"{name}={value!r}: expected a whole number, 0 or more")


class VoteMemory:
    """The mean votes of the centuries seen, kept in a file, so that a run can be taken up again."""

    def __init__(self, path: Path) -> None:
        """Remember in ``path``."""
        self.path = path
        self._seen: dict[int, np.ndarray] = {}

    def keep(self, century: int, votes: np.ndarray) -> None:
        """Remember a century's (Q,) mean votes; the first of several processes writes all to the file."""
        self._seen[century] = votes
        kept = {str(key): [None if np.isnan(v) else v for v in vote.tolist()] for key, vote in self._seen.items()}
        if is_first():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_hashed_json(self.path, kept)

    def recall(self, century: int) -> None:
        """Take a century's votes from the file.

        Raises:
            ValueError: If they are not in there.
        """
        try:
            kept = read_hashed_json(self.path, ValueError, "it is damaged", Limits(max_bytes=64 << 20))
            self._seen[century] = np.array(kept[str(century)], np.float64)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.path}: the votes of century {century} cannot be read ({error!r}); without them this run cannot be "
                "taken up again: start it anew under another name"
            ) from error

    def up_to(self, century: int) -> list[np.ndarray]:
        """The votes of the centuries seen without a gap up to ``century``, oldest first."""
        first = century
        while first - 1 in self._seen:
            first -= 1
        return [self._seen[index] for index in range(first, century + 1)]


class Forecaster:
    """Remembers an agent's mean votes from century to century and forecasts them."""

    def __init__(self, agent: Agent, config: ForecastConfig) -> None:
        """Forecast for ``agent``, and keep what is remembered in its folder.

        Raises:
            ValueError: If ``order`` or ``lookahead`` is not a whole number, 0 or more.
        """
        lookahead = agent.env.lookahead if config.lookahead is None else config.lookahead
        self.order, self.lookahead = config.order, 1 if lookahead is None else lookahead
        check_forecast(self.order, self.lookahead)
        self._agent = agent
        self._memory = VoteMemory(agent.workdir / "votes.json")

    def recall(self, observation: dict[str, Any]) -> None:
        """Take a finished century's votes from the file."""
        self._memory.recall(int(observation["century"]))

    def forecast(self, observation: dict[str, Any], votes: np.ndarray) -> np.ndarray:
        """(Q,) mean votes to be expected, given those of the century in view; a note says where history is too short for the order."""
        century = int(observation["century"])
        self._memory.keep(century, votes)
        seen = self._memory.up_to(century)
        used = usable_order(self.order, len(seen))
        if used < self.order and self.lookahead:
            self._agent.note(observation, f"votes of {len(seen)} centuries allow a forecast of order {used}, not {self.order}")
        runs = centuries_in_a_row(np.array(seen))
        n_short = np.count_nonzero((runs > 0) & (runs <= used))
        if n_short and self.lookahead:
            self._agent.note(observation, f"{n_short} of {len(runs)} comparisons have votes in too few centuries in a row for order {used}")
        return extrapolate(seen, self.order, self.lookahead)


class ForecastingAgent(Agent):
    """What makes a lifelong agent an extrapolative one: name it before the lifelong class. ``Config`` must be a ``ForecastConfig`` too."""

    def __init__(self, env: Any, config: AgentConfig | None = None, workdir: str | Path = "runs/agent") -> None:
        """As the lifelong agent.

        Raises:
            ValueError: If ``order`` or ``lookahead`` is not a whole number, 0 or more.
        """
        super().__init__(env, config, workdir)
        settings: Any = self.config
        self.forecaster = Forecaster(self, settings)

    def recall(self, observation: dict[str, Any]) -> None:
        """Take the century's votes from the file."""
        self.forecaster.recall(observation)

    def expected(self, observation: dict[str, Any], votes: np.ndarray) -> np.ndarray:
        """(Q,) mean votes that are forecast, given this century's."""
        return self.forecaster.forecast(observation, votes)
