"""A SkyPilot task: a machine of a cloud with these GPUs, the port on its loopback only."""

from __future__ import annotations

import re
import shlex
from typing import Any

from modelscan.core.units import GIB
from modelscan.deploy.exports.documents import comments, yaml_text
from modelscan.deploy.exports.subject import LOOPBACK, PORT, ExportSubject

_NAME = re.compile(
    r"\b(RTX[ -]?(?:PRO )?A?\d{4}(?: Ti)?(?: Super)?|A100|A10G?|A40|B[23]00|GB200|GH200|H[12]00|L4"
    r"|L40S?|MI\d{3}X?|P100|T4|V100)\b",
    re.IGNORECASE,
)
_LARGE_A100 = 60 * GIB
_SYSTEM_DISK = 64 * GIB


def export(subject: ExportSubject) -> str:
    """The task. Raises UsageError for weights on this machine, and without an image."""
    subject.no_folder("SkyPilot")
    image = subject.needed_image("SkyPilot")
    name = subject.name.replace(".", "-").replace("_", "-")
    keys = {subject.server_key: None, **({subject.hub_key: None} if subject.hub_key else {})}
    use = (
        f"sky launch -c {name} FILE {' '.join(f'--secret {key}' for key in keys)}",
        f"ssh -L {PORT}:{LOOPBACK}:{PORT} {name}, then http://{LOOPBACK}:{PORT}/v1",
    )
    task: dict[str, Any] = {"name": name, "resources": _resources(subject, image)}
    task |= {"envs": subject.environment(contained=False), "secrets": keys}
    task["run"] = f"exec {shlex.join(subject.command(LOOPBACK, keyed=True))}\n"
    return comments((*subject.notes, *use)) + yaml_text(task)


def _resources(subject: ExportSubject, image: str) -> dict[str, Any]:
    disk = -(-(subject.disk_bytes + _SYSTEM_DISK) // GIB)
    rest = {"disk_size": disk, "image_id": f"docker:{image}"}
    if subject.gpu is None:
        memory = -(-subject.plan.estimate.total_bytes // GIB) + 2
        return {"memory": f"{memory}+", **rest}
    return {"accelerators": {_accelerator(subject): subject.gpus}, **rest}


def _accelerator(subject: ExportSubject) -> str:
    """The name that SkyPilot's catalogs use: RTX4090, H100, A100-80GB."""
    assert subject.gpu is not None
    found = _NAME.search(subject.gpu)
    if found is None:
        return subject.gpu.replace(" ", "-")
    name = found[1].upper().replace(" ", "").replace("TI", "-Ti").replace("SUPER", "-Super")
    name = re.sub(r"^RTX-", "RTX", name)
    memory = next((one.memory_bytes for one in subject.plan.estimate.per_gpu), None) or 0
    return "A100-80GB" if name == "A100" and memory > _LARGE_A100 else name
