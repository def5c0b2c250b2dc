"""What the gateway offers a client: the names of the routing file, with what is served there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.foreign import flag, mapping, rows, whole
from modelscan.core.nearest import nearest
from modelscan.core.route import Route
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings
from modelscan.net.transport import transport_for
from modelscan.routing.clients.types import OfferedRoute, ServedGateway
from modelscan.routing.parsed import RoutingFile

_ASK_S = 2.0
_EMBEDDINGS = {"embeddings", "embedding", "rerank"}


@dataclass(frozen=True, slots=True)
class ReportedFacts:
    """What a server reports of itself; None: it does not say."""

    context_tokens: int | None = None
    tools: bool | None = None
    vision: bool | None = None


NOT_REPORTED = ReportedFacts()
FactsOf = Callable[[Route], ReportedFacts]


def offered(
    file: RoutingFile, base_url: str, name: str | None, key_variable: str | None, facts: FactsOf
) -> ServedGateway:
    """The routes for chat, the chosen one first: ``name``, else the default.

    Raises UsageError if there is no such name, or no route at all.
    """
    names = _names(file)
    if not names:
        raise UsageError(
            "the routing file has no route that a client could use",
            hint="modelscan deploy MODEL",
            code="no_routes",
        )
    chosen = name or file.default_provider or next(iter(names))
    if chosen not in names:
        near = nearest(chosen, names, limit=1)
        raise UsageError(
            f"there is no route '{chosen}' for chat",
            hint=f"modelscan connect CLIENT --route {near[0] if near else next(iter(names))}",
            code="unknown_route",
        )
    order = [chosen, *(one for one in names if one != chosen)]
    known: dict[str, ReportedFacts] = {}
    routes = tuple(_route(one, names[one], known, facts) for one in order)
    return ServedGateway(base_url, routes, key_variable)


def _names(file: RoutingFile) -> dict[str, Route | None]:
    """Names that requests may use, with their entry; None for roles, which choose themselves."""
    names: dict[str, Route | None] = {
        route.name: route
        for route in file.routes
        if route.enabled and not _EMBEDDINGS & set(route.tags)
    }
    for alias, target in file.aliases.items():
        if target in names:
            names[alias] = names[target]
    names |= {role.role_id: None for role in file.roles if role.operation == "chat"}
    return names


def _route(
    name: str, route: Route | None, known: dict[str, ReportedFacts], facts: FactsOf
) -> OfferedRoute:
    if route is None:
        return OfferedRoute(name, tools=True)
    if route.name not in known:
        known[route.name] = facts(route)
    served = known[route.name]
    return OfferedRoute(
        name,
        (route.model or "").rpartition("/")[2] or None,
        served.context_tokens or route.context_tokens,
        tools=served.tools,
        vision=served.vision,
    )


def served_facts(route: Route) -> ReportedFacts:
    """What a server on this machine reports; nothing of others, which no question leaves for."""
    settings = HttpSettings(timeout_s=_ASK_S, pauses_s=()).with_files(route.tls)
    root = route.base_url.rstrip("/")
    with HttpClient(settings, transport_for(root, settings)) as client:
        props = _json(client, f"{root}/props")
        if props:
            return _llamacpp(props)
        return _listed(_json(client, f"{root}/v1/models"), route.served_model or route.model)


def _json(client: HttpClient, url: str) -> Mapping[str, Any]:
    try:
        return mapping(client.send("GET", url).json())
    except (HttpError, ValueError):
        return {}


def _llamacpp(props: Mapping[str, Any]) -> ReportedFacts:
    """``/props`` of llama.cpp: the slot's context, the template's tools, the projector."""
    settings = mapping(props.get("default_generation_settings"))
    tools = mapping(props.get("chat_template_caps")).get("supports_tools")
    vision = mapping(props.get("modalities")).get("vision")
    return ReportedFacts(whole(settings.get("n_ctx")), flag(tools), flag(vision))


def _listed(answer: Mapping[str, Any], model: str | None) -> ReportedFacts:
    """``/v1/models`` of vLLM and SGLang: ``max_model_len``."""
    for row in rows(answer.get("data")):
        if row.get("id") == model:
            return ReportedFacts(whole(row.get("max_model_len")))
    return NOT_REPORTED
