"""Writing server-sent events."""

from __future__ import annotations

import os
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def event(kind: str, data: dict[str, Any]) -> bytes:
    """One event whose ``event`` line and ``type`` field are ``kind``."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), _encode({"type": kind, **data}))


def encode_json(value: Any) -> bytes:
    """Any JSON value, ``msgspec.Raw`` included, as UTF-8."""
    return _encode(value)


def new_id(prefix: str) -> str:
    """An id such as ``msg_`` and 24 random hexadecimal digits."""
    return f"{prefix}_{os.urandom(12).hex()}"
