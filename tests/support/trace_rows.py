"""Receipts for the tests of traces."""

from __future__ import annotations

import json
from typing import Any

from modelscan.core.receipt import KeptContent, Receipt, RouteChoice, ToolUse
from modelscan.traces.contents import ContentStore
from modelscan.traces.store import ReceiptStore

START = 1_790_000_000.0


def receipt(number: int = 1, **fields: Any) -> Receipt:
    """A request to a local model that took two seconds."""
    values: dict[str, Any] = {
        "at": START + number, "operation": "chat", "requested_model": "coder", "route": "coder",
        "served_model": "qwen3-8b", "backend": "box", "host": "127.0.0.1", "tier": "local",
        "status": 200, "duration_s": 2.0, "input_tokens": 1000, "output_tokens": 100,
        "finish_reason": "stop", "choice": RouteChoice("provider", "priority", 1),
        "window_tokens": 8192, "window_source": "engine",
    }  # fmt: skip
    return Receipt(f"{number:032x}", **{**values, **fields})


def hosted(number: int = 1, **fields: Any) -> Receipt:
    """A request to OpenAI."""
    values: dict[str, Any] = {
        "route": "cloud", "backend": "cloud", "host": "api.openai.com", "tier": "third_party",
        "served_model": "gpt-4o", "left_machine_bytes": 500, "left_hosts": ("api.openai.com",),
        "left_kinds": ("text", "tools"), "tools": (ToolUse("search", 2),),
    }  # fmt: skip
    return receipt(number, **{**values, **fields})


def talk(store: ReceiptStore, texts: ContentStore, number: int, *turns: str, **fields: Any) -> None:
    """Store a conversation: turns of user and assistant in alternation, the last one the answer."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(turns[:-1])]
    answer = {"choices": [{"message": {"role": "assistant", "content": turns[-1]}}]}
    store.write([receipt(number, **fields)])
    body = {"model": "coder", "messages": messages}
    texts.write([KeptContent(f"{number:032x}", START + number, json.dumps(body).encode(),
                             json.dumps(answer).encode())])  # fmt: skip
