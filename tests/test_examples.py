"""The examples and the README's loop run as they stand; those that train agents for minutes do so on random models and few items."""

import functools
import json
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gymnasium as gym
import pytest
import trl
from tests_support import save_random_family

from pg_envs.history.registry import LIVE
from pg_envs.interaction import OBJECTIVES
from pg_envs.models.ref import ModelRef

ROOT = Path(__file__).parents[1]


def run(script, *arguments, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), *arguments], cwd=cwd, capture_output=True, text=True, check=True
    )


@pytest.fixture
def on_few_items(tmp_path, small_questionnaire, monkeypatch):
    """Run an example in this process, as it stands, on a few items of every theme."""

    def run(script, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(gym, "make", functools.partial(gym.make, questionnaire=small_questionnaire))
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(str(ROOT / "examples" / script), run_name="__main__")

    return run


@pytest.fixture
def random_family(random_base, tmp_path_factory, monkeypatch):
    """``histtiny``'s models are nine random ones, since examples take centuries of their own choice."""
    refs = save_random_family(ModelRef(str(random_base)), tmp_path_factory.mktemp("nine"))
    monkeypatch.setitem(LIVE, "histtiny", lambda: refs)


def test_custom_loop(on_few_items, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    on_few_items("custom_loop.py")
    assert re.findall(r"^(C0\d\d): reward [+-]\d\.\d{3}$", capsys.readouterr().out, re.MULTILINE) == ["C020", "C021"]
    assert [*tmp_path.glob("custom-loop-*/C021/adapter_model.safetensors")]


def test_the_readme_has_the_custom_loop_in_at_most_twenty_lines():
    code = re.search(r"```python\n(import tempfile.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    script = (ROOT / "examples/custom_loop.py").read_text()
    assert code.strip() == script.split('"""', 2)[2].strip()
    assert len(code.strip().splitlines()) <= 20


@pytest.mark.parametrize(
    ("name", "centuries", "last_line"),
    [
        ("lifelong_dpo", ("C019", "C020", "C021"), "policies in mine"),
        ("extrapolative_dpo", ("C018", "C019"), r"events \[.*\]"),
        ("lifelong_rlhf", ("C019", "C020", "C021"), "policies in mine"),
        ("extrapolative_rlhf", ("C019", "C020"), r"events \[.*\]"),
        ("seq2seq_rm", ("C019", "C020", "C021"), "policies in mine"),
        ("morlaif", ("C020", "C021"), "policies in mine"),
    ],
)
def test_agents_run_to_their_end_on_random_models(on_few_items, random_family, tmp_path, capsys, name, centuries, last_line):
    on_few_items(f"{name}.py", "mine")
    said = capsys.readouterr().out
    rewards = re.findall(r"^(C0\d\d)(?:, judged by C0\d\d)?: reward ([+-]\d\.\d{3})(?:, \d+ questions)?$", said, re.MULTILINE)
    assert tuple(century for century, _ in rewards) == centuries
    score = re.search(rf"^score ([+-]\d\.\d{{3}}); {last_line}$", said, re.MULTILINE).group(1)
    assert float(score) == pytest.approx(sum(float(reward) for _, reward in rewards) / len(rewards), abs=0.0011)
    assert all((tmp_path / "mine" / century / "adapter_model.safetensors").exists() for century in centuries)
    assert "failed" not in said


def test_examples_that_fail_or_take_too_long_break_the_promise(tmp_path):
    benchmark = runpy.run_path(str(ROOT / "benchmarks/examples.py"))
    found = {}
    for name, code in (("fine", "print('score +0.500; and so on')"), ("silent", ""), ("failing", "print('score +0.500'); 1 / 0")):
        (tmp_path / f"{name}.py").write_text(code)
        found[name] = benchmark["timed"](tmp_path / f"{name}.py")
    assert [example["score"] for example in found.values()] == [0.5, None, None]
    slow = {"seconds": 601.0, "score": 0.5}
    assert [benchmark["within_promise"]({"examples": {"morlaif": it}}) for it in (*found.values(), slow)] == [True, False, False, False]


@pytest.mark.parametrize("name", ["follow", "predict"])
def test_sb3_learns_beyond_its_seeds(name, tmp_path):
    pytest.importorskip("stable_baselines3")
    few = ("--ppo-steps", "4000", "--sac-steps", "10", "--n-episodes", "5", "--n-points", "1")
    said = run(f"sb3_{name}.py", *few, cwd=tmp_path).stdout
    reached = re.findall(r"(\S+), seed 0: (PPO|SAC) reaches skill (-?\d\.\d\d) on unseen seeds", said)
    assert [line[:2] for line in reached] == [(h, a) for h in ("simulated", "simulated-random") for a in ("PPO", "SAC")]
    # Ten steps are next to nothing for SAC, which has a test of its own.
    assert all(float(skill) > 0.4 for _, algorithm, skill in reached if algorithm == "PPO")
    assert (tmp_path / f"runs/sb3/sb3-{name}.png").exists()
    assert (tmp_path / f"runs/sb3/sb3-{name}.json").exists()


def test_sac_learns_too(monkeypatch):
    pytest.importorskip("stable_baselines3")
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import sb3_training

    follow = "ProgressGym/Follow-v0"
    env = sb3_training.ValueReadings(gym.make(follow, history="simulated"))
    (_, before), (steps, after) = sb3_training.learning_curve(sb3_training.make_sac(follow, "simulated", 0), env, 700, 5, 1)
    assert steps == 700
    assert after > 0.4 > before


def test_sb3_trains_with_every_seed_and_keeps_what_each_took(tmp_path):
    pytest.importorskip("stable_baselines3")
    least = ("--ppo-steps", "1", "--sac-steps", "1", "--n-episodes", "1", "--n-points", "1")
    said = run("sb3_follow.py", "--seeds", "3", "5", *least, cwd=tmp_path).stdout
    report = json.loads((tmp_path / "runs/sb3/sb3-follow.json").read_text())
    for history in ("simulated", "simulated-random"):
        for algorithm in ("PPO", "SAC"):
            found = report[history][algorithm]
            assert list(found) == ["3", "5"]
            # Other weights from the start.
            assert found["3"]["curve"][0] != found["5"]["curve"][0]
            assert all(0 < told[seconds] < 600 for told in found.values() for seconds in ("wall_s", "cpu_s"))
        assert re.search(rf"^follow on {history}: PPO -?\d\.\d{{3}} ± \d\.\d{{3}}, SAC", said, re.MULTILINE)


def test_sb3_on_adapters_of_random_models(on_few_items, tiny_family, tmp_path, monkeypatch, capsys):
    pytest.importorskip("stable_baselines3")
    monkeypatch.setattr("pg_envs.history.live.histtiny_refs", lambda: (*tiny_family, *tiny_family))
    on_few_items("sb3_adapters.py", "3")
    number = r"[+-]\d\.\d{3}"
    mixed = r"(?:[+-]\d\.\d\d, ){2}[+-]\d\.\d\d"
    pattern = rf"^after (\d+) steps, (C0\d\d): weights {mixed}, reward {number} \(never learning {number}\)$"
    judged = re.findall(pattern, capsys.readouterr().out, re.MULTILINE)
    assert judged == [(n, century) for n in ("0", "3") for century in ("C019", "C020", "C021")]
    report = json.loads((tmp_path / "runs/sb3/sb3-adapters.json").read_text())
    untrained, trained = report["untrained"], report["trained"]
    assert [before["weights"] for before in untrained] != [after["weights"] for after in trained]
    # Who never learns is the same before and after.
    assert [before["reward_of_never"] for before in untrained] == [after["reward_of_never"] for after in trained]


def test_forecast_on_simulated(tmp_path):
    scores = [float(score) for score in re.findall(r"mean score (\d\.\d+)", run("simulated_forecast.py", cwd=tmp_path).stdout)]
    assert len(scores) == 2
    assert scores[1] > scores[0]


def own_plan(folder, base, questionnaire):
    """The example's plan with its text and instructions, three periods, but a random base, few items and one pass."""
    shutil.copytree(ROOT / "examples" / "own_history", folder)
    path = folder / "plan.toml"
    plan, n_passes = re.subn(r"n_epochs = \S+", "n_epochs = 1.0", path.read_text())
    plan, n_bases = re.subn(r'base = "\S+"', f'base = "{base}"\nquestionnaire = "{questionnaire}"', plan)
    assert (n_passes, n_bases) == (2, 1)
    path.write_text(plan)
    return path


def test_own_history_from_a_folder_of_text_to_a_follow_run(random_base, small_questionnaire, tmp_path):
    plan = own_plan(tmp_path / "mine", random_base, small_questionnaire)
    said = run("own_history.py", "here", str(plan), cwd=tmp_path).stdout
    rewards = re.findall(r"^(middle|late): reward ([+-]\d\.\d{3})$", said, re.MULTILINE)
    assert [period for period, _ in rewards] == ["middle", "late"]
    score = re.search(r"^score ([+-]\d\.\d{3}); .* in here/family$", said, re.MULTILINE).group(1)
    assert float(score) == pytest.approx(sum(float(reward) for _, reward in rewards) / 2, abs=0.0011)
    assert all((tmp_path / "here" / "family" / period / "README.md").exists() for period in ("early", "middle", "late"))
    assert json.loads((tmp_path / "here" / "recording" / "manifest.json").read_text())["centuries"] == ["early", "middle", "late"]
    assert len([*(tmp_path / "here" / "policies").rglob("adapter_model.safetensors")]) == 2


def test_trl_custom_loop_on_random_models(on_few_items, tiny_family, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    on_few_items("trl_custom_loop.py", "1")
    number = r"[+-]?\d\.\d{3}"
    told = rf"^(C0\d\d): reward {number} \(never trained {number}\), agreement {number} \({number}\) after 1 steps and (\d+) questions$"
    found = re.findall(told, capsys.readouterr().out, re.MULTILINE)
    assert [century for century, _ in found] == ["C020", "C021"]
    # Judging asks far more; what is told is what training asked: of 8 items at most all comparisons.
    assert all(0 <= int(n_questions) <= 8 * 6 for _, n_questions in found)
    assert len(list(tmp_path.glob("trl-custom-loop-*/C021/adapter_model.safetensors"))) == 1


def test_trl_custom_loop_gives_each_objective_a_function_and_each_group_a_start(on_few_items, tiny_family, tmp_path, monkeypatch):
    trainers, groups = [], []

    def noting(function):
        @functools.wraps(function)
        def judge(prompts, completions, **columns):
            rewards = function(prompts, completions, **columns)
            starts = [(prompt[0]["content"], seed) for prompt, seed in zip(prompts, columns["seed"], strict=True)]
            groups.extend(starts[i : i + 4] for i in range(0, len(starts), 4))
            return rewards

        return judge

    class Trainer(trl.GRPOTrainer):
        def __init__(self, model, reward_funcs, args, train_dataset, **others):
            trainers.append((reward_funcs, args, train_dataset))
            super().__init__(model, [noting(function) for function in reward_funcs], args, train_dataset=train_dataset, **others)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("trl.GRPOTrainer", Trainer)
    on_few_items("trl_custom_loop.py", "2")
    assert len(trainers) == 2
    for functions, arguments, data in trainers:
        assert sorted(function.__name__ for function in functions) == sorted(OBJECTIVES)
        assert len(arguments.reward_weights) == len(functions)
        assert arguments.num_generations == 4
        assert set(data.column_names) == {"prompt", "seed", "answers", "item_id"}
        # A step's eight prompts are of one seed, the next step's of another.
        assert [len(set(data["seed"][i : i + 8])) for i in (0, 8)] == [1, 1]
        assert len(set(data["seed"])) == 2
    # Two centuries, two steps each, eight groups a step, told to three functions; all samples of a group share prompt and seed.
    assert [len(set(group)) for group in groups] == [1] * (2 * 2 * 8 * 3)
    assert len({start for (start, *_) in groups}) > 8


def test_a_reward_function_of_the_example_is_its_objective():
    make = runpy.run_path(str(ROOT / "examples/trl_custom_loop.py"))["reward_function"]

    class Task:
        def score(self, turns):
            return {name: 10 * index + len(turns) for index, name in enumerate(OBJECTIVES)}

    turn = {"role": "user", "content": "Yes or no?"}
    found = [make(Task(), name)([[turn], [turn, turn]], [[turn], [turn]], seed=[1, 2]) for name in OBJECTIVES]
    assert found == [[2, 3], [12, 13], [22, 23]]


def test_trl_custom_loop_shows_what_was_trained_beside_what_never_was(tiny_family, small_questionnaire, tmp_path):
    example = runpy.run_path(str(ROOT / "examples/trl_custom_loop.py"))
    trained = tiny_family[2:]  # of C018 to C021
    around = example["episode"].__globals__
    around["ENVIRONMENT"]["questionnaire"] = small_questionnaire
    around["train"] = lambda task, policy, folder, *rest: trained[folder.endswith("C021")]
    around["agreement"] = lambda env, policy: tiny_family.index(policy)
    first, second = example["episode"](0, 1, example["WEIGHTS"], str(tmp_path))
    assert [(t["agreement"], t["agreement_of_never"]) for t in (first, second)] == [(2, 1), (3, 1)]
    # In each century its own humans were submitted, and beside them those of the first.
    assert first["reward"] == second["reward"] == pytest.approx(1.0)
    assert first["reward_of_never"] < 1
    assert second["reward_of_never"] < 1


def test_agreement_of_the_example_tells_who_answers_as_the_humans_vote(tiny_family, small_questionnaire, monkeypatch):
    example = runpy.run_path(str(ROOT / "examples/trl_custom_loop.py"))
    around = example["agreement"].__globals__
    around["N_JUDGED"] = 20
    env = gym.make("ProgressGym/Follow-v0", centuries=("C019", "C021"), questionnaire=small_questionnaire)
    env.reset(seed=0)
    task = env.unwrapped.interaction(votes_per_comparison=32)

    class Answers:
        def __init__(self, best):
            self.best = best

        def generate(self, policy, prompts, **settings):
            rows = task.prompts(10**6)[:20]
            assert [row["prompt"] for row in rows] == prompts
            scored = [[(task.score([*row["prompt"], turn(a)])["agreement"], a) for a in row["answers"]] for row in rows]
            return [(max if self.best else min)(answers)[1] for answers in scored]

    def turn(answer):
        return {"role": "assistant", "content": answer}

    found = []
    for best in (True, False):
        around["TransformersEngine"] = lambda best=best: Answers(best)
        found.append(example["agreement"](env, None))
    assert found[0] > 0.5 > found[1]
