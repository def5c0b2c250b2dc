"""Test a routing entry with real requests: does it list the model and complete a request?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelscan.core.errors import ModelscanError, OfflineError
from modelscan.core.route import Route
from modelscan.core.units import MIB
from modelscan.net.address import stays_here
from modelscan.net.client import Answer, HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings, json_body
from modelscan.net.local import LocalTransport
from modelscan.net.transport import transport_for
from modelscan.routing.keys import read_key
from modelscan.state.secrets import redact

_MAX_BODY_BYTES = 8 * MIB
_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class RouteProbe:
    """The result of a probe; unknown fields are None. ``status`` is that of the last response."""

    ok: bool
    endpoint: str
    status: int | None = None
    models: tuple[str, ...] | None = None
    answer: str | None = None
    elapsed_s: float | None = None
    detail: str | None = None


def probe_route(route: Route, *, chat: bool, timeout_s: float, offline: bool) -> RouteProbe:
    """List the server's models and, with ``chat``, request one token (or one embedding).

    ``timeout_s`` limits each of the two requests; ``/v1/models`` uses no tokens. Raises
    OfflineError for a remote host when offline, AuthError if the key is missing, UsageError if the
    address is not http(s).
    """
    endpoint = (route.base_url or "http://localhost").rstrip("/") + "/v1"
    if offline and not stays_here(endpoint):
        raise OfflineError(
            f"{endpoint} is not on this machine and --offline is set",
            hint=f"modelscan route test {route.name}",
        )
    key = read_key(route)
    headers = {} if key is None else {"Authorization": f"Bearer {key[1]}"}
    settings = HttpSettings(timeout_s=timeout_s, pauses_s=()).with_files(route.tls)
    started = time.monotonic()
    transport = (
        LocalTransport(route.unix_socket)
        if route.unix_socket
        else transport_for(endpoint, settings)
    )
    with HttpClient(settings, transport) as client:
        result = _probed(client, endpoint, route, headers, chat=chat)
    return replace(result, elapsed_s=round(time.monotonic() - started, 4))


def _probed(
    client: HttpClient, endpoint: str, route: Route, headers: Mapping[str, str], *, chat: bool
) -> RouteProbe:
    result = RouteProbe(False, endpoint)
    try:
        result = _listed(route, result, _send(client, "GET", f"{endpoint}/models", headers))
        if not (result.ok and chat):
            return result
        path, body = _question(route)
        kind, data = json_body(body)
        request_headers = {**headers, **kind}
        answer = _send(client, "POST", f"{endpoint}/{path}", request_headers, data)
        return _answered(path, result, answer)
    except HttpError as error:
        return replace(result, ok=False, detail=redact(error.message))


def _send(
    client: HttpClient,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> Answer:
    """The response with any status, because an error's text is a result here.

    Follows no redirects.
    """
    limits = client.settings.limits(max_bytes=_MAX_BODY_BYTES, max_redirects=0)
    try:
        return client.send(method, url, headers=headers, body=body, limits=limits)
    except HttpError as error:
        if error.status is None:
            raise
        return Answer(url, error.status, error.headers, error.body, "")


def _listed(route: Route, result: RouteProbe, answer: Answer) -> RouteProbe:
    """The probe's result after the list of models."""
    result = replace(result, status=answer.status)
    if answer.status != 200:
        return replace(result, detail=f"/models answered {answer.status}: {_excerpt(answer)}")
    models = _model_ids(answer)
    if models is None:
        return replace(result, detail="/models did not answer with a list of models")
    model = route.sent_model
    detail = "the model is served"
    if not model:
        return replace(result, ok=True, models=models, detail=f"{len(models)} models are served")
    if model not in models:
        detail = f"'{model}' is not among the {len(models)} served models"
    return replace(result, ok=model in models, models=models, detail=detail)


def _model_ids(answer: Answer) -> tuple[str, ...] | None:
    try:
        body = answer.json()
        if "items" in body:  # GPUStack 0.7 answers this path with its own list of models
            return tuple(str(row["name"]) for row in body["items"])
        return tuple(str(row["id"]) for row in body["data"])
    except (ModelscanError, KeyError, TypeError):
        return None


def _question(route: Route) -> tuple[str, dict[str, Any]]:
    """Path and body of the smallest request that the model answers."""
    model = route.sent_model
    if "embedding" in route.tags:
        return "embeddings", {"model": model, "input": "Hello"}
    messages = [{"role": "user", "content": "Hello"}]
    return "chat/completions", {"model": model, "messages": messages, "max_tokens": 1}


def _answered(path: str, result: RouteProbe, answer: Answer) -> RouteProbe:
    text = _answer_text(answer, path) if answer.status == 200 else None
    detail = "the model answered"
    if text is None:
        detail = f"/{path} answered {answer.status}: {_excerpt(answer)}"
    return replace(result, ok=text is not None, status=answer.status, answer=text, detail=detail)


def _answer_text(answer: Answer, path: str) -> str | None:
    """The text of a completion, or None if the response is malformed.

    "" is valid: a single token can be a control token.
    """
    try:
        body = answer.json()
        if path == "embeddings":
            return f"{len(body['data'][0]['embedding'])} dimensions"
        message = body["choices"][0]["message"]
        return str(message.get("content") or message.get("reasoning_content") or "")
    except (ModelscanError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _excerpt(answer: Answer) -> str:
    text = answer.body.decode("utf-8", "replace")
    return redact(" ".join(text.split())[:_EXCERPT])
