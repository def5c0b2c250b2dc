"""The async HTTP client, for servers: the decisions of ``exchange``, carried out on an event loop.

A deadline cancels the exchange including name resolution. A client belongs to one event loop;
cancelling the task cancels the request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from itertools import count

from modelscan.net.conditional import StoredAnswer, renewed, validators
from modelscan.net.errors import HttpError, TransportFailure, explain, out_of_time, silent
from modelscan.net.exchange import (
    MAX_BODY_BYTES,
    Answer,
    Body,
    HttpLimits,
    HttpRequest,
    HttpSettings,
    Lines,
    Read,
    answer_of,
    on_head,
    request_to,
    retry_pause_s,
)
from modelscan.net.runner import utc_now
from modelscan.net.transport import AsyncResponse, AsyncTransport


class AsyncHttpClient:
    """HTTP client for one event loop. Close it, or use it as an async context manager."""

    def __init__(
        self, settings: HttpSettings | None = None, transport: AsyncTransport | None = None
    ) -> None:
        self.settings = settings or HttpSettings()
        self._transport = transport

    async def __aenter__(self) -> AsyncHttpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Release the connections."""
        if self._transport is not None:
            await self._transport.close()

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BODY_BYTES,
        cached: bool = False,
    ) -> Answer:
        """Send a GET request and follow redirects; like ``HttpClient.get``."""
        request = request_to(self.settings, "GET", url, params=params, headers=headers)
        limits = self.settings.limits(max_bytes=max_bytes)
        if not cached or self.settings.cache is None:
            return await self._with_retries(request, limits)
        stored = await self._load(request)
        conditional = request._replace(headers={**request.headers, **validators(stored)})
        answer = await self._with_retries(conditional, limits)
        new = renewed(stored, answer.status, answer.headers, answer.body, answer.retrieved_at)
        await self._store(request, new)
        if answer.status == 304:
            answer = answer._replace(status=200, body=new.body, not_modified=True)
        return answer

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: HttpLimits | None = None,
    ) -> Answer:
        """Send any request; only idempotent ones are retried. Raises the same errors as ``get``."""
        request = request_to(self.settings, method, url, params=params, headers=headers, body=body)
        return await self._with_retries(request, limits or self.settings.limits())

    @asynccontextmanager
    async def lines(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        silence_s: float | None = None,
        max_bytes: int | None = None,
    ) -> AsyncIterator[AsyncIterator[str]]:
        """Yield the lines of a response as they arrive; redirects are not followed.

        Raises HttpError if nothing arrives for ``silence_s`` seconds (default: the settings'
        timeout) and above ``max_bytes`` (default: no limit).
        """
        request = request_to(self.settings, method, url, headers=headers, body=body)
        limits = self.settings.limits(
            timeout_s=silence_s or self.settings.timeout_s, max_redirects=0
        )
        with _explained(request, limits, streaming=True):
            async with self._followed(request, limits) as response:
                yield _lines(request, response, max_bytes)

    async def _load(self, request: HttpRequest) -> StoredAnswer | None:
        """Read the cache in a thread, because it may be on a disk."""
        assert self.settings.cache is not None
        load = self.settings.cache.load
        return await asyncio.to_thread(load, request.url, private=request.private)

    async def _store(self, request: HttpRequest, answer: StoredAnswer) -> None:
        assert self.settings.cache is not None
        store = self.settings.cache.store
        await asyncio.to_thread(store, request.url, answer, private=request.private)

    async def _with_retries(self, request: HttpRequest, limits: HttpLimits) -> Answer:
        for attempt in count(1):
            try:
                return await self._once(request, limits)
            except HttpError as error:
                error.attempts = attempt
                pause_s = retry_pause_s(request, error, attempt, limits, time.time())
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")  # pragma: no cover

    async def _once(self, request: HttpRequest, limits: HttpLimits) -> Answer:
        with _explained(request, limits):
            return await asyncio.wait_for(self._exchange(request, limits), limits.timeout_s)

    async def _exchange(self, request: HttpRequest, limits: HttpLimits) -> Answer:
        async with self._followed(request, limits) as response:
            body = await _body(request, response, Read(limits.max_bytes))
            return answer_of(request, response.status, response.headers, body, utc_now())

    @asynccontextmanager
    async def _followed(
        self, request: HttpRequest, limits: HttpLimits
    ) -> AsyncIterator[AsyncResponse]:
        following, transport = request, self._connected()
        for redirects in count():
            async with transport.open(following, limits.timeout_s) as response:
                step = on_head(following, response.status, response.headers, redirects, limits)
                if isinstance(step, HttpRequest):
                    following = step
                    continue
                if step.cut:
                    body = await _body(request, response, step)
                    answer_of(request, response.status, response.headers, body, "")
                yield response
                return

    def _connected(self) -> AsyncTransport:
        """The transport, created on first use."""
        if self._transport is None:
            from modelscan.net.httpx_async import AsyncHttpxTransport

            self._transport = AsyncHttpxTransport(self.settings.ca_file, self.settings.own)
        return self._transport


@contextmanager
def _explained(
    request: HttpRequest, limits: HttpLimits, *, streaming: bool = False
) -> Iterator[None]:
    """Turn transport failures and the deadline into HttpError."""
    try:
        yield
    except asyncio.TimeoutError as error:
        raise out_of_time(request.shown, limits.timeout_s) from error
    except TransportFailure as failure:
        if failure.kind == "timeout" and streaming:
            raise silent(request.shown, limits.timeout_s) from failure
        if failure.kind == "timeout":
            raise out_of_time(request.shown, limits.timeout_s) from failure
        raise explain(request.shown, failure) from failure


async def _lines(
    request: HttpRequest, response: AsyncResponse, max_bytes: int | None
) -> AsyncIterator[str]:
    lines = Lines(request.shown, max_bytes)
    async for part in response.parts():
        for line in lines.add(part):
            yield line
    for line in lines.end():
        yield line


async def _body(request: HttpRequest, response: AsyncResponse, read: Read) -> bytes:
    body = Body(request.shown, read)
    try:
        async for part in response.parts():
            if not body.add(part):
                break
    except TransportFailure:
        if not read.cut:  # a partial error text is good enough
            raise
    return body.joined()
