"""The keys of nodes' own gateways in the database: sealed with the server's secret."""

from __future__ import annotations

import base64
import hashlib


class Sealer:
    """Seals texts with a key that is derived from the server's secret; imports when first used."""

    def __init__(self, secret: bytes) -> None:
        digest = hashlib.blake2b(b"keys of nodes", key=secret, digest_size=32).digest()
        self._key = base64.urlsafe_b64encode(digest)

    def seal(self, text: str) -> bytes:
        """The sealed text."""
        from cryptography.fernet import Fernet

        return Fernet(self._key).encrypt(text.encode())

    def unseal(self, data: bytes) -> str | None:
        """The text; None: it was sealed with another secret."""
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return Fernet(self._key).decrypt(data).decode()
        except InvalidToken:
            return None
