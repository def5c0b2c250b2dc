"""Forms pass through: only the model's name changes, wherever it is, and nothing is held."""

from __future__ import annotations

import pytest
from support.gateway_client import AUTH, Client, one
from support.gateway_rig import Gateway
from support.gateway_upstream import Upstream
from test_relay import resident

from modelscan.gateway.data.form import FormError, FormScanner

PATH = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\n" + AUTH
AUDIO = bytes(range(256)) * 40 + b"\r\n--not-the-boundary\r\n--b"


def part(name: bytes, value: bytes, extra: bytes = b"") -> bytes:
    head = b'--b7\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n' % (name, extra)
    return head + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b7--\r\n"


MODEL = part(b"model", b"fast")
FILE = part(b"file", AUDIO, b'; filename="model"\r\nContent-Type: audio/wav')
OTHER = part(b"models", b"no") + part(b"x", b'name="model"')


def framed(content: bytes, chunks: int = 0) -> bytes:
    head = PATH + b"Content-Type: multipart/form-data; boundary=b7\r\n"
    if not chunks:
        return head + b"Content-Length: %d\r\n\r\n" % len(content) + content
    pieces = [content[at : at + chunks] for at in range(0, len(content), chunks)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


@pytest.mark.parametrize("chunks", [0, 1000])
@pytest.mark.parametrize("parts", [(MODEL, FILE, OTHER), (OTHER, FILE, MODEL)])
def test_the_model_is_named(
    gateway: Gateway, upstream: Upstream, parts: tuple[bytes, ...], chunks: int
) -> None:
    content = form(*parts)
    assert one(gateway.port, framed(content, chunks)).status == 200
    expected = content.replace(b"\r\n\r\nfast\r\n", b"\r\n\r\nupstream-model\r\n")
    assert upstream.seen[-1].body == expected


def test_a_large_form_is_not_held(gateway: Gateway, upstream: Upstream) -> None:
    """7 MB before the model's name."""
    process = gateway.processes[0].pid
    one(gateway.port, framed(form(MODEL, FILE)))
    before = resident(process)
    content = form(part(b"file", b"a" * (7 << 20)), MODEL)
    with Client(gateway.port) as client:
        client.send(framed(content)[:-100])
        gateway.wait_for(lambda: True)
        assert resident(process) - before < 4 << 20
        client.send(framed(content)[-100:])
        assert client.read().status == 200
    assert len(upstream.seen[-1].body) == len(content) + len("upstream-model") - len("fast")


def test_a_form_to_a_backend_that_reads_slowly(gateway: Gateway, upstream: Upstream) -> None:
    content = form(MODEL, part(b"file", b"a" * (7 << 20)))
    raw = framed(content).replace(b"Host: x\r\n", b"Host: x\r\nX-Mode: slowread\r\n")
    assert one(gateway.port, raw).status == 200
    assert upstream.seen[-1].body.endswith(content[-1000:])


def test_forms_without_a_known_model(gateway: Gateway) -> None:
    unknown = form(part(b"model", b"other"), FILE)
    assert one(gateway.port, framed(unknown)).status == 404
    assert one(gateway.port, framed(form(FILE))).status == 400
    assert one(gateway.port, framed(form(part(b"model", b"a" * 5000)))).status == 400
    raw = framed(form(MODEL)).replace(b"boundary=b7", b"x=y")
    assert one(gateway.port, raw).status == 400


def test_several_forms_on_one_connection(gateway: Gateway, upstream: Upstream) -> None:
    """Also pipelined ones, which wait for their turn."""
    with Client(gateway.port) as client:
        for _ in range(3):
            assert client.ask(framed(form(MODEL, FILE))).status == 200
        before = len(upstream.seen)
        client.send(framed(form(MODEL, FILE)) + framed(form(FILE, MODEL)))
        gateway.wait_for(lambda: len(upstream.seen) == before + 2)


def test_every_split_position() -> None:
    """The scanner finds the same value at the same place, however the form is cut."""
    content = form(OTHER, part(b"file", AUDIO[-60:]), MODEL)
    at = content.index(b"fast\r\n")
    for cut in range(len(content)):
        scanner = FormScanner(b"b7")
        scanner.feed(content[:cut])
        scanner.feed(content[cut:])
        assert (scanner.model, scanner.start, scanner.end) == ("fast", at, at + 4)
    scanner = FormScanner(b"b7")
    for byte in content:
        scanner.feed(bytes([byte]))
    assert (scanner.model, scanner.start) == ("fast", at)


def test_a_part_with_an_endless_head() -> None:
    scanner = FormScanner(b"b7")
    scanner.feed(b"--b7\r\n")
    with pytest.raises(FormError):
        for _ in range(20):
            scanner.feed(b"X-A: " + b"a" * 1000 + b"\r\n")
