"""The table of rules: none is forgotten, and the documents have the same."""

import inspect
import re
from pathlib import Path

from pg_envs.data.cleaning import boilerplate, characters, noise, origin, shape
from pg_envs.data.cleaning.rules import RULES


def test_every_rule_that_is_written_is_asked():
    written = {
        function
        for module in (boilerplate, characters, noise, origin, shape)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        if list(inspect.signature(function).parameters) == ["passage", "context"]
    }
    assert len(written) >= 20
    assert written == set(RULES.values())


def test_the_documents_name_the_rules_in_their_order():
    page = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    table = page[page.index("| reason code | action | when |") :].split("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE) == list(RULES)
