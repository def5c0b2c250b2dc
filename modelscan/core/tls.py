"""The files of a TLS client, as they travel between processes and into records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files. ``ca``: the authorities that are trusted instead of the system's ones;
    ``cert`` and ``key``: the client's own certificate. None: the system's, without a certificate.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
