"""The faces of the HTTP client under one interface, so that each test runs with all."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from modelscan.net.async_client import AsyncHttpClient
from modelscan.net.client import HttpClient
from modelscan.net.exchange import Answer, HttpLimits, HttpSettings
from modelscan.net.httpx_transport import HttpxTransport
from modelscan.net.local import LocalTransport

QUICK = (0.01, 0.01)


class Face(Protocol):
    """One way to use the client."""

    name: str

    def get(self, url: str, settings: HttpSettings, **options: Any) -> Answer: ...

    def send(
        self,
        method: str,
        url: str,
        settings: HttpSettings,
        limits: HttpLimits | None,
        **options: Any,
    ) -> Answer: ...

    def lines(self, url: str, settings: HttpSettings, **options: Any) -> list[str]: ...


class SyncFace:
    def __init__(self, name: str) -> None:
        self.name = name

    def _client(self, settings: HttpSettings) -> HttpClient:
        local = self.name == "local"
        return HttpClient(settings, LocalTransport() if local else HttpxTransport(settings.ca_file))

    def get(self, url: str, settings: HttpSettings, **options: Any) -> Answer:
        with self._client(settings) as client:
            return client.get(url, **options)

    def send(
        self,
        method: str,
        url: str,
        settings: HttpSettings,
        limits: HttpLimits | None,
        **options: Any,
    ) -> Answer:
        with self._client(settings) as client:
            return client.send(method, url, limits=limits, **options)

    def lines(self, url: str, settings: HttpSettings, **options: Any) -> list[str]:
        with self._client(settings) as client, client.lines("GET", url, **options) as lines:
            return list(lines)


class AsyncFace:
    name = "async"

    def get(self, url: str, settings: HttpSettings, **options: Any) -> Answer:
        async def run() -> Answer:
            async with AsyncHttpClient(settings) as client:
                return await client.get(url, **options)

        return asyncio.run(run())

    def send(
        self,
        method: str,
        url: str,
        settings: HttpSettings,
        limits: HttpLimits | None,
        **options: Any,
    ) -> Answer:
        async def run() -> Answer:
            async with AsyncHttpClient(settings) as client:
                return await client.send(method, url, limits=limits, **options)

        return asyncio.run(run())

    def lines(self, url: str, settings: HttpSettings, **options: Any) -> list[str]:
        async def run() -> list[str]:
            async with (
                AsyncHttpClient(settings) as client,
                client.lines("GET", url, **options) as lines,
            ):
                return [line async for line in lines]

        return asyncio.run(run())
