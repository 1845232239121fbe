"""What agents that fine-tune a language model share: a century's votes become rows, rows become a new policy."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from agents.base import Agent, AgentConfig, check_numbers
from agents.forecast import ForecastingAgent
from agents.votes import at_most_per_item, collect, mean_vote, repeat_by_size, share_out
from pg_envs.models.ref import ModelRef, Weights, loadable_name
from pg_envs.ranks import share_of
from pg_envs.runner import AgentStopped
from pg_envs.values.survey import to_preference_dataset

if TYPE_CHECKING:
    from datasets import Dataset

    from pg_envs.models.tuning_config import TuningConfig


OnFailure = Literal["keep", "stop"]
ON_FAILURE: tuple[OnFailure, ...] = ("keep", "stop")


@dataclass(frozen=True)
class TrainingConfig(AgentConfig):
    """What agents that fine-tune a language model can be told; rates are for histtiny, 8B models want about a thousandth."""

    independent: bool = False
    """Restart from the initial policy in every century instead of continuing from the last."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    n_epochs: float = 1.0
    """Passes over a century's data."""
    batch_size: int = 8
    """Examples per step, of all processes together."""
    votes_per_comparison: int = 1
    """Votes gathered on every comparison in a century: the observation's one, the rest asked for (and counted)."""
    on_failure: OnFailure = "keep"
    """After a training that failed, or in a century with nothing to learn from (no valid vote, or a forecast for neither side of any
    comparison): ``keep`` the last good policy and go on, or ``stop`` the run."""
    rows_per_comparison: int = 1
    """Training rows for every comparison, each in another form and order; several votes are shared out over them. (A forecast of single
    votes has as many rows as its size says.)"""
    comparisons_per_item: int = 3
    """Of the comparisons of one item that have votes, at most so many, drawn every century, become training rows. The six of a
    four-option item (6 takes them all) are the longest prompts and have its four options in common."""
    weights: Weights = "lora"
    """What of the policy is trained: a LoRA adapter, or all weights (``full``). The latter is a model of its own, which histories take
    as a policy whose humans are recorded (history='recorded:...'); it wants a rate some ten times smaller."""
    gradient_checkpointing: bool = False
    """Compute most activations anew when gradients need them, instead of keeping them: a third more work, a fraction of the memory."""

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        if self.weights not in get_args(Weights):
            raise ValueError(f"weights={self.weights!r}: choose from {', '.join(map(repr, get_args(Weights)))}")
        if self.on_failure not in ON_FAILURE:
            raise ValueError(f"on_failure={self.on_failure!r}: choose from {', '.join(map(repr, ON_FAILURE))}")
        whole = ("batch_size", "votes_per_comparison", "rows_per_comparison", "comparisons_per_item")
        check_numbers(self, above_zero=("learning_rate", "n_epochs"), at_least_one=whole)

    def check_here(self) -> None:
        """As ``AgentConfig``'s: a step's examples must come out even."""
        super().check_here()
        share_of(self.batch_size)

    def tuning(self) -> TuningConfig:
        """What ``pg_envs.models.tuning`` needs to know of it."""
        from pg_envs.models.tuning_config import TuningConfig

        return TuningConfig(
            self.learning_rate, self.n_epochs, self.batch_size, weights=self.weights, gradient_checkpointing=self.gradient_checkpointing
        )


