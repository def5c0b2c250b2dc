"""A request and an answer cut at every position, and byte by byte: the same bytes come out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support.gateway_client import AUTH, Answer, body, chunked, request
from support.gateway_rig import access, backend, key, route, table
from support.gateway_upstream import LAST, SSE_HEAD, answer, chunk

from modelscan.gateway.counters import Counters, CounterSizes
from modelscan.gateway.data.client import ClientConnection
from modelscan.gateway.data.options import WorkerOptions
from modelscan.gateway.data.upstream import Upstream
from modelscan.gateway.data.worker import Worker
from modelscan.gateway.snapshot import Snapshot


class Written(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def write(self, data: Any) -> None:
        self.data += bytes(data)

    def close(self) -> None:
        pass

    abort = pause_reading = resume_reading = close

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default


class Standing:
    """A loop without time."""

    def time(self) -> float:
        return 0.0

    def call_soon(self, function: Any, *arguments: Any) -> None:
        function(*arguments)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    counters = Counters.create(CounterSizes(backends=4, keys=4, turns=4))
    options = WorkerOptions(0, (), 0, counters.fileno())
    made = Worker(Standing(), options)  # type: ignore[arg-type]
    made._channel.send = lambda _: True  # type: ignore[method-assign]
    only = backend("a", 80, served_model="upstream-model")
    made._apply(Snapshot(table([only], route("fast", 0)), access(key())))
    made.trace_id = lambda: "0" * 32  # type: ignore[method-assign]  # of each request: comparable
    yield made


def pass_through(worker: Worker, asked: list[bytes], answered: list[bytes]) -> tuple[bytes, Answer]:
    """What the backend and the client receive."""
    there, back = Written(), Written()
    pool = worker.state.backends[0].pool
    upstream = Upstream(pool)
    upstream.connection_made(there)
    pool.close()
    pool._closed = False
    pool.put(upstream)
    client = ClientConnection(worker)
    client.connection_made(back)
    for piece in asked:
        client.data_received(piece)
    for piece in answered:
        upstream.data_received(piece)
    assert client.active is None
    client.connection_lost(None)
    return there.data, Answer(back.data, "open")


CONTENT = body(pad=40)
REQUESTS = {
    "length": request(CONTENT),
    "chunks": chunked(CONTENT, 50, trailer=b"X-T: 1\r\n"),
    "form": b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\n" + AUTH
    + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 77\r\n\r\n"
    + b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nfast\r\n--b--\r\n'.ljust(77, b"x"),
}  # fmt: skip
ANSWERS = {
    "length": answer(extra=b"server: uvicorn\r\n"),
    "chunks": SSE_HEAD + chunk(b"hello") + b"6;x=1\r\n world\r\n" + LAST,
}


@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("answered", ANSWERS)
def test_every_position(worker: Worker, asked: str, answered: str) -> None:
    there, back = REQUESTS[asked], ANSWERS[answered]
    sent, received = pass_through(worker, [there], [back])
    assert b"upstream-model" in sent and received.status == 200
    expected = (sent, received.head, received.body)

    def same(asked: list[bytes], answered: list[bytes]) -> bool:
        sent, received = pass_through(worker, asked, answered)
        return (sent, received.head, received.body) == expected

    for at in range(1, len(there)):
        assert same([there[:at], there[at:]], [back]), at
    for at in range(1, len(back)):
        assert same([there], [back[:at], back[at:]]), at
    bytes_of = [[data[at : at + 1] for at in range(len(data))] for data in (there, back)]
    assert same(*bytes_of)


PLAIN = request(CONTENT)
AFTER_TWO_EQUAL_ONES = {
    "the same": PLAIN,
    "another length": request(body(pad=4000)),
    "a length that begins with zeros": PLAIN.replace(b"Content-Length: ", b"Content-Length: 00"),
    "a length with a sign": PLAIN.replace(b"Content-Length: ", b"Content-Length: +"),
    "a second length": PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n", 1),
    "chunks": chunked(CONTENT, 50),
    "one header more": PLAIN.replace(b"\r\n\r\n", b"\r\nX-More: 1\r\n\r\n", 1),
    "one byte of a header": PLAIN.replace(b"Host: x", b"Host: y"),
    "another key": PLAIN.replace(b"sk-ms-1", b"sk-ms-2"),
    "another path": PLAIN.replace(b"/chat/completions", b"/completions"),
    "another method": PLAIN.replace(b"POST ", b"GET ", 1),
    "HTTP/1.0": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a line break before it": b"\r\n" + PLAIN,
    "two at once": PLAIN + PLAIN,
    "a body that is not JSON": request(b"x" * len(CONTENT)),
    "an empty body": request(b""),
    "a large body": request(body(pad=40_000)),
}


@pytest.mark.parametrize("name", AFTER_TWO_EQUAL_ONES)
def test_a_repeated_head_is_read_as_if_it_were_the_first(worker: Worker, name: str) -> None:
    """After equal heads a connection knows one; whatever follows has the effect that it has on a
    connection that knows none, in one piece or in two."""
    following = AFTER_TWO_EQUAL_ONES[name]
    alone = pass_through_all(worker, [[following]])
    assert pass_through_all(worker, [[PLAIN], [PLAIN], [following]])[2:] == alone
    for at in (1, len(following) // 2, len(following) - 1):
        pieces = [following[:at], following[at:]]
        assert pass_through_all(worker, [[PLAIN], [PLAIN], pieces])[2:] == alone, at


def test_a_key_that_expired_is_refused_with_a_known_head(worker: Worker) -> None:
    known = next(iter(worker.state.keys.values())).key
    talk = Talk(worker)
    assert [talk.send([PLAIN])[1] for _ in range(3)] == [200] * 3
    try:
        object.__setattr__(known, "expires_at", worker.wall)
        assert talk.send([PLAIN]) == (b"", 401)
        assert talk.send([PLAIN]) == (b"", 0)  # nothing more of this connection is read
    finally:
        object.__setattr__(known, "expires_at", None)


class Talk:
    """One connection of a client, to a backend that answers whenever it is sent something."""

    def __init__(self, worker: Worker) -> None:
        self.pool = worker.state.backends[0].pool
        self.there, self.back = Written(), Written()
        self.client = ClientConnection(worker)
        self.client.connection_made(self.back)

    def send(self, pieces: list[bytes]) -> tuple[bytes, int]:
        """What the backend receives and the status that the client does."""
        upstream = Upstream(self.pool)
        upstream.connection_made(self.there)
        self.pool._idle.clear()
        self.pool.put(upstream)
        for piece in pieces:
            self.client.data_received(piece)
        while self.client.active is not None and upstream.sink is not None:
            upstream.data_received(answer())
        sent, status = self.there.data, Answer(self.back.data, "open").status
        self.there.data = self.back.data = b""
        return sent, status


def pass_through_all(worker: Worker, rounds: list[list[bytes]]) -> list[tuple[bytes, int]]:
    talk = Talk(worker)
    seen = [talk.send(pieces) for pieces in rounds]
    talk.client.connection_lost(None)
    return seen
