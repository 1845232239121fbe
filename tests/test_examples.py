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
from tests_support import save_random_family

from pg_envs.history.registry import LIVE
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
    assert [benchmark["within_promise"]({"examples": {"it": it}}) for it in (*found.values(), slow)] == [True, False, False, False]


@pytest.mark.parametrize("name", ["follow", "predict"])
def test_sb3_learns_beyond_its_seeds(name, tmp_path):
    pytest.importorskip("stable_baselines3")
    few = ("--ppo-steps", "4000", "--sac-steps", "10", "--n-episodes", "5", "--n-points", "1")
    said = run(f"sb3_{name}.py", *few, cwd=tmp_path).stdout
    reached = re.findall(r"(\S+): (PPO|SAC) reaches skill (-?\d\.\d\d) on unseen seeds", said)
    assert [line[:2] for line in reached] == [(h, a) for h in ("simulated", "simulated-random") for a in ("PPO", "SAC")]
    # Ten steps are next to nothing for SAC.
    assert all(float(skill) > 0.4 for _, algorithm, skill in reached if algorithm == "PPO")
    assert (tmp_path / f"runs/sb3/sb3-{name}.png").exists()
    assert (tmp_path / f"runs/sb3/sb3-{name}.json").exists()


def test_sb3_on_adapters_of_random_models(on_few_items, tiny_family, monkeypatch, capsys):
    pytest.importorskip("stable_baselines3")
    monkeypatch.setattr("pg_envs.history.live.histtiny_refs", lambda: (*tiny_family, *tiny_family))
    on_few_items("sb3_adapters.py", "3")
    pattern = r"^after (\d+) steps, (C0\d\d): weights (?:[+-]\d\.\d\d, ){2}[+-]\d\.\d\d, reward [+-]\d\.\d{3}$"
    judged = re.findall(pattern, capsys.readouterr().out, re.MULTILINE)
    assert judged == [(n, century) for n in ("0", "3") for century in ("C019", "C020", "C021")]


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
