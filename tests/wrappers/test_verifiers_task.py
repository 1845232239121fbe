"""The interaction as verifiers' tasks, scored on its traces."""

import asyncio

import pytest

vf = pytest.importorskip("verifiers.v1")

from verifiers.v1.graph import MessageNode  # noqa: E402
from verifiers.v1.trace import AgentInfo, TraceTask  # noqa: E402

from wrappers.verifiers_task import InteractionTaskset  # noqa: E402


@pytest.fixture
def interaction(tiny):
    env = tiny(votes="majority")
    env.reset(seed=0)
    yield env.unwrapped.interaction()
    env.close()


def scored(task, reply):
    """The trace of a task that was answered so, and scored."""
    messages = [*task.data.prompt, vf.AssistantMessage(content=reply)]
    nodes = [MessageNode(parent=index - 1 if index else None, message=message) for index, message in enumerate(messages)]
    trace = vf.Trace(task=TraceTask(type=type(task).__name__, data=task.data), agent=AgentInfo(config=vf.AgentConfig()), nodes=nodes)
    asyncio.run(task.score(trace))
    return trace


def test_tasks_are_the_prompts_of_the_seeds(interaction):
    tasks = list(InteractionTaskset(interaction, (3, 4), n_prompts=2))
    rows = [*interaction.prompts(3, 2), *interaction.prompts(4, 2)]
    assert [[message.content for message in task.data.prompt] for task in tasks] == [[row["prompt"][0]["content"]] for row in rows]
    assert [(task.data.seed, task.data.item_id, task.data.answers) for task in tasks] == [
        (row["seed"], row["item_id"], row["answers"]) for row in rows
    ]
    assert [task.data.idx for task in tasks] == [0, 1, 2, 3]


@pytest.mark.parametrize("reply", ["{}", "I choose {}", "{}, surely"])
def test_rewards_are_the_objectives(interaction, reply):
    (task,) = InteractionTaskset(interaction, [3], n_prompts=1)
    text = reply.format(task.data.answers[0])
    found = {name: reward.value for name, reward in scored(task, text).rewards.items()}
    turns = [*interaction.prompts(3, 1)[0]["prompt"], {"role": "assistant", "content": text}]
    assert found == interaction.score(turns)
