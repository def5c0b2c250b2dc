"""Streamed answers of a llama.cpp engine with one slot: one runs, the others wait."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from support.engine_processes import eventually

from modelscan.supervisor.health import Address
from modelscan.supervisor.load import load_of


def stream(port: int, tokens: int) -> bool:
    """One streamed answer; whether it came to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=180)
    body = {"prompt": "a", "n_predict": tokens, "ignore_eos": True, "stream": True, "n_probs": 20}
    try:
        connection.request("POST", "/completion", json.dumps(body))
        return b'"stop":true' in connection.getresponse().read()
    except (http.client.HTTPException, OSError):
        return False
    finally:
        connection.close()


@contextmanager
def streams(port: int, count: int, tokens: int) -> Iterator[list[Future[bool]]]:
    """``count`` streams that the engine counts as running or waiting (or that ended already)."""
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(stream, port, tokens) for _ in range(count)]

        def known() -> bool:
            ended = sum(future.done() for future in futures)
            requests = load_of(Address("127.0.0.1", port)).requests
            return requests is not None and requests.running + requests.waiting + ended >= count

        eventually(known)
        yield futures
