"""Calls of a GPUStack server. Its version, read once, determines its API.

Only idempotent calls are repeated. After a create without an answer, the caller looks the model up
by name. Credentials are given by reference and sent only to the configured server: redirects are
not followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from modelscan.core.errors import AuthError, ModelscanError, OfflineError, RemoteError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.net.address import checked, stays_here
from modelscan.net.client import Answer, HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings, json_body
from modelscan.net.transport import Transport, transport_for
from modelscan.state.secrets import redact, resolve
from modelscan.targets.gpustack.errors import error_from
from modelscan.targets.gpustack.types import as_row, understood

_ATTEMPTS = 4
_PAUSE_S = 0.25
_PER_PAGE = 100
_MAX_PAGES = 1000
_NEWEST = 2  # the major version that the tests run


@dataclass(frozen=True, slots=True)
class Dialect:
    """The API paths of a version: 2.x ``/v2`` and ``/v1``; 0.7 ``/v1`` and ``/v1-openai``."""

    version: str
    management: str
    inference: str

    @property
    def modern(self) -> bool:
        """Whether the server has the API of version 2."""
        return self.management == "/v2"

    @property
    def untested(self) -> bool:
        """Whether the version is newer than the tested ones: it is used as 2.x."""
        major = self.version.lstrip("vV").partition(".")[0]
        return major.isdecimal() and int(major) > _NEWEST


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a server. ``api_key`` is a reference; ``ca_file`` a PEM file of its own CA."""

    name: str
    url: str
    api_key: str | None = None
    ca_file: str | None = None
    timeout_s: float = 20.0
    offline: bool = False
    attempts: int = _ATTEMPTS


def dialect_of(version: str) -> Dialect:
    """``v2.3.0`` -> the 2.x API, ``0.7.1`` -> the old one. Raises UsageError for others."""
    text = version.lstrip("vV")
    try:
        major, minor = (int(part) for part in ([*text.split("."), "0"])[:2])
    except ValueError:
        major, minor = (2, 0) if text.startswith("0.0.0") else (-1, 0)
    if major >= 2 or text.startswith("0.0.0"):  # 0.0.0 is a build from the main branch
        return Dialect(version, "/v2", "/v1")
    if major == 0 and minor in (6, 7):
        return Dialect(version, "/v1", "/v1-openai")
    raise UsageError(
        f"version {version} is not supported (GPUStack 0.6 to 0.7 and 2.x are)",
        hint="upgrade the server to 2.x, or check its address: modelscan target list",
        code="unsupported_version",
    )


