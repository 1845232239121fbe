"""The leaderboard's rows: numbers from vectors, reasons for what is refused, filters and order."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pg_envs.app import markup
from pg_envs.app import standings as standings_module
from pg_envs.app.standings import ALL, choose, read_standings
from pg_envs.recomputing import episode_scores


@pytest.fixture(scope="module")
def standings(results_folder):
    return read_standings(results_folder)


def test_scores_are_cosines_of_the_vectors_whatever_the_fields_say(results_folder):
    result = json.loads((results_folder / "grid/follow-0/result.json").read_text(encoding="utf-8"))
    v, h = (np.array([step[f"{whose}_vector"] for step in result["steps"]]) for whose in ("policy", "target"))
    expected = np.mean((v * h).sum(axis=1) / np.linalg.norm(v, axis=1) / np.linalg.norm(h, axis=1))
    no_op, oracle = result["baselines"]["no-op"], result["baselines"]["oracle"]
    result["score"], result["skill"], result["score_upstream"] = 0.1, 0.2, 0.3
    for step in result["steps"]:
        step["reward"], step["score_upstream"] = 0.4, 0.5
    found = episode_scores(result)
    assert found["score"] == pytest.approx(expected)
    assert found["skill"] == pytest.approx((expected - no_op) / (oracle - no_op))
    assert found["score_upstream"] not in (0.3, 0.5)


def test_good_ones_are_listed_and_others_refused_with_the_reason(standings):
    entries, refused = standings
    assert [entry.place for entry in entries] == ["grid/anew", "grid/coevolve", "grid/follow-0", "grid/follow-1"]
    assert [entry.challenge for entry in entries] == ["Follow", "Coevolve", "Follow", "Follow"]
    reasons = {r.file: " ".join(r.reasons) for r in refused}
    assert "score: tampered or damaged" in reasons.pop("tampered.result.json")
    ((name, malformed),) = reasons.items()
    assert name == "<img src=x>.result.json"
    assert "not readable as JSON" in malformed


def test_what_scores_depend_on_stands_beside_them(results_folder, tmp_path):
    result = json.loads((results_folder / "grid/follow-0/result.json").read_text(encoding="utf-8"))
    arguments = result["config"]["env_args"]
    for name, more in {"plain": {}, "default": {"votes": "sample"}, "easier": {"query_budget": 0}}.items():
        (tmp_path / name).mkdir()
        result["config"]["env_args"] = {**arguments, **more}
        (tmp_path / name / "result.json").write_text(json.dumps(result), encoding="utf-8")
    entries, _ = read_standings(tmp_path)
    assert {entry.place: entry.settings for entry in entries} == {
        "plain": "C019 to C021",
        "default": "C019 to C021",
        "easier": "C019 to C021, query_budget=0",
    }


def test_a_recording_stands_under_its_folder_whatever_its_maker_called_it(results_folder, tmp_path):
    result = json.loads((results_folder / "grid/follow-0/result.json").read_text(encoding="utf-8"))
    result["config"]["env_args"]["history"], result["history"]["name"] = "recorded:of/mine", "recorded:histtiny"
    (tmp_path / "result.json").write_text(json.dumps(result), encoding="utf-8")
    ((entry,), _) = read_standings(tmp_path)
    assert entry.history == "recorded:of/mine"
    assert "only those of bundled histories" in entry.believed[0]


def test_skill_is_marked_where_the_baselines_are_the_submissions_own(standings, results_folder, tmp_path):
    assert not any(entry.skill_is_believed for entry in standings[0])
    result = json.loads((results_folder / "grid/follow-0/result.json").read_text(encoding="utf-8"))
    result["config"]["env_args"]["history"] = result["history"]["name"] = "hub:a/b-{century}"
    result["baselines"] = {"no-op": 0.0, "oracle": result["score"] / 2}
    result["skill"] = episode_scores(result)["skill"]
    (tmp_path / "result.json").write_text(json.dumps(result), encoding="utf-8")
    ((entry,), _) = read_standings(tmp_path)
    assert entry.skill == result["skill"] == pytest.approx(2)
    assert entry.skill_is_believed


def test_a_file_that_changes_is_judged_anew(results_folder, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(results_folder / "grid/follow-0", folder / "run")
    assert len(read_standings(folder)[0]) == 1
    (folder / "run/result.json").write_text("{}", encoding="utf-8")
    entries, refused = read_standings(folder)
    assert not entries
    assert "is missing" in refused[0].reasons[0]


@pytest.mark.parametrize("whose", ["a stranger's", "nobody's any more"])
def test_a_file_that_cannot_be_read_is_refused_and_the_others_are_listed(whose, results_folder, tmp_path, monkeypatch):
    folder = tmp_path / "results"
    for name in ("good", "odd"):
        shutil.copytree(results_folder / "grid/follow-0", folder / name)
    odd = folder / "odd/result.json"
    opened, found = Path.open, standings_module.result_files

    def refuse(path, *args, **kwargs):
        if path == odd:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    def vanishing(folder):
        paths = found(folder)
        odd.unlink()
        return paths

    if whose == "a stranger's":
        monkeypatch.setattr(Path, "open", refuse)
    else:
        monkeypatch.setattr(standings_module, "result_files", vanishing)
    entries, (refused,) = read_standings(folder)
    assert [entry.place for entry in entries] == ["good"]
    assert refused.file == "odd/result.json"
    assert "Permission denied" in refused.reasons[0] or "No such file" in refused.reasons[0]
    assert str(tmp_path) not in refused.reasons[0]


def test_a_window_asked_for_by_a_stranger_takes_nothing_down(results_folder, tmp_path):
    (tmp_path / "run").mkdir()
    result = json.loads((results_folder / "grid/follow-0/result.json").read_text(encoding="utf-8"))
    result["config"]["env_args"]["render_mode"] = "human"
    (tmp_path / "run/result.json").write_text(json.dumps(result), encoding="utf-8")
    entries, refused = read_standings(tmp_path)
    assert [entry.place for entry in entries] == ["run"]
    assert refused == []


def test_links_that_lead_out_of_the_folder_are_not_followed(results_folder, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/secret.result.json").symlink_to(results_folder / "grid/follow-0/result.json")
    entries, refused = read_standings(tmp_path / "results")
    assert not entries
    assert "leads out" in refused[0].reasons[0]


def test_names_that_are_no_utf8_keep_nobody_from_the_page(results_folder, tmp_path, caplog):
    for name, content in ((b"\xff", (results_folder / "grid/follow-0/result.json").read_bytes()), (b"\xfe", b"{")):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".result.json")).write_bytes(content)
    (entry,), (refused,) = read_standings(tmp_path)
    assert (entry.file, refused.file) == (r"\xff.result.json", r"\xfe.result.json")
    # What a page, and a log, is sent as.
    " ".join((entry.place, refused.file, *refused.reasons, *caplog.messages)).encode()


def test_filters_and_order(standings):
    entries, _ = standings
    assert {e.history for e in choose(entries, ALL, "simulated", "score", True)} == {"simulated"}
    assert [e.place for e in choose(entries, "Coevolve", ALL, "score", True)] == ["grid/coevolve"]
    scores = [e.score for e in choose(entries, ALL, ALL, "score", True)]
    assert scores == sorted(scores, reverse=True)
    assert scores[::-1] == [e.score for e in choose(entries, ALL, ALL, "score", False)]
    # What has no lag comes last in both directions.
    for largest_first in (True, False):
        assert choose(entries, ALL, ALL, "lock-in lag", largest_first)[0].challenge == "Coevolve"
    with pytest.raises(ValueError, match=r"sort by '__class__': choose from skill"):
        choose(entries, ALL, ALL, "__class__", True)


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_standings(tmp_path / "nowhere")


def test_tables_escape_and_round():
    html = markup.table("<b>", ["<i>"], [["<script>"], [0.12345], [None], [7], [markup.Believed(2.758)]], sorted_column=0, down=False)
    numbers = (">0.123<", ">–<", ">7<", ">2.758 <small>believed</small><")
    for written in ("&lt;b&gt;", "&lt;i&gt;", "&lt;script&gt;", *numbers, 'aria-sort="ascending"'):
        assert written in html
    assert "<script>" not in html
    assert len(markup.text("x" * 10_000)) == markup.MAX_SHOWN
