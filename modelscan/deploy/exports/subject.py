"""What every export is made from: the engine's command, image, devices and numbers of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from modelscan.core.errors import UsageError
from modelscan.core.gpu import Inventory
from modelscan.core.plan import Plan
from modelscan.core.units import GIB, format_bytes, format_tokens
from modelscan.engines import llamacpp
from modelscan.engines.base import Serving
from modelscan.engines.flags import chooses_devices
from modelscan.engines.llamacpp.command import KEY_VARIABLE, arguments
from modelscan.engines.llamacpp.container import PROGRAM
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.registry import engine
from modelscan.engines.versions import parse_version

PORT = 8000
CACHE = "/models"
"""Where a container keeps downloaded weights: a volume, so that a restart downloads nothing."""
LOOPBACK, EVERY_INTERFACE = "127.0.0.1", "0.0.0.0"  # noqa: S104 - inside a container
HUB_KEY = "HF_TOKEN"
_HUB, _LOCAL, _MODELSCOPE = "huggingface", "local_path", "modelscope"
# The rendezvous of several ranks is in shared memory; a runtime's default of 64 MiB is too small.
_SHARED_MEMORY = 8 * GIB
_SPARE_DISK = 2 * GIB
_QUIET = {"DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


@dataclass(frozen=True, slots=True)
class ExportSubject:
    """One plan, to be started by another tool.

    ``image`` None: there is no official one. ``vendor`` None: no GPU. ``gpus``: how many; ``gpu``
    is their name. ``weights``: a folder or file on the planning machine, None for a repository.
    ``hub_key``: the variable of a hub's key, which gated repositories need. ``server_key``: the
    variable of the server's own key. ``notes``: the numbers of the plan, a line each.
    """

    name: str
    plan: Plan
    image: str | None
    vendor: str | None
    gpus: int
    gpu: str | None
    simulated: bool
    weights: str | None
    hub_key: str | None
    server_key: str
    notes: tuple[str, ...]

    def command(self, host: str, *, native: bool = False, keyed: bool = False) -> tuple[str, ...]:
        """The engine's program and options; ``native``: by its name on the machine, else as the
        image has it; ``keyed``: the server's key is in ``server_key``.
        """
        serving = Serving(self.weights or self.plan.repo, host, PORT, self.name)
        one = engine(self.plan.backend)
        if isinstance(one, PoolEngine):
            version = self.plan.backend_version
            program = one.container_program(version, keyed=keyed)
            return (*program, *one.arguments(self.plan, serving, parse_version(version)))
        words = arguments(self.plan, serving)[2:]  # without --model PATH
        return ("llama-server" if native else PROGRAM, *_model_words(self), *words)

    def environment(self, *, contained: bool) -> dict[str, str]:
        """Variables without secrets. A container numbers the GPUs that it is given from 0."""
        one = engine(self.plan.backend)
        chosen = {
            name: value for name, value in self.plan.env.items()
            if not (contained and chooses_devices(name))
        }  # fmt: skip
        place = _cache_variables(isinstance(one, PoolEngine)) if contained else {}
        if isinstance(one, PoolEngine):
            own = {**one.process_environment(self.plan), **one.hub_environment(self.plan)}
            return {**_QUIET, **own, **chosen, **place}
        return {**_QUIET, **chosen, **place}

    @property
    def shared_memory_bytes(self) -> int | None:
        """What /dev/shm must hold; None: any size does."""
        images = engine(self.plan.backend).images
        needs = images is not None and images.shares_memory
        return _SHARED_MEMORY if needs else None

    @property
    def disk_bytes(self) -> int:
        """A volume for the weights."""
        return self.plan.estimate.parts.weights_bytes * 11 // 10 + _SPARE_DISK

    def needed_image(self, tool: str) -> str:
        """The image. Raises UsageError where there is none for these GPUs."""
        if self.image is None:
            vendor = self.vendor or "machines without a GPU"
            raise UsageError(
                f"{self.plan.backend} has no official container image for {vendor}, and {tool} "
                "starts containers",
                hint="--export systemd   (a program that is installed on the machine)",
                code="no_image",
            )
        return self.image

    def no_folder(self, tool: str) -> None:
        """Raises UsageError for weights that only the planning machine has."""
        if self.weights is not None:
            raise UsageError(
                f"{self.weights} is on this machine, and {tool} starts the model elsewhere",
                hint="name the repository: modelscan plan hf:ORGANIZATION/REPOSITORY --export …",
                code="local_weights",
            )


def subject_of(name: str, plan: Plan, inventory: Inventory) -> ExportSubject:
    """The subject of a plan on this hardware. Raises UsageError for an engine that is a server of
    its own, whose models no other tool starts."""
    one = engine(plan.backend)
    if one.own_server:
        raise UsageError(
            f"{one.title} starts its models itself: there is nothing to export",
            hint=f"--backend {llamacpp.NAME}   (the same files)",
            code="own_server",
        )
    if plan.source == _MODELSCOPE and not isinstance(one, PoolEngine):
        raise UsageError(
            f"{one.title} downloads from Hugging Face only, and {plan.repo} is on ModelScope",
            hint=f"modelscan pull ms:{plan.repo}   (then export the plan of its folder)",
            code="modelscope",
        )
    devices = [gpu for gpu in inventory.gpus if gpu.index in plan.gpus]
    vendor = devices[0].vendor if devices else None
    images = one.images
    key = one.key_variable if isinstance(one, PoolEngine) else KEY_VARIABLE
    version = plan.backend_version if isinstance(one, PoolEngine) else None
    return ExportSubject(
        name=name,
        plan=plan,
        image=None if images is None else images.name(vendor, version),
        vendor=vendor,
        gpus=len(plan.gpus),
        gpu=devices[0].name if devices else None,
        simulated=inventory.simulated,
        weights=_weights(plan) if plan.source == _LOCAL else None,
        hub_key=HUB_KEY if plan.source == _HUB else None,
        server_key=key,
        notes=tuple(_notes(plan, devices[0].name if devices else None, inventory.simulated)),
    )


def _weights(plan: Plan) -> str:
    first = plan.files[0] if plan.files else ""
    if plan.format != "gguf" or not first or plan.repo.endswith(first):
        return plan.repo
    return str(PurePosixPath(plan.repo) / first)


def _model_words(subject: ExportSubject) -> tuple[str, ...]:
    """Where llama-server finds the model."""
    plan = subject.plan
    if subject.weights is not None:
        return "--model", subject.weights
    file = ("-hff", plan.files[0]) if plan.files else ()
    return "-hf", plan.repo, *file


def _cache_variables(pool: bool) -> Mapping[str, str]:
    """The program's own home is not writable."""
    home = {"HOME": "/tmp"}  # noqa: S108 - a tmpfs of the container
    return {**home, **({"HF_HOME": CACHE} if pool else {"LLAMA_CACHE": CACHE})}


def _notes(plan: Plan, gpu: str | None, simulated: bool) -> Iterator[str]:
    estimate = plan.estimate
    where = f"{len(plan.gpus)} x {gpu}" if gpu else "the CPU"
    yield f"{plan.model}, {plan.quantization or 'its own format'}, {plan.backend}"
    yield f"planned for {where}{' (simulated)' if simulated else ''}"
    margin = format_bytes(estimate.margin_bytes)
    yield (
        f"memory: {format_bytes(estimate.total_bytes)} (± {margin}, {estimate.basis}): weights "
        f"{format_bytes(estimate.parts.weights_bytes)}, KV cache "
        f"{format_bytes(estimate.parts.kv_cache_bytes)}"
    )
    for device in estimate.per_gpu:
        if device.budget_bytes is not None:
            yield f"GPU {device.index}: reserves {format_bytes(device.budget_bytes)}"
    yield f"context: {format_tokens(plan.context_tokens)} x {plan.parallel}"
