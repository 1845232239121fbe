"""What the server refuses before it looks at it."""

import asyncio

import pytest

from pg_envs.app.limits import BURST, MAX_BODY_BYTES, MAX_OPEN, PER_SECOND, READING_BURST, READING_PER_SECOND, Limits


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


def test_reading_has_a_limit_of_its_own(guarded):
    statuses = [guarded.ask(method="GET") for _ in range(int(READING_BURST) + 1)]
    assert statuses == [200] * int(READING_BURST) + [429]
    assert guarded.ask() == 200
    guarded.now += 1 / READING_PER_SECOND
    assert [guarded.ask(method="GET"), guarded.ask(method="GET")] == [200, 429]


def test_a_client_has_so_many_requests_open_and_no_more():
    async def stays_open(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await closed.wait()

    async def ask(client):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": (client, 1)}
        statuses = asyncio.Queue()

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.put_nowait(message["status"])

        asked.append(asyncio.create_task(limits(scope, None, send)))
        return await statuses.get()

    async def clients():
        assert [await ask("1.2.3.4") for _ in range(MAX_OPEN + 1)] == [200] * MAX_OPEN + [429]
        assert await ask("5.6.7.8") == 200
        closed.set()
        await asyncio.gather(*asked)
        assert await ask("1.2.3.4") == 200

    asked, closed, limits = [], asyncio.Event(), Limits(stays_open)
    asyncio.run(clients())


def test_a_body_that_is_too_large_is_said_to_be_whatever_the_application_makes_of_it():
    async def forgiving(scope, receive, send):
        try:
            while (await receive()).get("more_body"):
                pass
        except Exception:  # noqa: BLE001 - as FastAPI does
            await send({"type": "http.response.start", "status": 400, "headers": []})

    guarded = Guarded()
    guarded.limits = Limits(forgiving)
    assert guarded.ask(body=(b"x" * MAX_BODY_BYTES, b"x")) == 413


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/proxy=https://example.org/", "/gradio_api/stream/x"])
def test_routes_without_use_are_closed(guarded, path):
    assert guarded.ask(path=path, method="GET") == 403
