"""What each deployment has of each device: promised by its plan, and measured. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from modelscan.core.deployment import Deployment, Measured, MeasuredParts
from modelscan.targets.local.reserved import host_bytes, reserved_bytes

_NUMBERED = re.compile(r"[A-Za-z]+(\d+)")


@dataclass(frozen=True, slots=True)
class DeviceShare:
    """A deployment's part of one device, in bytes. ``measured_bytes`` None: its engine reported no
    figure for this device.
    """

    deployment: str
    promised_bytes: int
    measured_bytes: int | None


def device_shares(deployments: Iterable[Deployment]) -> Mapping[int | None, list[DeviceShare]]:
    """The shares by the index of the GPU, None for the host's memory; the largest first."""
    found: dict[int | None, list[DeviceShare]] = {}
    for one in deployments:
        promised, measured = _promised(one), measured_by_device(one)
        for index in {**promised, **measured}:
            share = DeviceShare(one.name, promised.get(index, 0), measured.get(index))
            if share.promised_bytes or share.measured_bytes:
                found.setdefault(index, []).append(share)
    for shares in found.values():
        shares.sort(key=lambda one: -(one.measured_bytes or one.promised_bytes))
    return found


def _promised(deployment: Deployment) -> dict[int | None, int]:
    estimate = deployment.plan.estimate if deployment.plan else None
    if estimate is None:
        return {}
    own: dict[int | None, int] = {one.index: reserved_bytes(one) for one in estimate.per_gpu}
    own[None] = own.get(None, 0) + host_bytes(estimate)
    return own


def measured_by_device(deployment: Deployment) -> dict[int | None, int]:
    """Bytes by the index of the GPU, None for host memory; without figures per device, the total of
    the only one.
    """
    measured, gpus = deployment.measured or Measured(), deployment.gpus
    parts = measured_parts(measured, gpus)
    if not parts and measured.total_bytes is not None and len(gpus) < 2:
        return {gpus[0] if gpus else None: measured.total_bytes}
    return {index: sum(map(parts_bytes, rows)) for index, rows in parts.items()}


def measured_parts(
    measured: Measured, gpus: Sequence[int]
) -> dict[int | None, list[MeasuredParts]]:
    """What an engine reported, by the index of the GPU. Engines number the GPUs that they may use
    from 0; what has no number in its name is host memory. Empty: nothing was reported per device,
    or of other GPUs than the recorded ones.
    """
    found: dict[int | None, list[MeasuredParts]] = {}
    for name, parts in (measured.devices or {}).items():
        match = _NUMBERED.fullmatch(name)
        number = int(match[1]) if match else None
        if number is not None and number >= len(gpus):
            return {}
        found.setdefault(None if number is None else gpus[number], []).append(parts)
    return found


def parts_bytes(parts: MeasuredParts) -> int:
    """The sum of what was reported; a pool contains the KV cache in it."""
    values = {one.name: getattr(parts, one.name) or 0 for one in fields(parts)}
    if values["kv_pool_bytes"]:
        values["kv_cache_bytes"] = 0
    return sum(values.values())
