"""The interaction behind OpenEnv's interface, and over its socket."""

import socket
import threading

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


@pytest.fixture
def address(interaction):
    """Where a server of the interaction listens: OpenEnv's own application, in uvicorn, on this machine."""
    import uvicorn
    from openenv.core.env_server.http_server import create_fastapi_app

    app = create_fastapi_app(lambda: InteractionEnvironment(interaction, {"agreement": 1.0, "validity": 0.5}), Answer, Turn)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=30)
    assert not thread.is_alive()


def test_openenvs_client_plays_over_a_socket(interaction, address):
    from openenv.core.generic_client import GenericEnvClient

    with GenericEnvClient(base_url=address).sync() as client:
        (row,) = interaction.prompts(5, 1)
        start = client.reset(seed=5).observation
        assert start["messages"] == row["prompt"]
        told = client.step({"content": row["answers"][0]})
        scores = interaction.score([*row["prompt"], {"role": "assistant", "content": row["answers"][0]}])
        assert told.done
        assert told.observation["scores"] == scores
        assert told.reward == scores["agreement"] + 0.5
        assert client.state()["step_count"] == 1
