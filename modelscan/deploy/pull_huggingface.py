"""Files of Hugging Face repositories, through ``huggingface_hub`` and its cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modelscan.core.errors import AuthError, ModelscanError, RemoteError
from modelscan.core.model import WeightFile
from modelscan.deploy import hub_cache
from modelscan.deploy.hub_cache import cache_dir
from modelscan.state.config import Config
from modelscan.state.files import explain_os_errors
from modelscan.state.secrets import redact, resolve

_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
}


class HuggingFaceStore:
    """See ``deploy.pull.Store``. Only the configured token is used, never one that lies around."""

    def __init__(self, config: Config) -> None:
        self._config = config
        reference = config.get("hf_token")
        self._token: str | bool = resolve(str(reference)) if reference else False

    def folder(self, repo: str, revision: str) -> Path:
        return hub_cache.folder("huggingface", repo, revision, self._config)

    def fetch(
        self, repo: str, revision: str, file: WeightFile, moved: Callable[[int], None]
    ) -> Path:
        hub = _library()
        with _explained(repo, file, self._config):
            path = hub.hf_hub_download(
                repo, file.path, revision=revision, token=self._token,
                endpoint=self._config.text("hf_endpoint").rstrip("/"),
                etag_timeout=self._config.number("http_timeout_s"), tqdm_class=_counter(moved),
                cache_dir=cache_dir(),
            )  # fmt: skip
        return Path(path)

    def discard(self, path: Path) -> None:
        """The link and the blob it points to."""
        blob = path.resolve()
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)


def _library() -> Any:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import huggingface_hub
    except ImportError:
        raise ModelscanError(
            "downloads from Hugging Face need the package huggingface_hub",
            hint="pip install 'modelscan-deploy[hub]'", code="missing_extra",
        ) from None  # fmt: skip
    return huggingface_hub


def _counter(moved: Callable[[int], None]) -> type:
    """A tqdm that draws nothing and tells ``moved`` of every byte."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]

    class Counter(tqdm):  # type: ignore[type-arg,misc,unused-ignore]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["disable"] = True
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs)

        def update(self, n: float | None = 1) -> bool | None:
            moved(int(n or 0))
            return None

    return Counter


@contextlib.contextmanager
def _explained(repo: str, file: WeightFile, config: Config) -> Iterator[None]:
    """The library's errors as ours."""
    import httpx
    from huggingface_hub import errors

    network: tuple[type[BaseException], ...] = (
        httpx.HTTPError, errors.HfHubHTTPError, errors.LocalEntryNotFoundError,
        ConnectionError, TimeoutError,
    )  # fmt: skip
    with contextlib.suppress(ImportError):  # the library's newer releases use this client
        import httpx2

        network = (*network, httpx2.HTTPError)
    try:
        with explain_os_errors(cache_dir()):
            yield
    except errors.GatedRepoError as error:
        page = f"{config.text('hf_endpoint').rstrip('/')}/{repo}"
        raise AuthError(
            f"{repo} is gated: its owner must grant access first",
            hint=f"ask for access at {page}, then: modelscan config set hf_token env:HF_TOKEN",
            code="gated",
        ) from error
    except network as error:
        raise RemoteError(
            f"{file.path} of {repo} could not be fetched: {redact(_first_line(error))}",
            hint="try again: what has arrived is kept and resumed", code="download_failed",
        ) from error  # fmt: skip
    except OSError as error:
        if "onsistency" not in str(error):
            raise
        raise RemoteError(
            f"{file.path} of {repo} arrived incomplete: {_first_line(error)}",
            hint="try again: what has arrived is kept and resumed", code="download_failed",
        ) from error  # fmt: skip


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
