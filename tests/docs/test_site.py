"""The site's tables of contents, read without Sphinx."""

import ast
import importlib
import inspect
import re
import runpy
import sys
import tomllib
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import pytest

import pg_envs
import wrappers

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"


@pytest.fixture(scope="module")
def registered():
    sys.path.insert(0, str(DOCS / "_ext"))
    yield importlib.import_module("registered")
    sys.path.remove(str(DOCS / "_ext"))


@pytest.fixture(scope="module")
def pages(registered):
    return {f"generated/{path}": text for path, text in registered.pages().items()} | {
        path.relative_to(DOCS).as_posix(): path.read_text() for path in (*DOCS.glob("*.md"), *DOCS.glob("api/*.md"))
    }


@pytest.fixture(scope="module")
def in_contents(pages):
    """Every page that tables of contents lead to from the start page."""
    found, to_read = set(), ["index.md"]
    while to_read:
        path = to_read.pop()
        if path not in found:
            found.add(path)
            to_read += [(Path(path).parent / f"{name}.md").as_posix() for name in toctree_entries(pages[path])]
    return found


def toctree_entries(text):
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    return [re.sub(r".*<(.*)>", r"\1", line) for line in lines]


def titles(pages, in_contents, folder):
    """First line of the pages of a folder that are in the tables of contents."""
    return {pages[path].partition("\n")[0] for path in in_contents if path.startswith(f"generated/{folder}/")}


def test_every_registered_environment_is_in_the_contents(pages, in_contents):
    assert titles(pages, in_contents, "environments") == {"# Environments", *(f"# {env_id}" for env_id in pg_envs.ENV_IDS)}


def test_an_environment_that_is_registered_gets_a_page(registered):
    gym.register(id="ProgressGym/Elsewhere-v3", entry_point="pg_envs.challenges.predict:PredictEnv")
    try:
        pages = registered.pages()
    finally:
        del gym.registry["ProgressGym/Elsewhere-v3"]
    assert pages["environments/Elsewhere-v3.md"].startswith("# ProgressGym/Elsewhere-v3\n\nPredict the humans")
    assert "Elsewhere-v3" in toctree_entries(pages["environments/index.md"])


def test_every_agent_of_pyproject_is_in_the_contents(pages, in_contents):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = project["entry-points"]["pg_envs.agents"]
    assert titles(pages, in_contents, "agents") == {"# Agents", *(f"# {name}" for name in names)}


def test_every_wrapper_class_is_in_the_contents(pages, in_contents):
    # Read, not imported: the interaction's adapters need their extras.
    classes = {
        node.name
        for path in (REPOSITORY / "wrappers").glob("[!_]*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and any("Wrapper" in ast.unparse(base) for base in node.bases)
    }
    assert classes == set(wrappers.__all__)
    assert titles(pages, in_contents, "wrappers") == {"# Wrappers", *(f"# {name}" for name in classes)}


def test_no_page_is_left_out_of_the_contents(pages, in_contents):
    assert set(pages) == in_contents


def test_a_class_that_is_misspelt_stops_the_build(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    patterns = runpy.run_path(str(DOCS / "conf.py"))["nitpick_ignore_regex"]
    for name in ("Misspelt", "ModelReff", "pg_envs.env.Misspelt", "agents.reward_models.Misspelt", "wrappers.Misspelt"):
        assert not any(re.fullmatch(kind, "py:class") and re.fullmatch(pattern, name) for kind, pattern in patterns), name


@pytest.mark.parametrize("module", ["openenv_task", "verifiers_task"])
def test_adapters_that_need_an_extra_have_a_page_without_it(pages, module):
    assert f"automodule:: wrappers.{module}\n" in pages["api/environments.md"]
    assert module.partition("_")[0] in re.search(r"autodoc_mock_imports = (.*)", (DOCS / "conf.py").read_text())[1]


def test_files_outside_docs_that_are_pages_exist(registered):
    assert [path for path in registered.OUTSIDE if not (REPOSITORY / path).is_file()] == []


def test_an_agents_page_has_every_setting_inherited_ones_too(pages):
    page = pages["generated/agents/extrapolative-dpo.md"]
    listed = re.search(r"autoclass:: agents\.extrapolative_dpo\.ExtrapolativeDPOConfig\(\)\n   :members: (.*)\n", page)[1].split(", ")
    assert {"seed", "learning_rate", "beta", "reference"} <= set(listed)
    assert listed == [field.name for field in fields(importlib.import_module("agents.extrapolative_dpo").ExtrapolativeDPOConfig)]


def test_every_setting_has_a_documentation_string():
    undocumented = []
    for point in entry_points(group="pg_envs.agents"):
        settings = point.load().Config
        source = "\n".join(inspect.getsource(part) for part in settings.__mro__[:-1])
        undocumented += [
            f"{point.name}: {field.name}"
            for field in fields(settings)
            if not re.search(rf'^    {field.name}: [^\n]*\n    """\S', source, re.MULTILINE)
        ]
    assert undocumented == []


def test_links_of_included_files_lead_to_pages_or_to_the_files(registered, monkeypatch):
    """With stand-ins for Sphinx's nodes: the three kinds of link that README has, and one that docs' own pages have."""

    class Download:
        def __init__(self, *children, **attributes):
            self.attributes = attributes

    class Link:
        def __init__(self, target, domain=None):
            self.source, self.children, self.replacement = str(REPOSITORY / "README.md"), (), None
            self.attributes = {"reftarget": target, "reftype": "myst", "refdomain": domain, "refdoc": "index"}

        __getitem__ = property(lambda self: self.attributes.__getitem__)
        __setitem__ = property(lambda self: self.attributes.__setitem__)
        get = property(lambda self: self.attributes.get)

        def replace_self(self, node):
            self.replacement = node

    monkeypatch.setitem(sys.modules, "sphinx", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "sphinx.addnodes", SimpleNamespace(download_reference=Download, pending_xref=Link))
    page, outside, file, resolved = links = [
        Link("docs/hub.md#one-at-a-time"),
        Link("CHANGELOG.md"),
        Link("LICENSE"),
        Link("hub", domain="doc"),
    ]
    registered.resolve_links(SimpleNamespace(srcdir=str(DOCS)), SimpleNamespace(findall=lambda kind: links))
    assert (page["refdomain"], page["reftarget"], page["reftargetid"]) == ("doc", "hub", "one-at-a-time")
    assert (outside["refdomain"], outside["reftarget"]) == ("doc", "generated/changelog")
    assert file.replacement.attributes == {"reftarget": "/../LICENSE", "refdoc": "index"}
    assert (resolved["reftarget"], resolved.replacement) == ("hub", None)
