"""What the server refuses before it looks at it."""

import asyncio

import pytest

from pg_envs.app.limits import BURST, MAX_BODY_BYTES, PER_SECOND, Limits


class Guarded:
    """``Limits`` around an application that reads the whole body, on a clock that stands still until told."""

    def __init__(self):
        self.now, self.limits = 0.0, Limits(self.application, lambda: self.now)

    async def application(self, scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def ask(self, method="POST", path="/queue/join", headers=(), body=(b"",), client="1.2.3.4"):
        """The status of a request whose body comes in pieces."""
        sent, pieces = [], list(body)

        async def receive():
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": list(headers), "client": (client, 1)}
        asyncio.run(self.limits(scope, receive, send))
        return sent[0]["status"]


@pytest.fixture
def guarded():
    return Guarded()


def test_large_bodies_are_refused_whether_they_say_so_or_not(guarded):
    assert guarded.ask(headers=[(b"content-length", str(MAX_BODY_BYTES).encode())]) == 200
    assert guarded.ask(headers=[(b"content-length", str(MAX_BODY_BYTES + 1).encode())]) == 413
    half = b"x" * (MAX_BODY_BYTES // 2)
    assert guarded.ask(body=(half, half)) == 200
    assert guarded.ask(headers=[(b"content-length", b"10")], body=(half, half, b"x")) == 413


def test_too_many_requests_of_one_client_are_refused_until_time_has_passed(guarded):
    statuses = [guarded.ask() for _ in range(int(BURST) + 1)]
    assert statuses == [200] * int(BURST) + [429]
    assert guarded.ask(client="5.6.7.8") == 200
    assert guarded.ask(method="GET") == 200
    guarded.now += 1 / PER_SECOND
    assert [guarded.ask(), guarded.ask()] == [200, 429]


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/proxy=https://example.org/", "/gradio_api/stream/x"])
def test_routes_without_use_are_closed(guarded, path):
    assert guarded.ask(path=path, method="GET") == 403
