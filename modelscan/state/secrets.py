"""Credentials by reference. Secrets are never in modelscan's files, logs or argument lists."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from modelscan.core.errors import AuthError, UsageError
from modelscan.state.paths import expand

_ENV_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
REDACTED = "<redacted>"
_SECRET_IN_TEXT = re.compile(
    r"(?i)(?:\b(?:sk|hf|gpustack|ghp|xox[bp])[-_][A-Za-z0-9_\-]{8,}"
    r"|(?<=bearer )[A-Za-z0-9._\-]{8,}"
    r"|\beyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+"
    r"|(?<=://)[^/\s:@]+:[^/\s:@]+(?=@))"
)
_SECRET_ASSIGNMENT = re.compile(
    r"(?i)(\b[\w-]*(?:api[_-]?key|token|secret|passwo?r?d|passwd|credential)s?[\"']?\s*[=:]\s*[\"']?)"
    r"([^\s\"',;]{4,})"
)


def check_reference(reference: str) -> str:
    """Return the reference if it is ``env:NAME`` or ``file:PATH``. Raises UsageError otherwise."""
    scheme, _, rest = reference.partition(":")
    if scheme == "env" and _ENV_NAME.match(rest):
        return reference
    if scheme == "file" and rest:
        return reference
    raise UsageError(
        "a key must be given as a reference, not as plain text",
        hint="write env:NAME (an environment variable) or file:PATH",
        code="literal_secret",
    )


def resolve(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret that a reference points to. Raises AuthError if it is missing or empty."""
    check_reference(reference)
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        value = (os.environ if environ is None else environ).get(rest, "").strip()
        if not value:
            raise AuthError(f"the variable {rest} is not set", hint=f"export {rest}=…")
        return value
    try:
        value = expand(rest).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise AuthError(
            f"cannot read the key file {rest}: {reason}", hint=f"write the key into {rest}"
        ) from error
    if not value:
        raise AuthError(f"the key file {rest} is empty", hint=f"write the key into {rest}")
    return value


def redact(text: str) -> str:
    """Replace texts that look like credentials: engine logs may contain the environment."""
    text = _SECRET_ASSIGNMENT.sub(lambda m: m.group(1) + REDACTED, text)
    return _SECRET_IN_TEXT.sub(REDACTED, text)