class Client:
    """Calls of one server. Use as a context manager; ``transport`` is injected by tests."""

    def __init__(self, connection: Connection, transport: Transport | None = None) -> None:
        self.connection = connection
        self._url = _root(connection.url)
        if connection.offline and not stays_here(self._url):
            raise OfflineError(
                f"{connection.name} ({connection.url}) is not on this machine and --offline is set",
                hint="run the command without --offline",
            )
        key = _key(connection.api_key) if connection.api_key else None
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._dialect: Dialect | None = None
        pauses_s = tuple(_PAUSE_S * 2**n for n in range(connection.attempts - 1))
        settings = HttpSettings(
            timeout_s=connection.timeout_s, ca_file=connection.ca_file, pauses_s=pauses_s
        )
        self._http = HttpClient(settings, transport or transport_for(self._url, settings))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def dialect(self) -> Dialect:
        """The server's API, read once: ``GET /version`` needs no key."""
        if self._dialect is None:
            try:
                body = self._call("GET", "/version", what="ask its version")
            except RemoteError as error:
                if error.code not in ("not_found", "not_json"):
                    raise
                raise self._another_program(error.message) from error
            version = body.get("version") if isinstance(body, Mapping) else None
            if not isinstance(version, str) or not version:
                raise self._another_program("its answer to /version has no version")
            self._dialect = dialect_of(version)
        return self._dialect

    def _another_program(self, why: str) -> RemoteError:
        where = self.connection
        return RemoteError(
            f"{where.url} is not a GPUStack server: {why}",
            hint=f"modelscan target add {where.name} URL   (the root of GPUStack's own pages)",
            code="not_gpustack",
        )

    def list(self, kind: str, **query: Any) -> list[Mapping[str, Any]]:
        """Every row of a management list, all pages, in the server's order."""
        rows: list[Mapping[str, Any]] = []
        for page in range(1, _MAX_PAGES + 1):
            params = {**query, "page": page, "perPage": _PER_PAGE}
            body = self.get(kind, params=params, what=f"list {kind}")
            with understood(f"the list of {kind}"):
                items = body["items"]
                rows += [as_row(item) for item in items]
                total = int((body.get("pagination") or {}).get("totalPage") or 0)
            if page >= total or not items:
                break
        return rows

    def get(self, path: str, *, what: str, params: Mapping[str, Any] | None = None) -> Any:
        """GET from the management API; ``what`` names the request in error messages."""
        return self._call("GET", self._management(path), what=what, params=params)

    def post(self, path: str, body: Any, *, what: str, timeout_s: float | None = None) -> Any:
        """Sent once: after a lost answer the caller finds out whether it arrived."""
        return self._call("POST", self._management(path), what=what, body=body, timeout_s=timeout_s)

    def put(self, path: str, body: Any, *, what: str) -> Any:
        """PUT to the management API; ``what`` names the request in error messages."""
        return self._call("PUT", self._management(path), what=what, body=body)

    def delete(self, path: str, *, what: str) -> Any:
        """Idempotent: repeated on a lost connection; 404 on a repeat means success."""
        return self._call("DELETE", self._management(path), what=what)

    def infer(
        self, path: str, body: Any | None, *, what: str, timeout_s: float | None = None
    ) -> Any:
        """Call ``chat/completions``, ``embeddings``, ``rerank`` or (without a body) ``models``."""
        method = "GET" if body is None else "POST"
        # Reranking is not in the OpenAI API: it is at /v1 in both versions.
        url = f"{'/v1' if path == 'rerank' else self.dialect.inference}/{path}"
        return self._call(method, url, what=what, body=body, timeout_s=timeout_s)

    def prometheus(self, query: str) -> Any:
        """An instant query of the server's built-in Prometheus, for administrators' keys."""
        params = {"query": query}
        return self._call(
            "GET", "/prometheus/api/v1/query", what="read the request counters", params=params
        )

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        what: str,
        params: Mapping[str, Any],
        silence_s: float = 45.0,
        within_s: float | None = None,
        max_bytes: int | None = None,
    ) -> Iterator[Iterator[str]]:
        """The lines of a watch or log stream. Raises RemoteError on network errors,

        after ``silence_s`` seconds without a byte (heartbeats: every 15 s), after more than
        ``within_s`` seconds in all, and beyond ``max_bytes`` (None: no limit).
        """
        url = self._url + self._management(path)
        try:
            with self._http.lines(
                "GET", url, params=params, headers=self._headers,
                silence_s=silence_s, within_s=within_s, max_bytes=max_bytes,
            ) as lines:  # fmt: skip
                yield lines
        except HttpError as error:
            raise self._explained(error, what) from error

    def _management(self, path: str) -> str:
        return f"{self.dialect.management}/{path}"

    def _call(
        self,
        method: str,
        path: str,
        *,
        what: str,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Any:
        """One call, repeated if it is idempotent; the JSON body's value, None if there is no
        body.
        """
        kind, data = ({}, None) if body is None else json_body(body)
        limits = self._http.settings.limits(
            max_redirects=0, timeout_s=timeout_s or self.connection.timeout_s
        )
        try:
            answer = self._http.send(
                method, self._url + path, params=params, headers={**self._headers, **kind},
                body=data, limits=limits,
            )  # fmt: skip
        except HttpError as error:
            if method == "DELETE" and error.attempts > 1 and error.status == 404:
                return None
            raise self._explained(error, what) from error
        return self._value(answer, what)

    def _value(self, answer: Answer, what: str) -> Any:
        if not answer.body:
            return None
        try:
            return answer.json()
        except HttpError as error:
            raise RemoteError(
                f"{self.connection.name}: the answer is not JSON ({what})",
                hint=f"is {self.connection.url} a GPUStack server?", code="not_json",
            ) from error  # fmt: skip

    def _explained(self, error: HttpError, what: str) -> ModelscanError:
        """The client's error as an error of this server: rejected, or no usable answer."""
        if error.status is None:
            return self._unreachable(error.reason, what)
        text = error.body.decode("utf-8", "replace")
        try:
            body = json_value(text)
        except ValueError:
            body = None
        return error_from(
            error.status, body, text, what=what, target=self.connection.name,
            keyed=self.connection.api_key is not None, location=error.headers.get("location"),
        )  # fmt: skip

    def _unreachable(self, reason: str, what: str) -> RemoteError:
        where = self.connection
        hint, code = f"modelscan target test {where.name}", "unreachable"
        if "CERTIFICATE_VERIFY_FAILED" in reason:  # OpenSSL's word
            hint = f"modelscan target add {where.name} {where.url} --ca-file CA.pem"
            code = "certificate"
        return RemoteError(
            f"{where.name} ({where.url}) did not answer ({what}): {redact(reason)}",
            hint=hint, code=code,
        )  # fmt: skip


def _root(url: str) -> str:
    """The server's address without a final slash. Raises UsageError if it is not an address."""
    try:
        return checked(url).rstrip("/")
    except UsageError as error:
        raise UsageError(error.message, hint="modelscan target list") from error


def _key(reference: str) -> str:
    """The key. Raises AuthError, without quoting it, for text that cannot be a key."""
    key = resolve(reference)
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise AuthError(
            f"the value of {reference} is not a key: it contains spaces, line breaks or other "
            "invalid characters",
            hint="copy the key from GPUStack's UI: it is a single word",
        )
    return key
