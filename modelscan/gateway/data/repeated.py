"""Requests of a client that repeats its head: taken without being parsed again.

A client sends the same bytes for each request, up to the length of the body. A head that is equal,
byte by byte, to one that was parsed and accepted on the same connection means the same: only its
length and what depends on the time are read. Everything else is for the parser.
"""

from __future__ import annotations

import re

from modelscan.gateway.data.limits import SMALL_BODY
from modelscan.gateway.data.request import ClientRequest
from modelscan.gateway.data.state import GatewayState

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)\r\n", re.IGNORECASE)
_MOST_DIGITS = 9


class KnownHead:
    """The bytes of a head before and after the digits of its length, and its parsed request."""

    __slots__ = ("_after", "_before", "_most", "_request")

    def __init__(self, before: bytes, after: bytes, request: ClientRequest) -> None:
        self._before = before
        self._after = after
        self._most = min(SMALL_BODY, request.facts.state.limits.max_body_bytes)
        self._request = request

    def request_of(self, data: bytes, state: GatewayState) -> ClientRequest | None:
        """The request that ``data`` is, whole and alone; None: it may be anything else."""
        known = self._request
        if known.facts.state is not state or not data.startswith(self._before):
            return None
        begin = len(self._before)
        end = data.find(b"\r", begin, begin + _MOST_DIGITS + 1)
        digits = data[begin:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._after, end):
            return None
        body = data[end + len(self._after) :]
        if len(body) != int(digits) or not body or len(body) > self._most:
            return None
        return known.again(body)


def known_head(request: ClientRequest, data: bytes) -> KnownHead | None:
    """What repeats of the request that was received as ``data``; None: it is not of the plain
    kind, a JSON body with its length for an operation, which came in one piece."""
    if request.upload is not None or request.operation is None or request.length <= 0:
        return None
    facts = request.facts
    end = data.find(b"\r\n\r\n") + 4
    if not request.keep or facts.expects or len(data) - end != request.length:
        return None
    found = _LENGTH.search(data, 0, end)
    if found is None:
        return None
    known = request.again(b"")
    if known.request_id not in data[:end]:  # the gateway's: it makes another one for each
        known.request_id, known.trace_id = b"", ""
    return KnownHead(data[: found.start(1)], data[found.end(1) : end], known)
