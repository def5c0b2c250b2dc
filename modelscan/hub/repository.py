"""Access to a repository on a hub: facts, files, parts of files, configuration.

    with Hub.from_config(config) as hub:
        info = hub.repo_info(ref)                  # a core.reference.Reference of a hub
        files = hub.list_files(ref)                # with SHA-256 if the hub publishes it
        config = hub.fetch_config(ref)             # config.json, None if there is none
        remote = hub.open_file(ref, "x.gguf")      # remote.read(offset, size), by range requests

Each hub gets its own token (settings ``hf_token``, ``modelscope_token``) and no other credential.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import RemoteError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.core.model import WeightFile
from modelscan.core.reference import Kind, Reference
from modelscan.core.units import KIB, MIB
from modelscan.hub.http_client import http_client
from modelscan.hub.huggingface.client import HuggingFace
from modelscan.hub.modelscope.client import ModelScope
from modelscan.hub.repo_info import RepoInfo
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError

if TYPE_CHECKING:
    from modelscan.state.config import Config

MAX_TEXT_BYTES = 4 * MIB  # config.json, README.md: far smaller in practice
FIRST_BLOCK_BYTES = 64 * KIB
MAX_BLOCK_BYTES = 4 * MIB


@dataclass(slots=True)
class RemoteFile:
    """A file read by range requests, in growing blocks that are kept in memory.

    ``read(offset, size)`` returns fewer bytes only at the end of the file.
    """

    hub: Hub
    ref: Reference
    path: str
    limit_bytes: int = 64 * MIB
    moved_bytes: int = 0
    _blocks: list[tuple[int, bytes]] = field(default_factory=list)
    _next_bytes: int = FIRST_BLOCK_BYTES

    def read(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes from byte ``offset``. Raises RemoteError above ``limit_bytes``."""
        out = bytearray()
        while len(out) < size:
            part = self._at(offset + len(out), size - len(out))
            if not part:
                break
            out += part
        return bytes(out)

    def _at(self, offset: int, size: int) -> bytes:
        for start, block in self._blocks:
            if start <= offset < start + len(block):
                return block[offset - start : offset - start + size]
        length = max(self._next_bytes, min(size, MAX_BLOCK_BYTES))
        if self.moved_bytes + length > self.limit_bytes:
            raise RemoteError(
                f"{self.path} of {self.ref.value} has a header of more than "
                f"{self.limit_bytes // MIB} MiB, the limit"
            )
        block = self.hub.fetch_range(self.ref, self.path, offset, length)
        self.moved_bytes += len(block)
        if not block:
            return b""
        self._blocks.append((offset, block))
        self._next_bytes = min(self._next_bytes * 2, MAX_BLOCK_BYTES)
        return block[:size]


def _hf_only(config: Config) -> HttpClient | None:
    """A client of its own for Hugging Face where only that hub gets no requests."""
    return http_client(config, source="huggingface") if config.hf_offline else None


