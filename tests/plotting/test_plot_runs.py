"""Runs side by side: what is drawn together, what is drawn at all, and what is said of the rest."""

import copy
import json
import struct
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from results_support import SHORT, run_result

from pg_envs import plots
from pg_envs.cli import main
from pg_envs.plotting import figures
from pg_envs.plotting import plot_runs as plot_runs_module
from pg_envs.plotting.plot_runs import plot_runs
from pg_envs.plotting.runs import DrawnRun, group_runs, read_runs, without_repetitions
from pg_envs.plotting.style import COLOURS, HUMANS, line_style, literal
from pg_envs.values.dimensions import DIMENSIONS

COLOUR_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""What is left of linear red, green and blue: Machado, Oliveira and Fernandes 2009, table 1, the severest of each kind."""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two agents and two seeds in Coevolve, and one in Follow, of two steps each."""
    folder = tmp_path_factory.mktemp("runs")
    told = {}
    for env in ("Coevolve", "Follow"):
        for agent in ("random", "no-op"):
            for seed in (0, 1):
                name = f"{env}-{agent}-{seed}"
                options = {"env": f"ProgressGym/{env}-v0", "agent": agent, "seed": seed, "env_args": [SHORT]}
                told[name] = run_result(folder / name, **options)
    return told


def test_a_folder_with_runs_in_it_stands_for_them(results, tmp_path):
    grid = tmp_path / "grid"
    for name, result in results.items():
        (grid / name).mkdir(parents=True)
        (grid / name / "result.json").write_text(json.dumps(result), encoding="utf-8")
    (grid / "logs").mkdir()
    assert [run.path.name for run in read_runs([grid])] == sorted(results)
    with pytest.raises(FileNotFoundError, match=r"no run at .*logs: it has no result.json"):
        read_runs([grid, grid / "logs"])


@pytest.fixture
def put(tmp_path):
    """Writes results into folders of their own."""

    def write(*data):
        paths = []
        for index, result in enumerate(data):
            path = tmp_path / f"run{index}"
            path.mkdir()
            (path / "result.json").write_text(json.dumps(result), encoding="utf-8")
            paths.append(path)
        return paths

    return write


@pytest.fixture
def undrawn(monkeypatch):
    """Drawing is nearly all of the time; most tests are about what would be drawn."""
    saved = {}
    for name in ("trajectories", "skill", "lock_in_lag", "heatmap"):
        monkeypatch.setattr(figures, name, lambda *arguments, name=name: (name, arguments))
    monkeypatch.setattr(plot_runs_module, "save", lambda figure, path: saved.update({path.name: figure}))
    return saved


def incomplete(result):
    result = copy.deepcopy(result)
    result.update(complete=False, skill=None, baselines={}, steps=result["steps"][:1])
    return result


def with_config(result, **changes):
    result = copy.deepcopy(result)
    result["config"].update(changes)
    return result


def drawn(*data):
    return [DrawnRun(f"run{i}", result) for i, result in enumerate(data)]


# ---------------------------------------------------------------------- what belongs together


def test_environments_are_kept_apart(results):
    groups = group_runs(drawn(results["Coevolve-random-0"], results["Follow-random-0"], results["Coevolve-no-op-0"]))
    assert [(group.title, len(group.runs)) for group in groups] == [
        ("Coevolve on simulated, C019 to C021", 2),
        ("Follow on simulated, C019 to C021", 1),
    ]


def test_arguments_that_say_the_default_make_no_other_environment(results):
    plain = results["Follow-random-0"]
    same = with_config(plain, env_args={**plain["config"]["env_args"], "votes": "sample", "render_mode": "ansi"}, seed=5)
    other = with_config(plain, env_args={**plain["config"]["env_args"], "votes": "majority"})
    groups = group_runs(drawn(plain, same, other))
    assert [len(group.runs) for group in groups] == [2, 1]
    assert groups[1].title == "Follow on simulated, C019 to C021, votes=majority"
    assert len({group.slug for group in groups}) == 2


