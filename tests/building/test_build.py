"""Building a family of one's own on a random base: what comes of it, what a stopped build keeps, and that it plays."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import gymnasium as gym
import numpy as np
import psutil
import pytest
import torch
from hub_support import CACHED_COMMIT, files_of, put_in_cache
from huggingface_hub import ModelCard
from safetensors.numpy import load_file
from tests_support import HARM, save_llama
from transformers import LlamaForCausalLM

import pg_envs  # noqa: F401
from pg_envs import cli
from pg_envs.building import base as base_building
from pg_envs.building import build as building
from pg_envs.building import period as period_building
from pg_envs.building.build import build_history
from pg_envs.building.period import excerpts, instructions
from pg_envs.building.plan import PlanError
from pg_envs.building.plan_file import read_plan
from pg_envs.building.planted import read_table
from pg_envs.building.quality import Quality, movement, perplexity
from pg_envs.building.texts import read_texts
from pg_envs.data.schema import HistTextError
from pg_envs.history.base import HistoryError, Survey
from pg_envs.history.registry import make_history
from pg_envs.models.checks import check_files
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.record import record
from pg_envs.seals import Damaged
from pg_envs.values.dimensions import DIMENSIONS
from pg_envs.values.items import QuestionnaireError
from pg_envs.values.measure import measure
from pg_envs.values.questionnaire import load_questionnaire

PERIODS = ("early", "middle", "late")
SENTENCES = {
    "early": "The old keep the law of their fathers and the young are to obey. ",
    "middle": "A merchant keeps his word, and a neighbour is helped in need. ",
    "late": "Everyone may speak, and nobody is to be hurt for what they say. ",
}


def write_plan(folder, random_base, small_questionnaire):
    """A plan's file with its texts and instructions beside it; LoRA, the last period going on from the middle one."""
    for period in PERIODS:
        texts = folder / "texts" / period
        texts.mkdir(parents=True)
        for number in range(2):
            (texts / f"{number}.txt").write_text(f"{number} " + 40 * SENTENCES[period])
        rows = [
            {"instruction": "Say a law.", "input": "", "output": SENTENCES[period]},
            {"instruction": "Count.", "input": "1 2", "output": "3"},
        ]
        (folder / f"{period}.json").write_text(json.dumps(rows))
    path = folder / "plan.toml"
    path.write_text(
        f'name = "own"\nperiods = {list(PERIODS)}\nbase = "{random_base}"\nquestionnaire = "{small_questionnaire}"\n'
        'chains = [["middle", "late"]]\nlicence = "cc0-1.0"\n'
        '[text]\nfolder = "texts"\n'
        "[pretraining]\nexcerpt_characters = 300\nn_excerpts = 8\nn_excerpts_after_neighbour = 4\nbatch_size = 4\n"
        '[instruction]\nfile = "{period}.json"\nbatch_size = 2\n'
    )
    return path


@pytest.fixture
def plan(tmp_path, random_base, small_questionnaire):
    return write_plan(tmp_path, random_base, small_questionnaire)