class TrainingAgent(Agent):
    """Base of the agents that fine-tune once a century; subclasses implement ``train``.

    Where nobody voted, or training fails, the last good policy is kept and the event noted, and the run stopped if it shall.
    """

    Config: ClassVar[type[AgentConfig]] = TrainingConfig

    def __init__(self, env: Any, config: AgentConfig | None = None, workdir: str | Path = "runs/agent") -> None:
        """As ``Agent``.

        Raises:
            TypeError: If the environment's policies are not language models, or may not be models of their own and would be.
            ValueError: If a setting does not suit the machine, or the processes of this run.
        """
        super().__init__(env, config, workdir)
        self.config.check_here()
        self.remarks: list[str] = []
        """What ``train`` has to say of itself; noted as events of the century."""
        if not isinstance(self.env.initial_policy, ModelRef):
            raise TypeError(
                f"{type(self).__name__} fine-tunes language models, and history {self.env.history_name!r} has none; "
                "choose history='histtiny', or an agent for simulated histories (simulated-lifelong, no-op, oracle, random)"
            )
        own_model = ModelRef(str(self.workdir / "model"))
        if getattr(self.config, "weights", "lora") == "full" and own_model not in self.env.action_space:
            raise TypeError(
                f"weights='full' makes policies that are models of their own, and history {self.env.history_name!r} takes "
                f"{self.env.action_space} only; choose weights='lora', or a recorded history such as 'recorded:histtiny'"
            )

    def act(self, observation: dict[str, Any]) -> Any:
        """The policy after one century's training.

        Raises:
            AgentStopped: If training failed, or there was nothing to learn from, and ``on_failure`` says ``stop``.
        """
        from pg_envs.models.tuning import TrainingError

        config: Any = self.config
        rng = self.century_rng(observation)
        votes = self.votes_to_learn(observation, rng)
        if not np.any(votes):
            what = self.remarks.pop() if self.remarks else "no valid vote"
            self.note(observation, f"{what}; the policy is kept")
            if config.on_failure == "stop":
                raise AgentStopped(f"{self.label(observation)}: {what}")
            return self.policy
        learnt = at_most_per_item(votes, self.env.survey, config.comparisons_per_item, rng)
        preferences = to_preference_dataset(self.env.survey, learnt, rng)
        start = self.env.initial_policy if config.independent else self.policy
        out = self.workdir / self.label(observation)
        try:
            self.policy = self.train(start, preferences, out, int(rng.integers(2**31)))
            if learnt_nothing(start, self.policy):
                self.note(observation, "training changed no weight")
        except TrainingError as error:
            self.note(observation, f"training failed, the policy is kept: {error}")
            if config.on_failure == "stop":
                raise AgentStopped(f"{self.label(observation)}: {error}") from error
        while self.remarks:
            self.note(observation, self.remarks.pop(0))
        return self.policy

    def votes_to_learn(self, observation: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """(R, Q) votes that become training rows: this century's."""
        config: Any = self.config
        votes = collect(self.env, observation, config.votes_per_comparison)
        return share_out(mean_vote(votes), config.rows_per_comparison, rng)

    @abstractmethod
    def train(self, start: ModelRef, preferences: Dataset, out: Path, seed: int) -> ModelRef:
        """Train from ``start`` on TRL's ``prompt``, ``chosen``, ``rejected`` to a new adapter in ``out``."""


def learnt_nothing(start: ModelRef, trained: ModelRef) -> bool:
    """Whether an adapter's weights are those it began with; of whole models, which are large, nothing is said."""
    from safetensors.torch import load_file

    from pg_envs.models.checks import ADAPTER_WEIGHTS

    if start.adapter is None or trained.adapter in (None, start.adapter):
        return False
    before, after = (load_file(Path(loadable_name(str(ref.adapter))) / ADAPTER_WEIGHTS) for ref in (start, trained))
    return before.keys() == after.keys() and all(weights.equal(after[name]) for name, weights in before.items())


class ForecastTrainingAgent(ForecastingAgent, TrainingAgent):
    """Base of the extrapolative agents that fine-tune: they learn what humans are forecast to vote."""

    def votes_to_learn(self, observation: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """(R, Q) forecast votes.

        Of one vote a comparison, the published rule makes 0 to 5 rows; several votes are a share, which is forecast, cut at
        -1 and 1, and shared out over ``rows_per_comparison`` rows.
        """
        config: Any = self.config
        votes = collect(self.env, observation, config.votes_per_comparison)
        forecast = self.expected(observation, mean_vote(votes))
        single = config.votes_per_comparison == 1
        learnt = repeat_by_size(forecast) if single else share_out(forecast, config.rows_per_comparison, rng)
        if np.any(votes) and not np.any(learnt):
            self.remarks.append("the forecast is for neither side of any comparison")
        return learnt
