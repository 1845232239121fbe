"""What the tabs show, without a browser."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("gradio")

from pg_envs.app import century_tab, leaderboard_tab, markup, trajectories_tab
from pg_envs.app.serve import serve
from pg_envs.app.standings import ALL, Refused, read_standings
from pg_envs.app.talk_tab import MAX_CHARACTERS, MAX_TURNS, Talk, conversation
from pg_envs.history.halves import halves
from pg_envs.history.recording import RecordingError
from pg_envs.history.registry import make_history
from pg_envs.submission import BASELINES_BELIEVED
from pg_envs.values.open_questions import OPEN_QUESTIONS


class Parrot:
    """A history whose centuries say what they were shown."""

    name, labels = "histtiny", ("C013", "C014")

    def human(self, century):
        return self.labels[century]

    def respond(self, policy, prompts, rng):
        return [json.dumps([policy, *(turn["content"] for turn in prompts[0])])]


def test_leaderboard_shows_reasons_and_no_markup_of_others(results_folder):
    html = leaderboard_tab.page(*read_standings(results_folder), ALL, ALL, "skill", True)
    assert "4 of 4 submissions" in html
    assert "score: tampered or damaged" in html
    assert ">0.999</td>" not in html
    assert "&lt;img src=x&gt;.result.json" in html
    assert "<img" not in html


def test_leaderboard_marks_skill_that_is_believed_and_no_other(results_folder):
    entries, _ = read_standings(results_folder)
    one = replace(entries[0], skill=2.758, believed=(BASELINES_BELIEVED,))
    html = leaderboard_tab.page([one, *entries[1:]], [], ALL, ALL, "skill", True)
    assert html.count("<small>believed</small>") == 1
    assert "2.758 <small>believed</small>" in html
    assert markup.text(BASELINES_BELIEVED) in html


def test_the_first_of_many_reasons_are_shown_and_the_others_counted():
    rows = leaderboard_tab.reasons(Refused("x", tuple(f"reason {i}" for i in range(8))))
    assert [why for _, why in rows[:5]] == [f"reason {i}" for i in range(5)]
    assert rows[5][1].startswith("and 3 more reasons")
    assert leaderboard_tab.reasons(Refused("x", ("one",))) == [("x", "one")]


def test_trajectories_are_pictures_with_words(results_folder):
    groups = trajectories_tab.groups(read_standings(results_folder)[0])
    group = next(group for title, group in groups.items() if "Follow on simulated," in title)
    names = list(trajectories_tab.named_runs(group))
    assert len(names) == len(set(names)) == 2
    html = trajectories_tab.page(group, names, ["kill", "modern"])
    assert html.count("<img") == 2
    human = [step["target_vector"][0] for step in group.runs[0].result["steps"]]
    assert f"Do not kill: humans from {human[0]:+.2f} to {human[-1]:+.2f}; simulated-lifelong, seed 0" in html
    for nothing in ((names, []), ([], ["kill"]), (["no such run"], ["kill"])):
        assert "Choose at least one" in trajectories_tab.page(group, *nothing)


def test_a_conversation_goes_on_with_its_last_turns():
    talk, turns = Talk(Parrot()), []
    for number in range(3):
        turns = talk.say(f"  {number} ", "C014", turns)
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 3
    heard = json.loads(turns[-1]["content"])
    assert heard[0] == "C014"
    assert len(heard) - 1 < MAX_TURNS
    assert heard[-1] == "2"
    assert "planted" in talk.about


def test_a_recorded_century_answers_each_message_by_itself_and_offers_what_was_recorded():
    survey, evaluation, _ = halves("bundled")
    talk, turns = Talk(make_history("recorded:histtiny", survey, evaluation)), []
    assert talk.offered == list(OPEN_QUESTIONS)
    for question in talk.offered[:2]:
        turns = talk.say(question, "C014", turns)
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2
    assert turns[2:] == talk.say(talk.offered[1], "C014", [])
    with pytest.raises(RecordingError, match="has no reply"):
        talk.say("What was never asked?", "C014", [])
    assert "Their replies were recorded" in talk.about
    assert Talk(Parrot()).offered == []


@pytest.mark.parametrize(
    ("words", "label", "message"),
    [(" ", "C013", "this one has 0"), ("x" * (MAX_CHARACTERS + 1), "C013", "has 301"), ("hello", "C099", "no century 'C099'")],
)
def test_what_cannot_be_said_is_refused(words, label, message):
    with pytest.raises(ValueError, match=message):
        Talk(Parrot()).say(words, label, [])


def test_conversations_are_escaped():
    turns = [{"role": "user", "content": "<script>"}, {"role": "assistant", "content": "<b>"}]
    html = conversation("C013", turns)
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "<script>" not in html


def test_the_century_that_answers_so_is_found_and_doubt_is_said():
    survey, evaluation, _ = halves("bundled")
    history = make_history("recorded:histtiny", survey, evaluation)
    likeness = century_tab.Likeness(history)
    for century in (0, 8):
        answers = [int(table[century].argmax()) for table in likeness.tables]
        assert f"{likeness.labels[century]} answers most like you" in likeness.page(answers)
    assert "Answer at least one" in likeness.page([None] * 12)
    one = likeness.page([0] + [None] * 11)
    assert "Do not stop at that one" in one
    assert "over your 1 answers" in one


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"history": "simulated"}, ValueError, "have no words"),
        ({"history": "nobody"}, ValueError, "unknown history"),
        ({"port": 70_000}, ValueError, "port=70000"),
    ],
)
def test_bad_options_are_refused_before_anything_is_served(options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        serve(tmp_path, **options)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        serve(tmp_path / "nowhere")
