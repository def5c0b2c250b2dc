"""Downloads of Hugging Face repositories into the cache of ``huggingface_hub``."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelscan.core.errors import AuthError, ModelscanError, RemoteError
from modelscan.core.model import WeightFile
from modelscan.core.reference import Kind, Reference
from modelscan.hub import cache as hub_cache
from modelscan.hub.cache import cache_dir
from modelscan.hub.downloads.resume import fetch_into
from modelscan.hub.downloads.types import Moved
from modelscan.hub.repository import Hub
from modelscan.hub.stored_login import consent_command
from modelscan.state.config import Config
from modelscan.state.files import explain_os_errors
from modelscan.state.secrets import redact, resolve

_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
}
# The HTTP client of huggingface_hub, by its release: 0.x and 2.x.
_CLIENTS = (("requests", "RequestException"), ("httpx2", "HTTPError"))
_BLOB = re.compile(r"[0-9A-Za-z][\w.-]{7,127}")


class HuggingFaceStore:
    """See ``types.WeightStore``. Uses only the configured token, never one from the environment."""

    def __init__(self, config: Config, hub: Hub | None) -> None:
        self._config, self._hub = config, hub
        reference = config.hf_token
        self._token: str | bool = resolve(str(reference)) if reference else False

    def folder(self, repo: str, revision: str) -> Path:
        """The snapshot folder of this revision."""
        return hub_cache.folder("huggingface", repo, revision, self._config)

    def fetch(self, repo: str, revision: str, file: WeightFile, moved: Moved) -> Path:
        """Download one file into the hub's cache.

        huggingface_hub resolves the ETag and creates the snapshot's link; the bytes are downloaded
        by ``resume.fetch_into``, because newer releases of huggingface_hub do not resume.
        """
        library = _library()
        endpoint = self._config.hf_endpoint.rstrip("/")
        timeout_s = self._config.http_timeout_s
        with _explained(repo, file, self._config):
            url = library.hf_hub_url(repo, file.path, revision=revision, endpoint=endpoint)
            metadata = library.get_hf_file_metadata(url, token=self._token, timeout=timeout_s)
            self._fetch_blob(repo, revision, file, str(metadata.etag), moved)
            path = library.hf_hub_download(
                repo, file.path, revision=revision, token=self._token, endpoint=endpoint,
                etag_timeout=timeout_s, cache_dir=cache_dir(),
            )  # fmt: skip
        return Path(path)

    def _fetch_blob(
        self, repo: str, revision: str, file: WeightFile, etag: str, moved: Moved
    ) -> None:
        if not _BLOB.fullmatch(etag):
            raise RemoteError(f"the hub sent an invalid ETag for {file.path} of {repo}: {etag!r}")
        assert self._hub is not None
        hub, reference = self._hub, Reference(Kind.HUGGINGFACE, repo, revision)
        blob = self.folder(repo, revision).parent.parent / "blobs" / etag
        if blob.exists():
            return
        blob.parent.mkdir(parents=True, exist_ok=True)
        part = blob.with_name(f"{etag}.incomplete")  # older releases resume files of this name too
        fetch_into(part, file, lambda start: hub.stream(reference, file.path, start), moved)
        part.replace(blob)

    def discard(self, path: Path) -> None:
        """Delete the link and the blob that it points to."""
        blob = path.resolve()
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)


def _library() -> Any:
    """huggingface_hub, imported only for a download.

    Raises ModelscanError if it is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import huggingface_hub
    except ImportError:
        raise ModelscanError(
            "downloads from Hugging Face need the package huggingface_hub",
            hint="pip install huggingface_hub", code="missing_extra",
        ) from None  # fmt: skip
    return huggingface_hub


@contextlib.contextmanager
def _explained(repo: str, file: WeightFile, config: Config) -> Iterator[None]:
    """Turn the library's errors into modelscan's."""
    import httpx
    from huggingface_hub import errors

    network: tuple[type[BaseException], ...] = (
        httpx.HTTPError, errors.HfHubHTTPError, errors.LocalEntryNotFoundError,
        ConnectionError, TimeoutError,
    )  # fmt: skip
    for client, base in _CLIENTS:
        if client in sys.modules:
            network = (*network, getattr(sys.modules[client], base))
    try:
        with explain_os_errors(cache_dir()):
            yield
    except errors.GatedRepoError as error:
        page = f"{config.hf_endpoint.rstrip('/')}/{repo}"
        raise AuthError(
            f"{repo} is gated: its owner must grant you access",
            hint=f"request access at {page}, then: {consent_command()}",
            code="gated",
        ) from error
    except network as error:
        raise RemoteError(
            f"{file.path} of {repo} could not be fetched: {redact(_first_line(error))}",
            hint="try again: the download resumes where it stopped", code="download_failed",
        ) from error  # fmt: skip


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
