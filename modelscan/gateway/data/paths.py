"""Which request goes where: an operation of a backend, or the control application."""

from __future__ import annotations

import re

from modelscan.gateway.scopes import CONTROL_AREAS, INFERENCE
from modelscan.routing.table import Operation

OPERATIONS: dict[bytes, Operation] = {
    row.path.encode(): row.operation for row in INFERENCE if row.operation is not None
}
_CONTROL = frozenset(area.encode() for area in CONTROL_AREAS)
_UNSAFE = re.compile(rb"[^\x21-\x7e]|[\\#]|//|/\.{1,2}(?:[/%]|$)|%2e|%5c|%00", re.IGNORECASE)


def operation_of(method: bytes, path: bytes) -> Operation | None:
    """What a request requests from a backend; None: it belongs to the control application."""
    if method == b"POST":
        known = OPERATIONS.get(path)
        if known is not None:
            return known
    if not path.startswith(b"/v1/") or path in OPERATIONS or method == b"OPTIONS":
        return None
    area = path[4:].split(b"/", 1)[0]
    return None if not area or area in _CONTROL else "other"


def is_safe(target: bytes) -> bool:
    """Whether a target is a path that means the same to every server.

    No control characters, no dot segments, no empty segments and no encoded ones of them; the
    query is checked for control characters only.
    """
    path, _, query = target.partition(b"?")
    if not path.startswith(b"/") or _UNSAFE.search(path):
        return False
    return not query or re.search(rb"[^\x21-\x7e]", query) is None
