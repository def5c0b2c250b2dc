"""A Quadlet file: podman makes a systemd service of it."""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.core.units import GIB
from modelscan.deploy.exports.documents import comments
from modelscan.deploy.exports.subject import (
    CACHE,
    EVERY_INTERFACE,
    LOOPBACK,
    PORT,
    ExportSubject,
)
from modelscan.deploy.unit_words import unit_word, unit_words


def export(subject: ExportSubject) -> str:
    """The file. Raises UsageError where the engine has no image for these GPUs."""
    image = subject.needed_image("podman")
    use = [
        f"~/.config/containers/systemd/{subject.name}.container, then",
        f"systemctl --user daemon-reload && systemctl --user start {subject.name}",
    ]
    if subject.hub_key:
        key = subject.hub_key
        use.append(f"a gated repository: podman secret create --env {key.lower()} {key}, and the")
        use.append("line that starts with Secret= below")
    lines = [
        "[Unit]", f"Description={subject.plan.model} with {subject.plan.backend}",
        "", "[Container]", *_container(subject, image),
        "", "[Service]", "Restart=on-failure", "RestartSec=5", "TimeoutStartSec=infinity",
        "", "[Install]", "WantedBy=default.target",
    ]  # fmt: skip
    return comments((*subject.notes, *use)) + "\n".join(lines) + "\n"


def _container(subject: ExportSubject, image: str) -> Iterator[str]:
    program, *options = subject.command(EVERY_INTERFACE)
    yield f"Image={image}"
    yield f"PodmanArgs=--entrypoint {unit_words([program])}"
    yield f"Exec={unit_words(options)}"
    yield f"PublishPort={LOOPBACK}:{PORT}:{PORT}"
    for name, value in subject.environment(contained=True).items():
        yield f"Environment={unit_word(f'{name}={value}')}"
    if subject.hub_key:
        yield f"#Secret={subject.hub_key.lower()},type=env,target={subject.hub_key}"
    yield from _volumes(subject)
    yield from _devices(subject)
    if subject.shared_memory_bytes is not None:
        yield f"ShmSize={subject.shared_memory_bytes // GIB}g"
    yield from ("ReadOnly=true", "Tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777")
    yield from ("DropCapability=all", "NoNewPrivileges=true")


def _volumes(subject: ExportSubject) -> Iterator[str]:
    if subject.weights is None:
        yield f"Volume={subject.name}-models:{CACHE}"
    else:
        fields = f"type=bind,source={subject.weights},target={subject.weights},readonly"
        yield f"Mount={unit_word(fields)}"


def _devices(subject: ExportSubject) -> Iterator[str]:
    if subject.vendor == "nvidia":
        known = [] if subject.simulated else [str(index) for index in subject.plan.gpus]
        every = [str(index) for index in range(subject.gpus)]
        yield from (f"AddDevice=nvidia.com/gpu={index}" for index in known or every)
    elif subject.vendor is not None:
        yield from (["AddDevice=/dev/kfd"] if subject.vendor == "amd" else [])
        yield from ("AddDevice=/dev/dri", "GroupAdd=keep-groups")
