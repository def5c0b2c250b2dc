"""Match, resolve, roles and benchmark results over a real gateway: what was measured decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.served import Served, engines, routed, serving, until, write_routing

ROLES = [
    {"role_id": "mentor", "operation": "chat", "display_name": "Mentor",
     "prompt_policy": {"system_prompt": "Guide the user."}},
    {"role_id": "turns", "operation": "chat", "routing_policy": {"strategy": "round_robin"}},
    {"role_id": "embedder", "operation": "embeddings", "display_name": "Embedder"},
]  # fmt: skip
SERVICE_FIELDS = {
    "service_id", "host_id", "kind", "protocol", "endpoint", "runtime", "assets", "state",
    "observed", "updated_at",
}  # fmt: skip
SIGNALS = {
    "task_overlap", "loaded", "p50_latency_ms", "tokens_per_sec", "queue_depth",
    "loaded_model_count", "availability", "benchmark_match_count", "best_workload_overlap",
    "benchmark_quality_score",
}  # fmt: skip
POLICY = {
    "agentic_benchmark_workloads", "allow_employee_devices", "allowed_device_classes",
    "allowed_trust_tiers", "allowed_workload_classes", "context_budget_mode",
    "denied_device_classes", "denied_trust_tiers", "denied_workload_classes", "fallback_roles",
    "force_respond_tool", "guardrail_profile", "min_context", "preferred_families",
    "preferred_labels", "require_loaded", "tool_mode",
}  # fmt: skip
MATCH = {"task": "explain exit codes", "workload": "chat.short_reasoning", "limit": 9}


def sample(service: str, workload: str = "chat.short_reasoning", **results: Any) -> dict[str, Any]:
    return {"benchmark_id": f"bench-{service}-{workload}", "service_id": service, "asset_id": None,
            "workload": workload, "observed_at": time.time(), "results": results}  # fmt: skip


def ranked(gateway: Served, **fields: Any) -> list[dict[str, Any]]:
    status, body = gateway.ask("POST", "/v1/cluster/routes/match", {**MATCH, **fields})
    assert status == 200, body
    return list(body["candidates"])


def candidate(gateway: Served, name: str, **fields: Any) -> dict[str, Any]:
    return next(one for one in ranked(gateway, **fields) if one["candidate_id"] == name)


def ingest(gateway: Served, *samples: dict[str, Any]) -> dict[str, Any]:
    status, body = gateway.ask("POST", "/v1/cluster/benchmarks", {"samples": list(samples)})
    assert status == 200, body
    return body  # type: ignore[no-any-return]


def ready(gateway: Served) -> None:
    until(lambda: all(b["state"] == "up" for b in gateway.get("/health")[1]["backends"]))


def test_results_decide_and_questions_change_nothing(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    with engines("one", "two") as (one, two):
        write_routing(clean_environment, routed(one.entry(), two.entry(), roles=ROLES))
        with serving() as gateway:
            ready(gateway)
            first = candidate(gateway, "one")
            assert first["candidate_type"] == "service"
            assert first["service"].keys() >= SERVICE_FIELDS
            assert first["signals"].keys() >= SIGNALS
            assert first["signals"]["benchmark_match_count"] == 0
            assert first["score"] == pytest.approx(0.45 * 0.35, abs=1e-4)
            role = candidate(gateway, "mentor")
            assert role["role"]["routing_policy"].keys() >= POLICY
            assert role["signals"].keys() >= {"preferred_family_match", "guardrail_profile_match"}
            embedder = candidate(gateway, "embedder")
            assert (embedder["service"], embedder["score"]) == (None, 0.0)

            right = sample("one", pass_rate=1.0, tokens_per_sec=2.0, ttft_ms=9000,
                           p50_latency_ms=9000)  # fmt: skip
            wrong = sample("two", pass_rate=0.2, tokens_per_sec=300, ttft_ms=20, p50_latency_ms=90)
            done = ingest(gateway, right, wrong, sample("mentor", "w"), sample("nothing", "w"))
            assert done["count"] == 4
            services = [row["modelscan"]["service"] for row in done["data"]]
            assert services[:2] == ["one", "two"]
            assert services[2:] == [None, None]
            assert "2 entries" in done["data"][2]["modelscan"]["reason"]
            assert "nothing" in done["data"][3]["modelscan"]["reason"]
            assert done["modelscan"]["accepted"] == 4
            again = ingest(gateway, right, wrong)
            assert again["modelscan"]["duplicates"] == 2
            listed = gateway.get("/v1/cluster/benchmarks")[1]
            assert len(listed["data"]) == 4
            assert isinstance(listed["data"][0]["observed_at"], float)

            until(lambda: candidate(gateway, "one")["score"] > first["score"])
            names = [c["candidate_id"] for c in ranked(gateway) if c["candidate_type"] == "service"]
            assert names == ["one", "two"], "the wrong and fast one is behind the right one"
            signals = candidate(gateway, "one")["signals"]
            assert (signals["best_workload_overlap"], signals["p50_latency_ms"]) == (1.0, 9000)
            here = run_in_process(
                "route", "match", MATCH["task"], "--workload", MATCH["workload"], "--json"
            )
            scores = {c["name"]: c["signals"]["bench"] for c in here.json["candidates"]}
            assert scores["one"] == signals["modelscan"]["bench"]
            facts = {row["id"]: row for row in gateway.get("/v1/models")[1]["data"]}
            hint = facts["two"]["geniehive"]["offload_hint"]
            assert hint["suitability"] == facts["two"]["modelscan"]["suitability"]
            assert hint["suitability"] == "good_for_low_complexity"
            assert facts["one"]["geniehive"]["offload_hint"]["suitability"] == "available_but_slow"
            assert facts["turns"]["geniehive"]["route_type"] == "role"
            assert facts["turns"]["geniehive"]["healthy_target_count"] == 2

            first_answer = answer_of(gateway, "turns")
            begun = len(one.requests) + len(two.requests)
            for _ in range(100):
                assert gateway.get("/v1/cluster/routes/resolve?model=turns")[0] == 200
            assert len(one.requests) + len(two.requests) == begun
            answers = [first_answer, *(answer_of(gateway, "turns") for _ in range(5))]
            assert answers in (["from one", "from two"] * 3, ["from two", "from one"] * 3)


def answer_of(gateway: Served, name: str) -> str:
    status, body = gateway.chat(name)
    assert status == 200, body
    return str(body["choices"][0]["message"]["content"])


def test_resolve_names_what_would_serve(clean_environment: Path) -> None:
    with engines("one") as (one,):
        more = {"aliases": {"gpt-4o": "mentor"}, "roles": ROLES}
        write_routing(clean_environment, routed(one.entry(), **more))
        with serving() as gateway:
            ready(gateway)
            direct = resolved(gateway, "one")
            assert direct["match_type"] == "direct"
            assert direct["service"].keys() >= SERVICE_FIELDS
            assert direct["service"]["endpoint"] == f"http://127.0.0.1:{one.port}"
            assert direct["service"]["assets"][0]["asset_id"] == "one"
            assert direct["service"]["assets"][0]["context_size"] == 4096
            role = resolved(gateway, "mentor")
            assert (role["match_type"], role["role"]["role_id"]) == ("role", "mentor")
            assert role["role"]["prompt_policy"]["system_prompt"] == "Guide the user."
            assert resolved(gateway, "gpt-4o")["role"]["role_id"] == "mentor"
            status, body = gateway.get("/v1/cluster/routes/resolve?model=mentr")
            assert (status, "mentor" in body["detail"]) == (404, True)
            assert gateway.get("/v1/cluster/routes/resolve?model=embedder")[0] == 404
            assert gateway.get("/v1/cluster/routes/resolve")[0] == 400
            roles = gateway.get("/v1/cluster/roles")[1]["data"]
            shown = {row["role_id"]: row["modelscan"]["chosen"] for row in roles}
            assert shown["mentor"] == "one"
            assert shown["embedder"] is None
            one.stop()
            gateway.event("backend", backend="one", state="down")
            assert gateway.get("/v1/cluster/routes/resolve?model=one")[0] == 404


def resolved(gateway: Served, name: str) -> dict[str, Any]:
    status, body = gateway.get(f"/v1/cluster/routes/resolve?model={name}")
    assert status == 200, body
    return body["resolution"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/cluster/routes/match", []),
        ("/v1/cluster/routes/match", {"task": 5}),
        ("/v1/cluster/routes/match", {"task": "x", "limit": 5000}),
        ("/v1/cluster/routes/match", {"task": "x", "kind": "teleport"}),
        ("/v1/cluster/benchmarks", {}),
        ("/v1/cluster/benchmarks", {"samples": [{"service_id": "one"}]}),
        ("/v1/cluster/benchmarks", {"samples": [sample("one", pass_rate=7)]}),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_its_place(
    idle_gateway: Served, path: str, body: Any
) -> None:
    status, problem = idle_gateway.ask("POST", path, body)
    assert (status, problem["status"]) == (400, 400)
    assert problem["detail"]


@pytest.fixture(scope="module")
def idle_gateway(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("home")
    with engines("one") as (one,):
        write_routing(home, routed(one.entry()))
        with serving(MODELSCAN_HOME=str(home)) as gateway:
            yield gateway


def test_the_commands_and_the_paths_agree(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    with engines("one", "two") as (one, two):
        write_routing(clean_environment, routed(one.entry(), two.entry(), roles=ROLES))
        with serving() as gateway:
            ready(gateway)
            results = {"p50_latency_ms": 3000, "pass_rate": 0.5, "tokens_per_sec": 9.0}
            ingest(gateway, sample("two", **results))
            until(lambda: suitabilities(gateway).get("two") == "usable_for_background_tasks")
            assert gateway.chat("one")[0] == 200
            until(lambda: suitabilities(gateway).get("one") == "good_for_low_complexity")
            until(lambda: run_in_process("trace", "list", "-q").out)
            here = {m["id"]: m for m in run_in_process("route", "models", "--json").json["models"]}
            there = suitabilities(gateway)
            unproven = {name for name, row in here.items() if row["state"] == "unproven"}
            assert unproven == there.keys()  # this command probes nothing
            for name in ("one", "two", "lab/one", "lab/two"):
                assert here[name]["suitability"] == there[name]
            roles = gateway.get("/v1/cluster/roles")[1]["data"]
            chosen = {row["role_id"]: row["modelscan"]["chosen"] for row in roles}
            listed = run_in_process("route", "roles", "--json").json["roles"]
            assert chosen.keys() == {row["role_id"] for row in listed}
            for name in ("mentor", "embedder", "fast"):
                assert chosen[name] == next(r["chosen"] for r in listed if r["role_id"] == name)
            health = run_in_process("route", "health", "--json").json["entries"]
            states = {b["name"]: b["state"] == "up" for b in gateway.get("/health")[1]["backends"]}
            assert {row["name"]: row["healthy"] for row in health} == states


def suitabilities(gateway: Served) -> dict[str, str]:
    rows = gateway.get("/v1/models")[1]["data"]
    return {row["id"]: row["modelscan"]["suitability"] for row in rows}
