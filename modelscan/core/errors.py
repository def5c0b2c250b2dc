"""One error tree, printed in one place (``cli/output.py``).

ModelscanError            exit 1   the operation failed
├── UsageError            exit 2   wrong arguments, configuration, unknown or ambiguous name
├── NotDeployableError    exit 3   does not fit, closed weights, unsupported combination
├── AuthError             exit 4   a key is missing, wrong or lacks a scope
├── RemoteError           exit 5   a server or an engine failed or is unhealthy
└── OfflineError          exit 5   the network is needed but --offline is set

A ``ModelscanError`` is for the user: what happened, with numbers, and a hint with a command to
paste. Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_DEPLOYABLE = 3
EXIT_AUTH = 4
EXIT_REMOTE = 5
EXIT_INTERRUPTED = 130


class ModelscanError(Exception):
    """What happened (``message``), what to do (``hint``), for scripts (``code``, ``details``)."""

    exit_code = EXIT_FAILED
    default_code = "failed"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        self.details: dict[str, Any] = dict(details or {})


class UsageError(ModelscanError):
    """The request itself is wrong: exit 2."""

    exit_code = EXIT_USAGE
    default_code = "usage"


class NotDeployableError(ModelscanError):
    """It cannot run on that hardware or engine: exit 3."""

    exit_code = EXIT_NOT_DEPLOYABLE
    default_code = "not_deployable"


class AuthError(ModelscanError):
    """A credential is missing, refused or lacks a scope: exit 4."""

    exit_code = EXIT_AUTH
    default_code = "auth"


class RemoteError(ModelscanError):
    """A server or engine failed, or is not healthy: exit 5."""

    exit_code = EXIT_REMOTE
    default_code = "remote"


class OfflineError(RemoteError):
    """The network is needed and ``--offline`` is set: exit 5."""

    default_code = "offline"