def test_names_of_strangers_are_short_and_move_no_terminal(results, undrawn, put, capsys, tmp_path):
    agents = ("x" * 9999, "x" * 9998 + "y", "\x1b]0;mine\x07\x1b[31m", "a\u202eb")
    odd = [with_config(results["Follow-random-0"], agent=agent, agent_args={"\x1b[2J": "\x9b"}) for agent in agents]
    for result in odd:
        result["history"]["name"] = "\x1b[2Jhumans"
        result["config"]["env"] = "x/\x1b[2J-v0"
    (group,) = group_runs(drawn(*odd))
    assert len(group.variants) == len(agents)
    assert all(name.isprintable() and len(name) < 70 for name in group.variants)
    assert group.title == "?[2J on ?[2Jhumans, C019 to C021"
    assert main(["plot", *map(str, put(*odd)), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err


def test_same_names_of_other_humans_or_questions_are_told_apart(results):
    other = copy.deepcopy(results["Follow-random-0"])
    other["questionnaire"]["sha256"] = "0123456789abcdef"
    titles = [group.title for group in group_runs(drawn(results["Follow-random-0"], other))]
    assert len(set(titles)) == 2
    assert titles[1].endswith("questionnaire 012345")


def test_another_number_of_threads_makes_no_other_humans(results):
    runs = [with_config(results["Follow-random-0"], seed=seed) for seed in (0, 5)]
    for n_threads, run in enumerate(runs, 1):
        run["history"] = {**run["history"], "arithmetic": {"device": "cpu", "dtype": "float32", "threads": n_threads}}
    assert [len(group.runs) for group in group_runs(drawn(*runs))] == [2]


def test_humans_drawn_anew_for_each_seed_have_pictures_of_their_own(results):
    other = with_config(results["Follow-random-1"], seed=7)
    for step in other["steps"]:
        step["target_vector"] = [v / 2 for v in step["target_vector"]]
    (group,) = group_runs(drawn(results["Follow-random-0"], other, incomplete(results["Follow-no-op-0"])))
    parts = group.by_humans()
    assert [[run.seed for run in part.runs] for part in parts] == [[0, 0], [7]]
    assert [part.slug for part in parts] == ["follow-simulated-seed-0", "follow-simulated-seed-7"]
    assert parts[1].title.endswith("humans of seed 7")


def test_settings_tell_runs_of_one_agent_apart(results):
    loud = with_config(results["Follow-random-0"], agent_args={"loudness": 2})
    (group,) = group_runs(drawn(results["Follow-random-0"], loud, results["Follow-no-op-0"], results["Follow-random-1"]))
    assert {name: len(runs) for name, runs in group.variants.items()} == {
        "random (default settings)": 2,
        "random (loudness=2)": 1,
        "no-op": 1,
    }


def test_repeated_run_counts_once_and_the_longer_stays(results):
    whole, part, other = results["Follow-random-0"], incomplete(results["Follow-random-0"]), results["Follow-random-1"]
    kept, notes = without_repetitions(drawn(part, whole, other))
    assert [run.path for run in kept] == ["run1", "run2"]
    assert notes == ["run0: left out, the same environment, agent, settings and seed as run1"]


# ---------------------------------------------------------------------- what is drawn


def test_pictures_are_those_there_is_data_for(results, put, tmp_path, undrawn):
    paths = put(results["Follow-random-0"], incomplete(results["Follow-random-1"]), results["Coevolve-random-0"])
    told = plot_runs(paths, tmp_path / "out")
    names = {
        *(f"follow-simulated-{kind}.png" for kind in ("trajectories", "differences", "skill")),
        *(f"coevolve-simulated-{kind}.png" for kind in ("trajectories", "differences", "skill", "lag")),
    }
    assert {path.name for path, _ in told.made} == set(undrawn) == names
    assert any("run1: incomplete, shown as far as it goes" in note and "--resume" in note for note in told.notes)
    assert any("2 environments" in note for note in told.notes)
    assert any("no picture of lock-in lag for Follow" in note for note in told.notes)
    # Incomplete runs have no skill, but are in all other pictures.
    assert [len(runs) for runs in undrawn["follow-simulated-skill.png"][1][1].values()] == [1]
    assert len(undrawn["follow-simulated-trajectories.png"][1][0].runs) == 2
    assert len(undrawn["follow-simulated-differences.png"][1][1]) == 2


def test_runs_without_skill_are_said(results, put, tmp_path, undrawn):
    unfinished = copy.deepcopy(results["Follow-random-0"]) | {"skill": None, "baselines": {}}
    alike = copy.deepcopy(results["Follow-random-1"]) | {"skill": None, "baselines": {"no-op": 0.5, "oracle": 0.5}}
    told = plot_runs(put(unfinished, alike), tmp_path / "out")
    notes = "\n".join(told.notes)
    assert "run0: not in the picture of skill, its baselines have not been run: pg-envs run --resume" in notes
    assert "run1: not in the picture of skill, its baselines score the same" in notes
    assert "no picture of skill for Follow" in notes


def test_many_heatmaps_go_on_several_pages_with_one_scale(results, put, tmp_path, undrawn):
    many = [with_config(results["Follow-no-op-0"], seed=seed) for seed in range(2, 11)]
    plot_runs(put(*many, results["Follow-random-0"]), tmp_path / "out")
    pages = [undrawn[f"follow-simulated-differences-{number}.png"][1] for number in (1, 2)]
    assert [len(page[1]) for page in pages] == [8, 2]
    assert pages[0][2] == pages[1][2] == figures.difference_scale(drawn(results["Follow-random-0"]))


def test_folder_with_something_in_it_is_left_alone(results, put, tmp_path, undrawn):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(FileExistsError, match="never overwritten"):
        plot_runs(put(results["Follow-random-0"]), tmp_path / "out")
    assert undrawn == {}


def test_one_bad_file_and_nothing_is_begun(results, put, tmp_path, undrawn, capsys):
    good, bad = put(results["Follow-random-0"], {"complete": True})
    assert main(["plot", str(good), str(bad), "--out", str(tmp_path / "out")]) == 2
    assert f"{bad}/result.json: score is missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["plot", "--out", str(tmp_path / "out")]) == 2
    assert "at least one folder" in capsys.readouterr().err


def test_command_says_what_it_made(results, put, tmp_path, undrawn, capsys):
    assert main(["plot", *map(str, put(results["Follow-random-0"])), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert f"{tmp_path}/out/follow-simulated-skill.png: skill by agent: 1 run, Follow on simulated" in shown.out
    assert "no picture of lock-in lag" in shown.err


# ---------------------------------------------------------------------- the figures


def test_scale_is_the_largest_difference_rounded_up(results):
    result = copy.deepcopy(results["Follow-random-0"])
    for step in result["steps"]:
        step["difference"] = [0.0] * 19
    assert figures.difference_scale(drawn(result)) == pytest.approx(0.1)
    result["steps"][0]["difference"][4] = -0.31
    assert figures.difference_scale(drawn(result)) == pytest.approx(0.4)
    result["steps"][0]["difference"][4] = 0.4
    assert figures.difference_scale(drawn(result)) == pytest.approx(0.4)


def test_skill_shows_every_seed_and_the_interval(results):
    runs = [copy.deepcopy(results["Follow-random-0"]) | {"skill": value} for value in (1.0, 2.0, 3.0)]
    (group,) = group_runs(drawn(*runs))
    (axis,) = figures.skill(group, group.variants).axes
    dots = axis.lines[0].get_xdata()
    assert sorted(dots) == [1.0, 2.0, 3.0]
    (low, high) = axis.collections[0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx((2 - 2.48414, 2 + 2.48414), rel=1e-4)
    assert axis.get_yticklabels()[0].get_text() == "random\n2.000 ± 2.484, 3 seeds"


def test_heatmap_signs_the_large_differences(results):
    result = copy.deepcopy(results["Follow-random-0"])
    for step in result["steps"]:
        step["difference"] = [0.0] * 19
    result["steps"][1]["difference"][2], result["steps"][0]["difference"][5] = 0.5, -0.06
    result["steps"][0]["difference"][6] = 0.04
    axis = figures.heatmap("title", [("it", drawn(result)[0])], 0.5).axes[0]
    assert {(text.get_position(), text.get_text()) for text in axis.texts} == {((1, 2), "+"), ((0, 5), "−")}
    assert axis.images[0].get_clim() == (-0.5, 0.5)


def test_lag_shows_means_of_seeds(results):
    (group,) = group_runs(drawn(*(results[f"Coevolve-random-{seed}"] for seed in (0, 1))))
    axis = figures.lock_in_lag(group, group.variants).axes[0]
    lags = np.array([[step["lock_in_lag"] for step in run.result["steps"]] for run in group.runs])
    np.testing.assert_allclose(axis.lines[-1].get_ydata(), lags.mean(axis=0))


def test_the_lowest_panel_of_every_column_names_the_centuries(results):
    (group,) = group_runs(drawn(results["Coevolve-random-0"]))
    runs = next(iter(group.variants.values()))
    axes = figures.lock_in_lag(group, {f"agent {n}": runs for n in range(4)}).axes
    assert [axis.xaxis.get_tick_params()["labelbottom"] for axis in axes[:4]] == [False, True, True, True]


def test_pictures_are_pictures(results, put, tmp_path):
    odd = with_config(results["Coevolve-random-0"], agent="_odd:$\\frac", seed=3)
    told = plot_runs(put(results["Coevolve-random-0"], incomplete(results["Coevolve-no-op-0"]), odd), tmp_path / "out")
    assert len(told.made) == 4
    for path, _ in told.made:
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", data[16:24])
        assert 250 <= height <= 2000
        assert 500 <= width <= 2000
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path, _ in told.made)


def test_lines_differ_without_colours_too():
    styles = [line_style(index) for index in range(24)]
    assert len({(s["marker"], s["linestyle"], s["color"]) for s in styles}) == 24
    assert len({(s["marker"], s["linestyle"]) for s in styles[:8]}) == 8


def seen(colour, kind):
    """sRGB in [0, 1] as a colour-blind reader sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    left = np.clip(np.array(COLOUR_BLIND[kind]) @ linear, 0, 1)
    return np.where(left <= 0.0031308, left * 12.92, 1.055 * left ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_colours_differ_for_colour_blind_readers(kind):
    # Of 1.73 from black to white. Tritanopia is rare (one in some ten thousand), and no six colours serve all three kinds as well.
    least = 0.1 if kind == "tritanopia" else 0.2
    for one, other in combinations([*COLOURS, HUMANS["color"]], 2):
        assert np.linalg.norm(seen(one, kind) - seen(other, kind)) > least, (one, other)


def test_lines_on_grey_paper_differ_by_marker_line_and_filling():
    styles = [line_style(index) for index in range(len(COLOURS))]
    shapes = {(style["marker"], style["linestyle"], style["markerfacecolor"] == "white") for style in styles}
    assert len(shapes) == len(COLOURS)
    # Humans have no marker.
    assert "marker" not in HUMANS
    assert len({style["marker"] for style in styles}) == len(COLOURS)


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_above_and_below_differ_in_the_heatmap_for_colour_blind_readers(results, kind):
    colours = figures.heatmap("title", [("it", drawn(results["Follow-random-0"])[0])], 0.5).axes[0].images[0].cmap
    for strength in (0.25, 0.5, 1.0):
        above, below = (seen(colours(0.5 + sign * strength / 2), kind) for sign in (1, -1))
        assert np.linalg.norm(above - below) > 0.2
        assert np.linalg.norm(above - seen(colours(0.5), kind)) > 0.1


def texts(figure):
    """What a reader is told besides the drawing: the figure's title, its labels, and the titles and labels of its panels."""
    labels = {figure.get_suptitle(), figure.get_supxlabel(), figure.get_supylabel()}
    return labels | {text for axis in figure.axes for text in (axis.get_title(), axis.get_xlabel(), axis.get_ylabel())}


CENTRED = "value, centred: from -1 to 1, 0 is indifference"
COMPARED = "century whose humans the policy is compared with"


def test_every_picture_has_a_title_and_units(results):
    (group,) = group_runs(drawn(results["Coevolve-random-0"], results["Coevolve-random-1"]))
    names = {dimension.label for dimension in DIMENSIONS}
    where = "Coevolve on simulated, C019 to C021"
    assert {f"Policy against humans: {where}", CENTRED, COMPARED} | names <= texts(figures.trajectories(group))
    assert {DIMENSIONS[3].label, CENTRED} <= texts(figures.one_dimension(group, 3))
    heatmap = figures.heatmap(group.title, [("random", group.runs[0])], 0.5)
    bar = "policy minus humans, in units of value (+ above, − below them)"
    assert {f"Policy minus humans: {where}", "random", COMPARED, bar} <= texts(heatmap)
    assert [label.get_text() for label in heatmap.axes[0].get_yticklabels()] == [dimension.label for dimension in DIMENSIONS]
    assert [label.get_text() for label in heatmap.axes[0].get_xticklabels()] == ["C020", "C021"]
    skill = "skill (no unit): 0 never learns, 1 is the humans themselves\ndots are seeds; marker and bar their mean and its 95% interval"
    assert {f"Skill: {where}", skill} <= texts(figures.skill(group, group.variants))
    lag = "lag in centuries: above 0 is behind the humans"
    shown = texts(figures.lock_in_lag(group, group.variants))
    assert {f"Lock-in lag: {where}", lag, "century\nline: mean over seeds, dots: seeds", "random\n(2 seeds)"} <= shown


def test_a_runs_own_picture_is_in_the_same_style(results, tmp_path, monkeypatch):
    drawn_figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn_figures.append(figure))
    result = results["Coevolve-random-0"]
    plots.plot_trajectory(result, tmp_path / "it.png")
    (figure,) = drawn_figures
    assert f"random in ProgressGym/Coevolve-v0 on simulated, seed 0: {plots.headline(result)}" in texts(figure)
    assert {dimension.label for dimension in DIMENSIONS} | {CENTRED, COMPARED} <= texts(figure)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    keys = {"humans": "target_vector", "policy": "policy_vector", "human proxy": "proxy_vector"}
    for label, key in keys.items():
        np.testing.assert_allclose(lines[label].get_ydata(), [step[key][0] for step in result["steps"]])
    # On grey paper by their markers, and by their lines where these lie on each other.
    looks = {(lines[label].get_marker(), lines[label].get_linestyle(), lines[label].get_markerfacecolor()) for label in keys}
    assert len({marker for marker, *_ in looks}) == len(looks) == 3
    assert min(label.get_fontsize() for axis in figure.axes[:19] for label in axis.get_xticklabels() + axis.get_yticklabels()) >= 9


def test_text_that_means_something_to_matplotlib_is_taken_literally():
    assert literal("cost $5 and $6") == r"cost \$5 and \$6"
    assert not literal("_mine").startswith("_")
    assert literal("one line, or two", 10) == "one line,\nor two"
