"""Which official container image of an engine serves a vendor's GPUs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

_VERSION = r"b?\d[\w.]*"  # 0.32.0, and llama.cpp's b9445
CPU = ""
"""The key of ``ContainerImages.names`` for a machine without a GPU."""


class ImageName(NamedTuple):
    """An image's name: of the newest release, and of one version (``{version}``)."""

    newest: str
    versioned: str


@dataclass(frozen=True, slots=True)
class ContainerImages:
    """The official images of an engine, with complete names, since podman searches none.

    ``names``: by vendor of the GPUs. ``any_user``: its files may be read by every user, so that it
    need not run as root. ``shares_memory``: its processes share memory in /dev/shm. ``source``:
    where the names and these facts were read.
    """

    names: Mapping[str, ImageName]
    any_user: bool
    shares_memory: bool
    source: str

    def name(self, vendor: str | None, version: str | None) -> str | None:
        """The image for a vendor's GPUs (None: no GPU); None where there is no official one."""
        image = self.names.get(vendor or CPU)
        if image is None:
            return None
        if version is None:
            return image.newest
        return image.versioned.format(version=version.lstrip("v"))

    def version_of(self, image: str) -> str | None:
        """The version that an image's tag names; "" for the newest, None for another image."""
        if any(image == name.newest for name in self.names.values()):
            return ""
        for name in self.names.values():
            before, after = map(re.escape, name.versioned.split("{version}"))
            match = re.fullmatch(f"{before}({_VERSION}){after}", image)
            if match:
                return match[1]
        return None