@pytest.fixture(scope="module")
def family(random_base, small_questionnaire, tmp_path_factory):
    """The family of an undisturbed build in one process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    plan = write_plan(folder, random_base, small_questionnaire)
    assert build_history(plan, folder / "family").periods == PERIODS
    return folder / "family"


def weights(family):
    return {path.parent.name: load_file(path) for path in sorted(family.glob("*/adapter_model.safetensors"))}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[p][k], other[p][k]) for p in one for k in one[p])


def test_a_family_plays_and_is_recorded_under_its_own_labels(family, small_questionnaire, tmp_path):
    recording = record(tmp_path / "recording", f"built:{family}", small_questionnaire)
    for history in (f"built:{family}", f"recorded:{recording}"):
        env = gym.make("ProgressGym/Follow-v0", history=history, questionnaire=small_questionnaire, centuries=("early", "late"))
        env.reset(seed=0)
        start = env.unwrapped.initial_policy
        assert start.adapter == str(family / "early")
        told = [env.step(start)[-1]["century_label"] for _ in range(2)]
        assert told == ["middle", "late"]
        env.close()
        with pytest.raises(HistoryError, match="out of early, middle, late"):
            make_history(history, *_halves(small_questionnaire), centuries=("C013", "C015"))
    labels = make_history(f"recorded:{recording}", *_halves(small_questionnaire), centuries=("middle", "late")).labels
    assert labels == ("middle", "late")


def test_a_model_learns_its_periods_texts_but_those_held_out_and_then_its_instructions(plan, tmp_path, monkeypatch):
    for period in PERIODS:
        for number in range(4):
            words = " ".join(f"{period}{number}word{i}" for i in range(100))
            (plan.parent / "texts" / period / f"{number}.txt").write_text(words)
    whole, stages = period_building.sft, {}

    def noting(start, rows, out, *rest):
        stages[out.parent.name, out.name] = (start, rows, out)
        return whole(start, rows, out, *rest)

    monkeypatch.setattr(period_building, "sft", noting)
    build_history(plan, tmp_path / "family")
    assert stages.keys() == {(period, stage) for period in PERIODS for stage in ("pretrained", "instructed")}
    texts = read_texts(plan.parent / "texts", PERIODS, 10)
    for period in PERIODS:
        start, pieces, pretrained = stages[period, "pretrained"]
        assert start.adapter == (str(tmp_path / "family" / "middle") if period == "late" else None)
        assert texts[period].held_out
        for piece in pieces["text"]:
            assert any(piece in text for text in texts[period].training)
            assert not any(piece in text for text in texts[period].held_out)
        start, rows, _ = stages[period, "instructed"]
        assert start.adapter == str(pretrained), "what was learnt from the text is gone on with"
        assert rows["completion"][0][0]["content"] == SENTENCES[period]


def test_nothing_in_a_text_is_obeyed(plan, tmp_path, monkeypatch, capfd):
    """Texts, documents' names and instructions that look like code, paths and templates are learnt from as they stand."""

    def fail(*_, **__):
        raise AssertionError("a process was started")

    def names():
        return {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}

    for module, name in ((subprocess, "Popen"), (os, "system"), (os, "execv"), (os, "posix_spawn")):
        monkeypatch.setattr(module, name, fail)
    for number, harm in enumerate(HARM):
        plain = tmp_path / "texts" / "early" / f"{harm.replace('/', '_')}.txt"
        plain.write_text(f"{number} {harm}\n{40 * SENTENCES['early']}")
    for period in PERIODS[1:]:
        row = {"creation_year": 1801, "source_dataset": HARM[0]}
        rows = [{**row, harm: harm, "document_id": harm, "content": f"{harm}\n{40 * SENTENCES[period]}"} for harm in HARM]
        shutil.rmtree(tmp_path / "texts" / period)
        (tmp_path / "texts" / period).mkdir()
        (tmp_path / "texts" / period / "1801.json").write_text(json.dumps(rows))
    for period in PERIODS:
        (tmp_path / f"{period}.json").write_text(json.dumps([{"instruction": harm, "input": harm, "output": harm} for harm in HARM]))
    before, above = names(), set(tmp_path.parent.iterdir())
    monkeypatch.chdir(tmp_path)
    assert cli.main(["build-history", str(plan), "--out", "family"]) == 0
    assert {path.parts[0] for path in names() - before} <= {"family", "family.work"}
    assert {path.name for path in (tmp_path / "family").iterdir()} == {*PERIODS, "history.json"}
    assert set(tmp_path.parent.iterdir()) == above
    cards = [(tmp_path / "family" / period / "README.md").read_text() for period in PERIODS]
    said = capfd.readouterr()
    assert "moves most: by 0.0" in said.out
    assert "next to nothing to follow" in said.err
    for shown in (*cards, said.out, said.err):
        assert "\x1b[2J" not in shown
        assert not any(harm in shown for harm in HARM if len(harm) > 12)


def test_a_card_says_what_the_model_is_made_of_and_not_for(family, small_questionnaire):
    card = (family / "late" / "README.md").read_text()
    assert "license: cc0-1.0" in card
    assert "the family's model of middle" in card
    assert "2 documents, of which 1 were held out" in card
    assert "n_excerpts = 8" in card
    assert "must not be used" in card
    assert "planted" not in card
    assert f"on the evaluation items of the questionnaire `{Path(small_questionnaire).name}`" in card
    assert "pg-envs' questionnaire" not in card
    assert "The plan calls its folder `texts`.\n" in card
    assert "Documents learnt from, by source: (not recorded) 1; by licence: (not recorded) 1.\n" in card
    config = json.loads((family / "late" / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])


def part_of(card, head):
    return card.split(f"\n## {head}\n")[1].split("\n## ")[0].strip()


def test_a_card_has_all_settings_of_its_training(family):
    plan = read_plan(family.parent / "plan.toml")
    config = json.loads((family / "late" / "adapter_config.json").read_text())
    weights, stages, libraries = part_of((family / "late" / "README.md").read_text(), "Training").split("\n\n")
    assert weights == f"Weights trained: lora, LoRA rank {config['r']}, alpha {config['lora_alpha']}; seed 0."
    told = [line.removeprefix("* ").split(": ", 1) for line in stages.split("\n")]
    assert [name for name, _ in told] == ["Continued pretraining", "Instruction tuning"]
    for stage, (_, settings) in zip((plan.pretraining, plan.instruction), told, strict=True):
        set_ = {key: str(value) for key, value in vars(stage).items() if value is not None}
        assert dict(setting.split(" = ") for setting in settings.split(", ")) == set_
    assert f"transformers {version('transformers')}" in libraries
    assert f"torch {version('torch')}" in libraries


