"""Is a local engine alive, and does it really answer? Plain ``http.client``: start-up counts.

Loopback only and never through a proxy. A ``/health`` request costs no tokens; ``verify`` asks
for one token (or one embedding, or one ranking) and is used once per start.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_READ_LIMIT_BYTES = 8 << 20
_OK, _LOADING = 200, 503


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens, and the key it wants (the key itself, in memory only)."""

    host: str
    port: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Any  # the JSON, or the text where it is none


def ask(
    address: Address,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    timeout_s: float,
) -> Reply | None:
    """One request; None when nothing (or no HTTP server) answers in time."""
    import http.client

    headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return Reply(response.status, _decode(response.read(_READ_LIMIT_BYTES)))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _decode(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")


def health(address: Address, *, timeout_s: float = 1.0) -> str:
    """``ok`` | ``loading`` | ``unhealthy`` (something else, or no answer)."""
    reply = ask(address, "GET", "/health", timeout_s=timeout_s)
    if reply is None:
        return "unhealthy"
    return {_OK: "ok", _LOADING: "loading"}.get(reply.status, "unhealthy")


def serves(address: Address, model: str) -> bool:
    """Whether ``/v1/models`` lists that name: whoever has the port is the engine we started."""
    reply = ask(address, "GET", "/v1/models", timeout_s=2.0)
    try:
        return reply is not None and any(row["id"] == model for row in reply.body["data"])
    except (KeyError, TypeError):
        return False


def verify(address: Address, task: str, model: str, *, timeout_s: float) -> str | None:
    """Ask for the smallest real answer; None if it is right, else what was wrong with it."""
    path, body, check = _SMALLEST.get(task, _SMALLEST["chat"])
    reply = ask(address, "POST", path, {"model": model, **body}, timeout_s=timeout_s)
    if reply is None:
        return f"{path} did not answer within {timeout_s:g} s"
    if reply.status != _OK:
        return f"{path} answered {reply.status}: {_message(reply.body)}"
    try:
        good = check(reply.body)
    except (KeyError, IndexError, TypeError):
        good = False
    return None if good else f"{path} answered 200 without a result: {str(reply.body)[:200]}"


def _message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    return str(text or body)[:300]


def _is_chat(body: Any) -> bool:
    return isinstance(body["choices"][0]["message"], dict)


def _is_embedding(body: Any) -> bool:
    vector = body["data"][0]["embedding"]
    return any(vector) and all(math.isfinite(value) for value in vector)


def _is_ranking(body: Any) -> bool:
    rows = body if isinstance(body, list) else body["results"]  # SGLang answers with the list
    return len(rows) == len(_RERANK["documents"])


_CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
_EMBED: dict[str, Any] = {"input": "Hello"}
_RERANK: dict[str, Any] = {"query": "Hello", "documents": ["Hello", "Goodbye"]}
_SMALLEST = {
    "chat": ("/v1/chat/completions", _CHAT, _is_chat),
    "embedding": ("/v1/embeddings", _EMBED, _is_embedding),
    "rerank": ("/v1/rerank", _RERANK, _is_ranking),
}


def metrics(address: Address) -> str:
    """The text of ``/metrics``; "" where the engine has none."""
    reply = ask(address, "GET", "/metrics", timeout_s=1.0)
    known = reply is not None and reply.status == _OK and isinstance(reply.body, str)
    return str(reply.body) if reply is not None and known else ""


def busy_requests(address: Address) -> int | None:
    """How many requests the engine is answering now; None when it does not say."""
    found = [float(match[1]) for match in _BUSY.finditer(metrics(address))]
    return round(sum(found)) if found else None


_BUSY = re.compile(
    r"^(?:llamacpp:requests_processing|vllm:num_requests_running|sglang:num_running_reqs)"
    r"(?:\{[^}]*\})?\s+([\d.eE+-]+)",
    re.MULTILINE,
)
