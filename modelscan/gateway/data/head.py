"""Checks of a request's head, made once per connection for clients that repeat their headers."""

from __future__ import annotations

from collections.abc import Sequence

from modelscan.core.request_id import HEADER as REQUEST_ID
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.state import GatewayState, LiveKey
from modelscan.gateway.data.upstream import HOP_HEADERS

Header = tuple[bytes, bytes]

_KEY_HEADERS = (b"x-api-key", b"api-key", b"x-goog-api-key", b"x-geniehive-node-key")
_NOT_FORWARDED = HOP_HEADERS.union(
    _KEY_HEADERS,
    # accept-encoding: a compressed answer could not be read for its token counts.
    (
        b"host",
        b"authorization",
        b"accept-encoding",
        b"expect",
        b"cookie",
        b"http2-settings",
        REQUEST_ID,
    ),
)
_ONCE = frozenset(
    (
        b"host", b"authorization", b"content-length", b"transfer-encoding", b"content-type",
        b"expect", b"origin", *_KEY_HEADERS,
    )
)  # fmt: skip
PAGE_KEY = b"pg-ms-"
"""The beginning of the keys of pages (``control.page_key``)."""
_PRIVATE_PREFIX = b"x-modelscan-"
_PREFLIGHT = (
    b"HTTP/1.1 204 No Content\r\n%b"
    b"access-control-allow-methods: GET, POST, PUT, PATCH, DELETE\r\n"
    b"access-control-allow-headers: %b\r\naccess-control-max-age: 600\r\n\r\n"
)


class HeadFacts:
    """What a head says, apart from its path and length.

    ``forward``: header lines for the backend. ``key`` None: none was sent, or a wrong one, and
    ``problem`` is the refusal. ``cors``: header lines for the answer.
    """

    __slots__ = (
        "boundary", "chunked", "cors", "expects", "forward", "key", "known", "origin", "problem",
        "state", "version",
    )  # fmt: skip

    def __init__(self, known: dict[bytes, bytes], version: str, state: GatewayState) -> None:
        self.known = known
        self.version = version
        self.state = state
        self.chunked = b"transfer-encoding" in known
        self.expects = b"expect" in known and version != "1.0"
        self.forward = b""
        self.boundary: bytes | None = None
        self.key: LiveKey | None = None
        self.problem: RefusedError | None = None
        self.origin = known.get(b"origin")
        self.cors = b""

    def repeats(self, known: dict[bytes, bytes], version: str, state: GatewayState) -> bool:
        """Whether another head would lead to the same facts."""
        return self.known == known and self.state is state and self.version == version


def read_head(
    headers: Sequence[Header], known: dict[bytes, bytes], version: str, state: GatewayState
) -> HeadFacts:
    """Check a head; ``known`` is ``headers`` as a dictionary without content-length.

    Raises RefusedError where the framing is not certain, or the host or the origin is not accepted.
    """
    facts = HeadFacts(known, version, state)
    _check_version(version)
    _check_framing(headers, known, version)
    if b"host" not in known and version != "1.0":
        raise RefusedError(Cause.MALFORMED, "the Host header is missing")
    if facts.expects and known[b"expect"].lower() != b"100-continue":
        raise RefusedError(Cause.EXPECTATION, "the only supported expectation is 100-continue")
    _find_key(facts)
    _check_host(facts)
    _check_origin(facts)
    _keep_headers(facts, headers)
    return facts


def _check_version(version: str) -> None:
    if version not in ("1.1", "1.0"):
        raise RefusedError(Cause.MALFORMED, f"HTTP/{version} is not supported here, HTTP/1.1 is")


def _check_framing(headers: Sequence[Header], known: dict[bytes, bytes], version: str) -> None:
    """Nothing about where the body ends may be read in two ways."""
    names = [name for name, _ in headers]
    if len(names) > len(known) + (b"content-length" in names):
        for name in _ONCE.intersection(names):
            if names.count(name) > 1:
                raise RefusedError(Cause.MALFORMED, f"the header {name.decode()} came twice")
    encoding = known.get(b"transfer-encoding")
    if encoding is None:
        return
    single = b"content-length" not in names and version != "1.0"
    if encoding.strip().lower() != b"chunked" or not single:
        raise RefusedError(
            Cause.MALFORMED, "Transfer-Encoding: only chunked, without Content-Length"
        )


