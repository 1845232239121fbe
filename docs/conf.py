"""How Sphinx builds the site; `make docs` runs it with every warning an error."""

import sys
from pathlib import Path

import pg_envs

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "pg-envs"
version = release = pg_envs.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "registered"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_show_copyright = False
html_title = f"pg-envs {release}"

# Dashes only: quotes and dots are often code, and stay as they were typed.
smartquotes_action = "D"

# Links to "#headings" work on the site as they do on GitHub.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autoclass_content = "both"
# Their adapters have a page without them.
autodoc_mock_imports = ["openenv", "verifiers"]
# Else a default such as field(default_factory=list) or a whole table of functions is written out.
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Types of other projects have no page here, and their inventories would have to be fetched from a network.
nitpicky = True
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(abc|collections|contextlib|csv|datasets|gr|gymnasium|importlib|inspect|np|numpy|openenv|pathlib|peft|torch|transformers|trl"
        r"|typing|verifiers)\..+",
    ),
    # Stand in signatures as they were written: types of other projects, then names of types and what only type checkers import of
    # this one. Each by its name, so that a class that is misspelt or has moved stops the build.
    ("py:class", r"Dataset|Figure|IterableDataset|Path|PeftModel"),
    ("py:class", r"Benchmark|OnBad|OnFailure|Reference|RewardKind|Run|VLLMMode|VoteRule|agents\.reward_models\.(Judgement|Reply)"),
    ("py:class", r"pg_envs\.ranks\.T|(tuple|dict)\[.+"),
]
