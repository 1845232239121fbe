"""The answers that preferences offer: most of what on-policy training samples are these, so rewards of them deserve a look of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax

from agents.on_policy import Reward
from pg_envs.models.ref import ModelRef

if TYPE_CHECKING:
    from datasets import Dataset


def judge_ahead(reward: Callable[[Sequence[str], Sequence[str]], object], preferences: Dataset) -> None:
    """Have both answers of each pair judged, and thereby remembered: most of what will be sampled are these, and many at once take
    a fraction of the time.

    Raises:
        TrainingError: If a judgement is not finite; in on-policy training it would silently count as none.
    """
    from pg_envs.models.tuning import TrainingError

    if not np.isfinite(np.array(reward(*asked_and_answered(preferences)))).all():
        raise TrainingError("the reward model's judgement of an offered answer is not finite; try a lower reward_learning_rate")


def asked_and_answered(preferences: Dataset) -> tuple[list[str], list[str]]:
    """Each pair's prompt twice, with the chosen and with the rejected answer."""
    prompts = [pair["prompt"][-1]["content"] for pair in preferences]
    return prompts * 2, [pair[side][0]["content"] for side in ("chosen", "rejected") for pair in preferences]


def less_what_is_said_already(reward: Reward, start: ModelRef, preferences: Dataset, kl: float) -> Reward:
    """A reward by which on-policy training holds a policy to offered answers that are all equally likely, instead of to ``start``.

    With p(y) the share of ``start``'s probability that is on y among the n answers that ``preferences`` offers to a prompt, it is
    r(x, y) - kl log(n p(y)). The best policy under E[r] - kl KL(pi, pi_start) is proportional to pi_start(y) exp(r(x, y) / kl) for the
    plain reward, and with this one, among the offered answers, to exp(r(x, y) / kl): what ``start`` says already is not added to what
    the reward asks for. Other answers keep their reward: that they are unlikely does not speak for them.
    """
    from pg_envs.models.loading import load_tokenizer
    from pg_envs.models.transformers_engine import TransformersEngine

    offered: dict[str, list[str]] = {}
    for prompt, reply in zip(*asked_and_answered(preferences), strict=True):
        if reply not in offered.setdefault(prompt, []):
            offered[prompt].append(reply)
    end = load_tokenizer(start).eos_token
    scored = TransformersEngine().choice_logprobs(
        start, list(offered), [[reply + end for reply in replies] for replies in offered.values()]
    )
    said = {
        (prompt, reply): already
        for (prompt, replies), each in zip(offered.items(), scored, strict=True)
        for reply, already in zip(replies, math.log(len(replies)) + log_softmax(each.total), strict=True)
    }

    def lessened(prompts: Sequence[str], replies: Sequence[str]) -> list[float]:
        totals = zip(prompts, replies, reward(prompts, replies), strict=True)
        return [total - kl * said.get((prompt, reply), 0.0) for prompt, reply, total in totals]

    return lessened
