"""Reasoning is kept by default and removed where a policy says so; the role auto decides."""

from __future__ import annotations

import json

import pytest
from support.gateway_client import body, one, request
from support.gateway_rig import Gateway, access, backend, key, route, table
from support.gateway_upstream import LAST, SSE_HEAD, Upstream, answer, chunk, sends

from modelscan.gateway.data.reasoning import StrippedEvents, without_reasoning
from modelscan.gateway.snapshot import Snapshot
from modelscan.routing.table import AutomaticRule, BodyPolicy, RouteCandidate

WHOLE = {
    "choices": [{"message": {"content": "4", "reasoning_content": "2+2", "x": 1e30}}],
    "timings": {"n": 1},
}
EVENTS = (
    b'data: {"choices":[{"delta":{"reasoning_content":"2+2"}}],"timings":{"n":1}}\n\n'
    b'data: {"choices":[{"delta":{"content":"say \\"reasoning\\"","reasoning":null}}]}\n\n'
    b": a comment\n\nevent: x\ndata: [DONE]\n\n"
)
STRIPPED = (
    b'data: {"choices":[{"delta":{}}],"timings":{"n":1}}\n\n'
    b'data: {"choices":[{"delta":{"content":"say \\"reasoning\\""}}]}\n\n'
    b": a comment\n\nevent: x\ndata: [DONE]\n\n"
)


def test_keep_and_strip(upstream: Upstream) -> None:
    upstream.modes["thought"] = sends(answer(WHOLE))
    upstream.modes["thoughts"] = sends(SSE_HEAD + chunk(EVENTS[:50]) + chunk(EVENTS[50:]) + LAST)
    strip = BodyPolicy({}, {}, reasoning="strip")
    made = table(
        [backend("a", upstream.port)], route("keep", 0), route("strip", RouteCandidate(0, strip))
    )
    with Gateway(Snapshot(made, access(key()))) as gateway:
        kept = one(gateway.port, request(body("thought", "keep")))
        assert kept.document == WHOLE
        stripped = one(gateway.port, request(body("thought", "strip")))
        expected = json.loads(json.dumps(WHOLE))
        del expected["choices"][0]["message"]["reasoning_content"]
        assert stripped.document == expected
        assert one(gateway.port, request(body("thoughts", "keep", stream=True))).body == EVENTS
        stream = one(gateway.port, request(body("thoughts", "strip", stream=True)))
        assert stream.body == STRIPPED


def test_every_position() -> None:
    for at in range(len(EVENTS)):
        lines = StrippedEvents()
        assert lines.feed(EVENTS[:at]) + lines.feed(EVENTS[at:]) + lines.end() == STRIPPED


@pytest.mark.parametrize("data", [b"", b"[]", b'{"reasoning":1}', b'{"choices":[{"reasoning', b"{"])
def test_other_documents_stay(data: bytes) -> None:
    assert without_reasoning(data) == data


def test_automatic(upstream: Upstream) -> None:
    """A rule chooses the route, and the receipt says which one and why."""
    pair = [
        backend("a", upstream.port, served_model="small"),
        backend("b", upstream.port, served_model="large"),
    ]
    rules = (
        AutomaticRule(route("large", 1), "long prompts", min_characters=100),
        AutomaticRule(route("small", 0), "everything else"),
    )
    auto = route("auto", 0, 1, kind="role", automatic=True)
    made = table(pair, auto, rules=rules)
    with Gateway(Snapshot(made, access(key(models=("auto",))))) as gateway:
        for pad, model in ((5, "small"), (500, "large")):
            assert one(gateway.port, request(body(model="auto", pad=pad))).status == 200
            assert upstream.seen[-1].document["model"] == model
        gateway.wait_for(lambda: len(gateway.receipts) == 2)
        last = gateway.receipts[-1]
        assert (last.requested_model, last.route, last.reasons) == (
            "auto", "large", ("long prompts",),
        )  # fmt: skip
        gateway.send(Snapshot(table(pair, auto, revision=2), gateway.snapshot.access))
        assert one(gateway.port, request(body(model="auto"))).status == 404
