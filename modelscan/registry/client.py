"""``modelscan.RegistryClient``: a registry over HTTP for runtimes and gateways, with a cache.

    client = modelscan.RegistryClient("http://127.0.0.1:8900", token="env:MODELSCAN_KEY")
    client.resolve("acme/coder@champion").weights_url

Answers are kept for ``cache_s`` seconds and revalidated by their ETag. A thread follows the
registry's events and drops what changed, usually within a second; while there are no events, the
lifetime is what counts. The Hugging Face token is never sent: only ``token`` is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

from modelscan.core.errors import AuthError, RemoteError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import NotReadable, from_json
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings
from modelscan.registry.answers import RegistryResolved
from modelscan.registry.client_cache import RegistryCache
from modelscan.registry.event_reader import RESET, RegistryEventReader
from modelscan.registry.names import checked_slug, checked_version, parse_reference
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.types import ModelVersion, RegistryEvent, RegistryModel
from modelscan.state.secrets import check_reference, resolve

T = TypeVar("T")
FilterValue = str | int | Sequence[str]
_CONNECT_S = 3.0  # the first request waits so long for the events
_MOST_PAGES = 1_000


class RegistryClient:
    """A registry at ``base_url`` (the root of ``modelscan serve``). Thread-safe.

    ``token`` is a key with the scope read, or a reference to it (``env:NAME``, ``file:PATH``).
    ``cache_s``: how long an answer is used; 0: each is requested. Close it, or use it as a context
    manager. Methods raise UsageError for a name that is unknown, AuthError where the key is missing
    or refused, RemoteError where the registry does not answer.
    """

    def __init__(
        self, base_url: str, token: str | None = None, cache_s: float = 60.0, *,
        timeout_s: float = 20.0, ca_file: str | None = None,
    ) -> None:  # fmt: skip
        if cache_s < 0:
            raise UsageError("cache_s is a number of seconds, at least 0", hint="cache_s=60")
        root = base_url.rstrip("/").removesuffix("/v1")
        self._root = f"{root}/v1"
        self._headers = _authorization(token)
        settings = HttpSettings(timeout_s=timeout_s, ca_file=ca_file)
        self._http = HttpClient(settings)
        self._cache = RegistryCache(cache_s, time.monotonic)
        self._events = RegistryEventReader(
            f"{self._root}/events?kind=registry", self._headers, settings, self._changed
        )
        self._follows = cache_s > 0

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread, the watchers and the connections."""
        self._events.close()
        self._http.close()

    def resolve(self, slug: str) -> RegistryResolved:
        """Where the weights of ``SLUG[@VERSION|@ALIAS|@sha256:…]`` are, and what they need."""
        reference = _checked(parse_reference, slug)
        path = f"registry/resolve/{quote(str(reference), safe='/@:')}"
        return _read(RegistryResolved, self._get(path, reference.slug))

    def version(self, slug: str, version: str | int) -> ModelVersion:
        """A version of a model."""
        number = _checked(checked_version, str(version))
        place = _checked(checked_slug, slug)
        path = f"registry/models/{quote(place, safe='/')}/versions/{number}"
        return _read(ModelVersion, self._get(path, place))

    def models(self, **filters: FilterValue) -> tuple[RegistryModel, ...]:
        """The models that fit, of all pages.

        ``filters`` are those of ``GET /v1/registry/models``: tag and modality (a text or several),
        license, family, max_vram_bytes, min_context, q; ``limit`` is the size of a page.
        """
        found: list[RegistryModel] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            more = {} if cursor is None else {"cursor": cursor}
            query = urlencode({"limit": 500, **filters, **more}, doseq=True)
            page = json_value(self._get(f"registry/models?{query}", None))
            if not isinstance(page, Mapping):
                raise _unreadable("a page is no JSON object")
            found += [_read_value(RegistryModel, one) for one in page.get("items", ())]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        return tuple(found)

    def watch(self) -> Iterator[RegistryEvent]:
        """Every event of the registry from now on, until ``close``.

        An event named ``reset`` means that some are missing: everything may have changed.
        """
        events = self._events.watch()
        self._events.start(_CONNECT_S)
        return events

    def _changed(self, event: RegistryEvent) -> None:
        self._cache.drop(None if event.event == RESET else event.slug)

    def _get(self, path: str, slug: str | None) -> bytes:
        if self._follows:
            self._events.start(_CONNECT_S)
        url = f"{self._root}/{path}"
        return self._cache.get(url, slug, lambda etag: self._ask(url, etag))

    def _ask(self, url: str, etag: str | None) -> tuple[bytes | None, str | None]:
        headers = dict(self._headers)
        if etag is not None:
            headers["If-None-Match"] = etag
        try:
            answer = self._http.send("GET", url, headers=headers)
        except HttpError as error:
            raise _explained(error) from error
        if answer.status == 304:
            return None, etag
        return answer.body, answer.headers.get("etag")


def _checked(check: Callable[[str], T], text: str) -> T:
    try:
        return check(text)
    except RegistryRefused as refused:
        raise UsageError(refused.message, hint=refused.hint, code=refused.code) from None


def _authorization(token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    if token.startswith(("env:", "file:")):
        token = resolve(check_reference(token))
    if token.startswith(("hf_", "api_org_")):
        raise UsageError(
            "this is a token of Hugging Face: the registry must not see it",
            hint="modelscan key create NAME --scope read",
            code="foreign_token",
        )
    return {"Authorization": f"Bearer {token}"}


def _explained(error: HttpError) -> Exception:
    if error.status in (401, 403):
        hint = "modelscan key create NAME --scope read"
        return AuthError(error.message, hint=hint, code="registry_key")
    if error.status in (400, 404, 422):
        return UsageError(error.message, hint="modelscan registry list", code="unknown_model")
    return error


def _read(kind: type[T], body: bytes) -> T:
    try:
        value = json_value(body)
    except ValueError as error:
        raise _unreadable(str(error)) from error
    return _read_value(kind, value)


def _read_value(kind: type[T], value: object) -> T:
    try:
        return from_json(kind, value)
    except NotReadable as error:
        raise _unreadable(str(error)) from error


def _unreadable(reason: str) -> RemoteError:
    return RemoteError(
        f"the registry's answer cannot be read: {reason}",
        hint="is this address that of modelscan serve?", code="garbage",
    )  # fmt: skip
