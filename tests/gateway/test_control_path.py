"""What is not inference goes to the control application, unchanged, with the caller's identity."""

from __future__ import annotations

import pytest
from support.gateway_client import AUTH, body, chunked, get, one, request
from support.gateway_control import Control
from support.gateway_rig import Gateway


@pytest.mark.parametrize("path", [b"/health", b"/v1/models", b"/v1/models/org/a%2Fb", b"/", b"/x"])
def test_paths(gateway: Gateway, control: Control, path: bytes) -> None:
    answer = one(gateway.port, get(path + b"?a=1", b"X-Modelscan-Scopes: admin\r\n"))
    head = control.heads[-1].lower()
    assert head.startswith(b"get " + path.lower() + b"?a=1 http/1.1\r\n")
    assert b"x-modelscan-key: key1\r\nx-modelscan-scopes: infer\r\n" in head
    assert head.count(b"x-modelscan-scopes") == 1 and b"authorization" not in head
    assert answer.status == (404 if b"models/" in path or path == b"/x" else 200)


def test_without_a_key(gateway: Gateway, control: Control) -> None:
    """The control application decides what it shows; a body without a key is not accepted."""
    assert one(gateway.port, get(b"/health").replace(AUTH, b"")).status == 200
    assert b"x-modelscan-key" not in control.heads[-1]
    raw = request(path=b"/v1/nodes/register").replace(AUTH, b"")
    assert one(gateway.port, raw).status == 401
    assert one(gateway.port, get(b"/health").replace(b"sk-ms-1", b"other")).status == 401


def test_bodies_are_streamed(gateway: Gateway, control: Control) -> None:
    """With a length and in chunks; large ones too."""
    content = body(pad=1 << 20)
    raw = request(content, path=b"/v1/nodes/register")
    assert one(gateway.port, raw).status == 404
    assert control.bodies[-1] == content
    raw = chunked(content, 100_000).replace(b"/v1/chat/completions", b"/v1/registry/models")
    assert one(gateway.port, raw).status == 404
    assert control.bodies[-1] == content


def test_a_control_application_that_is_gone(gateway: Gateway, tmp_path: object) -> None:
    """502, and inference goes on."""
    with Gateway(gateway.snapshot, control=f"{tmp_path}/none.sock") as other:
        assert one(other.port, get(b"/health")).status == 502
        assert one(other.port, request()).status == 200
    with Gateway(gateway.snapshot) as alone:
        assert one(alone.port, get(b"/health")).status == 404
