"""CPU time of translated requests and chunks, apart from the network: ``make bench-translate``.

A request: its body read, translated, encoded. A chunk: its bytes read, translated, encoded. The
median of rounds of CPU time (``time.process_time``), in microseconds.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec

from modelscan.gateway.data.translate.faces import (
    Dialect,
    StreamTranslator,
    translate,
)
from modelscan.gateway.data.translate.sse import encode_json

_ROUNDS, _CALLS = 9, 400
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_TURN = {"role": "user", "content": "Please explain what this function does. " * 20}
_SCHEMA = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(20)}}
_REQUESTS: dict[str, tuple[Dialect, dict[str, Any]]] = {
    "messages, 1 KB": ("messages", {"max_tokens": 100, "messages": [_TURN]}),
    "messages, 24 tools": (
        "messages",
        {
            "max_tokens": 100,
            "messages": [_TURN] * 8,
            "tools": [
                {"name": f"t{i}", "description": "d" * 400, "input_schema": _SCHEMA}
                for i in range(24)
            ],
        },
    ),
    "responses, 1 KB": ("responses", {"input": [_TURN]}),
    "ollama, 1 KB": ("ollama_chat", {"messages": [_TURN]}),
}


def microseconds(call: Callable[[], object]) -> float:
    """The median CPU time of one call."""
    times = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        for _ in range(_CALLS):
            call()
        times.append((time.process_time() - begun) / _CALLS * 1e6)
    return statistics.median(times)


def main() -> None:
    print(f"{'request':24} {'bytes':>8} {'us/request':>11} {'us/chunk':>9}")
    chunk = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    chunk += b'[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
    for name, (dialect, fields) in _REQUESTS.items():
        body = json.dumps({"model": "m", "stream": True, **fields}).encode()

        def request(body: bytes = body, dialect: Dialect = dialect) -> bytes:
            return encode_json(translate(dialect, body, _decode(body)).chat)

        stream = StreamTranslator(translate(dialect, body, _decode(body)).stream())
        stream.feed(chunk)
        each = microseconds(lambda stream=stream: stream.feed(chunk))  # type: ignore[misc]
        print(f"{name:24} {len(body):8,} {microseconds(request):11.1f} {each:9.1f}")


if __name__ == "__main__":
    main()
