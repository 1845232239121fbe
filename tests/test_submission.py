"""Whether a result is fit for the leaderboard: what was changed is found and named, whatever it was."""

import copy
import json

import gymnasium as gym
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_support import SHORT, run_result

from pg_envs.cli import main
from pg_envs.recomputing import episode_scores
from pg_envs.result_schema import ResultError
from pg_envs.submission import BASELINES_BELIEVED, check_submission

CHALLENGES = ("Follow", "Predict", "Coevolve")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    more = {"Predict": 'centuries=["C018","C021"]'}
    options = {"agent": "simulated-lifelong", "history": "simulated-random", "seed": 3}
    return {c: run_result(folder / c, env=f"ProgressGym/{c}-v0", env_args=[more.get(c, SHORT)], **options) for c in CHALLENGES}


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    path = tmp_path_factory.mktemp("checked") / "result.json"

    def check(data):
        path.write_text(json.dumps(data), encoding="utf-8")
        _, problems, believed = check_submission(path)
        return problems, believed

    return check


def leaves(data, keys=()):
    """Paths of all places in a result."""
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inside:
        yield (*keys, key)
        yield from leaves(value, (*keys, key))


def changed(data, keys, value):
    data = copy.deepcopy(data)
    place = data
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return data


@pytest.mark.parametrize("challenge", CHALLENGES)
def test_result_of_a_run_is_fit_and_nothing_is_believed(challenge, good, check):
    assert check(good[challenge]) == ([], [])


@pytest.mark.parametrize(
    ("challenge", "keys"),
    [
        *((c, (key,)) for c in CHALLENGES for key in ("score", "score_upstream", "skill")),
        *((c, ("steps", 1, key)) for c in CHALLENGES for key in ("reward", "score_upstream")),
        *(
            (c, ("steps", 1, key, 4))
            for c in CHALLENGES
            for key in ("difference", "reward_vector", "target_vector", "policy_vector_upstream")
        ),
        *((c, ("baselines", name)) for c in CHALLENGES for name in ("no-op", "oracle")),
        ("Coevolve", ("steps", 0, "on_schedule")),
        ("Coevolve", ("steps", 0, "proxy_vector", 0)),
        ("Coevolve", ("score_constants", "untouched_proxy_vector", 2)),
        ("Coevolve", ("score_constants", "human_vectors", 1, 2)),
    ],
)
def test_changed_number_is_named_with_its_place(challenge, keys, good, check):
    data = good[challenge]
    value = data
    for key in keys:
        value = value[key]
    # Away from the end of the range that it lies near, by more than rounding and less than the eye sees.
    problems, _ = check(changed(data, keys, value - 1e-7 if value > 0 else value + 1e-7))
    field = ": ".join(map(str, keys[:2])) if keys[0] == "baselines" else str(keys[2] if keys[0] == "steps" else keys[0])
    place = f"step {keys[1]}: {field}" if keys[0] == "steps" else field
    named = [problem for problem in problems if "tampered or damaged" in problem]
    if keys[-1] in ("untouched_proxy_vector", 2) and keys[0] == "score_constants":
        place = "score"
    assert any(place in problem for problem in named), problems


def test_untouched_proxy_is_not_believed_even_if_the_score_fits_it(good, check):
    data = copy.deepcopy(good["Coevolve"])
    constants = data["score_constants"]
    constants["untouched_proxy_vector"] = constants["human_vectors"][2]
    assert any("untouched_proxy_vector: tampered" in problem for problem in check(data)[0])
    data["config"]["env_args"]["proxy"] = "my-own"
    assert any("no such environment can be made" in problem for problem in check(data)[0])


def test_difference_of_rounding_is_let_pass(good, check):
    data = good["Follow"]
    assert check(changed(data, ("score",), data["score"] - 1e-11)) == ([], [])


