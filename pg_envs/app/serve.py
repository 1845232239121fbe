"""The four tabs put together and served."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_envs.app.limits import MAX_BODY_BYTES, Limits
from pg_envs.app.markup import CSS
from pg_envs.history.halves import halves
from pg_envs.history.model_history import ModelHistory
from pg_envs.history.registry import make_history

if TYPE_CHECKING:
    import gradio as gr

TITLE = "Progress alignment"
LOOPBACK = ("127.0.0.1", "localhost")
MAX_WAITING = 32
"""Requests that wait for their turn; more are turned away."""
SYSTEM_FONTS = ("system-ui", "sans-serif")


def serve(results: Path, history: str = "histtiny", host: str = "127.0.0.1", port: int = 7860, share: bool = False) -> gr.Blocks:
    """Begin to serve the app, in threads of its own.

    Args:
        results: Folder of results; nothing else of the disk is shown.
        history: Whose centuries talk and are compared with visitors: one of language models.
        host: Address to listen on; by default only this machine can reach it.
        port: Port to listen on.
        share: Also give it a public address through Gradio's tunnel: everybody who has the address can use this machine's models.

    Returns:
        The running ``gradio.Blocks``: ``block_thread()`` waits until Ctrl-C, ``close()`` stops it.

    Raises:
        ModuleNotFoundError: If Gradio is not installed.
        FileNotFoundError: If there is no such folder.
        ValueError: If the history has no language models, or the port is out of range or taken.
    """
    if find_spec("gradio") is None:
        raise ModuleNotFoundError("pg-envs app needs the package gradio, which is not installed: pip install 'pg-envs[app]'")
    if not results.is_dir():
        raise FileNotFoundError(f"{results}: no such folder; expected one with runs of pg-envs in it (it may be empty)")
    if not 1 <= port <= 65535:
        raise ValueError(f"port={port}: expected a number from 1 to 65535")
    survey, evaluation, _ = halves("bundled")
    humans = make_history(history, survey, evaluation)
    if not isinstance(humans, ModelHistory):
        raise ValueError(f"history={history!r}: its humans are value vectors and have no words; choose language models, e.g. histtiny")
    # Read when Gradio is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Read by uvicorn, which else believes all that comes from this machine, a tunnel too, when it says for whom it asks: nobody would run
    # out of requests who calls himself something else each time.
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "")
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    guards = [Middleware(Limits)]
    if host in LOOPBACK and not share:
        # A page from elsewhere cannot pass its own name off as this machine's.
        guards.insert(0, Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK)))
    app = make_app(results, humans)
    app.queue(max_size=MAX_WAITING, default_concurrency_limit=4, api_open=False)
    _launch(
        app,
        server_name=host,
        server_port=port,
        share=share,
        prevent_thread_lock=True,
        quiet=True,
        footer_links=[],
        allowed_paths=[],
        max_file_size=MAX_BODY_BYTES,
        ssr_mode=False,
        app_kwargs={"middleware": guards, "docs_url": None, "redoc_url": None, "openapi_url": None},
        theme=_theme(),
        css=CSS,
        enable_monitoring=False,
        state_session_capacity=1000,
    )
    return app


def _launch(app: gr.Blocks, **options: Any) -> None:
    try:
        app.launch(**options)
    except OSError as error:
        raise ValueError(f"cannot listen on {options['server_name']}:{options['server_port']} ({error}); choose another --port") from error


def make_app(results: Path, history: ModelHistory) -> gr.Blocks:
    """The four tabs."""
    import gradio as gr

    from pg_envs.app import century_tab, leaderboard_tab, talk_tab, trajectories_tab

    with gr.Blocks(title=TITLE, analytics_enabled=False) as app:
        gr.Markdown(f"# {TITLE}\nCan an AI's values keep up with human values that move from century to century?")
        with gr.Tab("Leaderboard"):
            leaderboard_tab.build(results)
        with gr.Tab("Trajectories"):
            trajectories_tab.build(results)
        with gr.Tab("Talk to a century"):
            talk_tab.build(history)
        with gr.Tab("Your century"):
            century_tab.build(history)
    return app


def _theme() -> Any:
    import gradio as gr

    # Fonts of the visitor's own machine: none is fetched.
    return gr.themes.Default(font=SYSTEM_FONTS, font_mono=("ui-monospace", "monospace"))
