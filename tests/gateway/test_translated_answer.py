"""A translated answer on its way: its head waits for the first event, silence is filled."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from modelscan.gateway.data.translate.faces import translate
from modelscan.gateway.data.translated import TranslatedAnswer

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"po"},"finish_reason":null}]}\n\n'


def answer(dialect: Any = "messages", **upstream: Any) -> TranslatedAnswer:
    body = json.dumps(
        {"model": "m", "max_tokens": 9, "stream": True, "messages": [], "input": "x"}
    ).encode()
    facts = {
        "status": 200, "headers": [b"x-upstream-request-id: 7\r\n", b"server: engine\r\n"], "chunked": True, "length": -1,
        "content_type": b"text/event-stream; charset=utf-8", **upstream,
    }  # fmt: skip
    return TranslatedAnswer(
        SimpleNamespace(**facts), b"", False, translate(dialect, body, _decode(body))
    )  # type: ignore[arg-type]


def test_nothing_is_sent_before_the_first_event() -> None:
    one = answer()
    assert one.chunk(b": waiting\n\n") == b""
    assert one.keep_alive(100.0, 60.0) == b""
    head, _, first = one.chunk(CHUNK).partition(b"\r\n\r\n")
    assert b"text/event-stream" in head
    assert b"x-upstream-request-id: 7" in head
    assert b"server: engine" not in head
    assert b"message_start" in first


@pytest.mark.parametrize(
    ("dialect", "event"),
    [("messages", b"event: ping"), ("responses", b"event: response.in_progress")],
)
def test_silence_is_filled_every_ten_seconds(dialect: str, event: bytes) -> None:
    one = answer(dialect)
    one.chunk(CHUNK)
    assert one.keep_alive(100.0, 3.0) == b""
    assert event in one.keep_alive(100.0, 11.0)
    assert one.keep_alive(105.0, 16.0) == b""
    assert event in one.keep_alive(111.0, 22.0)


def test_a_broken_connection_ends_in_an_error_event() -> None:
    one = answer()
    one.chunk(CHUNK)
    assert b"event: error" in one.broken_off("connection reset")
    assert one.broken_off("again") == b""


def test_an_answer_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelscan.gateway.data.translated._MAX_WHOLE", 100)
    one = answer(content_type=b"application/json")
    assert one.chunk(b"x" * 101) == b""
    assert b"too large" in one.end(b"")
    assert one.status == 502
