"""Curations and results over HTTP: two curators, a bot, an operator, a reader and an intruder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.event_streams import EventStream
from support.reports import bench_report, eval_report
from support.served import Served, serving, write_routing

REGISTRY = "/v1/registry"
SHA = "a" * 64
POLICY = """
tags:
  curated:
    gates:
      - {suite: coding, metric: accuracy, op: ">=", threshold: 0.6, max_age: 30d}
  fast:
    approvals: 1
    withdraw: true
    gates:
      - {workload: shape, metric: ttft_s.p95, op: "<=", threshold: 1.5, concurrency: 4,
         hardware: RTX 4090}
  reviewed: {}
"""


class World:
    """A gateway with keys, and models with a published version each."""

    def __init__(self, gateway: Served, keys: dict[str, str], policy: Path) -> None:
        self.gateway = gateway
        self.keys = keys
        self.policy = policy
        self._models = 0

    def ask(self, who: str | None, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        key = None if who is None else self.keys.get(who, who)
        return self.gateway.ask(method, f"{REGISTRY}{path}", body, key)

    def model(self, sha256: str = SHA) -> str:
        """A new model; its version 1 is published."""
        self._models += 1
        slug = f"acme/m{self._models}"
        facts = {
            "weights_url": f"https://hub.test/{slug}", "quantization": "Q4_K_M",
            "files": [{"path": "m.gguf", "sha256": sha256, "size_bytes": 1}],
        }  # fmt: skip
        assert self.ask("ann", "POST", "/models", {"slug": slug})[0] == 201
        assert self.ask("ann", "POST", f"/models/{slug}/versions", facts)[0] == 201
        assert self.ask("ann", "POST", f"/models/{slug}/versions/1/publish")[0] == 200
        return slug

    def propose(self, slug: str, tag: str, who: str = "bot") -> str:
        status, body = self.ask(who, "POST", "/curations", {"model": f"{slug}@1", "tag": tag})
        assert status == 201, body
        return str(body["id"])

    def approve(self, who: str | None, name: str) -> tuple[int, Any]:
        return self.ask(who, "POST", f"/curations/{name}/approvals")

    def tags(self, slug: str) -> list[str]:
        found: list[str] = self.ask("ann", "GET", f"/models/{slug}/versions/1")[1]["tags"]
        return found


@pytest.fixture
def world(
    clean_environment: Path, run_in_process: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    write_routing(clean_environment, {})
    policy = clean_environment / "config" / "curation.yaml"
    policy.write_text(POLICY)
    scopes = {
        "ann": "curator", "ben": "curator", "bot": "curator", "root": "admin",
        "op": "operator", "reader": "read", "app": "infer",
    }  # fmt: skip
    keys = {
        name: run_in_process("key", "create", name, "--scope", scope, "--json").json["key"]
        for name, scope in scopes.items()
    }
    with serving() as running:
        yield World(running, keys, policy)


def test_every_way_to_a_tag(world: World) -> None:
    slug = world.model()
    place = f"/models/{slug}/versions/1/tags"
    # The direct way is closed to everybody, the administrator too.
    for who in ("ann", "op", "root"):
        for method in ("PUT", "DELETE"):
            status, body = world.ask(who, method, f"{place}/reviewed")
            assert (status, body["code"]) == (403, "policy"), (who, method)
    assert world.ask("op", "PUT", f"{place}/small")[0] == 200
    # Only curators propose, approve and reject.
    wanted = {"model": f"{slug}@1", "tag": "reviewed"}
    outsiders = {"op": 403, "reader": 403, "app": 403, "sk-ms-" + "0" * 40: 401, None: 401}
    for who, status in outsiders.items():
        assert world.ask(who, "POST", "/curations", wanted)[0] == status, who
    name = world.propose(slug, "reviewed")
    for who, status in outsiders.items():
        assert world.approve(who, name)[0] == status, who
        assert world.ask(who, "DELETE", f"/curations/{name}")[0] == status, who
    # Nobody approves what is their own, or twice.
    assert [world.approve("bot", name)[0], world.approve("ann", name)[0]] == [409, 201]
    status, body = world.approve("ann", name)
    assert (status, body["code"]) == (409, "same_person")
    assert world.tags(slug) == ["small"]
    status, body = world.approve("ben", name)
    assert (status, body["state"], len(body["approvals"])) == (201, "approved", 2)
    assert world.tags(slug) == ["reviewed", "small"]
    assert world.approve("root", name)[1]["code"] == "closed"
    # The record cannot be changed over HTTP: there is no such method.
    for method in ("PUT", "PATCH"):
        assert world.ask("root", method, f"/curations/{name}", {"state": "approved"})[0] == 405
    status, body = world.ask("reader", "GET", f"/curations/{name}")
    assert [one["by"]["name"] for one in body["approvals"]] == ["ann", "ben"]
    # Taken back by a curator, with a reason.
    status, body = world.ask("ann", "DELETE", f"/curations/{name}", {"reason": "it leaks"})
    assert (status, body["state"], body["reason"]) == (200, "rejected", "it leaks")
    assert world.tags(slug) == ["small"]


def test_gates_with_figures_and_a_regression(world: World) -> None:
    slug = world.model()
    name = world.propose(slug, "curated")
    status, body = world.approve("ann", name)
    assert (status, body["code"], body["gates"][0]["observed"]) == (409, "gate_not_met", None)
    below = eval_report("e-low", 0.41, sha256=SHA)
    status, body = world.ask("reader", "POST", "/evals", below)
    assert status == 403
    status, body = world.ask("op", "POST", "/evals", below)
    assert (status, body["slug"], body["version"], body["matched_by"]) == (201, slug, "1", "sha256")
    assert world.ask("op", "POST", "/evals", below)[0] == 200  # a repetition
    status, body = world.ask("op", "POST", "/evals", eval_report("e-low", 0.99, sha256=SHA))
    assert (status, body["code"]) == (409, "exists")  # another report with that id
    status, body = world.approve("ann", name)
    (gate,) = body["gates"]
    figures = [gate[one] for one in ("workload", "metric", "op", "threshold", "observed")]
    assert figures == ["coding", "accuracy", ">=", 0.6, 0.41]
    assert (gate["eval_id"], gate["met"]) == ("e-low", False) and gate["age_s"] >= 0
    world.ask("op", "POST", "/evals", eval_report("e-high", 0.8, sha256=SHA, after_s=60))
    assert world.approve("ann", name)[0] == 201
    assert world.approve("ben", name)[1]["state"] == "approved"
    with EventStream(world.gateway.url, "?kind=curation", key=world.keys["reader"]) as stream:
        report = eval_report("e-worse", 0.3, sha256=SHA, after_s=120)
        status, body = world.ask("op", "POST", "/evals", report)
        assert body["flagged"] == [name]
        stream.until(lambda: stream.named("curation.flagged"))
        told = json.loads(stream.named("curation.flagged")[0].data)
    assert told["slug"] == slug and "accuracy is 0.3" in told["reason"]
    assert world.tags(slug) == ["curated"]  # this policy only flags
    listed = world.ask("reader", "GET", "/curations?flagged=true")[1]["items"]
    assert [one["id"] for one in listed] == [name]


def test_a_bench_gate_withdraws(world: World) -> None:
    slug = world.model("b" * 64)
    slow = bench_report("b-1", {1: 0.2, 4: 2.0}, sha256="b" * 64, hardware="RTX 4090")
    fine = bench_report("b-2", {1: 0.2, 4: 1.2}, sha256="b" * 64, hardware="NVIDIA GeForce RTX 4090",
                        after_s=60)  # fmt: skip
    name = world.propose(slug, "fast")
    world.ask("op", "POST", "/evals", slow)
    assert world.approve("ann", name)[1]["gates"][0]["eval_id"] == "b-1/4"
    world.ask("op", "POST", "/evals", fine)
    status, body = world.approve("ann", name)
    assert (status, body["state"], world.tags(slug)) == (201, "approved", ["fast"])
    cpu = bench_report("b-3", {4: 9.0}, sha256="b" * 64, hardware="EPYC", after_s=90)
    assert world.ask("op", "POST", "/evals", cpu)[1]["flagged"] == []  # other hardware
    worse = bench_report("b-4", {4: 3.0}, sha256="b" * 64, hardware="RTX 4090", after_s=120)
    assert world.ask("op", "POST", "/evals", worse)[1]["flagged"] == [name]
    assert world.tags(slug) == []


def test_which_version_a_report_is_about(world: World) -> None:
    one, two = world.model("c" * 64), world.model("d" * 64)
    report = eval_report("e-1", 0.5, sha256="e" * 64)
    status, body = world.ask("op", "POST", "/evals", report)
    assert (status, body["code"]) == (422, "unmatched")
    status, body = world.ask("op", "POST", f"/evals?model={one}@1", report)
    assert (status, body["code"]) == (422, "invalid") and "SHA-256" in body["detail"]
    unknown = eval_report("e-2", 0.5, sha256=None)
    status, body = world.ask("op", "POST", f"/evals?model={two}@1", unknown)
    assert (status, body["matched_by"]) == (201, "named")
    for broken in (
        b"",
        b"{",
        {"schema": "modelscan.eval.run/1"},
        {**report, "status": "cancelled"},
    ):
        assert world.ask("op", "POST", "/evals", broken if isinstance(broken, dict) else None)[0] in (
            400, 422,
        )  # fmt: skip
    future = eval_report("e-9", 0.9, sha256="c" * 64, after_s=86_400)
    assert world.ask("op", "POST", "/evals", future)[1]["code"] == "bad_report"


def test_results_across_models(world: World) -> None:
    slugs = [world.model(letter * 64) for letter in "123"]
    for letter, value in zip("123", (0.5, 0.9, 0.7), strict=True):
        world.ask("op", "POST", "/evals", eval_report(f"e-{letter}", value, sha256=letter * 64))
    body = world.ask("reader", "GET", "/evals?suite=coding&sort=accuracy")[1]
    assert [row["slug"] for row in body["items"]] == [slugs[1], slugs[2], slugs[0]]
    page = world.ask("reader", "GET", "/evals?suite=coding&sort=accuracy&limit=2")[1]
    rest = world.ask(
        "reader", "GET", f"/evals?suite=coding&sort=accuracy&limit=2&cursor={page['next_cursor']}"
    )[1]
    assert [row["id"] for row in page["items"] + rest["items"]] == ["e-2", "e-3", "e-1"]
    for query in ("sort=nonsense", "suite=a&workload=b", "nothing=1", "limit=0", "cursor=x"):
        assert world.ask("reader", "GET", f"/evals?{query}")[0] in (400, 422), query


def test_a_policy_that_cannot_be_read_opens_nothing(world: World) -> None:
    slug = world.model()
    world.policy.write_text("tags: {curated: {aprovals: 2}}")
    status, body = world.ask("ann", "PUT", f"/models/{slug}/versions/1/tags/anything")
    assert (status, body["code"]) == (503, "policy_file") and "unknown key" in body["detail"]
    world.policy.write_text("")  # an empty policy: every tag is free
    assert world.ask("ann", "PUT", f"/models/{slug}/versions/1/tags/curated")[0] == 200


def test_without_keys_there_is_one_person(clean_environment: Path) -> None:
    write_routing(clean_environment, {})
    with serving() as gateway:
        world = World(gateway, {"ann": None, "bot": None}, Path())  # type: ignore[dict-item]
        slug = world.model()
        name = world.propose(slug, "curated")
        assert world.approve(None, name)[1]["code"] == "same_person"
