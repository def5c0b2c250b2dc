"""Whether a local engine is alive, and whether it answers requests.

Without httpx, because start-up time counts, and never through a proxy. A ``/health`` request costs
no tokens; ``verify`` requests one token (or one embedding, or one ranking) once per start.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modelscan.core.json_reader import json_value
from modelscan.core.reach import Reach
from modelscan.core.tls import TlsFiles
from modelscan.core.units import MIB

_MAX_BODY_BYTES = 8 * MIB
_OK, _LOADING = 200, 503

Health = Literal["ok", "loading", "unhealthy"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens, and the key it requires (the secret itself, only in memory)."""

    host: str
    port: int
    key: str | None = None
    scheme: str = "http"
    prefix: str = ""  # of every path, of a server behind a reverse proxy
    unix_socket: str | None = None  # the path of its socket, instead of host and port
    tls: TlsFiles | None = None  # of https, where the system's authorities are not the ones
    reach: Reach | None = None  # what the host may resolve to, where it is a node's

    def url(self, path: str) -> str:
        """The full address of a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}{path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of any status. ``body`` is the JSON value, or text if it is not JSON."""

    status: int
    body: Any


def ask(
    address: Address,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    timeout_s: float,
) -> Reply | None:
    """Send one request; None if no complete HTTP response arrives in time."""
    from modelscan.net.client import HttpClient
    from modelscan.net.errors import HttpError
    from modelscan.net.exchange import HttpSettings, json_body
    from modelscan.net.local import LocalTransport
    from modelscan.net.transport import transport_for

    headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
    kind, data = ({}, None) if body is None else json_body(body)
    settings = HttpSettings(timeout_s=timeout_s, pauses_s=()).with_files(address.tls)
    if address.scheme == "http" or address.reach is not None:
        transport = LocalTransport(address.unix_socket, address.reach, address.tls)
        client = HttpClient(settings, transport)
    else:
        client = HttpClient(settings, transport_for(address.url("/"), settings))
    limits = client.settings.limits(max_bytes=_MAX_BODY_BYTES, max_redirects=0)
    try:
        answer = client.send(
            method, address.url(path), headers={**headers, **kind}, body=data, limits=limits
        )
    except HttpError as error:
        return None if error.status is None else Reply(error.status, _decode(error.body))
    return Reply(answer.status, _decode(answer.body))


def _decode(data: bytes) -> Any:
    try:
        return json_value(data)
    except ValueError:
        return data.decode("utf-8", "replace")


def health(address: Address, *, timeout_s: float = 1.0) -> Health:
    """``unhealthy``: another status, or no answer."""
    reply = ask(address, "GET", "/health", timeout_s=timeout_s)
    if reply is not None and reply.status == _OK:
        return "ok"
    return "loading" if reply is not None and reply.status == _LOADING else "unhealthy"


def serves(address: Address, model: str) -> bool:
    """Whether ``/v1/models`` lists that name, i.e. the port belongs to the engine we started."""
    reply = ask(address, "GET", "/v1/models", timeout_s=2.0)
    try:
        return reply is not None and any(row["id"] == model for row in reply.body["data"])
    except (KeyError, TypeError):
        return False


def served_context(address: Address, model: str) -> int | None:
    """The tokens that one request may use, as the engine itself says; None if it does not.

    vLLM and SGLang list ``max_model_len`` with the model, llama.cpp has the context of a slot
    (capped at what the model was trained for) in ``/props``.
    """
    listed = ask(address, "GET", "/v1/models", timeout_s=2.0)
    rows = _member(listed.body if listed else None, "data")
    for row in rows if isinstance(rows, list) else ():
        if _member(row, "id") == model and (tokens := _count(_member(row, "max_model_len"))):
            return tokens
    props = ask(address, "GET", "/props", timeout_s=2.0)
    settings = _member(props.body if props else None, "default_generation_settings")
    return _count(_member(settings, "n_ctx"))


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def verify(address: Address, task: str, model: str, *, timeout_s: float) -> str | None:
    """Send the smallest real request; None if the answer is valid, else what is wrong with it."""
    path, body, check = _SMALLEST.get(task, _SMALLEST["chat"])
    begun = time.monotonic()
    reply = ask(address, "POST", path, {"model": model, **body}, timeout_s=timeout_s)
    if reply is None:
        late = time.monotonic() - begun >= timeout_s
        return f"{path} did not answer" + (
            f" within {timeout_s:g} s" if late else ": no connection"
        )
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
    rows = body if isinstance(body, list) else body["results"]  # SGLang returns the list itself
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
    """The text of ``/metrics``; "" if the engine has none."""
    reply = ask(address, "GET", "/metrics", timeout_s=1.0)
    if reply is None or reply.status != _OK or not isinstance(reply.body, str):
        return ""
    return reply.body