class Hub:
    """Both hubs behind one interface; the reference determines which one is used."""

    def __init__(
        self,
        http: HttpClient,
        *,
        hf_endpoint: str,
        modelscope_endpoint: str,
        hf_token: str | None = None,
        modelscope_token: str | None = None,
        hf_http: HttpClient | None = None,
    ) -> None:
        self.http = http
        self.hf_http = hf_http or http
        self.huggingface = HuggingFace(self.hf_http, hf_endpoint.rstrip("/"), hf_token)
        self.modelscope = ModelScope(http, modelscope_endpoint.rstrip("/"), modelscope_token)

    @classmethod
    def from_config(cls, config: Config, http: HttpClient | None = None) -> Hub:
        """The hubs according to the settings. Raises AuthError if a configured token is missing."""
        return cls(
            http or http_client(config),
            hf_endpoint=config.hf_endpoint,
            modelscope_endpoint=config.modelscope_endpoint,
            hf_token=_secret(config.hf_token),
            modelscope_token=_secret(config.modelscope_token),
            hf_http=_hf_only(config) if http is None else None,
        )

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.hf_http.close()

    def repo_info(self, ref: Reference, *, files: bool = True) -> RepoInfo:
        """The facts of one repository. ``files`` False saves ModelScope's second request."""
        if _on_modelscope(ref):
            info = self.modelscope.info(ref.value, ref.revision)
            if not files:
                return info
            listing = self.modelscope.files(ref.value, ref.revision)
            return replace(info, files=listing.files, files_complete=listing.complete)
        return self.huggingface.info(ref.value, ref.revision)

    def list_files(self, ref: Reference) -> tuple[WeightFile, ...]:
        """All files with size and, for large ones, SHA-256; sorted by path."""
        if _on_modelscope(ref):
            return self.modelscope.files(ref.value, ref.revision).files
        return self.huggingface.files(ref.value, ref.revision)

    def file_url(self, ref: Reference, path: str) -> str:
        """The download address of a file."""
        hub = self.modelscope if _on_modelscope(ref) else self.huggingface
        return hub.file_url(ref.value, path, ref.revision)

    def page_url(self, ref: Reference) -> str:
        """The repository's web page."""
        hub = self.modelscope if _on_modelscope(ref) else self.huggingface
        return hub.page_url(ref.value)

    def fetch_range(self, ref: Reference, path: str, start: int, length: int) -> bytes:
        """Read ``length`` bytes of a file from byte ``start``; fewer at its end."""
        url = self.file_url(ref, path)
        try:
            return self._http(ref).get_range(url, start, length, headers=self._headers(ref))
        except HttpError as error:
            raise self._explain(ref, error) from error

    def stream(self, ref: Reference, path: str, start: int) -> Iterator[bytes]:
        """Yield a file's bytes from byte ``start`` to its end, as they arrive."""
        try:
            yield from self._http(ref).stream(
                self.file_url(ref, path), start, headers=self._headers(ref)
            )
        except HttpError as error:
            raise self._explain(ref, error) from error

    def open_file(self, ref: Reference, path: str) -> RemoteFile:
        """A file to read by ranges, e.g. ``parse_header(hub.open_file(ref, path).read)``."""
        return RemoteFile(self, ref, path)

    def fetch_bytes(self, ref: Reference, path: str, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
        """The content of a small file. Raises HttpError above ``max_bytes``."""
        url = self.file_url(ref, path)
        try:
            return self._http(ref).get(url, headers=self._headers(ref), max_bytes=max_bytes).body
        except HttpError as error:
            raise self._explain(ref, error) from error

    def fetch_optional(self, ref: Reference, path: str) -> bytes | None:
        """The content of a small file; None if the repository has no such file."""
        try:
            return self.fetch_bytes(ref, path)
        except UsageError as error:
            if error.code == "no_file" or (_on_modelscope(ref) and error.code == "unknown_repo"):
                return None
            raise

    def fetch_config(self, ref: Reference) -> dict[str, Any] | None:
        """``config.json`` as a dictionary; None if there is none (most GGUF repositories)."""
        body = self.fetch_optional(ref, "config.json")
        return None if body is None else parse_object(body, f"config.json of {ref.value}")

    def _headers(self, ref: Reference) -> dict[str, str]:
        return self.modelscope.legacy_headers if _on_modelscope(ref) else self.huggingface.headers

    def _http(self, ref: Reference) -> HttpClient:
        return self.http if _on_modelscope(ref) else self.hf_http

    def _explain(self, ref: Reference, error: HttpError) -> Exception:
        hub = self.modelscope if _on_modelscope(ref) else self.huggingface
        return hub.explain(error, ref.value)


def parse_object(body: bytes, what: str) -> dict[str, Any]:
    """A JSON object from its text. Raises RemoteError if it is not one."""
    try:
        data = json_value(body)
    except ValueError as error:
        raise RemoteError(f"{what} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RemoteError(f"{what} is not a JSON object")
    return data


def _on_modelscope(ref: Reference) -> bool:
    if ref.kind not in (Kind.HUGGINGFACE, Kind.MODELSCOPE):
        raise UsageError(f"'{ref.value}' is not a repository of a hub", hint=f"hf:{ref.value}")
    return ref.kind is Kind.MODELSCOPE


def _secret(reference: str | None) -> str | None:
    """The token that a setting refers to; other tokens in the environment are never read."""
    if reference is None:
        return None
    from modelscan.state.secrets import resolve

    return resolve(reference)
