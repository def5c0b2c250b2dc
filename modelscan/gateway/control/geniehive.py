"""Entries, roles and candidates in the names that GenieHive's clients read. Pure over the gateway.

``open_view`` false: the caller may use models and not see the cluster, so that addresses and
prompts are null.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from modelscan.core.node import RegisteredService
from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.nodes.api import service_facts
from modelscan.gateway.control.nodes.host import NodeHost
from modelscan.gateway.control.nodes.views import service_view
from modelscan.gateway.counters import BackendRow
from modelscan.routing.built_in import AUTO, role_named
from modelscan.routing.facts import Known, context_window, engine_of, why_unusable
from modelscan.routing.match import MatchedRoute, main_operation
from modelscan.routing.offload import Suitability, suitability
from modelscan.routing.role_format import PolicyFields, RoleFields, SelectionFields
from modelscan.routing.scoring import best_overlap, best_quality
from modelscan.routing.select import NO_SELECTION
from modelscan.routing.table import RouteEntry

_HEALTH = {
    HealthState.UP: "healthy", HealthState.HALF_OPEN: "healthy", HealthState.COOLING: "degraded",
    HealthState.DOWN: "unhealthy", HealthState.UNKNOWN: "unknown",
}  # fmt: skip
_LOAD = {True: "loaded", False: "unloaded", None: "unknown"}
_USE = {"embeddings": "embeddings offload", "transcription": "transcription offload"}
_OTHER_USE = "lower-complexity offload"
# What GenieHive's role files may have and modelscan does not offer: trust tiers, device classes.
_NOT_OFFERED: Mapping[str, Any] = {
    "allow_employee_devices": False,
    **{
        f"{rule}_{what}": []
        for what in ("device_classes", "trust_tiers", "workload_classes")
        for rule in ("allowed", "denied")
    },
}


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The gateway's entries, as one caller may see them."""

    gateway: Gateway
    open_view: bool = True

    # Services

    def service(self, known: Known) -> dict[str, Any]:
        """An entry as a service: of the routing file, or as its node registered it."""
        node = self.gateway.reported(known.name)
        if node is not None:
            return self._reported(known, *node)
        return {
            "service_id": known.name,
            "host_id": host_of(known),
            "kind": main_operation(known),
            "protocol": "openai",
            "endpoint": known.route.base_url if self.open_view else None,
            "runtime": self._runtime(known),
            "assets": self.assets(known),
            "state": self._state(known),
            "observed": self.observed(known),
            "updated_at": self.gateway.reloaded_at,
        }

    def _reported(self, known: Known, host: NodeHost, service: RegisteredService) -> dict[str, Any]:
        """A node's service, with what this gateway measured where the node says nothing."""
        values = service_view(host, service, service_facts(self.gateway, host, service))
        reported, own = values["observed"], self.observed(known)
        values["observed"] = {k: own.get(k) if v is None else v for k, v in reported.items()}
        if not self.open_view:
            values["endpoint"] = None
            nothing = self.policy(None)
            values["assets"] = [{**one, "request_policy": nothing} for one in values["assets"]]
        return values

    def _runtime(self, known: Known) -> dict[str, Any]:
        window = context_window(known)
        launched = known.route.deployment is not None
        return {
            "context_size": window.tokens if window.source != "catalog" else None,
            "engine": engine_of(known),
            "launcher": "modelscan" if launched else "external",
            "max_context_tokens": known.model.context_tokens,
            "provider_id": None if known.route.tier != "third_party" else known.name,
        }

    def assets(self, known: Known) -> list[dict[str, Any]]:
        """The models of an entry: its own one, or those that its server lists."""
        own = known.route.sent_model
        names = [own] if own else list(known.seen.served or ())
        window = context_window(known)
        served = known.seen.served or {}
        return [
            {
                "asset_id": name,
                "context_size": served.get(name) or (window.tokens if name == own else None),
                "loaded": self.gateway.is_loaded(known.name),
                "max_context_tokens": known.model.context_tokens,
                "request_policy": self.policy(known.fields.request_policy),
            }
            for name in names
        ]

    def policy(self, fields: PolicyFields | None) -> dict[str, Any]:
        """What is added to requests."""
        fields = fields if fields is not None and self.open_view else PolicyFields()
        return {
            "body_defaults": fields.body_defaults or {},
            "system_prompt": fields.system_prompt,
            "system_prompt_position": fields.system_prompt_position,
        }

    def _state(self, known: Known) -> dict[str, Any]:
        usable = why_unusable(known) is None
        return {
            "accept_requests": usable,
            "allow_employee_direct_requests": False,
            "availability": "available" if usable else "unavailable",
            "health": self.health(known.name),
            "load_state": _LOAD[self.gateway.is_loaded(known.name)],
        }

    def availability(self, known: Known) -> str:
        """In GenieHive's words: a node's own for its service, else whether it gets requests."""
        node = self.gateway.reported(known.name)
        return self._state(known)["availability"] if node is None else node[1].state.availability

    def health(self, name: str) -> str:
        """``healthy``, ``degraded``, ``unhealthy`` or ``unknown``."""
        return _HEALTH[self.gateway.state_of(name)]

    def observed(self, known: Known) -> dict[str, Any]:
        """What was measured; null: not known."""
        runtime = self.gateway.runtime_of(known.name)
        requests = self.gateway.requests_at(known.name)
        return {
            "in_flight": requests[BackendRow.IN_FLIGHT],
            "loaded_model_count": None if runtime.loaded is None else int(runtime.loaded),
            "max_context_tokens": context_window(known).tokens,
            "p50_latency_ms": runtime.p50_latency_ms,
            "p95_latency_ms": self.gateway.runtime.slow_ms(known.name),
            "queue_depth": requests[BackendRow.WAITING] + runtime.queue,
            "tokens_per_sec": runtime.tokens_per_s,
            "vram_used_bytes": None,
        }

    # Roles

    def role(self, role: RoleFields) -> dict[str, Any]:
        """A role with all of its fields."""
        prompt = role.prompt_policy
        shown = prompt if self.open_view else None
        return {
            "role_id": role.role_id,
            "display_name": role.display_name or role.role_id,
            "description": role.description,
            "operation": role.operation,
            "modality": modality(role),
            "prompt_policy": {
                "request_policy": self.policy(prompt.request_policy if prompt else None),
                "system_prompt": shown.system_prompt if shown else None,
                "user_template": shown.user_template if shown else None,
            },
            "routing_policy": routing_policy(role.routing_policy or NO_SELECTION),
            "updated_at": self.gateway.reloaded_at,
        }

    # The list of models

    def model(self, entry: RouteEntry) -> dict[str, Any]:
        """The ``geniehive`` object of a name in ``/v1/models``."""
        role = role_named(self.gateway.file, entry.name) if entry.kind == "role" else None
        backends = [self.gateway.table.backends[one.backend].name for one in entry.candidates]
        known = [self.gateway.known[name] for name in backends if name in self.gateway.known]
        if role is not None:
            return self._role_model(role, known)
        if not known:
            return {"route_type": "role" if entry.automatic else "asset", "offload_hint": None}
        best = next((one for one in known if why_unusable(one) is None), known[0])
        return self._service_model(entry, best)

    def _role_model(self, role: RoleFields, known: Sequence[Known]) -> dict[str, Any]:
        if role is AUTO:  # it may lead to every entry
            known = tuple(self.gateway.known.values())
        usable = [one for one in known if why_unusable(one) is None]
        runtimes = [self.gateway.runtime_of(one.name) for one in usable]
        latencies = [one.p50_latency_ms for one in runtimes if one.p50_latency_ms is not None]
        best, loaded = min(latencies, default=None), sum(1 for one in runtimes if one.loaded)
        state = True if loaded else None if any(r.loaded is None for r in runtimes) else False
        return {
            "route_type": "role",
            "role_id": role.role_id,
            "display_name": role.display_name or role.role_id,
            "operation": role.operation,
            "modality": modality(role),
            "healthy_target_count": len(usable),
            "loaded_target_count": loaded,
            "best_p50_latency_ms": best,
            "offload_hint": offload_hint(role.operation, state, best, loaded),
            "routing_policy": routing_policy(role.routing_policy or NO_SELECTION),
            "effective_request_policy": None,
        }

    def _service_model(self, entry: RouteEntry, known: Known) -> dict[str, Any]:
        service = self.service(known)
        runtime = self.gateway.runtime_of(known.name)
        usable = why_unusable(known) is None
        loaded = runtime.loaded if usable else False
        asset = {} if entry.kind == "provider" else {"asset_id": known.route.sent_model}
        names = (
            "service_id", "host_id", "protocol", "endpoint", "assets", "runtime", "observed",
        )  # fmt: skip
        return {
            "route_type": "service" if entry.kind == "provider" else "asset",
            **{name: service[name] for name in names},
            "operation": service["kind"],
            "health": service["state"]["health"],
            "availability": service["state"]["availability"],
            "trust_tier": None,
            "device_class": None,
            "workload_classes": [],
            "loaded_asset_count": sum(1 for one in service["assets"] if one["loaded"]),
            "effective_request_policy": None,
            "offload_hint": offload_hint(
                service["kind"], loaded, runtime.p50_latency_ms, int(bool(loaded))
            ),
            **asset,
        }

    # Candidates

    def candidate(
        self, matched: MatchedRoute, workloads: Sequence[str], known: Known | None,
        role: RoleFields | None,
    ) -> dict[str, Any]:  # fmt: skip
        """A candidate of a task; ``known``: the entry that would serve it."""
        return {
            "candidate_type": "role" if matched.kind == "role" else "service",
            "candidate_id": matched.name,
            "operation": matched.operation,
            "score": matched.score,
            "reasons": list(matched.reasons),
            "signals": self._signals(matched, workloads, known),
            "role": None if role is None else self.role(role),
            "service": None if known is None else self.service(known),
        }

    def _signals(
        self, matched: MatchedRoute, workloads: Sequence[str], known: Known | None
    ) -> dict[str, Any]:
        """GenieHive's signals, and the five parts of the score under ``modelscan``."""
        signals = matched.signals
        results = known.seen.results if known is not None else ()
        observed = self.observed(known) if known is not None else {}
        role = {
            "preferred_family_match": signals.family or 0.0,
            "guardrail_profile_match": signals.guardrail or 0.0,
        }
        parts = ("text", "family", "guardrail", "runtime", "bench")
        return {
            "task_overlap": signals.text or 0.0,
            **(role if matched.kind == "role" else {}),
            "loaded": bool(known is not None and known.seen.runtime.loaded),
            "p50_latency_ms": observed.get("p50_latency_ms"),
            "tokens_per_sec": observed.get("tokens_per_sec"),
            "queue_depth": observed.get("queue_depth"),
            "loaded_model_count": observed.get("loaded_model_count"),
            "availability": matched.state if known is None else self.availability(known),
            "benchmark_match_count": len(results),
            "best_workload_overlap": best_overlap(workloads, results),
            "benchmark_quality_score": best_quality(results),
            "modelscan": {name: getattr(signals, name) for name in parts},
        }


