"""Records load back as what happened, and outlive whoever wrote them."""

import json
import pickle
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from pg_envs.models.ref import ModelRef
from wrappers import RecordEpisode


def lines_of(folder, episode=0):
    return [json.loads(line) for line in (folder / f"episode-{episode:05d}.jsonl").read_text(encoding="utf-8").splitlines()]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def same(recorded, happened):
    """Whether JSON says what happened, array by array and number by number."""
    if isinstance(happened, dict):
        return recorded.keys() == happened.keys() and all(same(recorded[key], happened[key]) for key in happened)
    if isinstance(happened, np.ndarray):
        return np.array_equal(np.array(recorded, happened.dtype), happened)
    return recorded == happened


def test_every_step_is_a_line_that_says_what_happened(simulated, tmp_path):
    env = RecordEpisode(simulated(), str(tmp_path / "new" / "records"))
    rng, ended = np.random.default_rng(0), False
    observation, info = env.reset(seed=3)
    happened = [{"episode": 0, "step": 0, "seed": 3, "observation": observation, "info": info}]
    while not ended:
        action = rng.uniform(-1, 1, 19)
        observation, reward, ended, truncated, info = env.step(action)
        happened.append({"episode": 0, "step": len(happened), "action": action, "observation": observation})
        happened[-1] |= {"reward": reward, "terminated": ended, "truncated": truncated, "info": info}
        # Already there, before anything is closed.
        assert len(lines_of(env.folder)) == len(happened)
    recorded = lines_of(env.folder)
    assert len(recorded) == env.unwrapped.n_steps + 1
    for line, step in zip(recorded, happened, strict=True):
        assert same(line, step)


def test_the_recorded_actions_give_the_recorded_rewards_again(simulated, tmp_path):
    env = RecordEpisode(simulated(), str(tmp_path))
    env.reset(seed=11)
    env.action_space.seed(0)
    for _ in range(3):
        env.step(env.action_space.sample())
    first, *steps = lines_of(tmp_path)
    again = simulated()
    again.reset(seed=first["seed"])
    assert [again.step(np.array(step["action"]))[1] for step in steps] == [step["reward"] for step in steps]


def test_the_same_episode_gives_the_same_file(simulated, tmp_path):
    for name in "ab":
        env = RecordEpisode(simulated(), str(tmp_path / name))
        env.reset(seed=1)
        env.step(np.full(19, 0.5))
    assert (tmp_path / "a" / "episode-00000.jsonl").read_bytes() == (tmp_path / "b" / "episode-00000.jsonl").read_bytes()


def test_files_that_exist_are_left_alone(simulated, tmp_path):
    (tmp_path / "episode-00000.jsonl").write_text("precious")
    one, other = (RecordEpisode(simulated(), str(tmp_path)) for _ in range(2))
    one.reset(seed=0)
    other.reset(seed=1)
    one.step(np.zeros(19))
    one.reset()
    assert (tmp_path / "episode-00000.jsonl").read_text() == "precious"
    assert names_in(tmp_path) == [f"episode-0000{i}.jsonl" for i in range(4)]
    assert [len(lines_of(tmp_path, i)) for i in (1, 2, 3)] == [2, 1, 1]
    assert [lines_of(tmp_path, i)[0]["seed"] for i in (1, 2, 3)] == [0, 1, None]
    assert [lines_of(tmp_path, i)[0]["episode"] for i in (1, 2, 3)] == [1, 2, 3]


def test_a_killed_run_keeps_its_lines(tmp_path):
    code = (
        "import os, signal, gymnasium as gym, numpy as np, pg_envs\n"
        "from wrappers import RecordEpisode\n"
        f"env = RecordEpisode(gym.make('ProgressGym/Follow-v0', history='simulated'), {str(tmp_path)!r})\n"
        "env.reset(seed=0)\n"
        "for _ in range(3): env.step(np.zeros(19))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert [line["step"] for line in lines_of(tmp_path)] == [0, 1, 2, 3]


def test_models_are_recorded_by_name(tiny, random_adapters, tmp_path):
    env = RecordEpisode(tiny(), str(tmp_path))
    env.reset(seed=0)
    env.step(random_adapters[5])
    env.close()
    assert ModelRef.from_json(lines_of(tmp_path)[1]["action"]) == random_adapters[5]


def test_a_step_that_raises_leaves_no_line(simulated, tmp_path):
    env = RecordEpisode(simulated(), str(tmp_path))
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(19))
    assert not names_in(tmp_path)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="is not in"):
        env.step(np.zeros(3))
    env.step(np.zeros(19))
    assert [line["step"] for line in lines_of(tmp_path)] == [0, 1]


def test_a_copy_has_a_file_of_its_own_with_all_of_its_episode(simulated, tmp_path):
    env = RecordEpisode(simulated(), str(tmp_path))
    env.reset(seed=0)
    env.step(np.zeros(19))
    copied = pickle.loads(pickle.dumps(env))
    assert names_in(tmp_path) == ["episode-00000.jsonl"]
    env.step(np.full(19, 0.5))
    copied.step(np.full(19, -0.5))
    one, other = lines_of(tmp_path), lines_of(tmp_path, 1)
    assert [line["step"] for line in one] == [line["step"] for line in other] == [0, 1, 2]
    assert [line.pop("episode") for line in one + other] == [0] * 3 + [1] * 3
    assert one[:2] == other[:2]
    assert (one[2]["action"][0], other[2]["action"][0]) == (0.5, -0.5)


def test_a_truncated_episode_ends_its_file(simulated, tmp_path):
    env = RecordEpisode(gym.wrappers.TimeLimit(simulated(), 2), str(tmp_path))
    env.reset(seed=0)
    env.step(np.zeros(19))
    assert env.step(np.zeros(19))[3]
    assert lines_of(tmp_path)[-1]["truncated"]
    with pytest.raises(gym.error.ResetNeeded, match="after the episode's end"):
        env.step(np.zeros(19))
    assert len(lines_of(tmp_path)) == 3


def test_recording_changes_nothing(simulated, tmp_path):
    recorded, plain = RecordEpisode(simulated(), str(tmp_path)), simulated()
    assert data_equivalence(recorded.reset(seed=0), plain.reset(seed=0))
    assert data_equivalence(recorded.step(np.zeros(19)), plain.step(np.zeros(19)))
