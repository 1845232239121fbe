"""Which runs a grid has."""

import json

import pytest

from pg_envs.grid.cells import Choice, check_folders, make_cells, parse_choice, parse_environment

FOLLOW = "ProgressGym/Follow-v0"


@pytest.mark.parametrize(
    ("text", "name", "settings"),
    [
        ("no-op", "no-op", {}),
        ("sft:seed=3", "sft", {"seed": 3}),
        ("module:Class", "module:Class", {}),
        ("module:Class:loudness=2,shy=true", "module:Class", {"loudness": 2, "shy": True}),
        ('P:centuries=["C014","C021"],votes=majority', "P", {"centuries": ["C014", "C021"], "votes": "majority"}),
        ("P:path=a:b,c", "P", {"path": "a:b,c"}),
        ("P:note=x=y", "P", {"note": "x=y"}),
    ],
)
def test_choices_are_names_with_settings(text, name, settings):
    assert parse_choice(text) == Choice(text, name, settings)


def test_environments_have_short_names_and_labels():
    assert parse_environment("Follow") == Choice("Follow", FOLLOW, {})
    assert parse_environment(FOLLOW) == Choice("Follow", FOLLOW, {})
    assert parse_environment(f"{FOLLOW}:votes=majority") == Choice("Follow:votes=majority", FOLLOW, {"votes": "majority"})
    assert parse_environment("mine:Foo-v0") == Choice("mine:Foo-v0", "mine:Foo-v0", {})


def cells(tmp_path, agents=("no-op", "mine:A:x=1"), seeds=(0, 4)):
    environments = [parse_environment(text) for text in ("Follow", "Predict:lookahead=2,history=simulated-random")]
    return make_cells(
        tmp_path, [parse_choice(text) for text in agents], environments, seeds, {"x": 0}, {"history": "simulated", "votes": "majority"}
    )


def test_every_seed_environment_and_agent_meet_once(tmp_path):
    found = cells(tmp_path)
    assert [cell.name for cell in found[:4]] == [
        "follow-no-op-simulated-s0",
        "follow-mine.A.x-1-simulated-s0",
        "predict-lookahead-2-history-simulated-random-no-op-simulated-random-s0",
        "predict-lookahead-2-history-simulated-random-mine.A.x-1-simulated-random-s0",
    ]
    assert [cell.seed for cell in found] == [0] * 4 + [4] * 4
    # An environment's or an agent's own settings go before those of all.
    assert found[7].config == {
        "env": "ProgressGym/Predict-v0",
        "env_args": {"history": "simulated-random", "votes": "majority", "lookahead": 2},
        "agent": "mine:A",
        "agent_args": {"x": 1},
        "seed": 4,
    }


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seeds": (1, -2)}, "--seeds -2"),
        ({"seeds": ()}, "at least one"),
        ({"seeds": (1, 1)}, "2 runs of the grid would lie in .*follow-no-op-simulated-s1"),
        ({"agents": ("no-op", "no-op")}, "name every agent"),
    ],
)
def test_grids_without_sense_are_refused(changed, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        cells(tmp_path, **changed)


def test_only_the_very_run_is_accepted_in_a_folder(tmp_path):
    one, other, *_ = cells(tmp_path)
    one.folder.mkdir()
    check_folders([one, other])
    (one.folder / "config.json").write_text(json.dumps(one.config))
    check_folders([one, other])
    (one.folder / "config.json").write_text(json.dumps({**one.config, "seed": 7}))
    with pytest.raises(FileExistsError, match=r'"seed": 7.*never overwritten.*another --out'):
        check_folders([one, other])
    (one.folder / "config.json").rename(one.folder / "novel.txt")
    with pytest.raises(FileExistsError, match=r"no config\.json"):
        check_folders([other, one])
