"""A small real HTTP server that answers as the hub does, for huggingface_hub as it comes: listings, files by ranges, refusals."""

import hashlib
import json
import re
import socket
import struct
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from servers import running

COMMIT = "b" * 40
API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)/(?P<what>revision|tree|paths-info)/(?P<revision>[^/?]+)(?P<folder>/.*)?"
)
FILE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


class LoopbackHub(ThreadingHTTPServer):
    """Serves ``repositories``: for a name such as ``models/them/thing`` contents by file name; ``main`` and one commit.

    ``gated`` has names of repositories whose files are refused, though their listing is not, as the hub does it. ``cut`` says after how
    many bytes the connection is lost when a file is sent, by its name. ``asked`` has a row for every request: method, path, range.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories, self.gated, self.cut, self.asked = {}, set(), {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Connections are lost on purpose."""

    def sent(self):
        """Names of the files of which something was sent, with the ranges that were asked for, in order."""
        return [(FILE.fullmatch(path)["file"], ranges) for method, path, ranges in self.asked if method == "GET" and "/resolve/" in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing on the terminal."""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}"))

    def answer(self, asked=None):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((self.command, path, self.headers["Range"]))
        found = API.fullmatch(path) or FILE.fullmatch(path)
        name = found and f"{(found['kind'] or 'models').rstrip('/')}/{found['name']}"
        files = self.server.repositories.get(name)
        if files is None:
            # To somebody who has not signed in the hub does not say whether there is such a repository.
            self.refuse(401, "RepoNotFound")
        elif found["revision"] not in ("main", COMMIT):
            self.refuse(404, "RevisionNotFound")
        elif found.re is API:
            self.list(found, files, asked)
        elif name in self.server.gated:
            self.refuse(403, "GatedRepo")
        elif found["file"] not in files:
            self.refuse(404, "EntryNotFound")
        else:
            self.send_file(found["file"], files[found["file"]])

    def list(self, found, files, asked):
        if found["what"] == "revision":
            self.send(200, json.dumps({"id": found["name"], "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}).encode())
            return
        entries = {}
        for name, content in files.items():
            parts = name.split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                entries[folder] = {"type": "directory", "path": folder, "oid": "f" * 40, "size": 0}
            entries[name] = {
                "type": "file",
                "path": name,
                "oid": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
                "size": len(content),
            }
        if found["what"] == "paths-info":
            listed = [entries[path] for path in asked.get("paths", []) if path in entries]
        else:
            folder = (found["folder"] or "").strip("/")
            recursive = "recursive=true" in self.path.lower()
            begin = f"{folder}/" if folder else ""
            listed = [e for path, e in entries.items() if path.startswith(begin) and (recursive or "/" not in path[len(begin) :])]
        self.send(200, json.dumps(listed).encode())

    def send_file(self, name, content):
        begin, end = 0, len(content)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        more = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if wanted:
            begin, end = int(wanted[1]), min(int(wanted[2]) + 1 if wanted[2] else end, end)
            more["Content-Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
        self.send(206 if wanted else 200, content[begin:end], more, self.server.cut.get(name) if self.command == "GET" else None)

    def refuse(self, status, code):
        self.send(status, json.dumps({"error": code}).encode(), {"X-Error-Code": code, "X-Error-Message": code})

    def send(self, status, content, more=(), cut=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **dict(more)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        if cut is not None:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True


@contextmanager
def serving_hub(monkeypatch):
    """A running hub that huggingface_hub takes for the real one; it is stopped at the end."""
    import huggingface_hub
    from huggingface_hub import constants

    hub = LoopbackHub()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    huggingface_hub.close_session()
    with running(hub):
        try:
            yield hub
        finally:
            huggingface_hub.close_session()
