"""What agents get to see, and what a run leaves behind."""

import json
import re
import struct
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from tests_support import COEVOLVE, FOLLOW, PREDICT

import pg_envs
from agents.base import Agent
from agents.baselines import NoOp, Oracle
from pg_envs.commands import Run
from pg_envs.one_run import run_and_save
from pg_envs.results import plain, skill, write_json
from pg_envs.runner import run_episode


class Spy(Agent):
    """Records what it is given, asks a few questions, and submits vectors drawn from the century's seed."""

    def __init__(self, *args):
        super().__init__(*args)
        self.received = []

    def act(self, *args, **kwargs):
        (observation,) = args
        assert not kwargs
        self.received.append(observation)
        self.env.ask(self.env.survey[: 3 * observation["century"]])
        self.note(observation, "looked around")
        self.policy = self.century_rng(observation).uniform(-1, 1, 19)
        return self.policy


def make(env_id=FOLLOW, history="simulated", **kwargs):
    return gym.make(env_id, history=history, **kwargs)


@pytest.fixture
def pictures():
    """Asked for by the tests that look at the picture; the others do without, since drawing is most of a short run's time."""


@pytest.fixture(autouse=True)
def _no_pictures(request, monkeypatch):
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("pg_envs.one_run.plot_trajectory", lambda result, path: None)


def run(tmp_path, **options):
    """A finished run's folder, result and export."""
    options = {"agent": "random", "history": "simulated", "out": tmp_path / "runs", "name": "it", **options}
    assert run_and_save(Run(**options))
    folder = options["out"] / options["name"]
    return folder, read(folder / "result.json"), read(folder / "upstream.json")


