"""What the live display makes of progress reports."""

import functools

import pytest

from pg_envs import display as displays
from pg_envs.display import LiveDisplay


def tasks(display):
    return {task.id: task for task in display.progress.tasks}


@pytest.mark.parametrize("label", ["C014", "victorian", "victorian-early", "C19th", "1800"])
def test_a_century_is_shown_under_whatever_label_it_has(label):
    display = LiveDisplay("no-op in Follow")
    display.report(f"{label}: the policy is judged", 2, 8)
    episode, phase = tasks(display)[display.episode], tasks(display)[display.phase]
    assert (episode.description, episode.completed, episode.total) == (f"no-op in Follow: {label}", 2, 8)
    assert (phase.description, phase.total) == ("the policy is judged", None)


@pytest.mark.parametrize("what", ["asking", "loading owner/name: the base", "measuring the humans of victorian", "C014", "figures: 3 done"])
def test_what_goes_on_within_a_century_is_shown_below_it(what):
    display = LiveDisplay("no-op in Follow")
    display.report("victorian: the agent acts", 1, 2)
    display.report(what, 5, 9)
    episode, phase = tasks(display)[display.episode], tasks(display)[display.phase]
    assert (episode.description, episode.completed) == ("no-op in Follow: victorian", 1)
    assert (phase.description, phase.completed, phase.total) == (what, 5, 9)


@pytest.mark.parametrize("century_s", [3, 35, 3600])
def test_what_remains_is_estimated_however_long_a_century_takes(century_s, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(displays, "Progress", functools.partial(displays.Progress, get_time=lambda: now[0]))
    display = LiveDisplay("no-op in Follow")
    display.progress.start_task(display.episode)
    for done in range(3):
        display.report(f"C01{4 + done}: the agent acts", done, 8)
        now[0] += century_s / 2
        display.report(f"C01{4 + done}: the policy is judged", done, 8)
        now[0] += century_s / 2
    display.report("C017: the agent acts", 3, 8)
    assert tasks(display)[display.episode].time_remaining == pytest.approx(5 * century_s, rel=0.05)
