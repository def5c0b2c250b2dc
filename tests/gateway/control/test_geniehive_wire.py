"""Exchanges recorded from GenieHive, sent again: every request is accepted, and every field of its
answers is there. The first test has the same shapes in the repository's own words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.node_messages import beat, registration, service
from support.served import Engine, Served, engines, serving, until, write_routing

from modelscan.gateway.control.scopes import PATHS
from modelscan.routing.role_format import PolicyFields, PromptFields, RoleFields, SelectionFields

OWN = {row.path for row in PATHS}
HOST = {
    "host_id", "display_name", "address", "labels", "capabilities", "resources", "status.state",
    "status.last_seen", "metrics",
}  # fmt: skip
SERVICE = {
    "service_id", "host_id", "kind", "protocol", "endpoint", "runtime.context_size",
    "runtime.engine", "runtime.launcher", "runtime.max_context_tokens", "runtime.provider_id",
    "assets[].asset_id", "assets[].context_size", "assets[].loaded", "assets[].max_context_tokens",
    "assets[].request_policy.body_defaults", "assets[].request_policy.system_prompt",
    "assets[].request_policy.system_prompt_position", "state.accept_requests",
    "state.allow_employee_direct_requests", "state.availability", "state.health",
    "state.load_state", "observed.in_flight", "observed.loaded_model_count",
    "observed.max_context_tokens", "observed.p50_latency_ms", "observed.p95_latency_ms",
    "observed.queue_depth", "observed.tokens_per_sec", "observed.vram_used_bytes", "updated_at",
}  # fmt: skip
HEALTH = {
    "status", "host_count", "online_host_count", "stale_host_count", "service_count",
    "healthy_service_count",
}  # fmt: skip


def paths(value: Any, place: str = "") -> Iterator[str]:
    """The places of a JSON value's fields; items of a list have one place."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from paths(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and value:
        for item in value:
            yield from paths(item, f"{place}[]")
    else:
        yield place


def prefixed(prefix: str, names: set[str]) -> set[str]:
    return {f"{prefix}{name}" for name in names}


def test_answers_have_geniehives_fields(clean_environment: Path) -> None:
    with serving() as gateway:
        body = registration("box", service("box/chat/demo", "http://127.0.0.1:9"))
        for path, message in (("register", body), ("heartbeat", beat("box"))):
            status, answer = gateway.ask("POST", f"/v1/nodes/{path}", message)
            assert (status, answer["status"]) == (200, "ok")
            assert {name for name in HOST if _missing(answer["host"], name)} == set()
        hosts = gateway.get("/v1/cluster/hosts")[1]
        services = gateway.get("/v1/cluster/services")[1]
        assert hosts["object"] == services["object"] == "list"
        assert not [name for name in HOST if _missing(hosts["data"][0], name)]
        assert set(paths(services["data"][0])) >= SERVICE
        health = gateway.get("/v1/cluster/health")[1]
        assert set(health) >= HEALTH and health["status"] == "ok"


def test_what_geniehives_scripts_may_send_is_accepted(clean_environment: Path) -> None:
    """Texts for numbers, null for a default; its answers to what is not there."""
    with engines("demo") as (engine,), serving() as gateway:
        status, answer = gateway.ask("POST", "/v1/nodes/heartbeat", beat("box"))
        assert (status, answer["error"], answer["host_id"]) == (404, "unknown_host", "box")
        endpoint = f"http://127.0.0.1:{engine.port}/"
        state = {"health": None, "load_state": "loaded", "availability": "busy"}
        figures = {"p50_latency_ms": "900", "queue_depth": 2.0}
        body = registration("box", service("box/chat", endpoint, state=state, observed=figures))
        status, answer = gateway.ask("POST", "/v1/nodes/register", {**body, "labels": None})
        assert status == 200, answer
        row = gateway.get("/v1/cluster/services")[1]["data"][0]
        assert row["state"]["health"] == "unknown" and row["observed"]["queue_depth"] == 2
        until(lambda: gateway.get("/v1/cluster/routes/resolve?model=demo&kind=chat")[0] == 200)
        status, answer = gateway.get("/v1/cluster/routes/resolve?model=demo&kind=embeddings")
        fields = (answer["error"], answer["model"], answer["kind"])
        assert (status, *fields) == (404, "no_route", "demo", "embeddings")
        ask = {"tasks": [" ", "task "], "limit": 0}
        status, answer = gateway.ask("POST", "/v1/cluster/routes/match", ask)
        assert (status, answer["tasks"], len(answer["candidates"])) == (200, ["task"], 1)
        signals = answer["candidates"][0]["signals"]
        assert (signals["p50_latency_ms"], signals["availability"]) == (900, "busy")
        assert signals["modelscan"]["runtime"] == 0.49  # 0.35 + 0.30 - 2 * 0.03 - 0.10
        ask = {"include_direct_services": False}
        status, answer = gateway.ask("POST", "/v1/cluster/routes/match", ask)
        assert status == 200 and {one["candidate_type"] for one in answer["candidates"]} == {"role"}
        models = {one["id"]: one["geniehive"] for one in gateway.get("/v1/models")[1]["data"]}
        assert models["demo"]["offload_hint"]["suitability"] == "good_for_low_complexity"


def _missing(value: Any, place: str) -> bool:
    for key in place.split("."):
        if not isinstance(value, dict) or key not in value:
            return True
        value = value[key]
    return False


@pytest.mark.shared
def test_every_recorded_request_is_accepted(clean_environment: Path, shared: Path) -> None:
    wire = shared / "data" / "geniehive" / "wire.jsonl"
    lines = [json.loads(line) for line in wire.read_text().splitlines()]
    write_routing(clean_environment, {"roles": list(_roles(lines))})
    with engines("demo") as (engine,), serving() as gateway:
        for line in lines:
            if _is_here(line["path"]):
                _replay(gateway, engine, line)


def _is_here(path: str) -> bool:
    if path == "/v1/models":  # its rows have GenieHive's part together with the roles
        return "/v1/cluster/roles" in OWN
    return path.partition("?")[0] in OWN | {"/v1/chat/completions"}


def _replay(gateway: Served, engine: Engine, line: dict[str, Any]) -> None:
    text = json.dumps(line["request"]).replace(":18091", f":{engine.port}")

    def answered() -> Any:
        status, answer = gateway.ask(line["method"], line["path"], json.loads(text))
        return (status, answer) if status == line["status"] else None

    _, answer = until(answered)
    if line["path"] != "/v1/chat/completions":  # that is the engine's own
        expected, got = set(paths(line["response"])), set(paths(answer))
        whole = {place.split(".timings")[0] for place in got}
        missing = {one for one in expected if not _covered(one, whole)}
        assert not missing, (line["path"], missing)


def _covered(place: str, got: set[str]) -> bool:
    """Whether a field is there, with a value of whatever kind: trust tiers are always empty."""
    place = place.removesuffix("[]")
    return any(one == place or one.startswith((f"{place}.", f"{place}[")) for one in got)


def _roles(lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The recorded roles, with the keys that a routing file knows."""
    for line in lines:
        if line["path"] == "/v1/cluster/roles":
            for role in line["response"]["data"]:
                prompt = role["prompt_policy"]
                kept = _known(RoleFields, role)
                kept["prompt_policy"] = _known(PromptFields, prompt)
                kept["prompt_policy"]["request_policy"] = _known(
                    PolicyFields, prompt["request_policy"]
                )
                kept["routing_policy"] = _known(SelectionFields, role["routing_policy"])
                yield kept


def _known(kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in dataclasses.fields(kind)}
    return {key: value for key, value in values.items() if key in names and value is not None}
