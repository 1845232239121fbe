"""Whether training inside a century learns: the report says what its episodes say, and the page says what the report says."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REPORT = json.loads((ROOT / "docs/interaction.json").read_text(encoding="utf-8"))


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import interaction

    yield interaction
    sys.modules.pop("interaction")


def century(reward, never):
    return {"reward": reward, "reward_of_never": never, "agreement": reward / 2, "agreement_of_never": never / 2}


def test_gains_are_means_over_seeds_of_episodes_against_never_training(benchmark):
    episodes = {"it": {"0": [century(0.9, 0.8), century(0.7, 0.4)], "1": [century(0.6, 0.6), century(0.6, 0.6)]}, "none": {}}
    found = benchmark.summary(episodes)
    assert found["none"] == {"seeds": "0"}
    assert {key: value.split()[0] for key, value in found["it"].items()} == {
        "seeds": "2",
        "reward": "0.700",
        "reward of never": "0.600",
        "reward gained": "0.100",
        "agreement": "0.350",
        "agreement of never": "0.300",
        "agreement gained": "0.050",
    }


def test_what_is_finished_is_kept_and_the_rest_done(benchmark, tmp_path, monkeypatch):
    ran = []

    def episode(seed, n_steps, weights, folder):
        ran.append((seed, n_steps, sorted(weights)))
        yield century(0.5, 0.4)

    monkeypatch.setattr(benchmark.runpy, "run_path", lambda path: {"WEIGHTS": {"agreement": 1.0, "brevity": 0.1}, "episode": episode})
    for seeds in (["0"], ["0", "1"]):
        monkeypatch.setattr(sys, "argv", ["interaction.py", "--steps", "3", "--out", str(tmp_path / "x.json"), "--seeds", *seeds])
        benchmark.main()
    assert ran == [(seed, 3, names) for seed in (0, 1) for names in (["agreement", "brevity"], ["brevity"])]
    assert json.loads((tmp_path / "x.json").read_text())["summary"]["without agreement"]["reward gained"].startswith("0.100")


def test_the_report_and_the_page_say_what_the_episodes_say(benchmark):
    assert REPORT["summary"] == benchmark.summary(REPORT["episodes"])
    page = (ROOT / "docs/interaction.md").read_text(encoding="utf-8")
    for told in REPORT["summary"].values():
        for what in ("reward", "agreement"):
            assert f"{told[what]} | {told[what + ' gained']}" in page


def test_training_on_the_humans_votes_learns_and_training_on_the_rest_does_not():
    ways = REPORT["episodes"]
    gains = {way: [c["reward"] - c["reward_of_never"] for episode in ways[way].values() for c in episode] for way in ways}
    assert min(gains["all objectives"]) > 0
    assert max(map(abs, gains["without agreement"])) < 0.01
