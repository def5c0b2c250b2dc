"""The kinds of machine of Hugging Face Jobs, and the command that starts a recipe on one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.recipes.types import RecipeJob

if TYPE_CHECKING:
    from modelscan.recipes.types import Hardware, RecipeCost

IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"  # huggingface_hub: DEFAULT_UV_IMAGE
TIMEOUT = "4h"
_SMALL_BYTES = 24 * 2**30


@dataclass(frozen=True, slots=True)
class JobFlavor:
    """A kind of machine. ``gpu``: as gpu/facts names it, None: none. Prices are not published in
    any package: ``hf jobs hardware`` shows them.
    """

    name: str
    gpu: str | None = None
    count: int = 0

    @property
    def gpu_memory_bytes(self) -> int | None:
        """Memory of one GPU; None for machines without one."""
        if self.gpu is None:
            return None
        from modelscan.gpu.facts import lookup

        facts = lookup(self.gpu)
        return facts.memory_bytes if facts else None

    @property
    def hardware_class(self) -> Hardware:
        """The cost class."""
        if self.gpu is None:
            return "cpu"
        if self.count > 1:
            return "gpu_several"
        return "gpu_small" if (self.gpu_memory_bytes or 0) <= _SMALL_BYTES else "gpu_large"

    @property
    def text(self) -> str:
        """For readers."""
        return f"{self.count} x {self.gpu}" if self.gpu else "processors only"


# huggingface_hub 2.4.0: JobHardware.
FLAVORS = (
    *(JobFlavor(name) for name in ("cpu-basic", "cpu-upgrade", "cpu-performance", "cpu-xl")),
    JobFlavor("t4-small", "Tesla T4", 1), JobFlavor("t4-medium", "Tesla T4", 1),
    JobFlavor("l4x1", "L4", 1), JobFlavor("a10g-small", "A10G", 1),
    JobFlavor("a10g-large", "A10G", 1), JobFlavor("l40sx1", "L40S", 1),
    JobFlavor("a100-large", "A100 80GB", 1), JobFlavor("rtx-pro-6000", "RTX PRO 6000", 1),
    JobFlavor("h200", "H200", 1), JobFlavor("l4x4", "L4", 4), JobFlavor("l40sx4", "L40S", 4),
    JobFlavor("l40sx8", "L40S", 8), JobFlavor("a10g-largex2", "A10G", 2),
    JobFlavor("a10g-largex4", "A10G", 4), JobFlavor("a100x4", "A100 80GB", 4),
    JobFlavor("a100x8", "A100 80GB", 8), JobFlavor("rtx-pro-6000x2", "RTX PRO 6000", 2),
    JobFlavor("rtx-pro-6000x4", "RTX PRO 6000", 4), JobFlavor("rtx-pro-6000x8", "RTX PRO 6000", 8),
    JobFlavor("h200x2", "H200", 2), JobFlavor("h200x4", "H200", 4), JobFlavor("h200x8", "H200", 8),
)  # fmt: skip


def find_flavor(name: str) -> JobFlavor:
    """The flavor of that name. Raises UsageError with every name."""
    for flavor in FLAVORS:
        if flavor.name == name.strip().lower():
            return flavor
    names = ", ".join(flavor.name for flavor in FLAVORS)
    raise UsageError(
        f"there is no flavor '{name}' (there are {names})",
        hint="--flavor l4x1",
        code="unknown_flavor",
    )


def smallest_flavor(gpu_bytes: int | None, *, optional_gpu: bool) -> JobFlavor:
    """The smallest machine whose GPU is large enough; the one with the largest single GPU where
    none is, or where the need is not known.
    """
    if gpu_bytes == 0 or optional_gpu:
        return FLAVORS[1] if gpu_bytes == 0 else _with_memory(gpu_bytes)
    return _with_memory(gpu_bytes)


def _with_memory(gpu_bytes: int | None) -> JobFlavor:
    single = [flavor for flavor in FLAVORS if flavor.count == 1]
    ordered = sorted(single, key=lambda flavor: flavor.gpu_memory_bytes or 0)
    for flavor in ordered:
        if gpu_bytes is not None and (flavor.gpu_memory_bytes or 0) >= gpu_bytes:
            return flavor
    return ordered[-1]


def job_of(flavor: JobFlavor) -> RecipeJob:
    """The job's machine."""
    return RecipeJob(flavor.name, flavor.text, flavor.gpu_memory_bytes, TIMEOUT)


def cost_of(flavor: JobFlavor | None) -> RecipeCost:
    """The cost class; prices are not known offline."""
    return {"class": "local" if flavor is None else flavor.hardware_class, "usd_per_hour": None}


def job_command(name: str, job: RecipeJob, upload: str, *, gated: bool) -> tuple[str, ...]:
    """``hf jobs run …``: the folder ``upload`` is copied to Hugging Face and mounted."""
    token = ("--secrets", "HF_TOKEN") if gated else ()
    return (
        "hf", "jobs", "run", "--name", name, "--flavor", job.flavor, "--timeout", job.timeout,
        "-e", "RECIPE_JOB=1", "-e", "HF_HUB_DISABLE_TELEMETRY=1", *token,
        "-v", f"{upload}:/recipe:rw", IMAGE, "uv", "run", "/recipe/script.py",
    )  # fmt: skip
