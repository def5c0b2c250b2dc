"""The id of a request: its client's own one (``X-Request-Id``), or one that the gateway makes."""

from __future__ import annotations

import hashlib
import re

HEADER = b"x-request-id"
_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_HEX = re.compile(r"[0-9a-f]{32}")


def accepted(value: bytes) -> bool:
    """Whether a client's id is used: at most 128 letters, digits and ``._:/+=@-``."""
    return _ID.fullmatch(value) is not None


def trace_id_of(request_id: str) -> str:
    """The 32 hexadecimal digits under which a request is stored: the id itself if it is such a
    number, a UUID without its hyphens, else the id's hash.
    """
    plain = request_id.lower()
    if _HEX.fullmatch(plain):
        return plain
    if len(plain) == 36 and _HEX.fullmatch(plain.replace("-", "")):
        return plain.replace("-", "")
    return hashlib.blake2b(request_id.encode(), digest_size=16).hexdigest()
