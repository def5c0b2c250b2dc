"""A Compose file: the port on loopback, no capability, a volume for the weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from modelscan.core.units import GIB
from modelscan.deploy.exports.documents import comments, yaml_text
from modelscan.deploy.exports.subject import (
    CACHE,
    EVERY_INTERFACE,
    LOOPBACK,
    PORT,
    ExportSubject,
)

_NOT_IN_PROJECT = re.compile(r"[^a-z0-9_-]+")  # the specification's rule for a project's name
_USE = (
    "docker compose -f FILE up -d, then http://127.0.0.1:8000/v1",
    "variables such as HF_TOKEN come from your environment or a .env file next to this file",
)


def export(subject: ExportSubject) -> str:
    """The file. Raises UsageError where the engine has no image for these GPUs."""
    service = dict(_service(subject, subject.needed_image("compose")))
    project = _NOT_IN_PROJECT.sub("-", subject.name.lower()).lstrip("-_")
    document: dict[str, Any] = {"name": project, "services": {subject.name: service}}
    if subject.weights is None:
        document["volumes"] = {"models": {}}
    return comments((*subject.notes, *_USE)) + yaml_text(document)


def _service(subject: ExportSubject, image: str) -> Iterator[tuple[str, Any]]:
    program, *options = map(_literal, subject.command(EVERY_INTERFACE))
    yield "image", image
    yield "entrypoint", [program]
    yield "command", options
    yield "environment", _environment(subject)
    yield "ports", [f"{LOOPBACK}:{PORT}:{PORT}"]
    yield "volumes", [f"models:{CACHE}"] if subject.weights is None else [_bind(subject.weights)]
    if subject.shared_memory_bytes is not None:
        yield "shm_size", f"{subject.shared_memory_bytes // GIB}gb"
    yield from _devices(subject)
    yield "read_only", True
    yield "tmpfs", ["/tmp:rw,exec,nosuid,nodev,mode=1777"]  # noqa: S108 - in the container
    yield "cap_drop", ["ALL"]
    yield "security_opt", ["no-new-privileges:true"]
    yield "restart", "unless-stopped"


def _literal(text: str) -> str:
    """Compose replaces ``$NAME``."""
    return text.replace("$", "$$")


def _environment(subject: ExportSubject) -> dict[str, str]:
    fixed = {name: _literal(value) for name, value in subject.environment(contained=True).items()}
    hub = {subject.hub_key: f"${{{subject.hub_key}:-}}"} if subject.hub_key else {}
    return {**fixed, **hub}


def _bind(path: str) -> dict[str, Any]:
    """The same path inside, read-only."""
    place = _literal(path)
    return {"type": "bind", "source": place, "target": place, "read_only": True}


def _devices(subject: ExportSubject) -> Iterator[tuple[str, Any]]:
    if subject.vendor == "nvidia":
        known = subject.plan.gpus if not subject.simulated else ()
        which: dict[str, Any] = (
            {"device_ids": [str(index) for index in known]} if known else {"count": subject.gpus}
        )
        device = {"driver": "nvidia", **which, "capabilities": ["gpu"]}
        yield "deploy", {"resources": {"reservations": {"devices": [device]}}}
    elif subject.vendor == "amd":
        yield "devices", ["/dev/kfd:/dev/kfd", "/dev/dri:/dev/dri"]
        yield "group_add", ["video", "render"]
    elif subject.vendor is not None:
        yield "devices", ["/dev/dri:/dev/dri"]
        yield "group_add", ["video", "render"]