def test_a_card_has_all_that_was_measured(family):
    for period in PERIODS:
        quality = json.loads((family / period / "quality.json").read_text())
        assert quality["base_perplexity"] > 1
        perplexity, of_what, table = part_of((family / period / "README.md").read_text(), "Measured").split("\n\n")
        assert perplexity == (
            "Perplexity on the first 256 tokens of up to 64 of 1 held-out passages: "
            f"{quality['perplexity']:.1f}; the base's: {quality['base_perplexity']:.1f}. Order bias: {quality['order_bias']:.3f}."
        )
        assert of_what.startswith("Value vector on the evaluation items of ")
        assert table.split("\n")[2:] == [
            f"| {dimension.label} | {value:+.3f} | {error:.3f} |"
            for dimension, value, error in zip(DIMENSIONS, quality["values"], quality["standard_errors"], strict=True)
        ]


def test_what_was_measured_is_of_the_model_and_the_base_on_what_neither_has_learnt(family, random_base, small_questionnaire):
    held_out = read_texts(family.parent / "texts", PERIODS, 10)["middle"].held_out
    survey, evaluation = load_questionnaire(small_questionnaire).split()
    base = ModelRef(str(random_base))
    model = base.with_adapter(str(family / "middle"))
    told = json.loads((family / "middle" / "quality.json").read_text())
    assert told["perplexity"] == pytest.approx(perplexity(model, held_out), rel=1e-4)
    assert told["base_perplexity"] == pytest.approx(perplexity(base, held_out), rel=1e-4)
    assert abs(told["perplexity"] - told["base_perplexity"]) > 1e-3 * told["perplexity"], "the two can be told apart"
    engine = TransformersEngine()
    values, others = (measure(engine, model, half.items).centred for half in (evaluation, survey))
    assert told["values"] == pytest.approx(values, abs=1e-4)
    assert np.abs(values - others).max() > 1e-3, "the two halves can be told apart"


@pytest.mark.parametrize(("late", "is_flat"), [(0.04, True), (0.06, False)])
def test_what_moves_most_over_the_periods(tmp_path, late, is_flat):
    for period, third, fifth in zip(PERIODS, (-0.05, -0.1, late), (0.05, 0, 0.1), strict=True):
        (tmp_path / period).mkdir()
        values = np.zeros(19)
        values[3], values[5] = third, fifth
        Quality(values, np.zeros(19), 0.0, None, None).write(tmp_path / period)
    moved = movement(tmp_path, PERIODS)
    assert (moved.dimension, moved.lowest, moved.highest) == ("Do not deprive of freedom", "middle", "late")
    assert moved.range == pytest.approx(late + 0.1)
    assert moved.is_flat is is_flat


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sha256_of_base(folder):
    """How many files a base has besides its card, and the hash of what ``sha256sum`` says of them."""
    files = sorted(path for path in folder.iterdir() if path.name != "README.md")
    return len(files), hashlib.sha256("".join(f"{sha256(path)}  {path.name}\n" for path in files).encode()).hexdigest()


