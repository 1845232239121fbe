"""What the real W&B client writes down offline, read back from its own files."""

import json
import pickle
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import pg_envs
from pg_envs.cli import main
from pg_envs.models.ref import local_path
from pg_envs.values.dimensions import DIMENSIONS
from wrappers import AdapterMixture, VectorReward, WandbLogger

BLOCK_BYTES, FILE_HEADER_BYTES, RECORD_HEADER_BYTES = 32768, 7, 7


def records(path):
    """The messages in an offline run's file: LevelDB's log format behind a header of seven bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, parts = path.read_bytes(), FILE_HEADER_BYTES, []
    while place < len(data):
        left = BLOCK_BYTES - place % BLOCK_BYTES
        if left < RECORD_HEADER_BYTES:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts.append(data[place + RECORD_HEADER_BYTES : place + RECORD_HEADER_BYTES + length])
        place += RECORD_HEADER_BYTES + length
        # 1 is a whole record, 4 the last part of one.
        if kind in (1, 4):
            yield wandb_internal_pb2.Record.FromString(b"".join(parts))
            parts = []


class Run:
    """An offline run as its files have it."""

    def __init__(self, folder):
        self.folder, self.history, self.artifacts, self.project, self.config = folder, [], [], None, {}
        for record in records(next(folder.glob("run-*.wandb"))):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                self.history.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
            elif kind == "run":
                self.project = record.run.project
                self.config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "artifact":
                self.artifacts.append(record.artifact)


def runs(folder):
    """The runs in a folder, once they are on disk: W&B's service goes on writing for a moment after a run is finished."""
    import wandb

    wandb.teardown()
    return [Run(path) for path in sorted(folder.glob("wandb/offline-run-*"))]


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_every_step_is_logged(env_id, offline_wandb):
    env = WandbLogger(gym.make(env_id, history="simulated"), "my-project", name="one", agent="drawn")
    rng, ended = np.random.default_rng(0), False
    env.reset(seed=4)
    infos, rewards = [], []
    while not ended:
        env.unwrapped.ask(env.unwrapped.survey[:3])
        _, reward, ended, _, info = env.step(rng.uniform(-1, 1, 19))
        infos.append(info)
        rewards.append(reward)
    trace, score = list(env.unwrapped.trace), env.unwrapped.episode_score()
    env.close()
    (run,) = runs(offline_wandb)
    assert run.project == "my-project"
    assert (run.config["agent"], run.config["seed"], run.config["env"]) == ("drawn", 4, env.unwrapped.spec.id)
    assert run.config["env_args"]["history"] == env.unwrapped.history.name
    assert [line["reward"] for line in run.history] == rewards
    assert run.history[-1]["score"] == pytest.approx(score)
    assert [line["n_queries_total"] for line in run.history] == [3 * (i + 1) for i in range(len(trace))]
    for line, info in zip(run.history, infos, strict=True):
        for prefix, key in (("policy", "policy_vector"), ("target", "target_vector"), ("proxy", "proxy_vector")):
            logged = [line.get(f"{prefix}/{dimension.key}") for dimension in DIMENSIONS]
            assert logged == (info[key].tolist() if key in info else [None] * 19)
        assert line["score_upstream"] == info["score_upstream"]
        assert line.get("lock_in_lag") == info.get("lock_in_lag")
    assert not run.artifacts
    pictures = list((run.folder / "files" / "media" / "images").glob("trajectory_*.png"))
    assert len(pictures) == 1
    with_picture = [any(key.startswith("trajectory/") for key in line) for line in run.history]
    assert with_picture == [False] * (len(trace) - 1) + [True]
    assert pictures[0].read_bytes().startswith(b"\x89PNG")


def test_episodes_are_told_apart_and_a_closed_run_is_over(offline_wandb):
    env = WandbLogger(gym.make("ProgressGym/Follow-v0", history="simulated", centuries=["C019", "C021"]), "p")
    for _ in range(2):
        env.reset(seed=0)
        env.step(np.zeros(19))
        env.step(np.ones(19))
    env.close()
    env.reset(seed=0)
    env.step(np.zeros(19))
    env.close()
    assert [[line["episode"] for line in run.history] for run in runs(offline_wandb)] == [[0, 0, 1, 1], [2]]


def test_environments_side_by_side_have_a_run_each(offline_wandb):
    envs = gym.make_vec(
        "ProgressGym/Follow-v0",
        num_envs=2,
        vectorization_mode="sync",
        wrappers=[lambda env: WandbLogger(env, "p", mode="offline")],
        history="simulated",
    )
    envs.reset(seed=0)
    _, reward, *_ = envs.step(np.random.default_rng(0).uniform(-1, 1, (2, 19)))
    envs.close()
    assert sorted(line["reward"] for run in runs(offline_wandb) for line in run.history) == sorted(reward)


