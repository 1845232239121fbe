"""What the app's server refuses before it looks at it: large requests, too many, and routes that this app has no use for."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES = 64 << 10
BURST, PER_SECOND = 40.0, 4.0
"""A client may send so many requests at once that make the server work (POST), and so many a second from then on."""
READING_BURST, READING_PER_SECOND = 1000.0, 100.0
"""The same of all others; a page is some 70 files."""
MAX_OPEN = 100
"""Requests of one client that are being answered; event streams are answered until their page is closed, two or three of each page."""
MAX_CLIENTS = 10_000
UNUSED_ROUTES = ("/upload", "/proxy=", "/stream/", "/component_server")
"""Of Gradio's: nothing is uploaded here, and nothing is fetched for anybody."""


class _TooLarge(Exception):
    """A body that turned out larger than allowed."""


class Limits:
    """ASGI middleware; counts clients by their address."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], clock: Callable[[], float] = time.monotonic) -> None:
        """Guard ``app``; ``clock`` tells seconds."""
        self.app = app
        self._work = _Allowance(BURST, PER_SECOND, clock)
        self._reading = _Allowance(READING_BURST, READING_PER_SECOND, clock)
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403, 413 or 429."""
        client = (scope.get("client") or ("unknown",))[0]
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif any(route in scope["path"] for route in UNUSED_ROUTES):
            await _refuse(send, 403, "not offered here")
        elif _stated_length(scope) > MAX_BODY_BYTES:
            await _refuse(send, 413, f"expected at most {MAX_BODY_BYTES} bytes")
        elif not (self._work if scope["method"] == "POST" else self._reading).take(client):
            await _refuse(send, 429, "too many requests; wait a few seconds")
        elif self._open[client] >= MAX_OPEN:
            await _refuse(send, 429, f"expected at most {MAX_OPEN} open requests; close other pages of this app")
        else:
            self._open[client] += 1
            try:
                await self._within_size(scope, receive, send)
            finally:
                self._open[client] -= 1
                if not self._open[client]:
                    # Clients that have gone are not remembered.
                    del self._open[client]

    async def _within_size(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A length that is not stated, or stated wrongly, is counted as it comes."""
        n_bytes, begun = 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > MAX_BODY_BYTES:
                raise _TooLarge
            return message

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if n_bytes > MAX_BODY_BYTES and not begun:
                # Whatever the application has made of the interrupted body.
                raise _TooLarge
            begun = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except _TooLarge:
            if not begun:
                await _refuse(send, 413, f"expected at most {MAX_BODY_BYTES} bytes")


class _Allowance:
    """So many requests of each client at once, and so many a second from then on."""

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float]) -> None:
        self.burst, self.per_second, self.clock = burst, per_second, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> bool:
        """Take one from the client's allowance, which fills up again with time; False if nothing is left."""
        now = self.clock()
        left, then = self._left.pop(client, (self.burst, now))
        left = min(self.burst, left + self.per_second * (now - then))
        allowed = left >= 1
        self._left[client] = (left - allowed, now)
        if len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        return allowed


def _stated_length(scope: Scope) -> int:
    stated = dict(scope["headers"]).get(b"content-length", b"0")
    return int(stated) if stated.isdigit() else 0


async def _refuse(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
