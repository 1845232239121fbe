"""Notes every other machine that this process turns to; run as a script, it is ``pg-envs app`` under that watch.

``python watched_app.py NOTES [ARGUMENT...]``: NOTES is the file to note them in, the arguments are those of ``pg-envs app``.
"""

import sys
from pathlib import Path

ASKED = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}
"""Python's events of turning to another machine, and which of their arguments is the address."""
HERE = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "None")


def watch(notes):
    """Have a line written into a file for each; what libraries do without Python's sockets is not seen."""

    def note(event, arguments):
        if event not in ASKED:
            return
        address = arguments[ASKED[event]]
        host = address[0] if isinstance(address, tuple) else address
        name = host.decode() if isinstance(host, bytes) else str(host)
        # Sockets that are files have a path.
        if name not in HERE and not name.startswith("/"):
            with Path(notes).open("a", encoding="utf-8") as file:
                file.write(f"{event} {address}\n")

    sys.addaudithook(note)


if __name__ == "__main__":
    # Before anything of the app is imported.
    watch(sys.argv[1])
    from pg_envs.cli import main

    sys.exit(main(["app", *sys.argv[2:]]))
