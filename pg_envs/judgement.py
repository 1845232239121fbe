"""What a step says of the policy: its values beside the target's, and the reward."""

from __future__ import annotations

from typing import Any

from pg_envs.history.base import Values
from pg_envs.values.scoring import Scoring, cosine, cosine_and_parts


def judgement(measured: Values, target: Values, scoring: Scoring, more: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """The reward, and what ``info`` says of it.

    Args:
        measured: The policy's values.
        target: Whom it is compared with.
        scoring: Which of the two vectors counts.
        more: What else belongs in ``info``; ``reward``, ``reward_vector`` and ``score_upstream`` go before the cosines, all or none.
    """
    # Copies: users keep infos and change them, and a history hands out the same humans again and again.
    v, h = measured.vector(scoring).copy(), target.vector(scoring).copy()
    if "reward" not in more:
        reward, parts = cosine_and_parts(v, h)
        more = {"reward": reward, "reward_vector": parts, "score_upstream": cosine(measured.upstream, target.upstream), **more}
    info = {
        "policy_vector": v,
        "target_vector": h,
        "difference": v - h,
        "policy_standard_errors": measured.standard_errors.copy(),
        "target_standard_errors": target.standard_errors.copy(),
        "policy_vector_upstream": measured.upstream.copy(),
        "target_vector_upstream": target.upstream.copy(),
        "n_invalid": measured.n_invalid,
        **more,
    }
    return info.pop("reward"), info
