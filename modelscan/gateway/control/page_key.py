"""The key of this start's pages: who can read this user's files may change things in a browser.

It is in a file of the state folder while the gateway runs, for ``modelscan open``; a browser gets
it in the fragment of a link and sends it as an Authorization header, never as a cookie: those of
127.0.0.1 go to every port.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from modelscan.state.config import Config
from modelscan.state.files import write_atomic

PAGE_KEY_NAME = "pages"
HEADER = "x-modelscan-authorization"
PAGE_SCOPES = frozenset({"read", "operator"})
_FILE = "pages-{port}.key"


@dataclass(frozen=True, slots=True)
class PageKey:
    """The key: 160 random bits, so that guessing needs no limit."""

    value: str

    def matches(self, request: Request) -> bool:
        """Whether a request was sent with it."""
        scheme, _, sent = request.headers.get(HEADER, "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            sent.strip().encode(), self.value.encode()
        )


def key_file(config: Config, port: int) -> Path:
    """Where the key of the gateway on a port is."""
    return config.paths.state / _FILE.format(port=port)


def stored_page_key(config: Config, port: int) -> str | None:
    """The key of the gateway that runs on a port of this machine; None: it has none."""
    try:
        return key_file(config, port).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


@contextlib.contextmanager
def page_key(config: Config, port: int) -> Iterator[PageKey]:
    """A new key, and its file (0600) as long as the block runs."""
    file = key_file(config, port)
    key = PageKey(f"pg-ms-{secrets.token_hex(20)}")
    write_atomic(file, f"{key.value}\n")
    try:
        yield key
    finally:
        if stored_page_key(config, port) == key.value:
            file.unlink(missing_ok=True)
