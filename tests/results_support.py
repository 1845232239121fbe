"""Results of quick runs, for the tests of what reads them."""

import json
from unittest import mock

from pg_envs.commands import Run
from pg_envs.one_run import run_and_save

SHORT = 'centuries=["C019","C021"]'
"""Two steps."""


def run_result(folder, **options):
    """The result of a run on a simulated history, as it was written; no picture is drawn."""
    with mock.patch("pg_envs.one_run.plot_trajectory"):
        run_and_save(Run(**{"agent": "random", "history": "simulated", "out": folder, "name": "it", **options}))
    return json.loads((folder / "it" / "result.json").read_text(encoding="utf-8"))
