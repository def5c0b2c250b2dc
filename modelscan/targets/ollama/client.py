"""Ollama's own API (github.com/ollama/ollama, docs/api.md), as far as a target needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelscan.core.errors import OfflineError, RemoteError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.engines.ollama import NAME
from modelscan.net.address import public, stays_here
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpLimits, HttpSettings, json_body
from modelscan.net.transport import transport_for

DEFAULT_PORT = 11434
FOREVER, NOW = -1, 0  # keep_alive
_CHUNK_BYTES = 1 << 20
_MISSING = 404
Progress = Callable[[str, int, int], None]  # what, done bytes, total bytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in the server's memory. ``vram_bytes`` of ``total_bytes`` are on GPUs."""

    name: str
    total_bytes: int
    vram_bytes: int
    context_tokens: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A model on the server's disk."""

    name: str
    file_bytes: int | None
    quantization: str | None
    family: str | None
    digest: str | None


def server_address(text: str) -> str:
    """The base URL of an address as people write it for OLLAMA_HOST.

    ``127.0.0.1``, ``:8080``, ``0.0.0.0``, ``[::1]``, ``https://host/ollama/``. Without
    scheme and port, 11434 is the port; a scheme has its own (80, 443), as for Ollama. Raises
    UsageError, without user and password, for what is no address.
    """
    plain = text.strip()
    bare = "://" not in plain
    try:
        parts = urlsplit(f"http://{plain}" if bare else plain)
        port = parts.port
    except ValueError as error:
        raise _no_address(text, str(error)) from error
    host = parts.hostname or ("127.0.0.1" if bare and port else "")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise _no_address(text, "http://HOST:PORT was expected")
    if host in ("0.0.0.0", "::"):  # noqa: S104 - where a server listens, not where it is reached
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    name = f"[{host}]" if ":" in host else host
    port = port or (DEFAULT_PORT if bare else None)
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{user}{name}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _no_address(text: str, reason: str) -> UsageError:
    return UsageError(
        f"'{public(text)}' is not the address of an Ollama server: {reason}",
        hint="modelscan config set ollama_endpoint http://127.0.0.1:11434",
        code="bad_address",
    )


