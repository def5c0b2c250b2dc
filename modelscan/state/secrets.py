"""Credentials by reference. Secrets are never in modelscan's files, logs or argument lists."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from modelscan.core.errors import AuthError, UsageError
from modelscan.state.paths import expand

_ENV_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
REDACTED = "<redacted>"
_LONGEST_KEY = 16_384  # characters; a token with claims has some thousands
_OPEN_FILES = ("/dev/fd/", "/proc/self/fd/")  # of a shell's <(command), open already
# Credentials by their form. A name such as hf_overrides, HF_HUB_OFFLINE or sk-learn is none: the
# parts of a credential are long and, apart from the hub's, have digits.
_PART = r"(?=[A-Za-z0-9]*[0-9])[A-Za-z0-9]{8,}"
_SECRET_IN_TEXT = re.compile(
    r"\b(?:hf|api_org)_[A-Za-z0-9]{16,}(?![\w-])"
    rf"|\b(?:sk|gpustack|gh[pousr]|github_pat|xox[abp]|glpat|nvapi|pk|rk)(?:[-_][A-Za-z0-9]+)*?[-_]{_PART}[\w-]*"
    r"|\bsk-[A-Za-z0-9]{20,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_\-]{35}"
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9._+/\-]{8,}=*"
    r"|\beyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
# ``NAME=value``, ``"name": "value"``, ``--name value``: names of credentials, not of a model's
# tokens (eos_token, max_num_batched_tokens). Numbers and references are no secrets.
_NAME = (
    r"(?:(?i:[\w-]*(?:api|access|secret|private|signing|master)[_-]?keys?|[\w-]*secrets?"
    r"|[\w-]*(?:password|passwd|passphrase|credential)s?"
    r"|[\w-]*(?:auth|access|refresh|bearer|hf|hub|id|session|bot|api|user|github|gitlab)[_-]token)"
    r"|[A-Z0-9_]+_TOKEN|TOKEN|(?<=[{,\"'])token(?=[\"'])|(?m:^)\s*token)"
)
_SECRET_ASSIGNMENT = re.compile(
    rf"(?<![\w-])({_NAME}[\"']?\s*[=:]\s*\[?\s*(?:SecretStr\()?[\"']?)(?P<value>[^\s\"',;\]\[(){{}}<]{{4,}})"
)
_SECRET_OPTION = re.compile(
    r"(?i)(--[\w-]*(?:api[_-]key|hf[_-]token|password|secret)(?![\w-])[=\s]\s*[\"']?)(?P<value>[^\s\"',;]{4,})"
)
_HARMLESS = re.compile(
    r"(?i)(?:-?[\d.]+|none|null|true|false|unset|missing|required|env:\w*|file:.*|<.*|\*+|\$.*)$"
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
        return _one_key(value, f"the variable {rest}", f"export {rest}=…")
    hint = f"write the key into {rest}"
    try:
        value = _beginning(expand(rest)).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise AuthError(f"cannot read the key file {rest}: {reason}", hint=hint) from error
    if not value:
        raise AuthError(f"the key file {rest} is empty", hint=hint)
    return _one_key(value, f"the key file {rest}", hint)


def _beginning(path: Path) -> bytes:
    """Enough of the file to see whether it is one key; a pipe that has a name may never answer."""
    if path.is_fifo() and not str(path).startswith(_OPEN_FILES):
        raise ValueError("it is a pipe")
    with path.open("rb") as stream:
        return stream.read(_LONGEST_KEY + 1)


def _one_key(value: str, place: str, hint: str) -> str:
    """The key, which goes into a header: one line of ASCII. Raises AuthError for other content."""
    if len(value) > _LONGEST_KEY or not value.isprintable() or not value.isascii():
        raise AuthError(
            f"{place} does not hold one key: a key is one line, at most {_LONGEST_KEY:,} letters, "
            "digits and signs", hint=hint,
        )  # fmt: skip
    return value


def redact(text: str) -> str:
    """Replace texts that look like credentials: engine logs may contain the environment."""
    for pattern in (_SECRET_ASSIGNMENT, _SECRET_OPTION):
        text = pattern.sub(_without_value, text)
    return _SECRET_IN_TEXT.sub(REDACTED, text)


def _without_value(match: re.Match[str]) -> str:
    harmless = _HARMLESS.match(match["value"])
    return match.group(0) if harmless else match.group(1) + REDACTED


def looks_like_a_key(text: str) -> bool:
    """Whether a text contains what has the form of a credential."""
    return _SECRET_IN_TEXT.search(text) is not None
