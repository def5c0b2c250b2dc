"""A conversation with the model behind an OpenAI-compatible endpoint, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from modelscan.core.errors import RemoteError
from modelscan.core.json_reader import json_value
from modelscan.core.tls import TlsFiles
from modelscan.net.client import HttpClient
from modelscan.net.exchange import HttpSettings, json_body
from modelscan.net.transport import transport_for
from modelscan.state.secrets import redact, resolve

SILENCE_S = 600.0  # a long prompt on a CPU takes minutes before its first token
_MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """Where the model is served: the server's root, the model's name there, a key reference.

    ``tls``: the files of https to it.
    """

    base_url: str
    model: str
    api_key: str | None = None
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as the server counted them; unknown is None."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(slots=True)
class ChatReply:
    """An answer as it arrives. ``reasoning`` is what a thinking model wrote before it."""

    content: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text and what it belongs to."""

    kind: Literal["content", "reasoning"]
    text: str


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A question that was sent to a model, and its answer."""

    name: str
    model: str
    question: str
    answer: str
    reasoning: str | None
    finish_reason: str | None
    usage: Usage


def ask(
    endpoint: ChatEndpoint, messages: Sequence[Message], reply: ChatReply, **options: Any
) -> Iterator[Delta]:
    """Send the conversation; yield the answer piece by piece and collect it in ``reply``.

    ``options`` are further fields of the request (``max_tokens``, ``temperature``). Raises
    HttpError where the server refuses or the connection breaks, RemoteError for an error in the
    stream, AuthError where the key is missing.
    """
    body = {
        "model": endpoint.model,
        "messages": [{"role": one.role, "content": one.content} for one in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in options.items() if value is not None},
    }
    headers, data = json_body(body)
    if endpoint.api_key:
        headers["Authorization"] = f"Bearer {resolve(endpoint.api_key)}"
    url = endpoint.base_url.rstrip("/") + "/v1/chat/completions"
    settings = HttpSettings(timeout_s=SILENCE_S, pauses_s=()).with_files(endpoint.tls)
    with (
        HttpClient(settings, transport_for(url, settings)) as client,
        client.lines("POST", url, headers=headers, body=data, max_bytes=_MAX_ANSWER_BYTES) as lines,
    ):
        for line in lines:
            if line.startswith("data:"):
                yield from _pieces(line.removeprefix("data:").strip(), reply)


def _pieces(text: str, reply: ChatReply) -> Iterator[Delta]:
    """The pieces in one event of the stream; ``reply`` gets them as well."""
    if text == "[DONE]":
        return
    try:
        event = json_value(text)
    except ValueError as error:
        raise RemoteError(f"the server sent an event that is no JSON: {text[:80]!r}") from error
    if not isinstance(event, dict):
        raise RemoteError(f"the server sent an event that is no object: {text[:80]!r}")
    if event.get("error"):
        raise RemoteError(f"the server ended the answer: {redact(str(event['error']))[:300]}")
    if isinstance(event.get("usage"), dict):
        reply.usage = _usage(event["usage"])
    for choice in _objects(event.get("choices")):
        (delta,) = _objects([choice.get("delta")]) or ({},)
        if isinstance(choice.get("finish_reason"), str):
            reply.finish_reason = choice["finish_reason"]
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str):
            reply.reasoning += reasoning
            yield Delta("reasoning", reasoning)
        if isinstance(delta.get("content"), str) and delta["content"]:
            reply.content += delta["content"]
            yield Delta("content", delta["content"])


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; other kinds are left out."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _usage(value: dict[str, Any]) -> Usage:
    counts = (value.get("prompt_tokens"), value.get("completion_tokens"))
    return Usage(*(count if isinstance(count, int) else None for count in counts))
