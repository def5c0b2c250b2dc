"""Why the registry refuses a request: a cause for programs, a text with a hint for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from modelscan.core.errors import EXIT_FAILED, EXIT_NOT_DEPLOYABLE, EXIT_USAGE, ModelscanError

RefusalCause = Literal[
    "invalid", "unknown_model", "unknown_version", "unknown_alias", "unknown_tag",
    "exists", "stale", "version_published", "not_published", "policy", "in_use",
    "unknown_curation", "closed", "same_person", "gate_not_met", "unmatched", "ambiguous",
]  # fmt: skip
_EXIT: Mapping[RefusalCause, int] = {
    "invalid": EXIT_USAGE,
    "unknown_model": EXIT_USAGE,
    "unknown_version": EXIT_USAGE,
    "unknown_alias": EXIT_USAGE,
    "unknown_tag": EXIT_USAGE,
    "unknown_curation": EXIT_USAGE,
    "unmatched": EXIT_USAGE,
    "ambiguous": EXIT_USAGE,
    "not_published": EXIT_NOT_DEPLOYABLE,
}


class RegistryRefused(ModelscanError):
    """A request that the registry refuses; ``cause`` is also its ``code``.

    ``etag`` is the current one of a record that changed meanwhile (cause stale).
    """

    def __init__(
        self,
        cause: RefusalCause,
        message: str,
        *,
        hint: str | None = None,
        details: Mapping[str, Any] | None = None,
        etag: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=cause, details=details)
        self.cause: RefusalCause = cause
        self.etag = etag
        self.exit_code = _EXIT.get(cause, EXIT_FAILED)