def host_of(known: Known) -> str:
    """The machine of an entry: this one's name, or its server's."""
    if known.route.tier == "local":
        return socket.gethostname()
    return urlsplit(known.route.base_url).hostname or known.route.base_url


def modality(role: RoleFields) -> str:
    """What a role's requests contain."""
    audio = role.operation in ("transcription", "speech")
    return role.modality or ("audio" if audio else "image" if role.operation == "image" else "text")


def routing_policy(fields: SelectionFields) -> dict[str, Any]:
    """Which entries may serve a role: the fields of GenieHive's files, and further ones."""
    return {
        "agentic_benchmark_workloads": fields.agentic_benchmark_workloads or [],
        "context_budget_mode": fields.context_budget_mode,
        "fallback_roles": fields.fallback_roles or [],
        "force_respond_tool": fields.force_respond_tool,
        "guardrail_profile": fields.guardrail_profile,
        "min_context": fields.min_context,
        "preferred_families": fields.preferred_families or [],
        "preferred_labels": fields.preferred_labels or [],
        "require_loaded": fields.require_loaded,
        "tool_mode": fields.tool_mode,
        "strategy": fields.strategy,
        "providers": fields.providers,
        "tiers": fields.tiers,
        "requires_tags": fields.requires_tags or [],
        **_NOT_OFFERED,
    }


def offload_hint(
    operation: str, loaded: bool | None, p50_ms: float | None, targets: int
) -> dict[str, Any]:
    """Which work an assistant may send there; ``targets``: how many have the model loaded."""
    fit: Suitability = suitability(loaded, p50_ms)
    return {
        "operation": operation,
        "suitability": fit,
        "recommended_for": _USE.get(operation, _OTHER_USE),
        "inference_basis": {"loaded_target_count": targets, "best_p50_latency_ms": p50_ms},
    }
