"""The interaction behind OpenEnv's interface, and over its socket."""

import gymnasium as gym
import pytest

pytest.importorskip("openenv")

from wrappers.openenv_task import Answer, InteractionEnvironment, Turn


@pytest.fixture
def interaction(tiny):
    env = tiny(votes="majority", query_budget=100)
    env.reset(seed=0)
    yield env.unwrapped.interaction()
    env.close()


def test_a_seed_gives_a_group_its_start(interaction):
    environments = [InteractionEnvironment(interaction) for _ in range(2)]
    starts = [environment.reset(seed=5).messages for environment in environments]
    assert starts == [interaction.prompts(5, 1)[0]["prompt"]] * 2
    assert environments[0].reset(seed=6).messages != starts[0]
    drawn = environments[0].reset()
    assert drawn.messages == interaction.prompts(drawn.metadata["seed"], 1)[0]["prompt"]


def test_an_answers_reward_is_the_weighted_sum_of_its_scores(interaction):
    environment = InteractionEnvironment(interaction, {"agreement": 2.0, "brevity": 0.5})
    start = environment.reset(seed=5, episode_id="e")
    content = start.metadata["answers"][0] + ", surely"
    turn = environment.step(Answer(content=content))
    expected = interaction.score([*start.messages, {"role": "assistant", "content": content}])
    assert turn.scores == expected
    assert turn.reward == pytest.approx(2 * expected["agreement"] + 0.25)
    assert turn.done
    assert (environment.state.episode_id, environment.state.step_count) == ("e", 1)
    with pytest.raises(gym.error.ResetNeeded):
        environment.step(Answer(content="A"))


def test_between_answers_the_humans_speak(interaction):
    environment = InteractionEnvironment(interaction, {"validity": 1.0}, n_turns=2)
    start = environment.reset(seed=5)
    first = environment.step(Answer(content="I will not say"))
    assert [message["role"] for message in first.messages] == ["user", "assistant", "user"]
    assert (first.reward, first.done) == (0.0, False)
    last = environment.step(Answer(content=start.metadata["answers"][0]))
    assert (last.reward, last.done, len(last.messages)) == (1.0, True, 4)
    assert last.messages[:3] == first.messages


def test_an_answer_before_reset_is_refused(interaction):
    with pytest.raises(gym.error.ResetNeeded):
        InteractionEnvironment(interaction).step(Answer(content="A"))


@pytest.mark.parametrize(("settings", "message"), [({"weights": {"wit": 1.0}}, "unknown objective 'wit'"), ({"n_turns": 0}, "n_turns=0")])
def test_what_cannot_be_served_is_refused(interaction, settings, message):
    with pytest.raises(ValueError, match=message):
        InteractionEnvironment(interaction, **settings)


def test_over_a_socket(interaction):
    from fastapi.testclient import TestClient
    from openenv.core.env_server.http_server import create_fastapi_app

    app = create_fastapi_app(lambda: InteractionEnvironment(interaction), Answer, Turn)
    with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        socket.send_json({"type": "reset", "data": {"seed": 5}})
        start = socket.receive_json()["data"]["observation"]
        assert start["messages"] == interaction.prompts(5, 1)[0]["prompt"]
        socket.send_json({"type": "step", "data": {"content": "A"}})
        told = socket.receive_json()["data"]
    assert told["done"]
    assert told["observation"]["scores"] == interaction.score([*start["messages"], {"role": "assistant", "content": "A"}])
