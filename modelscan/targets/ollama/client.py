"""Ollama's own API (github.com/ollama/ollama, docs/api.md), as far as a target needs it.

Plain ``http.client``: a server on this machine or in the user's network, never through a proxy.
"""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelscan.core.errors import RemoteError, UsageError
from modelscan.engines.ollama import NAME

FOREVER, NOW = -1, 0  # keep_alive
_CHUNK_BYTES = 1 << 20
_OK, _CREATED, _MISSING = 200, 201, 404
Progress = Callable[[str, int, int], None]  # what, done bytes, total bytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that the server holds in memory now. ``vram_bytes`` of ``total_bytes`` on GPUs."""

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


class Ollama:
    """One server. Every call raises RemoteError when it does not answer or says no."""

    def __init__(self, endpoint: str, timeout_s: float = 20.0) -> None:
        parts = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
        if parts.scheme != "http" or not parts.hostname:
            raise UsageError(
                f"'{endpoint}' is not an address of an Ollama server",
                hint="modelscan config set ollama_endpoint http://127.0.0.1:11434",
            )
        self.endpoint = f"{parts.scheme}://{parts.netloc}"
        self._parts, self._timeout_s = parts, timeout_s

    def version(self) -> str:
        return str(self._json("GET", "/api/version").get("version"))

    def stored(self) -> tuple[Stored, ...]:
        """``/api/tags``: what was pulled."""
        return tuple(_stored(row) for row in self._json("GET", "/api/tags").get("models") or ())

    def loaded(self) -> tuple[Loaded, ...]:
        """``/api/ps``: what is in memory."""
        return tuple(_loaded(row) for row in self._json("GET", "/api/ps").get("models") or ())

    def show(self, name: str) -> Mapping[str, Any] | None:
        """``/api/show``: template, parameters and header of a model; None where it is not."""
        return self._json("POST", "/api/show", {"model": name}, missing_ok=True) or None

    def pull(self, name: str, progress: Progress = lambda *_: None) -> None:
        """Fetch a model: the server downloads and verifies it; a pull that was cut is resumed."""
        for event in self._stream("/api/pull", {"model": name, "stream": True}):
            progress(str(event.get("status")), _whole(event, "completed"), _whole(event, "total"))

    def has_blob(self, digest: str) -> bool:
        with self._answer("HEAD", f"/api/blobs/{digest}") as response:
            return response.status == _OK

    def push_blob(self, file: Path, digest: str) -> None:
        """Give the server a local file's bytes."""
        with file.open("rb") as body:
            headers = {"Content-Length": str(file.stat().st_size)}
            with self._answer("POST", f"/api/blobs/{digest}", body, headers) as response:
                if response.status not in (_OK, _CREATED):
                    raise self._refused("POST", "/api/blobs", response)

    def create(
        self,
        name: str,
        parameters: Mapping[str, Any],
        *,
        base: str | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """A model of that name: ``base`` or ``files`` (name -> digest) with other parameters.

        The OpenAI path takes no ``num_ctx``, so the context has to be the model's own.
        """
        body = {"model": name, "parameters": dict(parameters), "stream": True}
        body |= {"from": base} if base else {"files": dict(files or {})}
        for _ in self._stream("/api/create", body):
            pass

    def load(self, name: str, timeout_s: float, *, embedding: bool = False) -> None:
        """Bring it into memory and keep it there."""
        path = "/api/embed" if embedding else "/api/generate"
        body = {"model": name, "keep_alive": FOREVER, "stream": False}
        self._json("POST", path, {**body, **({"input": ""} if embedding else {})},
                   timeout_s=timeout_s)  # fmt: skip

    def unload(self, name: str) -> None:
        """Take it out of memory; one that is not there is no error."""
        body = {"model": name, "keep_alive": NOW, "stream": False}
        self._json("POST", "/api/generate", body, missing_ok=True)

    def delete(self, name: str) -> None:
        """Remove it from the server's disk; one that is not there is no error."""
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
        payload = None if body is None else json.dumps(body).encode()
        with self._answer(method, path, payload, timeout_s=timeout_s) as response:
            if missing_ok and response.status == _MISSING:
                return {}
            if response.status != _OK:
                raise self._refused(method, path, response)
            text = response.read()
            return _object(text) if text.strip() else {}  # DELETE answers with nothing

    def _stream(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """JSON lines; an ``error`` among them is raised."""
        with self._answer("POST", path, json.dumps(body).encode()) as response:
            if response.status != _OK:
                raise self._refused("POST", path, response)
            last: dict[str, Any] = {}
            for line in response:
                last = _object(line)
                if last.get("error"):
                    raise self._said(path, str(last["error"]))
                yield last
            if last.get("status") != "success":
                raise self._said(path, f"it stopped after '{last.get('status')}'")

    @contextmanager
    def _answer(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None,
        *, timeout_s: float | None = None,
    ) -> Iterator[http.client.HTTPResponse]:  # fmt: skip
        connection = http.client.HTTPConnection(
            str(self._parts.hostname), self._parts.port, timeout=timeout_s or self._timeout_s
        )
        try:
            connection.request(method, path, body, dict(headers or {}))
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(
                f"no Ollama server answers at {self.endpoint}: {error}",
                hint="ollama serve, or modelscan config set ollama_endpoint URL",
                code="no_server",
            ) from error
        finally:
            connection.close()

    def _refused(self, method: str, path: str, response: http.client.HTTPResponse) -> RemoteError:
        text = response.read(_CHUNK_BYTES)
        try:
            said = str(_object(text).get("error") or "")
        except RemoteError:
            said = ""
        words = said or text.decode("utf-8", "replace")[:200].strip() or "no reason given"
        return self._said(path, f"{method} answered {response.status}: {words}")

    def _said(self, path: str, what: str) -> RemoteError:
        return RemoteError(
            f"Ollama at {self.endpoint}{path}: {what}", details={"reason": what}, code=NAME
        )


def digest_of(file: Path) -> str:
    """``sha256:…`` as the server names blobs."""
    value = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(_CHUNK_BYTES):
            value.update(piece)
    return f"sha256:{value.hexdigest()}"


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise RemoteError(
            f"an Ollama server answers with JSON objects, this one with {text[:80]!r}",
            hint="modelscan config get ollama_endpoint",
            code="not_ollama",
        )
    return value


def _whole(row: Mapping[str, Any], key: str) -> int:
    value = row.get(key)
    return value if isinstance(value, int) else 0


def _stored(row: Mapping[str, Any]) -> Stored:
    details = row.get("details") or {}
    return Stored(
        name=str(row.get("name") or row.get("model")),
        file_bytes=row.get("size") if isinstance(row.get("size"), int) else None,
        quantization=details.get("quantization_level") or None,
        family=details.get("family") or None,
        digest=row.get("digest"),
    )


def _loaded(row: Mapping[str, Any]) -> Loaded:
    context = row.get("context_length")
    return Loaded(
        name=str(row.get("name") or row.get("model")),
        total_bytes=_whole(row, "size"),
        vram_bytes=_whole(row, "size_vram"),
        context_tokens=context if isinstance(context, int) and context > 0 else None,
    )


def same_model(first: str, second: str) -> bool:
    """``qwen3`` is ``qwen3:latest``."""
    return _tagged(first) == _tagged(second)


def _tagged(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    return name if ":" in last else f"{name}:latest"
