"""One probe of a backend: a few GET requests that cost no tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.routing.table import Backend
from modelscan.supervisor.health import Address, ask, metrics
from modelscan.supervisor.load import Requests
from modelscan.supervisor.recognise import recognise
from modelscan.supervisor.speed import parse_page, speed_between

TIMEOUT_S = 3.0
_OK, _REFUSED = 200, (401, 403)


@dataclass(frozen=True, slots=True)
class BackendProbe:
    """``fault`` None: it answers. ``served``: model ids with their context; None: not listed.

    ``requests``: what the server itself counts as running and waiting; None: it does not say.
    ``others``: those that are not this gateway's. ``kv_cache_used``: 0..1.
    """

    fault: str | None
    served: Mapping[str, int | None] | None = None
    engine: str | None = None
    requests: Requests | None = None
    others: int = 0
    kv_cache_used: float | None = None


def is_probed(backend: Backend) -> bool:
    """Whether probes are sent: not to third parties."""
    return backend.tier != "third_party"


def probe(backend: Backend, *, identify: bool) -> BackendProbe:
    """Probe a backend, at most 3 s per request; ``identify``: also which engine it is."""
    try:
        return _probed(backend, identify)
    except ModelscanError as error:  # an address or a CA file that cannot be used
        return BackendProbe(error.message)


def _probed(backend: Backend, identify: bool) -> BackendProbe:
    address = address_of(backend)
    fault = _fault(address)
    if fault is not None:
        return BackendProbe(fault)
    models = ask(address, "GET", "/v1/models", timeout_s=TIMEOUT_S)
    if models is not None and models.status in _REFUSED:
        return BackendProbe(f"it refuses the key: /v1/models answered {models.status}")
    served = None if models is None or models.status != _OK else listed(models.body)
    page = parse_page(metrics(address))
    requests = None if page is None else page.requests
    used = None if page is None else speed_between(None, page).kv_cache_used
    server = recognise(address) if identify else None
    if server is None:
        return BackendProbe(None, served, requests=requests, kv_cache_used=used)
    contexts = {one.name: one.context_tokens for one in server.models}
    return BackendProbe(
        None, {**(served or {}), **contexts} or served, server.engine, requests, kv_cache_used=used
    )


def address_of(backend: Backend) -> Address:
    """Where the probes are sent, with the backend's own key."""
    key = backend.authorization[1].removeprefix("Bearer ") if backend.authorization else None
    return Address(
        backend.host, backend.port, key, backend.scheme, backend.path, backend.unix_socket,
        backend.tls, backend.reach,
    )  # fmt: skip


def _fault(address: Address) -> str | None:
    """Why the server cannot take requests; a server without /health counts as well."""
    reply = ask(address, "GET", "/health", timeout_s=TIMEOUT_S)
    if reply is None:
        return f"no answer from {address.url('/health')}"
    if reply.status >= 500:
        return f"/health answered {reply.status}"
    return None


def listed(body: Any) -> Mapping[str, int | None] | None:
    """The ids of a list of models with the context that each row states; None if it is no list."""
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        return None
    return {
        row["id"]: _context(row)
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("id"), str)
    }


def _context(row: Mapping[str, Any]) -> int | None:
    """vLLM and SGLang state ``max_model_len``, llama.cpp ``meta.n_ctx``."""
    meta = row.get("meta")
    values = (row.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, dict) else None)
    return next((one for one in values if type(one) is int and one > 0), None)
