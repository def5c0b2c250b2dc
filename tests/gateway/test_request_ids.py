"""Ids of requests: the client's own or one that is made; the backend, the answer and the receipt
have the same one."""

from __future__ import annotations

import re
import uuid

import pytest
from support.gateway_client import HEAD, Answer, Client, body, get, one, request
from support.gateway_rig import Gateway
from support.gateway_upstream import Seen, Upstream, answer

from modelscan.core.receipt import Receipt
from modelscan.core.request_id import trace_id_of

ID = b"x-request-id"
HEX = "0123456789abcdef0123456789abcdef"


def sent(value: bytes | None, content: bytes | None = None) -> bytes:
    """A chat request with an id."""
    line = b"" if value is None else b"X-Request-ID: %b\r\n" % value
    return request(content or body(), head=HEAD + line)


def receipt_of(gateway: Gateway, trace_id: str) -> Receipt:
    gateway.wait_for(lambda: any(one.trace_id == trace_id for one in gateway.receipts))
    return next(one for one in gateway.receipts if one.trace_id == trace_id)


def made(got: Answer, upstream: Upstream) -> str:
    """The id that the gateway made; the backend has the same one."""
    value = got.header(ID)
    assert value is not None
    assert re.fullmatch(rb"[0-9a-f]{32}", value)
    assert upstream.seen[-1].header(ID) == value
    assert got.head.lower().count(b"\r\nx-request-id:") == 1
    return value.decode()


def test_each_request_gets_an_id(gateway: Gateway, upstream: Upstream) -> None:
    """Also those whose head is the same byte by byte, and streams."""
    ids = []
    with Client(gateway.port) as client:
        for content in (body(), body(), body(), body("three", stream=True), body()):
            ids.append(made(client.ask(sent(None, content)), upstream))
    assert len(set(ids)) == 5
    for trace_id in ids:
        assert receipt_of(gateway, trace_id).status == 200


@pytest.mark.parametrize(
    "value", [HEX, HEX.upper(), str(uuid.UUID(HEX)), "req-42", "a/b:c@d=e+f.g_h", "x" * 128, "7"]
)
def test_a_clients_id_is_used(gateway: Gateway, upstream: Upstream, value: str) -> None:
    with Client(gateway.port) as client:
        for _ in range(3):
            got = client.ask(sent(value.encode()))
            assert got.header(ID) == value.encode()
            assert upstream.seen[-1].header(ID) == value.encode()
            assert upstream.seen[-1].head.lower().count(b"\r\nx-request-id:") == 1
        assert made(client.ask(sent(None)), upstream) != value
    assert receipt_of(gateway, trace_id_of(value)).status == 200
    assert re.fullmatch("[0-9a-f]{32}", trace_id_of(value))


def test_equal_ids_are_stored_equally() -> None:
    assert trace_id_of(HEX) == trace_id_of(HEX.upper()) == trace_id_of(str(uuid.UUID(HEX))) == HEX
    assert trace_id_of("req-1") != trace_id_of("req-2")
    assert trace_id_of("g" * 32) != "g" * 32


@pytest.mark.parametrize(
    "value", [b"", b" ", b"x" * 129, b"a b", b"-x", b"{}", b"\xc3\xa9", b"a,b", b'"q"', b"a;b"]
)
def test_an_id_that_is_none_is_replaced(gateway: Gateway, upstream: Upstream, value: bytes) -> None:
    with Client(gateway.port) as client:
        ids = {made(client.ask(sent(value)), upstream) for _ in range(3)}
    assert len(ids) == 3


def test_ids_change_from_request_to_request(gateway: Gateway, upstream: Upstream) -> None:
    with Client(gateway.port) as client:
        for value in (b"a", b"b", None, b"b", b"c", None):
            got = client.ask(sent(value))
            assert got.header(ID) == upstream.seen[-1].header(ID)
            if value is not None:
                assert got.header(ID) == value


def test_pipelined_requests_have_their_own(gateway: Gateway, upstream: Upstream) -> None:
    with Client(gateway.port) as client:
        client.send(sent(b"first") + sent(b"second"))
        raw = client.read().raw
        while raw.count(b"x-request-id:") < 2:
            raw += client.read().raw
    assert re.findall(rb"x-request-id: (\w+)", raw) == [b"first", b"second"]


def test_a_refusal_has_the_id_too(gateway: Gateway) -> None:
    got = one(gateway.port, sent(b"mine", body(model="nothing")))
    assert (got.status, got.header(ID)) == (404, b"mine")
    assert receipt_of(gateway, trace_id_of("mine")).error == "model_not_found"
    without = one(gateway.port, sent(None, body(model="nothing")))
    assert without.header(ID)


def test_the_backends_own_id_has_another_name(gateway: Gateway, upstream: Upstream) -> None:
    async def named(_: Seen, __: object, writer: object) -> bool:
        writer.write(answer(extra=b"X-Request-Id: theirs\r\n"))  # type: ignore[attr-defined]
        return True

    upstream.modes["named"] = named  # type: ignore[assignment]
    got = one(gateway.port, sent(b"mine", body("named")))
    assert (got.header(ID), got.header(b"x-upstream-request-id")) == (b"mine", b"theirs")


def test_the_control_application_sees_it(gateway: Gateway, control: object) -> None:
    """An answer that may be repeated for others has no caller's id."""
    with Client(gateway.port) as client:
        assert client.ask(get(b"/v1/models")).header(ID) is None
        for value in (b"one", b"two"):
            got = client.ask(get(b"/v1/models", b"X-Request-Id: %b\r\n" % value))
            assert (got.status, got.header(ID)) == (200, value)
            assert b"x-request-id: %b\r\n" % value in control.heads[-1]  # type: ignore[attr-defined]
        assert client.ask(get(b"/v1/models")).header(ID) is None
