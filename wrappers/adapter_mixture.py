"""Language models steered by a handful of numbers: actions that weigh LoRA adapters."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from pg_envs.models.merging import check_mergeable, merge_adapters, mixture_name
from pg_envs.models.ref import ModelRef
from pg_envs.models.space import InvalidPolicy, ModelSpace
from wrappers.shared import progress_env


class AdapterMixture(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Acts by K weights: the environment gets the base changed by the weighted sum of K LoRA adapters.

    ## Action Space
    ``Box(-1, 1, (K,), float32)``, one weight an adapter, rounded to ``decimals`` digits. The policy's change of a layer is
    sum_k w_k s_k B_k A_k exactly (``pg_envs.models.merging.merge_adapters``); its rank is the sum of the adapters' ranks. Zeros
    are the bare base, a single 1 is that adapter. Other ranges: ``gymnasium.wrappers.RescaleAction`` around it.

    ## Information
    As the environment's, and ``mixture_weights``, the (K,) float64 weights after rounding. ``policy``, an attribute, is the
    ModelRef that was last submitted.

    ## Which adapters
    What the agent may know: its own earlier policies, adapters trained for single values, the first century's humans
    (``env.unwrapped.initial_policy``). Later centuries' humans are what it is asked for; a mixture of them is an upper
    bound, never a method.

    ## Files
    A mixture is named by a hash of what it is made of, so the same weights give the same ModelRef and nothing is merged twice.
    Each takes as much disk as all K adapters together. In ``folder`` they are kept and found again by later runs and by other
    processes; without one they go into a temporary folder that the next ``reset`` or ``close`` removes. A pickled or copied
    environment has a temporary folder of its own; its ``policy`` lies in the original's until its next step.

    ## Example
    ```python
    import gymnasium as gym
    import numpy as np

    import pg_envs  # registers the environments
    from wrappers import AdapterMixture

    env = gym.make("ProgressGym/Follow-v0")
    env = AdapterMixture(env, [env.unwrapped.initial_policy])  # or more: a weight each
    env.reset(seed=0)
    _, reward, _, _, info = env.step(np.array([0.5], np.float32))  # half of what the first century's humans differ by from the base
    env.close()
    ```
    """

    def __init__(
        self, env: gym.Env[Any, Any], adapters: Sequence[ModelRef | dict[str, Any]], folder: str | None = None, decimals: int = 2
    ) -> None:
        """Wrap a ProgressGym environment whose humans are language models.

        Args:
            env: The environment.
            adapters: K ModelRefs of the environment's base, as such or as ``ModelRef.to_json`` gives them.
            folder: Where mixtures are kept; None for a temporary folder.
            decimals: Digits that weights are rounded to, from 0 to 6.

        Raises:
            ValueError: If there are no adapters, one is on another base than the environment's, ``decimals`` is out of range,
                or policies are not language models here.
            ModelRefError: If an adapter does not load or is no plain LoRA.
        """
        refs = tuple(ref if isinstance(ref, ModelRef) else ModelRef.from_json(ref) for ref in adapters)
        gym.utils.RecordConstructorArgs.__init__(
            self, adapters=[ref.to_json() for ref in refs], folder=None if folder is None else str(folder), decimals=decimals
        )
        gym.Wrapper.__init__(self, env)
        self._inner = progress_env(env, type(self))
        if not isinstance(env.action_space, ModelSpace):
            raise ValueError(f"AdapterMixture around {env}: its actions are {env.action_space}; expected language models (ModelSpace)")
        if not isinstance(decimals, int) or isinstance(decimals, bool) or not 0 <= decimals <= 6:
            raise ValueError(f"decimals={decimals!r}: expected a whole number of digits from 0 to 6")
        check_mergeable(refs)
        if refs[0] not in env.action_space:
            raise ValueError(f"adapters are on the base {ModelRef(refs[0].base, refs[0].revision)}; expected one of {env.action_space}")
        self.adapters, self.decimals = refs, decimals
        self.action_space = Box(-1.0, 1.0, (len(refs),), np.float32)
        self.policy: ModelRef | None = None
        self._kept = None if folder is None else Path(folder)
        self._scratch: Path | None = None

    @property
    def initial_policy(self) -> np.ndarray:
        """(K,) float32 weights that give the environment's initial policy; zeros, the bare base, if it is not among the adapters."""
        weights = np.zeros(len(self.adapters), np.float32)
        if self._inner.initial_policy in self.adapters:
            weights[self.adapters.index(self._inner.initial_policy)] = 1.0
        return weights

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's; removes the last episode's mixtures unless they are kept in a folder."""
        self._drop_scratch()
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Mix the adapters and submit the mixture.

        Raises:
            InvalidPolicy: If the action is not in the action space; nothing happened then.
        """
        if not self.action_space.contains(action):
            raise InvalidPolicy(f"the action {action!r} is not in {self.action_space}; expected a weight for each adapter")
        weights = self._rounded(action)
        policy = self._mixture(weights)
        observation, reward, terminated, truncated, info = self.env.step(policy)
        self.policy = policy
        return observation, reward, terminated, truncated, {**info, "mixture_weights": weights}

    def close(self) -> None:
        """Remove what is temporary, then close the environment."""
        self._drop_scratch()
        super().close()

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: all but the temporary folder, which the original removes."""
        return {**self.__dict__, "_scratch": None}

    def _rounded(self, action: np.ndarray) -> np.ndarray:
        # Adding 0.0 turns -0.0 into 0.0, which would have another name.
        return np.round(np.asarray(action, np.float64), self.decimals) + 0.0

    def _mixture(self, weights: np.ndarray) -> ModelRef:
        out = self._folder() / mixture_name(self.adapters, weights.tolist())
        if not out.exists():
            # Another process that shares the folder may be quicker; its mixture is the same.
            with contextlib.suppress(FileExistsError):
                merge_adapters(self.adapters, weights.tolist(), out)
        return self.adapters[0].with_adapter(out)

    def _folder(self) -> Path:
        if self._kept is not None:
            return self._kept
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="pg-envs-mixtures-"))
            # For environments that nobody closes.
            weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        return self._scratch

    def _drop_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
