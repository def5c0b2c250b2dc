"""Envoy AI Gateway: a route per name to one backend, as Kubernetes resources.

Kinds and fields as in the project's published API (aigateway.envoyproxy.io/v1beta1).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from modelscan.routing.clients.types import (
    DOCUMENTS,
    PROVIDER,
    ClientFile,
    ClientProgram,
    ServedGateway,
)

_API = "aigateway.envoyproxy.io/v1beta1"
_GATEWAY = "gateway.envoyproxy.io"


def _resource(version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": PROVIDER}, "spec": spec}


def _rule(name: str) -> dict[str, Any]:
    header = {"type": "Exact", "name": "x-ai-eg-model", "value": name}
    return {"matches": [{"headers": [header]}], "backendRefs": [{"name": PROVIDER}]}


def _endpoint(offer: ServedGateway) -> dict[str, Any]:
    address = urlsplit(offer.base_url)
    host = address.hostname or ""
    port = address.port or (443 if address.scheme == "https" else 80)
    if host.replace(".", "").isdigit() or ":" in host:
        return {"ip": {"address": host, "port": port}}
    return {"fqdn": {"hostname": host, "port": port}}


def _files(offer: ServedGateway) -> tuple[ClientFile, ...]:
    parent = {"name": PROVIDER, "kind": "Gateway", "group": "gateway.networking.k8s.io"}
    rules = [_rule(route.name) for route in offer.routes]
    backend = {"name": PROVIDER, "kind": "Backend", "group": _GATEWAY}
    documents = [
        _resource(_API, "AIGatewayRoute", {"parentRefs": [parent], "rules": rules}),
        _resource(_API, "AIServiceBackend",
                  {"schema": {"name": "OpenAI"}, "backendRef": backend}),
        _resource(f"{_GATEWAY}/v1alpha1", "Backend", {"endpoints": [_endpoint(offer)]}),
    ]  # fmt: skip
    if offer.key_variable:
        target = {"group": "aigateway.envoyproxy.io", "kind": "AIServiceBackend", "name": PROVIDER}
        secret = {"secretRef": {"name": f"{PROVIDER}-key"}}
        policy = {"targetRefs": [target], "type": "APIKey", "apiKey": secret}
        documents.append(_resource(_API, "BackendSecurityPolicy", policy))
    return (ClientFile(None, "yaml", {DOCUMENTS: documents}),)


CLIENT = ClientProgram("envoy-ai-gateway", "Envoy AI Gateway", _files)
