"""The endpoint of a run, as inspect's provider of OpenAI-compatible servers: answers are streamed.

A stream shows when the first token came; its head names the request (``X-Request-Id``), by which a
gateway stores its receipt. Both go into the output's metadata.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator
from contextvars import ContextVar
from typing import Any, cast

import httpx2
from inspect_ai._util.http_defaults_httpx2 import default_client_kwargs
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, modelapi
from inspect_ai.model._model_call import ModelCall
from inspect_ai.model._providers.openai_compatible import OpenAICompatibleAPI
from inspect_ai.tool import ToolChoice, ToolInfo
from openai import DefaultAsyncHttpxClient
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from modelscan.core.tls import TlsFiles
from modelscan.evals.inspect.call import CallMeasured, note
from modelscan.net.exchange import HttpSettings
from modelscan.net.httpx_setup import tls_context

PROVIDER = "modelscan"
_ID_HEADER = "x-request-id"


_CALL: ContextVar[CallMeasured] = ContextVar("_CALL")
_Generated = ModelOutput | tuple[ModelOutput | Exception, ModelCall]


class MeasuredEndpoint(OpenAICompatibleAPI):
    """Streams every answer, and measures it. ``socket_path`` and ``tls``: how it is reached."""

    def __init__(
        self,
        *args: Any,
        socket_path: str | None = None,
        tls: TlsFiles | None = None,
        **options: Any,
    ) -> None:
        self._socket_path, self._tls = socket_path, tls
        super().__init__(*args, **options)

    def _create_http_client(self) -> DefaultAsyncHttpxClient:
        """As inspect's own, with the files for this server."""
        options: dict[str, Any] = {}
        if self._socket_path is not None:
            options["transport"] = httpx2.AsyncHTTPTransport(uds=self._socket_path)
        elif self._tls is not None:
            files = HttpSettings().with_files(self._tls)
            options["verify"] = tls_context(files.ca_file, files.own)
        return DefaultAsyncHttpxClient(**default_client_kwargs(**options))

    def initialize(self) -> None:
        """With a note of the time when a request leaves, each time that it is tried."""
        super().initialize()
        self.client._client.event_hooks["request"].append(_note_start)

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> _Generated:
        """As inspect's own provider does, with what was measured in the output's metadata."""
        call = CallMeasured()
        token = _CALL.set(call)
        try:
            generated = await super().generate(input, tools, tool_choice, config)
        finally:
            _CALL.reset(token)
        output = generated[0] if isinstance(generated, tuple) else generated
        if isinstance(output, ModelOutput):
            note(output, call)
        return generated

    async def stream_completion(self, stream: AsyncIterable[ChatCompletionChunk]) -> ChatCompletion:
        """The whole answer of a stream."""
        call = _CALL.get()
        response = getattr(stream, "response", None)
        call.request_id = response.headers.get(_ID_HEADER) if response is not None else None
        return await super().stream_completion(_timed(stream, call))


async def _note_start(_: object) -> None:
    call = _CALL.get(None)
    if call is not None:
        call.started_at = time.monotonic()


async def _timed(
    stream: AsyncIterable[ChatCompletionChunk], call: CallMeasured
) -> AsyncIterator[ChatCompletionChunk]:
    async for chunk in stream:
        if call.ttft_s is None and _has_content(chunk):
            call.ttft_s = time.monotonic() - call.started_at
        if chunk.usage is not None:
            chunk.usage = _usage(chunk.usage)
        yield chunk


def _usage(usage: CompletionUsage) -> CompletionUsage | None:
    """With the sum that inspect demands, where a server leaves it out; None without its parts."""
    total: object = usage.total_tokens
    parts: tuple[object, ...] = (usage.prompt_tokens, usage.completion_tokens)
    if not all(isinstance(one, int) for one in parts):
        return None
    if not isinstance(total, int):
        usage.total_tokens = usage.prompt_tokens + usage.completion_tokens
    return usage


def _has_content(chunk: ChatCompletionChunk) -> bool:
    """Text, reasoning or a tool call; servers send the role before there is a token."""
    return any(
        delta.content or delta.tool_calls or getattr(delta, "reasoning_content", None)
        for delta in (choice.delta for choice in chunk.choices)
        if delta is not None
    )


@modelapi(name=PROVIDER)
def provider() -> type[ModelAPI]:
    """Inspect's registry finds the provider by its name."""
    return cast("type[ModelAPI]", MeasuredEndpoint)
