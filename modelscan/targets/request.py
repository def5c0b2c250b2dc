"""The options of ``deploy``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.container import ContainerRuntime
from modelscan.core.deployment_name import check_name
from modelscan.core.deployment_state import RestartPolicy
from modelscan.core.errors import UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.limits import NO_LIMITS, Limits
from modelscan.core.reference import Kind, parse_reference
from modelscan.core.swap_policy import NO_SWAP_POLICY, SwapPolicy
from modelscan.core.workload import Workload
from modelscan.engines import ollama

if TYPE_CHECKING:
    from modelscan.core.deployment import DeployRequest

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only with --expose and a key
# Read by the engines' own libraries: weights are local, so query no hub and send no statistics.
OFFLINE = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "LLAMA_ARG_OFFLINE": "1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """``deploy MODEL`` with its options. ``target`` is resolved by ``targets.registry``."""

    model: str
    workload: Workload
    target: str = "local"
    name: str | None = None
    gpu: str | None = None
    port: int | None = None
    expose: bool = False
    api_key: str | None = None  # a reference
    route: bool = True
    wait: bool = True
    timeout_s: float = 600.0
    replace: bool = (
        False  # whether a running deployment (or a server's model) of that name may be replaced
    )
    dry_run: bool = False
    restart: RestartPolicy | None = None  # None: the target's default
    ttl_s: float | None = None  # seconds without a request after which it is unloaded
    limits: Limits = NO_LIMITS
    offline_after_download: bool = False  # the engine gets ``OFFLINE``
    runtime: ContainerRuntime | None = None  # None: a process
    image: str | None = None  # instead of the engine's official one
    # replicas, env, worker_selector, image_name … as ``engines.gpustack.body.Choices`` has them
    cluster: Mapping[str, Any] = field(default_factory=dict)
    swap: SwapPolicy = NO_SWAP_POLICY

    @property
    def host(self) -> str:
        """The address to listen on: all interfaces with ``expose``, else loopback."""
        return EVERYWHERE if self.expose else LOOPBACK

    def check(self) -> None:
        """Raises UsageError for errors that need no lookup."""
        if self.expose and not self.api_key:
            raise UsageError(
                "--expose makes the engine reachable from other machines, so it needs a key",
                hint="modelscan deploy MODEL --expose --api-key env:MY_KEY",
                code="expose_needs_key",
            )
        if self.api_key:
            from modelscan.state.secrets import resolve

            resolve(self.api_key)
        if self.port is not None and not 1 <= self.port <= 65535:
            raise UsageError(f"{self.port} is not a port", hint="choose one of 1024-65535")
        if self.timeout_s <= 0:
            raise UsageError("--timeout must be more than 0 seconds")
        if self.ttl_s is not None and self.ttl_s <= 0:
            raise UsageError(
                "--ttl must be more than 0 seconds",
                hint="remove --ttl to keep the model loaded",
            )
        if self.target == ollama.NAME and self.offline_after_download:
            raise UsageError(
                "an Ollama server has its own environment: remove --offline-after-download",
                hint=f"modelscan deploy {self.model} --target local --offline-after-download",
                code="local_only",
            )
        if self.image is not None and self.runtime is None:
            raise UsageError(
                "--image names a container's image, so it needs --runtime",
                hint=f"modelscan deploy {self.model} --runtime podman --image {self.image}",
            )
        if self.swap.group is not None:
            _check_group(self.swap.group)
        only_local = (self.restart, self.ttl_s, self.runtime)
        limits = self.limits != NO_LIMITS or self.swap != NO_SWAP_POLICY
        if self.target != "local" and (any(only_local) or limits):
            raise UsageError(
                "--runtime, --restart, --ttl, --pin, --priority, --group and limits apply to this "
                f"machine, not to {self.target}",
                hint=f"modelscan deploy {self.model} --target local",
                code="local_only",
            )

    def is_like(self, before: DeployRequest | None) -> bool:
        """Whether the recorded request is the same; a port that is not set matches any."""
        request = self.record()
        if before is not None and request.port is None:
            before = changed(before, port=None)
        return before == request

    def shares_differently(self, before: DeployRequest | None) -> bool:
        """Whether only the swap policy differs from the recorded request: that needs no restart."""
        if before is None or before.swap == self.swap:
            return False
        return self.is_like(changed(before, swap=self.swap))

    def record(self) -> DeployRequest:
        """The fields that make two requests the same: repeating one changes nothing."""
        from modelscan.core.deployment import DeployRequest

        model = self.model
        if parse_reference(model).kind is Kind.PATH:
            model = str(Path(model).expanduser().resolve())
        return DeployRequest(
            model=model,
            target=self.target,
            workload=changed(self.workload, force=False),
            gpu=self.gpu,
            port=self.port,
            expose=self.expose,
            api_key=self.api_key,
            route=self.route,
            restart=self.restart,
            ttl_s=self.ttl_s,
            limits=self.limits,
            offline_after_download=self.offline_after_download,
            runtime=self.runtime,
            image=self.image,
            cluster=to_json(self.cluster),
            swap=self.swap,
        )


def _check_group(group: str) -> None:
    try:
        check_name(group)
    except UsageError as error:
        raise UsageError(
            f"'{group}' is not a name for a group: lower-case letters, digits, '.', '_' and '-'",
            hint=(error.hint or "").replace("--name", "--group"),
            code="bad_name",
        ) from None


def repeated(record: DeployRequest, name: str) -> Request:
    """The request of a record again, for the same deployment; ``timeout_s`` is the default."""
    values = {f.name: getattr(record, f.name) for f in fields(record) if f.name != "changed_at"}
    return Request(**values, name=name, replace=True)
