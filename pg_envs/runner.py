"""Running an agent through an episode, so that whatever happens leaves a readable result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from pg_envs.env import ProgressEnv
from pg_envs.progress import report


class AgentStopped(RuntimeError):
    """Raised by an agent that was told to stop rather than go on after a failure.

    What was finished is kept, and the result has the event; in the first century there is no result yet, and only the message says it.
    A run that is resumed tries the century that failed once more.
    """


class ActingAgent(Protocol):
    """What the runner needs of an agent."""

    policy: Any
    events: list[dict[str, Any]]

    def act(self, observation: dict[str, Any]) -> Any:
        """The policy for the century in view."""
        ...

    def recall(self, observation: dict[str, Any]) -> None:
        """Take note of a century that an interrupted run has finished."""
        ...


def run_episode(
    env: Any,
    agent: ActingAgent,
    seed: int,
    finished: tuple[Any, ...] = (),
    asked: tuple[int, ...] = (),
    on_step: Callable[[ProgressEnv, Any], None] | None = None,
    on_act: Callable[[ProgressEnv, Any], None] | None = None,
    while_acting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> ProgressEnv:
    """One episode.

    The agent starts from the first century's humans and gets observations only; rewards and infos, which hold the
    evaluation, stay with the runner.

    Args:
        env: The environment, as ``gym.make`` gives it.
        agent: The agent.
        seed: For ``env.reset``.
        finished: Policies of an interrupted run of the same seed; they are submitted again instead of
            asking the agent, who then goes on from the last of them.
        asked: How many questions the agent asked for each of ``finished``; counted again, not asked again.
        on_step: Called after every century with the environment and the policy submitted.
        on_act: Called with the environment and the agent's new policy, before it is judged; not for those of ``finished``.
        while_acting: Makes what is entered whenever the agent acts or recalls, and left after it.

    Returns:
        The unwrapped environment, whose ``trace`` holds the episode.
    """
    inner: ProgressEnv = env.unwrapped
    observation, _ = env.reset(seed=seed)
    # A random history draws its first humans at reset, after the agent was made.
    agent.policy = env.get_wrapper_attr("initial_policy")
    ended = False
    while not ended:
        label = inner.history.labels[inner.century]
        step = len(inner.trace)
        if step < len(finished):
            with while_acting():
                agent.recall(observation)
            policy = agent.policy = finished[step]
            inner.count_queries(asked[step] if step < len(asked) else 0)
        else:
            report(f"{label}: the agent acts", step, inner.n_steps)
            with while_acting():
                policy = agent.act(observation)
            if on_act is not None:
                on_act(inner, policy)
        report(f"{label}: the policy is judged", step, inner.n_steps)
        observation, _, terminated, truncated, _ = env.step(policy)
        ended = terminated or truncated
        if on_step is not None:
            on_step(inner, policy)
    return inner
