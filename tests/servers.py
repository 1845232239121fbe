"""Servers of tests, in threads of their own."""

import threading
from contextlib import contextmanager


@contextmanager
def running(server):
    """A server that serves; it is stopped at the end."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