class OllamaClient:
    """One server. Every call raises RemoteError on an error or without an answer."""

    def __init__(self, endpoint: str, timeout_s: float = 20.0, *, offline: bool = False) -> None:
        self._base = server_address(endpoint)
        self.endpoint = public(self._base)  # as shown and recorded
        if offline and not stays_here(self._base):
            raise OfflineError(
                f"the Ollama server at {self.endpoint} is not on this machine and --offline is set",
                hint="run the command without --offline",
            )
        settings = HttpSettings(timeout_s=timeout_s, pauses_s=())
        self._http = HttpClient(settings, transport_for(self._base, settings))

    def version(self) -> str:
        """The server's version."""
        return str(self._json("GET", "/api/version").get("version"))

    def stored(self) -> tuple[Stored, ...]:
        """``/api/tags``: models on disk."""
        return tuple(_stored(row) for row in _rows(self._json("GET", "/api/tags")))

    def loaded(self) -> tuple[Loaded, ...]:
        """``/api/ps``: models in memory."""
        return tuple(_loaded(row) for row in _rows(self._json("GET", "/api/ps")))

    def show(self, name: str) -> Mapping[str, Any] | None:
        """``/api/show``: template, parameters and header of a model; None if it does not exist."""
        return self._json("POST", "/api/show", {"model": name}, missing_ok=True) or None

    def pull(self, name: str, progress: Progress = lambda *_: None) -> None:
        """Download a model: the server verifies it; an interrupted pull is resumed."""
        for event in self._stream("/api/pull", {"model": name, "stream": True}):
            progress(str(event.get("status")), _whole(event, "completed"), _whole(event, "total"))

    def has_blob(self, digest: str) -> bool:
        """Whether the server has this file."""
        try:
            self._http.send("HEAD", f"{self._base}/api/blobs/{digest}", limits=self._limits())
        except HttpError as error:
            if error.status is None:
                raise self._no_server(error) from error
            return False
        return True

    def push_blob(self, file: Path, digest: str) -> None:
        """Upload a local file."""
        with file.open("rb") as stream, self._explained("POST", "/api/blobs"):
            chunks = iter(lambda: stream.read(_CHUNK_BYTES), b"")
            url = f"{self._base}/api/blobs/{digest}"
            self._http.upload(url, chunks, file.stat().st_size)

    def create(
        self,
        name: str,
        parameters: Mapping[str, Any],
        *,
        base: str | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Create a model from ``base`` or ``files`` (name -> digest) with other parameters.

        The OpenAI path has no ``num_ctx``, so the context has to be the model's own.
        """
        body = {"model": name, "parameters": dict(parameters), "stream": True}
        body |= {"from": base} if base else {"files": dict(files or {})}
        for _ in self._stream("/api/create", body):
            pass

    def load(self, name: str, timeout_s: float, *, embedding: bool = False) -> None:
        """EngineLoad it into memory and keep it there."""
        path = "/api/embed" if embedding else "/api/generate"
        body = {"model": name, "keep_alive": FOREVER, "stream": False}
        self._json("POST", path, {**body, **({"input": ""} if embedding else {})},
                   timeout_s=timeout_s)  # fmt: skip

    def unload(self, name: str) -> None:
        """Remove it from memory; no error if it does not exist."""
        body = {"model": name, "keep_alive": NOW, "stream": False}
        self._json("POST", "/api/generate", body, missing_ok=True)

    def delete(self, name: str) -> None:
        """Delete it from the server's disk; no error if it does not exist."""
        self._json("DELETE", "/api/delete", {"model": name}, missing_ok=True)

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        missing_ok: bool = False,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        headers, data = ({}, None) if body is None else json_body(body)
        limits = self._limits(**({} if timeout_s is None else {"timeout_s": timeout_s}))
        url = f"{self._base}{path}"
        try:
            with self._explained(method, path):
                answer = self._http.send(method, url, headers=headers, body=data, limits=limits)
        except RemoteError as error:
            if missing_ok and error.details.get("status") == _MISSING:
                return {}
            raise
        return _object(answer.body) if answer.body.strip() else {}  # DELETE answers with nothing

    def _limits(self, **changes: Any) -> HttpLimits:
        return self._http.settings.limits(max_redirects=0, **changes)

    def _stream(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """JSON lines; raises for an ``error`` among them."""
        headers, data = json_body(body)
        last: dict[str, Any] = {}
        with (
            self._explained("POST", path),
            self._http.lines("POST", f"{self._base}{path}", headers=headers, body=data) as lines,
        ):
            for line in lines:
                last = _object(line.encode())
                if last.get("error"):
                    raise self._failed(path, str(last["error"]))
                yield last
        if last.get("status") != "success":
            raise self._failed(path, f"the stream ended after '{last.get('status')}'")

    @contextmanager
    def _explained(self, method: str, path: str) -> Iterator[None]:
        """The client's errors as errors of this server: not found, or rejected."""
        try:
            yield
        except HttpError as error:
            if error.status is None:
                raise self._no_server(error) from error
            raise self._refused(method, path, error.status, error.body) from error

    def _no_server(self, error: HttpError) -> RemoteError:
        """``no_server``: nothing listens on this machine, so nothing is in memory there. Another
        failure says nothing about the server.
        """
        gone = error.code == "connect" and stays_here(self._base)
        return RemoteError(
            f"no Ollama server answers at {self.endpoint}: {error.reason}",
            hint="ollama serve, or modelscan config set ollama_endpoint URL",
            code="no_server" if gone else "unreachable",
        )

    def _refused(self, method: str, path: str, status: int, text: bytes) -> RemoteError:
        try:
            reason = str(_object(text).get("error") or "")
        except RemoteError:
            reason = ""
        reason = reason or text.decode("utf-8", "replace")[:200].strip() or "no reason given"
        return self._failed(path, f"{method} answered {status}: {reason}", status)

    def _failed(self, path: str, reason: str, status: int | None = None) -> RemoteError:
        details = {"reason": reason, "status": status}
        return RemoteError(
            f"Ollama at {self.endpoint}{path}: {reason}",
            hint="journalctl -u ollama -e   (the server's own log)", details=details, code=NAME,
        )  # fmt: skip


def digest_of(file: Path) -> str:
    """``sha256:…``, the server's name of a file."""
    value = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(_CHUNK_BYTES):
            value.update(piece)
    return f"sha256:{value.hexdigest()}"


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json_value(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _not_ollama(
            f"an Ollama server answers with JSON objects, this one with {text[:80]!r}"
        )
    return value


def _not_ollama(message: str) -> RemoteError:
    return RemoteError(message, hint="modelscan config get ollama_endpoint", code="not_ollama")


def _rows(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models of a list. Raises RemoteError for a server that answers otherwise."""
    rows = answer.get("models") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _not_ollama(f"an Ollama server lists models, this one has {str(rows)[:80]!r}")
    return rows


def _count(row: Mapping[str, Any], key: str) -> int | None:
    value = row.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _whole(row: Mapping[str, Any], key: str) -> int:
    return _count(row, key) or 0


def _text(row: Mapping[str, Any], key: str) -> str | None:
    value = row.get(key)
    return value if isinstance(value, str) and value else None


def _stored(row: Mapping[str, Any]) -> Stored:
    details = row.get("details")
    details = details if isinstance(details, dict) else {}
    return Stored(
        name=str(row.get("name") or row.get("model")),
        file_bytes=_count(row, "size"),
        quantization=_text(details, "quantization_level"),
        family=_text(details, "family"),
        digest=_text(row, "digest"),
    )


def _loaded(row: Mapping[str, Any]) -> Loaded:
    return Loaded(
        name=str(row.get("name") or row.get("model")),
        total_bytes=_whole(row, "size"),
        vram_bytes=_whole(row, "size_vram"),
        context_tokens=_count(row, "context_length") or None,
    )


def same_model(first: str, second: str) -> bool:
    """Whether the names are equal; ``qwen3`` is ``qwen3:latest``."""
    return _tagged(first) == _tagged(second)


def _tagged(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    return name if ":" in last else f"{name}:latest"
