"""Rewriting noisy passages by a language model."""

from pg_envs.data.cleaning.rewrite import INSTRUCTION, rewrite_noisy
from pg_envs.models.ref import ModelRef


class Copyist:
    """Answers with the text in capitals; a text that says so is refused."""

    def __init__(self):
        self.asked = []

    def generate(self, model, prompts, max_new_tokens, temperature, seed):
        assert temperature == 0.0
        self.asked.append(prompts)
        return ["I cannot do that." if "refuse" in prompt else prompt.removeprefix(INSTRUCTION).upper() + "\n" for prompt in prompts]


def test_noisy_passages_are_rewritten_and_both_texts_kept():
    passages = [
        {"content": "clean text", "creation_year": 1900},
        {"content": "the noisy text", "cleaning": ["joined-words"]},
        {"content": "mended otherwise", "cleaning": ["mojibake"]},
        {"content": "please refuse " * 20, "cleaning": ["misread-letters"]},
    ]
    engine = Copyist()
    rewritten = list(rewrite_noisy(passages, engine, ModelRef("any"), batch_size=3))
    assert rewritten[0] is passages[0]
    assert rewritten[1] == {"content": "THE NOISY TEXT", "original_content": "the noisy text", "cleaning": ["joined-words", "rewritten"]}
    assert rewritten[2:] == passages[2:]
    assert [len(prompts) for prompts in engine.asked] == [1, 1]
    assert passages[1]["content"] == "the noisy text"