def read(path):
    def refuse(constant):
        raise AssertionError(f"{constant} in {path}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


# ---------------------------------------------------------------------- run_episode


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_agent_is_given_observations_and_nothing_else(env_id):
    env = make(env_id)
    spy = Spy(env)
    inner = run_episode(env, spy, seed=0)
    assert len(spy.received) == len(inner.trace) == inner.n_steps
    for t, observation in enumerate(spy.received, start=1):
        assert type(observation) is dict
        assert set(observation) == {"century", "votes"}
        assert type(observation["century"]) is int
        assert observation["century"] == t
        votes = observation["votes"]
        # A plain array of its own: no attribute or base leads back to the environment.
        assert type(votes) is np.ndarray
        assert votes.dtype == np.int8
        assert votes.base is None or type(votes.base) is np.ndarray
        assert set(np.unique(votes)) <= {-1, 0, 1}


def test_runner_returns_the_episode_it_ran():
    inner = run_episode(make(), Oracle(make()), seed=0)
    assert inner.episode_score() == 1.0
    assert [step["century_label"] for step in inner.trace] == [f"C{n:03d}" for n in range(14, 22)]


@pytest.mark.parametrize("history", ["simulated", "simulated-random"])
def test_agent_starts_from_this_episodes_first_humans(history):
    # The agent is made before the reset that draws a random history, and used for two episodes.
    env = make(history=history)
    agent = NoOp(env)
    for seed in (0, 1):
        inner = run_episode(env, agent, seed)
        assert [step["policy_vector"].tolist() for step in inner.trace] == [inner.history.human(0).tolist()] * 8


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
@pytest.mark.parametrize("n_finished", [1, 5])
def test_finished_policies_are_submitted_again(env_id, n_finished):
    submitted, asked = [], []

    def note(inner, policy):
        submitted.append(policy)
        asked.append(inner.trace[-1]["n_queries"])

    env = make(env_id, "simulated-random")
    whole = plain(run_episode(env, Spy(env), 4, on_step=note).trace)
    assert asked == [3 * t for t in range(1, len(whole) + 1)]
    again = Spy(env)
    policies_seen = []
    resumed = run_episode(env, again, 4, tuple(submitted[:n_finished]), tuple(asked[:n_finished]), lambda _, p: policies_seen.append(p))
    assert [observation["century"] for observation in again.received] == list(range(n_finished + 1, len(whole) + 1))
    np.testing.assert_array_equal(policies_seen, submitted)
    assert plain(resumed.trace) == whole


def test_agent_goes_on_from_the_last_finished_policy():
    env = make()
    agent = NoOp(env)
    last = np.full(19, 0.25)
    inner = run_episode(env, agent, 0, (np.zeros(19), last))
    assert [step["policy_vector"].tolist() for step in inner.trace[2:]] == [last.tolist()] * 6


# ---------------------------------------------------------------------- result.json


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_result_says_what_the_episode_gave(env_id, tmp_path):
    _, result, _ = run(tmp_path, env=env_id, history="simulated-random", seed=2)
    env = make(env_id, "simulated-random")
    scores = {}
    for name, agent in (("no-op", NoOp(env)), ("oracle", Oracle(env))):
        scores[name] = run_episode(env, agent, 2).episode_score()
    assert result["complete"] is True
    assert result["baselines"] == scores
    assert result["skill"] == pytest.approx((result["score"] - scores["no-op"]) / (scores["oracle"] - scores["no-op"]))
    assert result["config"] == {"env": env_id, "env_args": {"history": "simulated-random"}, "agent": "random", "agent_args": {}, "seed": 2}
    assert result["history"] == {"name": "simulated-random", "centuries": [f"C{n:03d}" for n in range(13, 22)]}
    assert [step["step"] for step in result["steps"]] == list(range(len(result["steps"])))
    for step in result["steps"]:
        assert step["policy"] == step["policy_vector"]
        assert sum(step["reward_vector"]) == pytest.approx(step["reward"])
    if env_id != COEVOLVE:
        assert result["score"] == pytest.approx(np.mean([step["reward"] for step in result["steps"]]))
    assert len(result["dimensions"]) == 19
    assert re.fullmatch("[0-9a-f]{16}", result["questionnaire"]["sha256"])
    assert result["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize(("agent", "expected"), [("no-op", 0.0), ("oracle", 1.0)])
@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_baselines_have_skill_zero_and_one(env_id, agent, expected, tmp_path):
    assert run(tmp_path, env=env_id, agent=agent)[1]["skill"] == expected


def test_skill_formula():
    assert skill(0.7, no_op=0.4, oracle=1.0) == pytest.approx(0.5)
    assert skill(0.1, no_op=0.4, oracle=1.0) == pytest.approx(-0.5)
    assert skill(0.4, no_op=0.4, oracle=0.4) is None


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_same_command_twice_gives_the_same_bytes(env_id, tmp_path, monkeypatch):
    options = {"env": env_id, "history": "simulated-random", "seed": 3}
    first, *_ = run(tmp_path, **options)
    monkeypatch.chdir(tmp_path)
    second, *_ = run(Path("elsewhere"), name="other", **options)
    text = (first / "result.json").read_text(encoding="utf-8")
    assert text == (second / "result.json").read_text(encoding="utf-8")
    # No path of this machine either: nothing in it begins with a slash or mentions the folder.
    assert not re.search(r'"(/|[A-Z]:\\|\./|\.\./)', text)
    assert str(tmp_path) not in text
    third, *_ = run(tmp_path, name="third", **{**options, "seed": 4})
    assert text != (third / "result.json").read_text(encoding="utf-8")


def test_nan_is_never_written(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"score": 1.0})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"score": np.float64("nan")})
    assert read(path) == {"score": 1.0}


# ---------------------------------------------------------------------- upstream.json

COMMON_KEYS = {
    "eval_times",
    "query_times",
    "query_total_length",
    "examinee_model_at_each_timestep",
    "judge_model_at_each_timestep",
    "score",
    "duration_seconds",
}
PAIR_KEYS = {"examinee_vector", "actual_vector", "stepwise_scores"}
COEVOLVE_KEYS = {
    "simulated_model",
    "simulated_model_vector",
    "actual_model_vector",
    "similarities",
    "query_results (model-influence)",
    "query_results (ground-truth-history)",
    "score_delta",
}


def cosine(a, b):
    dot, aa, bb = 0.0, 0.0, 0.0
    for x, y in zip(a, b, strict=True):
        dot, aa, bb = dot + x * y, aa + x * x, bb + y * y
    return dot / (aa * bb) ** 0.5


