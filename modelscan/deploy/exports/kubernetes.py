"""Kubernetes: a claim for the weights, a Deployment of one pod, a Service inside the cluster."""

from __future__ import annotations

import re
from typing import Any

from modelscan.core.units import GIB
from modelscan.deploy.exports.documents import comments, yaml_text
from modelscan.deploy.exports.subject import CACHE, EVERY_INTERFACE, PORT, ExportSubject

_RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "intel": "gpu.intel.com/i915"}
_STARTS_S, _PROBE_S = 3600, 10
_NOT_IN_LABEL = re.compile(r"[^a-z0-9-]+")


def export(subject: ExportSubject) -> str:
    """The manifests. Raises UsageError for weights on this machine, and without an image."""
    subject.no_folder("Kubernetes")
    image = subject.needed_image("Kubernetes")
    name = _object_name(subject.name)
    secret = f"{name}-keys"
    use = [
        f"keys: kubectl create secret generic {secret} --from-literal=server-key=…"
        + (" --from-literal=hub-key=…" if subject.hub_key else ""),
        f"kubectl apply -f FILE; kubectl port-forward service/{name} {PORT}:{PORT}",
    ]
    documents = (_claim(subject, name), _deployment(subject, name, image, secret), _service(name))
    return comments((*subject.notes, *use)) + yaml_text(*documents)


def _object_name(name: str) -> str:
    """A name that a Service may have: it begins with a letter and has at most 63 characters."""
    plain = _NOT_IN_LABEL.sub("-", name.lower()).strip("-")
    return (plain if plain[:1].isalpha() else f"m-{plain}")[:58].strip("-")


def _claim(subject: ExportSubject, name: str) -> dict[str, Any]:
    size = f"{-(-subject.disk_bytes // GIB)}Gi"
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": _metadata(name),
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}},
        },
    }  # fmt: skip


def _metadata(name: str) -> dict[str, Any]:
    return {"name": name, "labels": {"app.kubernetes.io/name": name}}


def _deployment(subject: ExportSubject, name: str, image: str, secret: str) -> dict[str, Any]:
    """``Recreate``: a second pod would need the same GPUs."""
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(subject, image, secret)],
        "volumes": _volumes(subject, name),
    }
    labels = {"app.kubernetes.io/name": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(name),
        "spec": {
            "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }  # fmt: skip


def _container(subject: ExportSubject, image: str, secret: str) -> dict[str, Any]:
    health = {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": _PROBE_S}
    return {
        "name": "engine",
        "image": image,
        "command": list(map(_literal, subject.command(EVERY_INTERFACE, keyed=True))),
        "env": _environment(subject, secret),
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": {**health, "failureThreshold": _STARTS_S // _PROBE_S},
        "readinessProbe": health,
        "resources": _resources(subject),
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(subject),
    }  # fmt: skip


def _literal(text: str) -> str:
    """Kubernetes replaces ``$(NAME)``."""
    return text.replace("$(", "$$(")


def _environment(subject: ExportSubject, secret: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"name": name, "value": _literal(value)}
        for name, value in subject.environment(contained=True).items()
    ]
    rows.append(_from_secret(subject.server_key, secret, "server-key", optional=False))
    if subject.hub_key:
        rows.append(_from_secret(subject.hub_key, secret, "hub-key", optional=True))
    return rows


def _from_secret(name: str, secret: str, key: str, *, optional: bool) -> dict[str, Any]:
    reference: dict[str, Any] = {"name": secret, "key": key}
    if optional:
        reference["optional"] = True
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _resources(subject: ExportSubject) -> dict[str, Any]:
    if subject.vendor is None:
        needed = -(-subject.plan.estimate.total_bytes // GIB) + 1
        return {"requests": {"memory": f"{needed}Gi"}}
    return {"limits": {_RESOURCES.get(subject.vendor, "nvidia.com/gpu"): subject.gpus}}


def _volumes(subject: ExportSubject, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"name": "models", "persistentVolumeClaim": {"claimName": name}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if subject.shared_memory_bytes is not None:
        size = f"{subject.shared_memory_bytes // GIB}Gi"
        rows.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
    return rows


def _mounts(subject: ExportSubject) -> list[dict[str, str]]:
    rows = [
        {"name": "models", "mountPath": CACHE},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
    ]
    if subject.shared_memory_bytes is not None:
        rows.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    return rows


def _service(name: str) -> dict[str, Any]:
    """Reachable inside the cluster only."""
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": _metadata(name),
        "spec": {
            "type": "ClusterIP", "selector": {"app.kubernetes.io/name": name},
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }  # fmt: skip
