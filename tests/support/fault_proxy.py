"""A proxy on loopback that spoils HTTP between a client and a real server, by a seed.

Each connection draws its fate: it is refused, answered 502, delayed, cut after some bytes of the
answer, or left alone; the lines of a watch stream may come twice. A fate may strike before the
request reaches the server or after the server has acted: the client cannot tell which.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 13\r\n"
    b"Connection: close\r\n\r\n<html></html>"
)


@dataclass(frozen=True)
class Odds:
    """How often each fate strikes, of 1."""

    refuse: float = 0.05  # closed before the request is passed on
    lose_answer: float = 0.06  # the server acts, nobody hears of it
    gateway: float = 0.06  # 502, half of them after the server has acted
    cut: float = 0.06  # in the middle of the answer
    delay: float = 0.10
    repeat: float = 0.30  # a watch line comes twice


class FaultProxy:
    """``with FaultProxy(url, seed) as proxy: ... proxy.url``; ``struck`` counts the fates."""

    def __init__(self, url: str, seed: int, odds: Odds | None = None) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._dice, self._lock = random.Random(seed), threading.Lock()
        self._odds = odds or Odds()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.struck: Counter[str] = Counter()

    def __enter__(self) -> FaultProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _fate(self) -> tuple[str, random.Random]:
        with self._lock:
            number, own = self._dice.random(), random.Random(self._dice.random())
            fate = "pass"
            for name in ("refuse", "lose_answer", "gateway", "cut", "delay"):
                number -= getattr(self._odds, name)
                if number < 0:
                    fate = name
                    break
            self.struck[fate] += 1
        return fate, own

    def _serve(self, client: socket.socket) -> None:
        """One request per connection: the answer says that the connection closes."""
        with client, contextlib.suppress(OSError, ValueError):
            client.settimeout(120)
            request = _read_request(client)
            if not request:
                return
            fate, dice = self._fate()
            if fate == "refuse":
                return
            if fate == "delay":
                time.sleep(dice.uniform(0.05, 1.0))
            if fate == "gateway" and dice.random() < 0.5:
                client.sendall(BAD_GATEWAY)
                return
            with socket.create_connection(self._server, timeout=120) as server:
                server.sendall(request)
                self._answer(server, client, fate, dice, watch=b"watch=true" in request[:2048])

    def _answer(
        self,
        server: socket.socket,
        client: socket.socket,
        fate: str,
        dice: random.Random,
        *,
        watch: bool,
    ) -> None:
        left = dice.randrange(1, 600) if fate == "cut" else None
        first = server.recv(65536)  # the server has acted
        if fate == "lose_answer":
            return
        if fate == "gateway":
            client.sendall(BAD_GATEWAY)
            return
        data = first
        while data:
            if left is not None:
                client.sendall(data[:left])
                left -= len(data)
                if left <= 0:
                    return
            else:
                client.sendall(self._twice(data, dice) if watch else data)
            data = server.recv(65536)

    def _twice(self, data: bytes, dice: random.Random) -> bytes:
        """A chunk of a stream that is one whole line, once more."""
        size, _, rest = data.partition(b"\r\n")
        whole = rest.startswith(b"{") and rest.endswith(b"\n\r\n") and rest.count(b"\r\n") == 1
        if not whole or int(size, 16) != len(rest) - 2 or dice.random() >= self._odds.repeat:
            return data
        self.struck["repeat"] += 1
        return data * 2


def _read_request(client: socket.socket) -> bytes:
    """Head and body, with ``Connection: close`` in place of keep-alive."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    length = next(
        (int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")),
        0,
    )
    while len(body) < length:
        body += client.recv(65536)
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body
