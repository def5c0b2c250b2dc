"""The HTTP client: which API the server speaks is asked for once, never probed.

Only idempotent calls are repeated. A create that may or may not have arrived is looked up by name
by the caller. Credentials come by reference and go only to the configured server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import AuthError, OfflineError, RemoteError, UsageError
from modelscan.state.secrets import redact, resolve
from modelscan.targets.gpustack.errors import error_from
from modelscan.targets.gpustack.types import as_row, understood

if TYPE_CHECKING:
    import httpx

_RETRIES = 4
_PAUSE_S = 0.25
_RETRY_STATUS = frozenset({502, 503, 504})
_PER_PAGE = 100
_MAX_PAGES = 1000
_MAX_BODY_BYTES = 64 * 1024 * 1024
_NEWEST = 2  # the major version that the tests run


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where a version keeps its API: 2.x ``/v2`` and ``/v1``; 0.7 ``/v1`` and ``/v1-openai``."""

    version: str
    management: str
    inference: str

    @property
    def modern(self) -> bool:
        return self.management == "/v2"

    @property
    def untested(self) -> bool:
        """Newer than what this client was tested with: it is spoken to as 2.x."""
        major = self.version.lstrip("vV").partition(".")[0]
        return major.isdigit() and int(major) > _NEWEST


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a server. ``api_key`` is a reference; ``ca_file`` a PEM file of an own CA."""

    name: str
    url: str
    api_key: str | None = None
    ca_file: str | None = None
    timeout_s: float = 20.0
    offline: bool = False
    attempts: int = _RETRIES


def dialect_of(version: str) -> Dialect:
    """``v2.3.0`` -> the 2.x API, ``0.7.1`` -> the old one; raises UsageError for others."""
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
        hint="upgrade the server, if it is a GPUStack: modelscan target list",
        code="unsupported_version",
    )


class Client:
    """Calls of one server. Use as a context manager; ``transport`` is injected by tests."""

    def __init__(
        self, connection: Connection, transport: httpx.BaseTransport | None = None
    ) -> None:
        import httpx

        if connection.offline and not _on_this_machine(connection.url):
            raise OfflineError(
                f"{connection.name} ({connection.url}) is not on this machine and --offline is set",
                hint="leave out --offline",
            )
        key = _key(connection.api_key) if connection.api_key else None
        self.connection = connection
        self._dialect: Dialect | None = None
        try:
            self._http = httpx.Client(
                base_url=connection.url.rstrip("/"),
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx.Timeout(
                    connection.timeout_s, connect=min(connection.timeout_s, 10.0)
                ),
                verify=_tls(connection.ca_file),
                transport=transport,
                follow_redirects=False,
            )
        except httpx.InvalidURL as error:
            raise UsageError(
                f"'{connection.url}' is not a URL: {error}", hint="modelscan target list"
            ) from error
        except (ValueError, ImportError) as error:  # of the environment's proxy: all else is ours
            raise UsageError(
                f"the proxy in the environment cannot be used: {redact(str(error))}",
                hint=f"HTTP(S)_PROXY=http://HOST:PORT, or NO_PROXY={_host(connection.url)}",
                code="bad_proxy",
            ) from error

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def dialect(self) -> Dialect:
        """Asked once: ``GET /version`` needs no key."""
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
        return self._call("GET", self._management(path), what=what, params=params)

    def post(self, path: str, body: Any, *, what: str, timeout_s: float | None = None) -> Any:
        """Sent once: what a lost answer means is for the caller to find out."""
        return self._call("POST", self._management(path), what=what, json=body, timeout_s=timeout_s)

    def put(self, path: str, body: Any, *, what: str) -> Any:
        return self._call("PUT", self._management(path), what=what, json=body)

    def delete(self, path: str, *, what: str) -> Any:
        """Idempotent: repeated on a lost connection; 404 on a repeat means it worked."""
        return self._call("DELETE", self._management(path), what=what)

    def infer(
        self, path: str, body: Any | None, *, what: str, timeout_s: float | None = None
    ) -> Any:
        """``chat/completions``, ``embeddings``, ``rerank`` or (without a body) ``models``."""
        method = "GET" if body is None else "POST"
        # Reranking is no OpenAI API: it is at /v1 in both versions.
        url = f"{'/v1' if path == 'rerank' else self.dialect.inference}/{path}"
        return self._call(method, url, what=what, json=body, timeout_s=timeout_s)

    @contextmanager
    def stream(
        self, path: str, *, what: str, params: Mapping[str, Any], silence_s: float = 45.0
    ) -> Iterator[Iterator[str]]:
        """The lines of a watch or log stream; network errors surface as RemoteError.

        A stream that says nothing for ``silence_s`` ends the same way (heartbeats: every 15 s).
        """
        import httpx

        try:
            timeout = httpx.Timeout(self.connection.timeout_s, read=silence_s)
            url = self._management(path)
            with self._http.stream("GET", url, params=dict(params), timeout=timeout) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise self._error(answer, what)
                yield answer.iter_lines()
        except httpx.HTTPError as error:
            raise self._unreachable(error, what) from error

    def _management(self, path: str) -> str:
        return f"{self.dialect.management}/{path}"

    def _call(
        self,
        method: str,
        path: str,
        *,
        what: str,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        timeout_s: float | None = None,
    ) -> Any:
        import httpx

        attempts = self.connection.attempts if method in ("GET", "DELETE", "PUT") else 1
        options: dict[str, Any] = {"params": params, "json": json}
        if timeout_s is not None:
            options["timeout"] = timeout_s
        for attempt in range(1, attempts + 1):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.HTTPError as error:
                if attempt == attempts:
                    raise self._unreachable(error, what) from error
            else:
                if method == "DELETE" and attempt > 1 and answer.status_code == 404:
                    return None
                if answer.status_code not in _RETRY_STATUS or attempt == attempts:
                    return self._body(answer, what)
            time.sleep(_PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def _body(self, answer: httpx.Response, what: str) -> Any:
        if not answer.is_success:
            raise self._error(answer, what)
        if len(answer.content) > _MAX_BODY_BYTES:
            raise RemoteError(f"{self.connection.name}: an answer of {len(answer.content)} bytes")
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise RemoteError(
                f"{self.connection.name}: the answer is not JSON ({what})",
                hint=f"is {self.connection.url} a GPUStack server?", code="not_json",
            ) from error  # fmt: skip

    def _error(self, answer: httpx.Response, what: str) -> Exception:
        try:
            body = answer.json()
        except ValueError:
            body = None
        return error_from(
            answer.status_code, body, answer.text, what=what, target=self.connection.name,
            keyed=self.connection.api_key is not None, location=answer.headers.get("location"),
        )  # fmt: skip

    def _unreachable(self, error: Exception, what: str) -> RemoteError:
        where = self.connection
        reason = redact(str(error)) or type(error).__name__
        hint = f"modelscan target test {where.name}"
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            hint = f"modelscan target add {where.name} {where.url} --ca-file CA.pem"
        return RemoteError(
            f"{where.name} ({where.url}) did not answer ({what}): {reason}",
            hint=hint, code="unreachable",
        )  # fmt: skip


def _key(reference: str) -> str:
    """The key; raises AuthError, without it, for what cannot be one and what no header takes."""
    key = resolve(reference)
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise AuthError(
            f"what {reference} names is no key: it has spaces, line breaks or other characters",
            hint="a key of GPUStack is one word, as its UI shows it once",
        )
    return key


def _tls(ca_file: str | None) -> Any:
    if ca_file is None:
        return True
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"cannot use the CA file {ca_file}: {error}",
            hint="--ca-file takes certificates as PEM text",
        ) from error


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or ""


def _on_this_machine(url: str) -> bool:
    host = _host(url)
    return host in ("localhost", "::1") or host.startswith("127.")
