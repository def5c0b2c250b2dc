"""Keys of the server: their scopes, and the digest under which a key is stored and looked up."""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

Scope = Literal["read", "infer", "operator", "admin", "curator", "node"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


def key_digest(token: bytes, hash_key: bytes) -> bytes:
    """The keyed hash (BLAKE2b, 32 bytes) of a key; ``hash_key`` is 32 random bytes."""
    return hashlib.blake2b(token, key=hash_key, digest_size=32).digest()