def test_the_environments_own_reward_is_logged_inside_and_outside_vectors(offline_wandb):
    env = WandbLogger(VectorReward(gym.make("ProgressGym/Follow-v0", history="simulated")), "p")
    env.reset(seed=0)
    _, reward, *_ = env.step(np.full(19, 0.5))
    env.close()
    assert runs(offline_wandb)[0].history[0]["reward"] == pytest.approx(reward.sum())


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_the_last_policys_adapter_becomes_an_artifact(tiny, random_adapters, offline_wandb, env_id):
    env = AdapterMixture(WandbLogger(tiny(env_id), "p"), random_adapters[:2])
    env.reset(seed=0)
    actions = [(1, 0), (0, 1), (0.5, 0.5)][-env.unwrapped.n_steps :]
    assert [env.step(np.array(action, np.float32))[2] for action in actions] == [False] * (len(actions) - 1) + [True]
    sizes = {path.name: path.stat().st_size for path in local_path(env.policy.adapter).iterdir()}
    env.close()
    (run,) = runs(offline_wandb)
    (artifact,) = run.artifacts
    assert artifact.type == "model"
    assert str(random_adapters[0].base) in artifact.metadata
    assert {entry.path: entry.size for entry in artifact.manifest.contents} == sizes


def test_a_run_of_the_command_line_is_logged_with_its_last_policy(tiny_family, small_questionnaire, offline_wandb, tmp_path):
    settings = [f'questionnaire="{small_questionnaire}"', 'centuries=["C019", "C021"]']
    command = ["run", "--agent", "sft", "--out", str(tmp_path), "--name", "it", "--wandb", "p", "--env-args", *settings]
    assert main(command) == 0
    result = json.loads((tmp_path / "it" / "result.json").read_text())
    (run,) = runs(offline_wandb)
    assert run.project == "p"
    assert [line["reward"] for line in run.history] == [step["reward"] for step in result["steps"]]
    assert run.history[0][f"policy/{DIMENSIONS[3].key}"] == pytest.approx(result["steps"][0]["policy_vector"][3])
    assert "trajectory" in json.dumps(run.history[-1])
    (artifact,) = run.artifacts
    assert "adapter_model.safetensors" in {entry.path for entry in artifact.manifest.contents}


def simulated_run(folder, *more):
    """The exit code of a run of a second from the command line."""
    return main(["run", "--agent", "no-op", "--history", "simulated", "--out", str(folder), "--name", "it", *more])


def test_whoever_is_not_logged_in_learns_it_before_the_run(offline_wandb, tmp_path, monkeypatch, capsys):
    import wandb

    def ask_for_a_key(**_):
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr(wandb, "login", ask_for_a_key)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert simulated_run(tmp_path, "--wandb", "mine") == 2
    said = capsys.readouterr().err
    assert "--wandb mine: expected somebody who is logged in" in said
    assert "`wandb login` first, or set WANDB_MODE=offline" in said
    assert not (tmp_path / "it").exists()


def test_a_run_that_wandb_does_not_take_is_whole_and_can_be_sent_later(offline_wandb, tmp_path, monkeypatch, capsys):
    import wandb

    def refuse(**_):
        raise wandb.errors.CommError("no such host")

    with monkeypatch.context() as patched:
        patched.setattr(wandb, "init", refuse)
        assert simulated_run(tmp_path, "--wandb", "mine") == 1
    told = capsys.readouterr()
    again = f"pg-envs run --resume {tmp_path / 'it'} --wandb mine"
    assert f"is whole in {tmp_path / 'it'}: no such host; try once more with {again}" in told.err
    assert "skill 0.00" in told.out
    assert main(again.split()[1:]) == 0
    (run,) = runs(offline_wandb)
    assert len(run.history) == len(json.loads((tmp_path / "it" / "result.json").read_text())["steps"])


def test_nothing_is_logged_unless_asked_also_by_the_libraries_that_train(tiny_family, small_questionnaire, offline_wandb, tmp_path):
    settings = [f'questionnaire="{small_questionnaire}"', 'centuries=["C019", "C021"]']
    assert main(["run", "--agent", "sft", "--out", str(tmp_path), "--name", "it", "--env-args", *settings]) == 0
    assert not runs(offline_wandb)


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_a_copy_logs_to_a_run_of_its_own(offline_wandb, env_id):
    env = WandbLogger(gym.make(env_id, history="simulated"), "p")
    env.reset(seed=0)
    env.step(np.zeros(19))
    copied = pickle.loads(pickle.dumps(env))
    for each in (env, copied):
        each.step(np.full(19, 0.5))
        each.close()
    assert sorted(len(run.history) for run in runs(offline_wandb)) == [1, 2]


def test_nothing_is_written_before_the_first_step(offline_wandb):
    env = WandbLogger(gym.make("ProgressGym/Follow-v0", history="simulated"), "p")
    env.reset(seed=0)
    env.close()
    assert not runs(offline_wandb)


@pytest.mark.parametrize(
    "missing",
    [
        "sys.modules['wandb'] = None",
        # The folder of earlier runs in the working directory, which Python takes for a package.
        "sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + ['.']",
    ],
)
def test_without_wandb_the_remedy_is_named(missing, tmp_path):
    (tmp_path / "wandb").mkdir()
    code = (
        "import sys, gymnasium as gym, pg_envs, wrappers\n"
        f"{missing}\n"
        "env = gym.make('ProgressGym/Follow-v0', history='simulated')\n"
        "try: wrappers.WandbLogger(env, 'p')\n"
        "except ImportError as error: print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert "pip install 'pg-envs[wandb]'" in out
