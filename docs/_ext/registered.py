"""Pages made of what is registered, so that none can be missing or out of date, and of files outside this folder.

Docstrings of environments and wrappers are Markdown with Gymnasium's sections and become a page's text as they stand. What is below
them (Google's sections: arguments, what is returned and raised) is left to Sphinx's own autodoc and napoleon.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

import pg_envs
import wrappers
from pg_envs.history.registry import HISTORIES
from pg_envs.models.engine import ENGINES
from pg_envs.plugins import GROUP

FOLDER = "generated"
NAMESPACE = pg_envs.ENV_IDS[0].partition("/")[0]
OUTSIDE = {
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "pg_envs/assets/histtiny/README.md": "histtiny-card",
}
"""Files of the repository that are pages here, so that links to them lead to a page and not to a download."""


def pages() -> dict[str, str]:
    """Every generated page's Markdown, by its path in ``docs/generated``."""
    environments = {spec.id: load_env_creator(spec.entry_point) for spec in gym.registry.values() if spec.namespace == NAMESPACE}
    agents = {point.name: point.load() for point in sorted(entry_points(group=GROUP))}
    wrapped = {name: getattr(wrappers, name) for name in wrappers.__all__}
    return {
        **section("environments", environments, documented_page),
        **section("agents", agents, agent_page),
        **section("wrappers", wrapped, documented_page),
        "histories.md": "# Histories and engines to choose from\n\n"
        + table("history", "who the humans are", HISTORIES)
        + table("engine", "what runs language models", ENGINES),
        **{f"{name}.md": f"```{{include}} ../../{path}\n:relative-images:\n```\n" for path, name in OUTSIDE.items()},
    }


def section(folder: str, contents: dict[str, Any], make_page: Callable[[str, Any], str]) -> dict[str, str]:
    """A page for each class by its name, and a table of contents with their first sentences."""
    files = {name: name.rpartition("/")[2] for name in contents}
    summaries = {name: inspect.getdoc(documented).partition("\n\n")[0] for name, documented in contents.items()}
    index = "\n".join(
        [
            f"# {folder.capitalize()}\n",
            *(f"* [{name}]({file}.md): {' '.join(summaries[name].split())}" for name, file in files.items()),
            "\n```{toctree}\n:hidden:\n",
            *files.values(),
            "```\n",
        ]
    )
    return {f"{folder}/index.md": index, **{f"{folder}/{file}.md": make_page(name, contents[name]) for name, file in files.items()}}


def documented_page(name: str, documented: Any) -> str:
    """An environment or a wrapper: its docstring, which is Markdown, and its class."""
    return f"# {name}\n\n{inspect.getdoc(documented)}\n\n## In Python\n\n" + directive(
        "autoclass", path_of(documented), "class-doc-from: init", "members:", "show-inheritance:"
    )


def agent_page(name: str, agent: Any) -> str:
    """An agent: its module's docstring, its class, and every setting."""
    settings = agent.Config
    # Settings that agents of several modules have in common are indexed where they are defined.
    index = () if settings.__module__ == agent.__module__ else ("no-index:",)
    setting_names = ", ".join(field.name for field in fields(settings))
    return "\n".join(
        [
            f"# {name}\n",
            directive("automodule", agent.__module__, "no-index:"),
            f"```\npg-envs run --agent {name}\n```\n",
            "## Agent\n",
            directive("autoclass", path_of(agent), "members:", "exclude-members: Config", "show-inheritance:"),
            "## Settings\n",
            f"As `--agent-args NAME=VALUE ...` on the command line, or as `{settings.__name__}(NAME=VALUE, ...)` in Python.\n",
            directive("autoclass", f"{path_of(settings)}()", f"members: {setting_names}", "undoc-members:", *index),
        ]
    )


def table(argument: str, meaning: str, rows: dict[str, str]) -> str:
    """What an argument of the environments may be, and what that means."""
    body = "\n".join(f"| `{key}` | {value} |" for key, value in rows.items())
    return f"| `{argument}=` | {meaning} |\n|---|---|\n{body}\n\n"


def path_of(documented: type) -> str:
    """Where a class is defined."""
    return f"{documented.__module__}.{documented.__qualname__}"


def directive(name: str, argument: str, *options: str) -> str:
    """One of autodoc's directives in a Markdown page."""
    lines = "".join(f"   :{option}\n" for option in options)
    return f"```{{eval-rst}}\n.. {name}:: {argument}\n{lines}```\n"


def write_pages(app: Any) -> None:
    """Write all pages anew."""
    folder = Path(app.srcdir, FOLDER)
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in pages().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def resolve_links(app: Any, doctree: Any) -> None:
    """Lead links of files that are included from outside ``docs`` to where they lead on GitHub: to a page, or to the file itself."""
    from sphinx.addnodes import download_reference, pending_xref

    repository = Path(app.srcdir).parent
    for link in list(doctree.findall(pending_xref)):
        # Docstrings name what they raise without its module.
        link["refspecific"] = link.get("refspecific") or link["reftype"] == "exc"
        file, _, heading = link["reftarget"].partition("#")
        target = (Path(link.source or "").parent / file).resolve()
        if link["reftype"] != "myst" or link["refdomain"] or not target.is_file():
            continue
        path = target.relative_to(repository).as_posix()
        page = f"{FOLDER}/{OUTSIDE[path]}" if path in OUTSIDE else path.removeprefix("docs/").removesuffix(".md")
        if f"docs/{page}.md" == path or path in OUTSIDE:
            link.attributes.update(refdomain="doc", reftarget=page, reftargetid=heading or None)
        else:
            link.replace_self(download_reference("", "", *link.children, reftarget=f"/../{path}", refdoc=link["refdoc"]))


def keep_colons(app: Any, what: str, name: str, documented: Any, options: Any, lines: list[str]) -> None:
    """Keep napoleon from reading what stands before the first line's colon as an attribute's type: begin with an empty comment."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("builder-inited", write_pages)
    # Before Sphinx collects the files that are linked to, and before napoleon.
    app.connect("doctree-read", resolve_links, priority=400)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
