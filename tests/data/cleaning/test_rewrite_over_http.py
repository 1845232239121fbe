"""Rewriting by a model on an OpenAI-compatible server: a real small one, which fails on the way."""

import json

import pytest
from scoring_server import ScoringServer
from servers import running

from pg_envs.data.cleaning.rewrite import INSTRUCTION, Rewriter
from pg_envs.data.cleaning.rewrite_folder import rewrite_folder
from pg_envs.models.engine import make_engine
from pg_envs.models.ref import ModelRef

TEXTS = ("the house stood atthe end", "to be cut off here", "refuse this one and then say no more of it")


class CopyingServer(ScoringServer):
    """Answers with the text in capitals; texts say themselves what else is done."""

    def chat(self, body):
        assert body["temperature"] == 0
        text = body["messages"][-1]["content"].removeprefix(INSTRUCTION)
        answer = "No." if "refuse" in text else text.upper()
        reason = "length" if "cut off" in text else "stop"
        return {"choices": [{"message": {"role": "assistant", "content": answer}, "finish_reason": reason}]}


pytestmark = pytest.mark.usefixtures("straight_to_servers")


def test_a_folder_is_rewritten_by_a_server_that_fails_at_first(tmp_path):
    file = tmp_path / "in" / "C019" / "1850.json"
    file.parent.mkdir(parents=True)
    noisy = {"creation_year": 1850, "source_dataset": "x", "cleaning": ["joined-words"]}
    file.write_text(json.dumps([{"content": text, **noisy} for text in TEXTS]))
    fates = iter(["500", "cut", "not json"])
    server = CopyingServer({"copyist": None}, None, lambda body: next(fates, None))
    with running(server):
        rewriter = Rewriter(make_engine(f"openai:{server.url}?backoff_s=0.01"), ModelRef("copyist"), batch_size=2)
        report = rewrite_folder(tmp_path / "in", tmp_path / "out", rewriter)
    assert report["outcomes"] == {"C019": {"rewritten": 1, "cut": 1, "no copy": 1}}
    first, *others = json.loads((tmp_path / "out" / "C019" / "1850.json").read_text())
    assert first == {"content": TEXTS[0].upper(), "original_content": TEXTS[0], **noisy, "cleaning": ["joined-words", "rewritten"]}
    assert others == [{"content": text, **noisy} for text in TEXTS[1:]]
    assert [fate for *_, fate in server.log].count("answered") == len(TEXTS)
