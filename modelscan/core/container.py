"""The container that an engine runs in: what differs from a process on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

ContainerRuntime = Literal["docker", "podman"]
RUNTIMES: tuple[ContainerRuntime, ...] = get_args(ContainerRuntime)
Network = Literal["published", "isolated"]
"""The runtime's own network; one without a route to any other machine."""


@dataclass(frozen=True, slots=True)
class ContainerLaunch:
    """The container of a launch, whose ``argv`` is the command inside it.

    ``image`` is a name with a tag; ``digest`` (sha256:…) is what that name means on this machine,
    None before it is pulled. ``devices``: names of the vendor's container toolkit for NVIDIA,
    device files for the others; ``groups`` the numeric groups that may open them, or
    ``keep-groups``. ``mounts`` are read-only, at the same paths inside as outside. ``user`` is
    UID:GID, None the image's own. ``keep_id``: the user namespace maps that user to itself.
    ``label_disable``: SELinux would forbid the mounts and devices.
    """

    runtime: ContainerRuntime
    image: str
    digest: str | None = None
    vendor: str | None = None
    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    user: str | None = None
    keep_id: bool = False
    shared_memory_bytes: int | None = None
    network: Network = "published"
    label_disable: bool = False

    @property
    def pinned(self) -> str:
        """The image as it is run: by digest once that is known, so that a moved tag changes
        nothing.
        """
        if self.digest is None:
            return self.image
        return f"{repository_of(self.image)}@{self.digest}"


def repository_of(image: str) -> str:
    """The name of an image without its tag and digest."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
