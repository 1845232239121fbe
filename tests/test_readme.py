"""The README's file tree names what there is, and nothing else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREE = re.search(r"## Files\n\n```\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL).group(1)
PACKAGE = TREE.split("agents/  ")[0]
"""What stands under ``pg_envs/``."""


def parts(folder):
    """Modules and packages that lie directly in a folder."""
    return sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())


@pytest.mark.parametrize("name", parts(ROOT / "pg_envs"))
def test_every_module_of_the_package_stands_in_the_tree(name):
    assert re.search(rf"(?<![\w/]){re.escape(name)}", PACKAGE), f"{name} is missing in README.md, under Files"


def test_the_tree_names_nothing_that_is_not_there():
    modules = re.findall(r"(?<![\w/])(\w+\.py)\b", PACKAGE)
    there = {path.name for path in (ROOT / "pg_envs").rglob("*.py")}
    assert not set(modules) - there
    folders = re.findall(r"^(\w+)/", TREE, re.MULTILINE)
    assert folders == ["pg_envs", "agents", "wrappers", "examples", "benchmarks", "tests", "docs"]
    assert all((ROOT / folder).is_dir() for folder in folders)
