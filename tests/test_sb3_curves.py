"""What Stable-Baselines3 reached: the reports hold what is promised of them, and the page says what they say."""

import json
from pathlib import Path

import pytest

from pg_envs.intervals import interval

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "sb3.md").read_text(encoding="utf-8")
REPORTS = {name: json.loads((DOCS / f"sb3-{name}.json").read_text(encoding="utf-8")) for name in ("follow", "predict")}
# On simulated the trajectory can be memorised; on simulated-random it cannot.
PROMISED = {("follow", "simulated"): 0.9, ("follow", "simulated-random"): 0.6, ("predict", "simulated-random"): 0.6}


def final_skills(by_seed):
    return [told["curve"][-1][1] for told in by_seed.values()]


@pytest.mark.parametrize("algorithm", ["PPO", "SAC"])
@pytest.mark.parametrize(("name", "history"), PROMISED)
def test_every_seed_reaches_the_skill_that_was_asked_for(name, history, algorithm):
    reached = final_skills(REPORTS[name][history][algorithm])
    assert len(reached) >= 3
    assert min(reached) >= PROMISED[name, history]


@pytest.mark.parametrize("name", REPORTS)
def test_the_pages_table_is_the_reports(name):
    for history, found in REPORTS[name].items():
        cells = [interval(final_skills(found[algorithm])) for algorithm in ("PPO", "SAC")]
        line = f"| {name.capitalize()}, `{history}` | {' | '.join(cells)} | {found['reading the votes']:.2f} |"
        assert line in PAGE


@pytest.mark.parametrize("name", REPORTS)
def test_the_page_says_how_long_it_took(name):
    """A seed is both algorithms on both histories."""
    minutes = {}
    for unit in ("wall_s", "cpu_s"):
        trainings = [found[algorithm] for found in REPORTS[name].values() for algorithm in ("PPO", "SAC")]
        seconds = [sum(told[unit] for told in of_seed) for of_seed in zip(*(by_seed.values() for by_seed in trainings), strict=True)]
        minutes[unit] = [second / 60 for second in seconds]
    clock, cpu = (f"{min(found):.1f} to {max(found):.1f}" for found in minutes.values())
    assert f"| {name.capitalize()} | {clock} | {cpu} |" in PAGE
    # What a free core would take, judging included.
    assert max(minutes["cpu_s"]) < 15


def test_what_was_measured_through_mixtures_stands_beside_never_learning():
    report = json.loads((DOCS / "sb3-adapters.json").read_text(encoding="utf-8"))
    for told in report["trained"]:
        weights = ", ".join(f"{weight:.2f}" for weight in told["weights"])
        assert f"| {told['century']} | {weights} | {told['reward']:.2f} | {told['reward_of_never']:.2f} |" in PAGE