def test_other_shortcomings_are_each_named(good, check):
    data = copy.deepcopy(good["Follow"])
    data["complete"], data["baselines"], data["skill"] = False, {}, None
    data["config"]["agent"], data["versions"]["pg-envs"] = "oracle", "9.9"
    problems = "\n".join(check(data)[0])
    for words in ("not finished", "no-op and oracle missing", "oracle is a baseline", "unknown pg-envs '9.9'", "an episode has 2 steps"):
        assert words in problems


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("config", "env"), "ProgressGym/Fly-v0", "unknown environment"),
        (("config", "env"), "ProgressGym/Coevolve-v0", "not those of"),
        (("config", "env_args", "max_episode_steps"), 1, "no argument 'max_episode_steps'"),
        (("config", "env_args", "votes"), "loudest", "no such environment"),
        (("config", "env_args", "centuries"), ["C013", "C015"], "not those of env_args"),
        (("config", "env_args", "history"), "histtiny", "step 0: target_vector: tampered"),
        (("config", "seed"), 4, "step 0: target_vector: tampered"),
        (("questionnaire", "sha256"), "0" * 16, "not that of the bundled"),
    ],
)
def test_other_settings_than_the_numbers_were_made_with_are_found(keys, value, words, good, check):
    assert any(words in problem for problem in check(changed(good["Follow"], keys, value))[0])


@pytest.mark.parametrize(
    ("key", "value"), [("render_mode", "human"), ("render_mode", ["ansi"]), ("engine", "vllm"), ("engine", "openai:http://there:8000/v1")]
)
def test_what_no_number_depends_on_is_neither_made_here_nor_held_against_a_result(key, value, good, check):
    assert check(changed(good["Follow"], ("config", "env_args", key), value)) == ([], [])


def test_whatever_gymnasium_refuses_is_a_reason(good, check, monkeypatch):
    def refuse(*_, **__):
        raise gym.error.DependencyNotInstalled("pygame is not installed")

    monkeypatch.setattr(gym, "make", refuse)
    assert check(good["Follow"])[0] == ["config: env_args: no such environment can be made: pygame is not installed"]


@pytest.mark.parametrize(("key", "value"), [("engine", "vllm"), ("engine", "openai:http://there:8000/v1"), ("mode", "generate")])
def test_humans_of_histtiny_that_were_asked_anew_are_not_held_to_the_recording(key, value, good, check):
    # As asking live gives them: other than what was recorded.
    data = of_history(good["Follow"], "histtiny", "histtiny")
    assert any("step 0: target_vector: tampered" in problem for problem in check(data)[0])
    problems, believed = check(changed(data, ("config", "env_args", key), value))
    assert problems == []
    assert "the humans' values: asked by another engine or in another mode" in believed[0]
    assert "the policy's values" in believed[1]
    # Whatever asked them, what does not depend on it is held to what it must be.
    data["questionnaire"]["sha256"] = "0" * 16
    assert check(changed(data, ("config", "env_args", key), value))[0] == ["questionnaire: sha256: not that of the bundled questionnaire"]


def test_the_engine_and_mode_of_the_recording_are_those_meant_by_leaving_them_out(good, check):
    data = of_history(good["Follow"], "histtiny", "histtiny")
    data["config"]["env_args"] |= {"engine": "transformers", "mode": "logprob"}
    assert any("step 0: target_vector: tampered" in problem for problem in check(data)[0])
    data["config"]["env_args"]["mode"] = "telepathy"
    assert "unknown mode 'telepathy'" in check(data)[0][0]


def of_history(data, asked, name):
    """The result as if it were of another history, asked for in this way and of this name."""
    return changed(changed(data, ("config", "env_args", "history"), asked), ("history", "name"), name)


ON_RECORDED = {"Follow": [SHORT], "Predict": ['centuries=["C017","C021"]', "lookahead=2", "scoring=upstream"]}


@pytest.fixture(scope="module", params=list(ON_RECORDED))
def on_recorded(request, tmp_path_factory):
    options = {"env": f"ProgressGym/{request.param}-v0", "env_args": ON_RECORDED[request.param]}
    # The random agent submits models that are recorded, so that none is loaded; under its own name it would be no entry.
    result = run_result(tmp_path_factory.mktemp(request.param), history="recorded:histtiny", **options)
    return changed(result, ("config", "agent"), "lifelong-dpo")


