"""Episodes as files of JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

import gymnasium as gym

from pg_envs.results import plain


class RecordEpisode(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """Writes one file an episode into a folder, ``episode-00000.jsonl`` and so on: a line for the reset, one for every step.

    A line is a JSON object. Every line has ``episode`` (the file's number), ``step`` (0 for the reset), ``observation``
    and ``info``; the reset's has ``seed`` as given, a step's ``action``, ``reward``, ``terminated`` and ``truncated``. Arrays
    are lists, ModelRefs dicts (``ModelRef.from_json`` reads them). This wrapper adds no clock; what ``RecordEpisodeStatistics``
    puts into ``info`` when it is inside has one.

    Lines are written out at once, so that a killed run keeps them. A file that exists is never written to: episodes
    take the next free number, also where several environments or processes share the folder. A pickled or copied
    environment writes into a file of its own too, which begins with what the episode had before the copy.

    ## Example
    ```python
    import gymnasium as gym

    import pg_envs  # registers the environments
    from wrappers import RecordEpisode

    env = RecordEpisode(gym.make("ProgressGym/Follow-v0", history="simulated"), folder="episodes")
    env.reset(seed=0)
    env.step(env.action_space.sample())  # two lines in episodes/episode-00000.jsonl
    env.close()
    ```
    """

    def __init__(self, env: gym.Env[Any, Any], folder: str) -> None:
        """Wrap an environment.

        Args:
            env: The environment.
            folder: Where the files go; made if it is missing.
        """
        gym.utils.RecordConstructorArgs.__init__(self, folder=str(folder))
        gym.Wrapper.__init__(self, env)
        self.folder = Path(folder)
        self._file: TextIO | None = None
        self._episode = -1
        self._said: list[dict[str, Any]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's; begins a file."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._end_file()
        self._write({"seed": seed, "observation": observation, "info": info})
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's; adds a line."""
        if not self._said:
            raise gym.error.ResetNeeded("RecordEpisode: step() before reset(), or after the episode's end: call reset() first")
        observation, reward, terminated, truncated, info = self.env.step(action)
        line = {"action": action, "observation": observation, "reward": reward, "terminated": terminated, "truncated": truncated}
        self._write({**line, "info": info})
        if terminated or truncated:
            self._end_file()
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Close the file, then the environment."""
        self._end_file()
        super().close()

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: all but the open file."""
        return {**self.__dict__, "_file": None}

    def _new_file(self) -> TextIO:
        """A file nobody has written to; the operating system settles who gets a number that two ask for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            self._episode += 1
            try:
                return (self.folder / f"episode-{self._episode:05d}.jsonl").open("x", encoding="utf-8")
            except FileExistsError:
                continue

    def _write(self, line: dict[str, Any]) -> None:
        self._said.append(plain({"step": len(self._said), **line}))
        unwritten = self._said[-1:]
        if self._file is None:
            # A new episode, or a copy's, which has said more than this.
            self._file, unwritten = self._new_file(), self._said
        self._file.writelines(json.dumps({"episode": self._episode, **said}, allow_nan=False) + "\n" for said in unwritten)
        self._file.flush()

    def _end_file(self) -> None:
        self._said = []
        if self._file is not None:
            self._file.close()
            self._file = None
