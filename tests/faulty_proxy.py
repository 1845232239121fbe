"""A proxy that stands between a client and a server on this machine, and spoils what it carries as it is told to."""

import http.client
import json
import socket
import struct
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from servers import running

LONGEST_S = 30
BEFORE = ("hangs up", "bad gateway", "no HTTP", "is silent")
"""Faults of a question that never reaches the server."""
AFTER = ("keeps the answer", "hangs up within the headers", "hangs up within the answer", "drips", "another answer", "no JSON")
"""Faults of an answer that the server has given."""


class FaultyProxy(ThreadingHTTPServer):
    """Carries questions to a server and answers back; ``fault(path, body, n)`` names what goes wrong with the n-th try, or gives None.

    ``fates`` has for each question, a path and a body, what became of each try: ``"delivered"`` or the fault. ``gate`` is waited for
    before a question is carried on, and ``most_at_once`` is the largest number of questions that were here at the same time.
    """

    daemon_threads = True

    def __init__(self, upstream, fault, gate):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.fault, self.gate = upstream, fault, gate
        self.fates, self.most_at_once, self.n_here = {}, 0, 0
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """A client that gave up is what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing on the terminal."""

    def do_GET(self):
        self.carry("")

    def do_POST(self):
        self.carry(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def carry(self, body):
        proxy, question = self.server, f"{self.path} {body}"
        with proxy.lock:
            tries = proxy.fates.setdefault(question, [])
            fault = proxy.fault(self.path, body, len(tries))
            tries.append(fault or "delivered")
            proxy.n_here += 1
            proxy.most_at_once = max(proxy.most_at_once, proxy.n_here)
        try:
            proxy.gate()
            if fault in BEFORE:
                self.fail_before(fault)
            else:
                self.deliver(fault, *self.ask_upstream(body))
        finally:
            with proxy.lock:
                proxy.n_here -= 1

    def ask_upstream(self, body):
        connection = http.client.HTTPConnection(*self.server.upstream, timeout=LONGEST_S)
        connection.request(self.command, self.path, body or None, {"Authorization": self.headers["Authorization"] or ""})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def fail_before(self, fault):
        if fault == "bad gateway":
            self.send(502, b"<html>Bad Gateway</html>")
        elif fault == "no HTTP":
            self.wfile.write(b"\x00\xff SSH-2.0-OpenSSH_9.6\r\n\r\n")
            self.close_connection = True
        elif fault == "is silent":
            self.server.closing.wait(LONGEST_S)
            self.close_connection = True
        else:
            self.reset()

    def deliver(self, fault, status, text):
        if fault == "keeps the answer":
            self.server.closing.wait(LONGEST_S)
            self.close_connection = True
        elif fault == "hangs up within the headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
            self.reset()
        elif fault == "hangs up within the answer":
            self.send(status, text[: len(text) // 2], len(text))
            self.reset()
        elif fault == "drips":
            self.send(status, b"", len(text))
            for i in range(len(text)):
                if self.server.closing.wait(0.2):
                    break
                self.wfile.write(text[i : i + 1])
            self.close_connection = True
        elif fault == "another answer":
            self.send(200, json.dumps({"choices": [{"message": {}, "logprobs": {"token_logprobs": ["a", "b"]}}], "data": {}}).encode())
        elif fault == "no JSON":
            self.send(200, b'{"choices": [' + b"\xff\xfe")
        else:
            self.send(status, text)

    def send(self, status, content, told_length=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) if told_length is None else told_length))
        self.end_headers()
        self.wfile.write(content)

    def reset(self):
        """Not a polite end of the connection: what is on its way may be lost too."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


@contextmanager
def between(server, fault=lambda path, body, n: None, gate=lambda: None):
    """A running proxy in front of a server; it is stopped at the end."""
    proxy = FaultyProxy(server.server_address, fault, gate)
    with running(proxy):
        try:
            yield proxy
        finally:
            proxy.closing.set()
