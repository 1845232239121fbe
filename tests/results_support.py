"""Results of quick runs, for the tests of what reads them."""

import json
from unittest import mock

from pg_envs.commands import Run
from pg_envs.hashed_json import KEY
from pg_envs.one_run import run_and_save

SHORT = 'centuries=["C019","C021"]'
"""Two steps."""


def run_result(folder, **options):
    """The result of a run on a simulated history, without its own hash, so that tests can change it; no picture is drawn."""
    with mock.patch("pg_envs.one_run.plot_trajectory"):
        run_and_save(Run(**{"agent": "random", "history": "simulated", "out": folder, "name": "it", **options}))
    result = json.loads((folder / "it" / "result.json").read_text(encoding="utf-8"))
    del result[KEY]
    return result