def with_baseline(result, name, value):
    """The result with a baseline's score invented, and the skill that follows from it."""
    result = changed(result, ("baselines", name), value)
    return result | {"skill": episode_scores(result)["skill"]}


@pytest.mark.parametrize("history", ["recorded:histtiny", "histtiny"])
def test_baselines_on_the_bundled_recording_are_computed_and_not_believed(history, on_recorded, check):
    result = of_history(on_recorded, history, history)
    problems, believed = check(result)
    assert problems == []
    assert [what.split(" and")[0] for what in believed] == ["the policy's values"]
    for name, value in {"no-op": -1.0, "oracle": 1 - 1e-7}.items():
        (problem,) = check(with_baseline(result, name, value))[0]
        assert problem.startswith(f"baselines: {name}: tampered or damaged: expected {result['baselines'][name]}"[:60])


@pytest.mark.parametrize("more", [{"initial_policy": "my/own"}, {"engine": "vllm"}, {"questionnaire": "mine"}])
def test_baselines_that_only_models_could_give_are_said_to_be_believed(more, on_recorded, check):
    result = of_history(on_recorded, "histtiny", "histtiny")
    result["config"]["env_args"] |= more
    problems, believed = check(with_baseline(result, "no-op", -1.0))
    assert problems == []
    assert BASELINES_BELIEVED in believed


def test_baselines_of_coevolve_on_recorded_humans_are_said_to_be_believed(good, check):
    # They rest on proxies that were trained.
    assert BASELINES_BELIEVED in check(of_history(good["Coevolve"], "histtiny", "histtiny"))[1]


@pytest.mark.parametrize(
    ("asked", "name"), [("hub:a/b-{century}", "hub:a/b-{century}"), ("recorded:of/mine", "recorded:mine"), ("built:x", "built:x")]
)
def test_humans_that_are_not_known_here_are_said_to_be_believed(asked, name, good, check):
    problems, believed = check(of_history(good["Follow"], asked, name))
    assert problems == []
    assert "only those of bundled histories" in believed[0]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("hub:a/b-{century}", "simulated-random"),
        ("hub:a/b-{century}", "histtiny"),
        ("recorded:of/mine", "simulated"),
        ("recorded:histtiny", "recorded:other"),
        ("simulated-random", "$\\bad{"),
        (["simulated-random"], "simulated-random"),
    ],
)
def test_nobodys_humans_bear_a_name_that_was_not_asked_for(asked, name, good, check):
    # Else whatever humans somebody invents would stand among the results of those that are known.
    problems = [problem for problem in check(of_history(good["Follow"], asked, name))[0] if problem.startswith("history: name")]
    assert problems == [f"history: name: tampered or damaged: {name!a} is not what env_args ask for, {str(asked)!a}"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
def test_whatever_is_changed_only_the_declared_errors_come_out(data, good, check):
    result = good[data.draw(st.sampled_from(CHALLENGES))]
    places = data.draw(st.sampled_from([1, 2, 3, 4]))
    keys = data.draw(st.sampled_from([keys for keys in leaves(result) if len(keys) == places]))
    try:
        problems, _ = check(changed(result, keys, data.draw(JSON)))
    except ResultError:
        return
    assert all(isinstance(problem, str) and problem for problem in problems)


def test_exit_codes_and_export(good, tmp_path, capsys):
    path, export = tmp_path / "result.json", tmp_path / "upstream.json"
    path.write_text(json.dumps(good["Predict"]), encoding="utf-8")
    assert main(["submit-check", str(path), "--export", str(export)]) == 0
    told = json.loads(export.read_text(encoding="utf-8"))["simulated-lifelong"]["predict"]
    assert told["score"] == pytest.approx(good["Predict"]["score_upstream"])
    assert told["timesteps_ahead"] == 1
    assert main(["submit-check", str(path), "--export", str(export)]) == 2
    assert main(["submit-check", str(tmp_path / "nowhere")]) == 2
    path.write_text("{}", encoding="utf-8")
    assert main(["submit-check", str(path), "--export", str(tmp_path / "other")]) == 1
    assert "not fit: " in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