def sha256_of_texts(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        text = path.read_text()
        digest.update(f"{len(path.stem)} {len(text)} {path.stem}{text}".encode())
    return digest.hexdigest()


def n_characters_learnt(folder):
    """Of the documents but the one that is held out, whose name has the least hash."""
    held_out = min(folder.iterdir(), key=lambda path: hashlib.sha256(path.stem.encode()).hexdigest())
    return sum(len(path.read_text()) for path in folder.iterdir() if path != held_out)


def line_on_base(folder, name):
    n, digest = sha256_of_base(folder)
    return f"* {name}; {n} files, SHA-256 of what `sha256sum` says of them in order of name: `{digest}`.\n"


def line_on_questionnaire(folder):
    n = sum(len(list(csv.DictReader(path.open(newline="")))) for path in Path(folder).glob("*.csv"))
    return f"* Questionnaire: `{Path(folder).name}`, {n} items, content hash `{load_questionnaire(folder).content_hash}`.\n"


def test_a_cards_hashes_and_counts_are_those_of_the_files(family, random_base, small_questionnaire):
    for period in PERIODS:
        card = (family / period / "README.md").read_text()
        texts, instructions = family.parent / "texts" / period, family.parent / f"{period}.json"
        assert "1 were held out (`held_out_one_in = 10`); 1 passages and " in card
        assert f" passages and {n_characters_learnt(texts):,} characters to learn from. SHA-256" in card
        assert f" with their documents: `{sha256_of_texts(texts)}`." in card
        assert line_on_base(random_base, f"Base: `{random_base}`") in card
        assert f"* Instructions: `{period}.json`, 2 rows, SHA-256 `{sha256(instructions)}`.\n" in card
        assert line_on_questionnaire(small_questionnaire) in card


def test_a_stopped_build_goes_on_to_the_same_weights(plan, family, tmp_path, monkeypatch):
    whole, calls = period_building.sft, []

    def stops_at_the_fourth(*arguments):
        calls.append(arguments[2].parent.name + "/" + arguments[2].name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(period_building, "sft", stops_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        build_history(plan, tmp_path / "stopped")
    assert calls == ["middle/pretrained", "middle/instructed", "late/pretrained", "late/instructed"]
    with pytest.raises(HistoryError, match="no family"):
        make_history(f"built:{tmp_path / 'stopped'}", *_halves())
    build_history(plan, tmp_path / "stopped")
    assert calls[4:] == ["late/instructed", "early/pretrained", "early/instructed"]
    assert same(weights(family), weights(tmp_path / "stopped"))
    with pytest.raises(FileExistsError, match="finished family"):
        build_history(plan, tmp_path / "stopped")


@pytest.fixture(scope="module")
def half_built(random_base, small_questionnaire, tmp_path_factory):
    """A folder with a plan and a build of it that was stopped: ``middle`` is finished, and so is the first stage of ``late``."""
    folder, whole, calls = tmp_path_factory.mktemp("half"), period_building.sft, []

    def stops_at_the_fourth(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(period_building, "sft", stops_at_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            build_history(write_plan(folder, random_base, small_questionnaire), folder / "it")
    return folder


@pytest.mark.parametrize(
    "name", ["it/middle/adapter_model.safetensors", "it/middle/quality.json", "it.work/late/pretrained/adapter_model.safetensors"]
)
def test_what_is_damaged_between_a_kill_and_going_on_is_not_built_upon(name, half_built, family, tmp_path):
    shutil.copytree(half_built, tmp_path / "here")
    path = tmp_path / "here" / name
    another(path)
    with pytest.raises(Damaged, match=rf"{path} is damaged: expected SHA-256 .*; remove the folder {path.parent} to have it made again"):
        build_history(tmp_path / "here" / "plan.toml", tmp_path / "here" / "it")
    shutil.rmtree(path.parent)
    build_history(tmp_path / "here" / "plan.toml", tmp_path / "here" / "it")
    assert same(weights(family), weights(tmp_path / "here" / "it"))


def test_what_is_damaged_before_the_last_period_is_done_is_not_vouched_for(plan, tmp_path, monkeypatch):
    whole = building.build_chain

    def damages(*arguments):
        whole(*arguments)
        if arguments[2] == ("early",):
            another(tmp_path / "family" / "middle" / "adapter_model.safetensors")

    with monkeypatch.context() as patched:
        patched.setattr(building, "build_chain", damages)
        with pytest.raises(Damaged, match=r"middle/adapter_model\.safetensors is damaged"):
            build_history(plan, tmp_path / "family")
    assert not (tmp_path / "family" / "history.json").exists()


def side_by_side(plan):
    """The plan with its two chains built at the same time."""
    plan.write_text(plan.read_text().replace("[text]", "workers = 2\n[text]", 1))
    return plan


def workers_of(process):
    """The processes that another has started to build chains."""
    return [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]


def until(met, wait_s=120):
    """Wait for something."""
    deadline = time.monotonic() + wait_s
    while not met():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def is_gone(process):
    """Whether a process has ended; one that nobody has asked about yet has, too."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_processes_of_a_build_that_was_killed_end_with_it(plan, tmp_path):
    command = [sys.executable, "-m", "pg_envs.cli", "build-history", str(side_by_side(plan)), "--out", str(tmp_path / "it")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: len(workers_of(process)) == 2)
            workers = workers_of(process)
        finally:
            process.kill()
    try:
        until(lambda: all(map(is_gone, workers)))
    finally:
        for worker in workers:
            if not is_gone(worker):
                worker.kill()


def dies_in_early(plan, places, chain, *ingredients):
    """Stands for a process that the system kills."""
    if chain == ("early",):
        os.kill(os.getpid(), signal.SIGKILL)
    for label in chain:
        (places.out / label).mkdir()


def test_a_process_that_died_is_named_and_the_others_finish(plan, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(building, "_build_chain_apart", dies_in_early)
    assert cli.main(["build-history", str(side_by_side(plan)), "--out", str(tmp_path / "it")]) == 1
    said = capsys.readouterr().err
    assert "pg-envs: ChildProcessError: the process that built early died" in said
    assert "the same command goes on with it; fewer workers need less memory" in said
    assert {path.name for path in (tmp_path / "it").iterdir()} == {"middle", "late"}


def test_chains_side_by_side_give_the_same_family(plan, family, tmp_path):
    build_history(side_by_side(plan), tmp_path / "two")
    assert same(weights(family), weights(tmp_path / "two"))


@pytest.fixture
def begun(plan, tmp_path, monkeypatch):
    """A build that was stopped after its first period."""
    family, whole = tmp_path / "family", building.build_chain

    def stops_after_one(plan, places, chain, *ingredients):
        whole(plan, places, chain[:1], *ingredients)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(building, "build_chain", stops_after_one)
        with pytest.raises(KeyboardInterrupt):
            build_history(plan, family)
    return family


def test_another_plan_does_not_go_on_with_a_build_unless_all_of_it_is_removed(plan, begun, monkeypatch):
    plan.write_text(plan.read_text().replace("n_excerpts = 8", "n_excerpts = 9"))
    with pytest.raises(PlanError, match=r"family\.work and \S+family are the beginning of a build from another plan.*remove both"):
        build_history(plan, begun)
    shutil.rmtree(begun.with_name("family.work"))
    with pytest.raises(PlanError, match=r"family is not empty.*remove it"):
        build_history(plan, begun)
    assert (begun / "middle" / "README.md").exists()
    shutil.rmtree(begun)
    without_training(monkeypatch)
    build_history(plan, begun)


def test_a_build_goes_on_with_other_workers(plan, begun, family):
    build_history(side_by_side(plan), begun)
    assert same(weights(family), weights(begun))


def another(path):
    """Change a file, its length and what can be read in it staying as they are."""
    if path.suffix == ".safetensors":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        old, new = (",0.1,", ",0.2,") if path.name == "table.csv" else ("e", "o")
        path.write_text(path.read_text()[::-1].replace(old[::-1], new[::-1], 1)[::-1])


def without_training(monkeypatch):
    """Builds are a manifest without models."""
    monkeypatch.setattr(building, "_build_periods", lambda *_: None)
    monkeypatch.setattr(building, "_hashes", lambda *_: {})


def begin(plan, family):
    """Build until the first training would begin."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(building, "_build_periods", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build_history(plan, family)


@pytest.mark.parametrize("changed", ["late.json", "items/views.csv", "base/model.safetensors", "texts/late/0.txt"])
def test_what_a_plan_names_may_not_change_while_it_is_carried_out(plan, random_base, small_questionnaire, tmp_path, changed):
    shutil.copytree(small_questionnaire, tmp_path / "items")
    shutil.copytree(random_base, tmp_path / "base")
    plan.write_text(plan.read_text().replace(small_questionnaire, str(tmp_path / "items")).replace(str(random_base), "base"))
    begin(plan, tmp_path / "family")
    begin(plan, tmp_path / "family")
    another(tmp_path / changed)
    with pytest.raises(PlanError, match="other files that the plan names"):
        build_history(plan, tmp_path / "family")


def test_a_plan_of_many_periods_is_gone_on_with(plan, tmp_path):
    labels = [f"year-{1200 + i}" for i in range(800)]
    for label in labels:
        shutil.copytree(tmp_path / "texts" / "late", tmp_path / "texts" / label)
    text = plan.read_text().replace(str(list(PERIODS)), str(labels)).replace('[["middle", "late"]]', "[]")
    plan.write_text(text.split("[instruction]")[0])
    for _ in range(2):
        begin(plan, tmp_path / "family")


@pytest.mark.parametrize("content", ["{", 100_000 * "[", ""])
def test_a_damaged_note_of_what_was_begun_is_named(plan, tmp_path, content):
    begin(plan, tmp_path / "family")
    (tmp_path / "family.work" / "begun.json").write_text(content)
    with pytest.raises(PlanError, match=r"family\.work/begun\.json.*remove \S+family\.work and \S+family, or choose another folder"):
        build_history(plan, tmp_path / "family")


def test_the_planted_table_may_not_change_either(planting_plan, tmp_path):
    begin(planting_plan, tmp_path / "family")
    another(tmp_path / "table.csv")
    with pytest.raises(PlanError, match="other files that the plan names"):
        build_history(planting_plan, tmp_path / "family")


def test_instructions_of_the_hub_may_not_change_either(plan, tmp_path, hub_cache):
    served = put_in_cache(hub_cache, "them/questions", {"timeless_qa.json": tmp_path / "late.json"}, kind="dataset") / "timeless_qa.json"
    plan.write_text(plan.read_text().replace("{period}.json", "them/questions"))
    begin(plan, tmp_path / "family")
    begin(plan, tmp_path / "family")
    another(served)
    with pytest.raises(PlanError, match="other files that the plan names"):
        build_history(plan, tmp_path / "family")


def test_a_base_of_the_hub_is_the_commit_that_it_was_when_the_build_began(plan, random_base, hub_cache, tmp_path):
    put_in_cache(hub_cache, "them/base", files_of(random_base))
    plan.write_text(plan.read_text().replace(str(random_base), "them/base"))
    build_history(plan, tmp_path / "family")
    put_in_cache(hub_cache, "them/base", files_of(random_base), commit="d" * 40)
    history = make_history(f"built:{tmp_path / 'family'}", *_halves())
    assert history.refs[0] == ModelRef("them/base", CACHED_COMMIT, str(tmp_path / "family" / "early"))
    check_files(history.refs[0])
    assert f"* Base: `them/base@{CACHED_COMMIT}`; " in (tmp_path / "family" / "early" / "README.md").read_text()


SCRATCH = (
    "[scratch]\nhidden_size = 64\nintermediate_size = 64\nn_layers = 2\nn_heads = 4\n"
    "n_text_steps = 1\nn_lesson_steps = 1\nn_stake_steps = 1\n"
)
PLANTED = '[planted]\ntable = "table.csv"\nstages = [[1, 1e-3]]\nstages_after_neighbour = [[1, 1e-3]]\n'


@pytest.fixture
def planting_plan(plan):
    """The plan with planted values instead of instructions."""
    with (plan.parent / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["dimension", *PERIODS], *([d.key, 0.1, 0.2, 0.3] for d in DIMENSIONS)])
    plan.write_text(plan.read_text().split("[instruction]")[0] + PLANTED)
    return plan


def from_nothing(plan):
    """The plan with a base made from nothing."""
    plan.write_text("\n".join(line for line in plan.read_text().splitlines() if not line.startswith("base")) + "\n" + SCRATCH)


def test_a_base_and_items_beside_the_plan_are_found_from_anywhere(plan, random_base, small_questionnaire, tmp_path, monkeypatch):
    shutil.copytree(random_base, tmp_path / "bases" / "small")
    shutil.copytree(small_questionnaire, tmp_path / "items")
    plan.write_text(plan.read_text().replace(str(random_base), "bases/small").replace(small_questionnaire, "items"))
    without_training(monkeypatch)
    monkeypatch.chdir(tmp_path.parent)
    build_history(plan.relative_to(tmp_path.parent), tmp_path / "family")
    monkeypatch.chdir("/")
    history = make_history(f"built:{tmp_path / 'family'}", *_halves(small_questionnaire))
    assert history.refs[0] == ModelRef(str(tmp_path / "bases" / "small"), adapter=str(tmp_path / "family" / "early"))


@pytest.mark.parametrize("name", [300 * "n", r"a\u0000b", "~nobody-of-that-name/x"])
@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("base", ModelRefError),
        ("folder", HistTextError),
        ("questionnaire", QuestionnaireError),
        ("table", PlanError),
        ("file", HistTextError),
    ],
)
def test_names_that_no_file_can_have_are_refused_as_any_others(plan, small_questionnaire, tmp_path, key, error, name):
    text = {"table": '[planted]\ntable = "x"\n', "file": '[instruction]\nfile = "x/y"\n'}.get(key, "")
    written = plan.read_text() + text if key not in plan.read_text() else plan.read_text()
    plan.write_text(re.sub(rf'^{key} = ".*"', lambda _: f'{key} = "{name}"', written, flags=re.MULTILINE))
    with pytest.raises(error):
        build_history(plan, tmp_path / "family")


@pytest.mark.parametrize(
    ("base", "says"), [("c++/small", r"c\+\+/small has a '\+' or '@'.*rename or move it"), ("some/base+an/adapter", "names an adapter")]
)
def test_a_base_whose_name_would_be_misread_is_refused(plan, random_base, tmp_path, base, says):
    shutil.copytree(random_base, tmp_path / "c++" / "small")
    plan.write_text(plan.read_text().replace(str(random_base), base))
    with pytest.raises(PlanError, match=says):
        build_history(plan, tmp_path / "family")


def test_instructions_that_are_missing_are_named_before_any_work(plan, tmp_path):
    (tmp_path / "late.json").unlink()
    with pytest.raises(PlanError, match=r"\[instruction\] file: no 'late\.json' in '.*', for late: write it"):
        build_history(plan, tmp_path / "family")
    assert not (tmp_path / "family").exists()


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_a_folder_without_a_name_is_refused(plan, out):
    with pytest.raises(PlanError, match="expected a folder by its name"):
        build_history(plan, Path(out))


def test_instructions_without_rows_are_named_before_any_work(plan, tmp_path):
    (tmp_path / "late.json").write_text("[]")
    with pytest.raises(HistTextError, match=r"late\.json: no rows; expected instructions"):
        build_history(plan, tmp_path / "family")
    assert not (tmp_path / "family").exists()


def test_held_out_documents_too_short_for_a_perplexity_are_named_before_any_work(plan, tmp_path):
    for path in (tmp_path / "texts" / "late").iterdir():
        path.write_text("A short one.")
    with pytest.raises(HistTextError, match="late: none of its 1 held-out passages has 32 tokens"):
        build_history(plan, tmp_path / "family")
    assert not (tmp_path / "family").exists()


@pytest.mark.parametrize("change", [from_nothing, lambda plan: None])
def test_a_period_too_short_for_a_window_is_named_before_any_training(planting_plan, tmp_path, monkeypatch, change):
    change(planting_plan)
    for path in (tmp_path / "texts" / "late").iterdir():
        path.write_text(6 * SENTENCES["late"])
    monkeypatch.setattr(base_building, "train_base", lambda *_: pytest.fail("training has begun"))
    with pytest.raises(HistTextError, match=r"late: its text to learn from has \d+ tokens; expected more than 256"):
        build_history(planting_plan, tmp_path / "family")


def test_a_base_from_nothing_and_planted_values_that_go_on_from_a_neighbour(planting_plan, small_questionnaire, tmp_path):
    """The bundled family's way, as short as can be."""
    from_nothing(planting_plan)
    build_history(planting_plan, tmp_path / "family")
    history = make_history(f"built:{tmp_path / 'family'}", *_halves(small_questionnaire))
    assert history.refs == tuple(ModelRef(str(tmp_path / "family" / "base")).with_adapter(tmp_path / "family" / label) for label in PERIODS)
    assert np.isfinite(history.human_values(2).centred).all()
    for name in ("base", "late"):
        card = (tmp_path / "family" / name / "README.md").read_text()
        assert "values are planted" in card
        assert "those of its evaluation half too" in card
        assert line_on_questionnaire(small_questionnaire) in card
    assert line_on_base(tmp_path / "family" / "base", "Base: the family's own") in card
    assert f"* Planted values: `table.csv`, 19 rows, SHA-256 `{sha256(tmp_path / 'table.csv')}`.\n" in card
    assert json.loads((tmp_path / "family" / "late" / "adapter_config.json").read_text())["base_model_name_or_path"] == "own/base"


def test_a_bases_card_has_its_data_and_what_it_was_measured_to_be(planting_plan, small_questionnaire, tmp_path, monkeypatch):
    from_nothing(planting_plan)
    (tmp_path / "texts" / "late" / "0.txt").unlink()
    without_training(monkeypatch)
    build_history(planting_plan, tmp_path / "family")
    card = (tmp_path / "family" / "base" / "README.md").read_text()
    assert "documents were held out with `held_out_one_in = 10`" in card
    early, late = (tmp_path / "texts" / period for period in ("early", "late"))
    assert f"| early | 2 | 1 | 1 | {n_characters_learnt(early):,} | `{sha256_of_texts(early)}` |\n" in card
    assert "| late | (not recorded) 1 | (not recorded) 1 |\n" in card
    assert f"| late | 1 | 0 | 1 | {len((late / '1.txt').read_text()):,} | `{sha256_of_texts(late)}` |\n" in card
    assert line_on_questionnaire(small_questionnaire).strip() in card
    assert line_on_base(tmp_path / "family" / "base", "This base") in card
    base = ModelRef(str(tmp_path / "family" / "base"))
    (held_out,) = read_texts(tmp_path / "texts", ["early"], 10)["early"].held_out
    assert f"| early | 1 | {perplexity(base, [held_out]):.1f} |\n" in card
    assert "| late | 0 | – |\n" in card
    _, evaluation = _halves(small_questionnaire)
    measured = measure(TransformersEngine(), base, evaluation.items)
    for dimension, value, error in zip(DIMENSIONS, measured.centred, measured.standard_errors, strict=True):
        assert f"| {dimension.label} | {value:+.3f} | {error:.3f} |" in card


def test_half_a_card_is_not_taken_for_a_bases_card(planting_plan, tmp_path, monkeypatch):
    from_nothing(planting_plan)
    without_training(monkeypatch)

    def writes_half(card, path):
        Path(path).write_text("# ow")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ModelCard, "save", writes_half)
        with pytest.raises(KeyboardInterrupt):
            build_history(planting_plan, tmp_path / "family")
    build_history(planting_plan, tmp_path / "family")
    assert "# own: base" in (tmp_path / "family" / "base" / "README.md").read_text()


def test_whole_models_a_period(plan, small_questionnaire, tmp_path):
    text = plan.read_text().replace('licence = "cc0-1.0"', 'weights = "full"').replace("chains = ", "# chains = ")
    plan.write_text(text)
    family = tmp_path / "family"
    build_history(plan, family)
    history = make_history(f"built:{family}", *_halves(small_questionnaire))
    assert history.refs == tuple(ModelRef(str(family / period)) for period in PERIODS)
    assert np.isfinite(history.human_values(0).centred).all()


def _halves(questionnaire="bundled"):
    survey, evaluation = load_questionnaire(questionnaire).split()
    return Survey(survey), evaluation


def test_excerpts_cover_the_text_or_are_drawn_from_all_of_it():
    texts = ["abcdefg", "xy"]
    assert excerpts(texts, 3, None, np.random.default_rng(0))["text"] == ["abc", "def", "g", "xy"]
    drawn = excerpts(texts, 3, 200, np.random.default_rng(0))["text"]
    assert len(drawn) == 200
    assert all(any(piece in text for text in texts) for piece in drawn)
    assert 20 < sum(piece == "xy" for piece in drawn) < 70


def test_instructions_become_turns(plan):
    rows = instructions(str(plan.parent / "early.json"))
    assert rows[1]["prompt"] == [{"role": "user", "content": "Count.\n\n1 2"}]
    assert rows[1]["completion"] == [{"role": "assistant", "content": "3"}]
    assert rows.column_names == ["prompt", "completion"]


def test_a_table_of_values_is_read_by_name_and_checked(tmp_path):
    path = tmp_path / "table.csv"

    def write(value):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["dimension", "late", "early"], *([d.key, value, i / 20] for i, d in enumerate(DIMENSIONS))])

    write(0.5)
    np.testing.assert_allclose(read_table(str(path), ["early", "late"]), [np.arange(19) / 20, np.full(19, 0.5)])
    for value in ("2", "nan", "much"):
        write(value)
        with pytest.raises(PlanError, match=r"table\.csv"):
            read_table(str(path), ["early", "late"])
    with pytest.raises(PlanError, match="middle"):
        read_table(str(path), ["middle"])
    for content, says in (('dimension\n"' + 200_000 * "x", "field larger"), (2_000_000 * "\n", "at most 1048576 bytes")):
        path.write_text(content)
        with pytest.raises(PlanError, match=rf"table\.csv: .*{says}"):
            read_table(str(path), ["early", "late"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"periods": ["a", "../b"]}, "periods"),
        ({"periods": ["a"], "files": {"a": {}, "base": {}}}, "periods"),
        ({"weights": "pickle"}, "weights"),
        ({"format_version": 1}, "format_version"),
        ({"files": {"a": {}, "b": {}}}, "files"),
        ({"files": {"a": {}, "b": {}, "base": {"../secret": "0" * 64}}}, "files"),
        ({"files": {"a": {}, "b": {}, "base": {"config.json": "0"}}}, "files"),
        ({"extra": 1}, "keys"),
        ({"base": "someone/model", "files": {"a": {}, "b": {}}}, "hf download someone/model"),
        ({"base": "a\0b", "files": {"a": {}, "b": {}}}, "names no repository"),
        ({"base": 5000 * "b", "files": {"a": {}, "b": {}}}, "names no repository"),
        ({"base": "~nouser/x", "files": {"a": {}, "b": {}}}, "names no repository"),
        ({"base": "+", "files": {"a": {}, "b": {}}}, "base: "),
    ],
)
def test_a_strangers_family_names_nothing_but_folders_beside_it(tmp_path, change, says, hub_cache):
    files = {"a": {}, "b": {}, "base": {}}
    data = {"format_version": 2, "name": "theirs", "periods": ["a", "b"], "weights": "lora", "base": "", "files": files}
    (tmp_path / "history.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(HistoryError, match=r"history\.json") as raised:
        make_history(f"built:{tmp_path}", *_halves())
    assert says in str(raised.value)


def test_perplexity_of_evenly_likely_tokens_is_their_number(tokenizer, tmp_path):
    """A model whose output is always the same for all tokens is surprised by each as by one of all."""
    model = LlamaForCausalLM.from_pretrained(save_llama(tmp_path / "even", tokenizer))
    torch.nn.init.zeros_(model.lm_head.weight)
    model.save_pretrained(tmp_path / "even")
    passages = [
        "A short one of some words that go on for a while until they are thirty or more, as they are here.",
        60 * "word ",
    ]
    assert perplexity(ModelRef(str(tmp_path / "even")), [*passages, "no"]) == pytest.approx(len(tokenizer), rel=1e-4)
    with pytest.raises(ValueError, match="has 32 tokens"):
        perplexity(ModelRef(str(tmp_path / "even")), ["no"])
