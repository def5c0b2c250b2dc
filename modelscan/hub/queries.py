"""Single queries to a hub, with its answers in the form in which they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.errors import AuthError, UsageError
from modelscan.hub.answers_kept import ConfigFile, Conversions, FileList
from modelscan.net.runner import utc_now

if TYPE_CHECKING:
    from modelscan.core.reference import Reference
    from modelscan.hub.repository import Hub

_NO_REPOSITORY = ("unknown_repo", "unknown_or_private")
_NO_CONFIG = (*_NO_REPOSITORY, "no_file", "gated")
_MOST_CONVERSIONS = 20


def file_list(hub: Hub, reference: Reference) -> FileList:
    """All files of a repository; ``files`` None if it does not exist. Raises RemoteError."""
    source, now = reference.kind.value, utc_now()
    try:
        info = hub.repo_info(reference)
    except (UsageError, AuthError) as error:
        if error.code not in _NO_REPOSITORY:
            raise
        return FileList(source, reference.value, now)
    return FileList(
        source, reference.value, now, info.commit, info.gated, info.downloads, info.files,
        info.files_complete,
    )  # fmt: skip


def config_file(hub: Hub, reference: Reference) -> ConfigFile:
    """The config.json of a repository; ``config`` None if it has none, or it may not be read.

    Raises RemoteError.
    """
    source, now = reference.kind.value, utc_now()
    try:
        return ConfigFile(source, reference.value, now, hub.fetch_config(reference))
    except (UsageError, AuthError) as error:
        if error.code not in _NO_CONFIG:
            raise
        return ConfigFile(source, reference.value, now)


def conversions(hub: Hub, reference: Reference) -> Conversions:
    """The GGUF repositories whose cards name this one as their base. Raises RemoteError."""
    base = f"base_model:quantized:{reference.value}"
    listed = hub.huggingface.search("gguf", limit=_MOST_CONVERSIONS, filter=base)
    names = tuple(info.repo for info in listed if info.repo.lower().endswith("gguf"))
    return Conversions(reference.kind.value, reference.value, utc_now(), names)
