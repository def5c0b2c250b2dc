"""The policy file on disk: read whenever a decision needs it, so that a change counts at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.core.yaml_reader import MAX_CHARACTERS
from modelscan.registry.policy import BUILT_IN, TagPolicies, read_policies
from modelscan.state.config import Config
from modelscan.state.files import read_edited

FILE_NAME = "curation.yaml"


def policy_path(config: Config) -> Path:
    """The file: as configured, else in the config folder."""
    return config.curation_policy or config.paths.config / FILE_NAME


def load_policies(config: Config) -> TagPolicies:
    """The policies of the file; without one, the built-in policy.

    Raises UsageError for a file that cannot be read or is wrong, and for a configured one that is
    missing: no tag is then free.
    """
    path = policy_path(config)
    text = read_edited(path, MAX_CHARACTERS, partial(_unreadable, path))
    if text is not None:
        return read_policies(text, str(path))
    if config.curation_policy is not None:
        raise _unreadable(path, "there is no such file")
    return BUILT_IN


def _unreadable(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"cannot read the policy file {path}: {reason}",
        hint="modelscan config get curation_policy",
        code="policy_file",
        details={"file": str(path)},
    )
