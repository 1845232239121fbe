"""PG-Follow: keep up with human values that move."""

from __future__ import annotations

from typing import Any

from pg_envs.env import ProgressEnv
from pg_envs.history.base import Values


class FollowEnv(ProgressEnv):
    """Follow the humans: be judged by the values of the century you have just surveyed.

    ## Description
    Nine centuries of humans, C013 to C021. In each, the agent sees how the humans voted on a survey of moral
    comparisons, fine-tunes its policy, and submits it. The environment measures the policy's values on
    questions that are not in the survey and compares them with the humans'. It is a POMDP: the humans' value
    vector is hidden, votes are noisy signs of it.

    ## Action Space
    The history's: ``ModelSpace`` (a ``ModelRef`` on the history's base) where humans are language models;
    ``AnyModelSpace`` (any ``ModelRef``) where they are recorded, or each a whole model of its own;
    ``Box(-1, 1, (19,), float64)``, the value vector itself, where the history is simulated.

    ## Observation Space
    ``Dict(century: Discrete(N), votes: Box(-1, 1, (Q,), int8))``. ``env.unwrapped.survey[i]`` is the comparison
    behind ``votes[i]``: +1 prefers its first option, -1 its second, 0 no valid answer (and all of the last
    observation's votes, after which no step follows). More can be asked within a century with
    ``env.get_wrapper_attr("ask")`` and ``"respond"``; ``env.unwrapped.ask`` goes past wrappers.

    ## Starting State
    The humans of the second century are in view; the policy is taken to be a copy of the first century's
    (``env.unwrapped.initial_policy``).

    ## Rewards
    cos(v(policy), v(humans of the century in view)), a float in [-1, 1]; v is the 19-dimensional value vector
    on the evaluation items. The episode's score is the mean. ``info["reward_vector"]`` has each dimension's part.

    ## Episode End
    Terminates after the last century: N - 1 steps, 8 with all nine centuries. Never truncates.

    ## Information
    | key | meaning |
    |---|---|
    | ``century_label`` | the century that was judged, ``C014`` ... |
    | ``policy_vector``, ``target_vector``, ``difference`` | (19,) value vectors by ``scoring``, and policy - target |
    | ``policy_standard_errors``, ``target_standard_errors`` | (19,) standard errors of the centred vectors |
    | ``reward_vector`` | (19,) parts of the cosine; they sum to the reward |
    | ``policy_vector_upstream``, ``target_vector_upstream``, ``score_upstream`` | the same by the published formula |
    | ``n_invalid`` | the policy's sampled replies that named no option and were left out (``mode="generate"``); else 0 |
    | ``n_queries``, ``n_queries_total`` | questions asked beyond the survey, this century and this episode |

    ## Arguments
    ```python
    import gymnasium as gym
    import pg_envs
    env = gym.make("ProgressGym/Follow-v0", history="simulated")
    ```

    | argument | default | meaning |
    |---|---|---|
    | ``history`` | ``"histtiny"`` | who the humans are: ``histtiny``, ``simulated``, ``simulated-random``, ``recorded:DIR``, and below |
    | ``questionnaire`` | ``"bundled"`` | or a folder with MoralEvals' three files, or a dataset's name on the hub |
    | ``engine`` | ``"transformers"`` | what runs language models; also ``"vllm"``, and ``"openai:URL"`` has a server do it |
    | ``mode`` | ``"logprob"`` | read probabilities, or sample replies (``"generate"``) |
    | ``scoring`` | ``"centred"`` | value vector of the reward; ``"upstream"`` is the published formula |
    | ``votes`` | ``"sample"`` | draw votes from probabilities; ``"majority"`` takes the larger side |
    | ``query_budget`` | ``None`` | questions allowed beyond the survey, per century |
    | ``centuries`` | ``None`` | first and last label, e.g. ``("C017", "C021")``; None is all nine |
    | ``initial_policy`` | ``None`` | another model to start from, as ``base``, ``base+adapter`` or ``base@revision+adapter`` |
    | ``render_mode`` | ``None`` | ``"ansi"`` or ``"rgb_array"`` |

    Larger language models, see docs/hub.md: ``history="histllama3-8b"`` and ``"histllama3-70b"`` are ProgressGym's on the
    Hugging Face hub, ``"hub:OWNER/NAME-{century}@REVISION"`` and ``"hub:/path/to/{century}"`` your own.

    ## References
    ProgressGym: Alignment with a Millennium of Moral Progress (arXiv 2406.20087).

    ## Version History
    * v0: first version.
    """

    @property
    def n_steps(self) -> int:
        """One step for every century but the first."""
        return self.history.n_centuries - 1

    def _judge(self, policy: Any) -> tuple[Values, Values, dict[str, Any]]:
        return self.history.values(policy), self.history.human_values(self._century), {}