def _check_host(facts: HeadFacts) -> None:
    """A page whose host name was made to point here sends that name; it cannot know a key."""
    hosts = facts.state.hosts
    if hosts is None or facts.key is not None or _is_wrong(facts.problem):
        return
    host = host_name(facts.known.get(b"host", b""))
    if host and host not in hosts:
        name = host.decode("latin-1")
        raise RefusedError(Cause.HOST, f"the host name {name} is not one of this gateway's")


def _is_wrong(problem: RefusedError | None) -> bool:
    return problem is not None and problem.cause is Cause.WRONG_KEY


def host_name(value: bytes) -> bytes:
    """The Host header's value in lower case, without a port; all of it where that is no number."""
    value = value.strip().lower()
    if value.startswith(b"["):
        name, _, rest = value[1:].partition(b"]")
    else:
        name, colon, port = value.partition(b":")
        rest = colon + port
    return name if rest in (b"", b":") or (rest[:1] == b":" and rest[1:].isdigit()) else value


def _check_origin(facts: HeadFacts) -> None:
    """A page of another site may not use this gateway through its visitor's browser."""
    origin = facts.origin
    if origin is None:
        return
    if origin.lower() in facts.state.origins:
        facts.cors = b"access-control-allow-origin: %b\r\nvary: origin\r\n" % origin
        return
    site = origin.lower().partition(b"://")[2]
    if not site or site != facts.known.get(b"host", b"").lower():
        name = origin.decode("latin-1")
        raise RefusedError(Cause.ORIGIN, f"requests of pages from {name} are not allowed here")


def preflight(facts: HeadFacts, method: bytes) -> bytes | None:
    """The answer to a browser that checks whether a page of an allowed origin may send a request;
    None: the request is something else."""
    known = facts.known
    if method != b"OPTIONS" or not facts.cors or b"access-control-request-method" not in known:
        return None
    named = known.get(b"access-control-request-headers", b"authorization, content-type")
    return _PREFLIGHT % (facts.cors, named)


def _token(known: dict[bytes, bytes]) -> bytes | None:
    authorization = known.get(b"authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(b" ")
        return token.strip() if scheme.lower() == b"bearer" else b""
    for name in _KEY_HEADERS:
        if name in known:
            return known[name].strip()
    return None


def _find_key(facts: HeadFacts) -> None:
    if facts.state.open:
        return
    token = _token(facts.known)
    if token is None:
        text = "a key is required: Authorization: Bearer KEY"
        facts.problem = RefusedError(Cause.NO_KEY, text)
        return
    facts.key = facts.state.find_key(token)
    if facts.key is None and token.startswith(PAGE_KEY):  # only the control application knows it
        facts.problem = RefusedError(Cause.NO_KEY, "the pages' key is for changes alone")
    elif facts.key is None:
        facts.problem = RefusedError(Cause.WRONG_KEY, "the key is not valid")


def _keep_headers(facts: HeadFacts, headers: Sequence[Header]) -> None:
    dropped = _NOT_FORWARDED
    for name, value in headers:
        if name == b"connection" and len(value) > 10:  # more than keep-alive
            dropped = dropped.union(token.strip().lower() for token in value.split(b","))
    lines = [
        b"%b: %b\r\n" % header for header in headers
        if header[0] not in dropped and not header[0].startswith(_PRIVATE_PREFIX)
    ]  # fmt: skip
    facts.forward = b"".join(lines)
    content_type = facts.known.get(b"content-type", b"")
    if content_type[:19].lower() == b"multipart/form-data":
        facts.boundary = _boundary(content_type)


def _boundary(content_type: bytes) -> bytes:
    for parameter in content_type.split(b";")[1:]:
        name, _, value = parameter.strip().partition(b"=")
        if name.lower() == b"boundary":
            boundary = value.strip().strip(b'"')
            if 0 < len(boundary) <= 70:
                return boundary
    raise RefusedError(Cause.BODY, "multipart/form-data needs a boundary of 1 to 70 characters")