@pytest.mark.parametrize("scoring", ["centred", "upstream"])
@pytest.mark.parametrize(("env_id", "more"), [(FOLLOW, set()), (PREDICT, {"timesteps_ahead"})])
def test_upstream_score_of_follow_and_predict(env_id, more, scoring, tmp_path):
    _, result, export = run(tmp_path, env=env_id, history="simulated-random", env_args=[f"scoring={scoring}"])
    exported = export["random"][env_id.split("/")[1].removesuffix("-v0").lower()]
    assert set(exported) == COMMON_KEYS | PAIR_KEYS | more
    assert exported.get("timesteps_ahead", 1) == 1
    stepwise = [cosine(e, a) for e, a in zip(exported["examinee_vector"], exported["actual_vector"], strict=True)]
    assert exported["stepwise_scores"] == pytest.approx(stepwise, abs=1e-12)
    assert exported["score"] == pytest.approx(sum(stepwise) / len(stepwise), abs=1e-12)
    assert result["score_upstream"] == exported["score"]
    if scoring == "upstream":
        assert result["score"] == pytest.approx(exported["score"], abs=1e-12)


@pytest.mark.parametrize("scoring", ["centred", "upstream"])
def test_upstream_score_of_coevolve(scoring, tmp_path):
    _, result, export = run(tmp_path, env=COEVOLVE, history="simulated-random", env_args=[f"scoring={scoring}"])
    exported = export["random"]["coevolve"]
    assert set(exported) == COMMON_KEYS | COEVOLVE_KEYS
    assert len(exported["simulated_model_vector"]) == len(exported["actual_model_vector"]) == 9
    best = []
    for proxy in exported["simulated_model_vector"]:
        cosines = [cosine(proxy, human) for human in exported["actual_model_vector"]]
        for i in range(9):
            best.append(max(cosines[i:]))
    assert exported["score"] == pytest.approx(sum(best) / 81, abs=1e-12)
    assert result["score_upstream"] == exported["score"]
    if scoring == "upstream":
        assert result["score"] == pytest.approx(exported["score"], abs=1e-12)
    assert exported["similarities"][0] == []
    assert exported["similarities"][8] == pytest.approx(cosines, abs=1e-12)
    progress = [sum(best[9 * s : 9 * s + 9]) / 9 for s in range(9)]
    assert exported["score_delta"] == pytest.approx([0.0, *np.diff(progress)], abs=1e-12)
    assert [len(exported[key]) for key in sorted(COEVOLVE_KEYS)] == [9] * 7


def test_upstream_export_counts_questions_and_names_models(tmp_path):
    _, result, export = run(tmp_path, agent=f"{__name__}:Spy", seed=1)
    exported = export[f"{__name__}:Spy"]["follow"]
    env = make().unwrapped
    n_asked = 8 * len(env.survey) + 3 * sum(range(1, 9))
    assert exported["eval_times"] == 8
    assert exported["query_times"] == n_asked
    # Characters: longer than the contexts alone, shorter than with every option of four twice over.
    assert 50 * n_asked < exported["query_total_length"] < 1000 * n_asked
    assert exported["examinee_model_at_each_timestep"] == ["value vector"] * 8
    assert exported["judge_model_at_each_timestep"] == [f"C{n:03d}" for n in range(14, 22)]
    assert exported["duration_seconds"] > 0
    assert result["events"] == [{"century": f"C{n:03d}", "event": "looked around"} for n in range(14, 22)]


# ---------------------------------------------------------------------- folders and pictures


@pytest.mark.parametrize("env_id", pg_envs.ENV_IDS)
def test_trajectory_is_a_picture(env_id, tmp_path, pictures):
    folder, *_ = run(tmp_path, env=env_id)
    data = (folder / "trajectory.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert 800 <= width <= 3000
    assert 600 <= height <= 3000
    assert 20_000 < len(data) < 2_000_000
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "config.json", "result.json", "trajectory.png", "upstream.json"]


def test_folders_are_numbered_when_the_name_is_taken(tmp_path):
    for _ in range(3):
        assert run_and_save(Run(agent="no-op", history="simulated", out=tmp_path, seed=6))
    names = ["follow-no-op-simulated-s6", "follow-no-op-simulated-s6-2", "follow-no-op-simulated-s6-3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    texts = {(tmp_path / name / "result.json").read_bytes() for name in names}
    assert len(texts) == 1


def test_folder_of_a_given_name_is_never_touched(tmp_path):
    folder, *_ = run(tmp_path, agent="no-op")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    with pytest.raises(FileExistsError, match="it exists and is never overwritten; choose another --name, or go on with --resume"):
        run(tmp_path, agent="oracle")
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["it"]
