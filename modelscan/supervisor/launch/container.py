"""An engine in an official container image: the command inside it, and the container around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelscan.core.container import ContainerLaunch, ContainerRuntime
from modelscan.core.errors import NotDeployableError
from modelscan.core.gpu import Gpu
from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan
from modelscan.engines.base import Serving
from modelscan.engines.llamacpp.command import KEY_VARIABLE, arguments
from modelscan.engines.llamacpp.container import PROGRAM
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.registry import engine
from modelscan.supervisor.containers.devices import device_groups, device_names
from modelscan.supervisor.containers.mounts import mounts_of, readable_by_others
from modelscan.supervisor.embedded.launcher import ENVIRONMENT
from modelscan.supervisor.launch.llamacpp import absolute_paths
from modelscan.supervisor.launch.python_engine import QUIET, engine_options

_EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - of the container, whose port is published on loopback
_UNPRIVILEGED = "65534:65534"
_GIB = 1 << 30
# /dev/shm of docker has 64 MiB; ranks exchange tensors in it. Only what is used counts.
_SHARED_MEMORY, _SHARED_MEMORY_OF_RANKS = 4 * _GIB, 16 * _GIB
_HIDES_DEVICES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class ContainerHost:
    """What a container's command depends on: the runtime and this machine.

    ``image`` and ``digest``: the image to run. ``gpus``: every GPU of the machine. ``root``: below
    it are its device files. ``selinux``: it is enforced. ``uid``, ``gid``: of this user.
    """

    runtime: ContainerRuntime
    image: str
    digest: str | None
    gpus: tuple[Gpu, ...]
    rootless: bool
    isolated: bool = False
    selinux: bool = False
    root: Path = Path("/")
    uid: int = 0
    gid: int = 0
    linux: bool = True


def in_container(plan: Plan, serving: Serving, host: ContainerHost) -> LocalLaunch:
    """The exact launch of a plan in a container. Raises NotDeployableError for an engine without
    images, or where the runtime cannot isolate the network.
    """
    one = engine(plan.backend)
    if one.images is None:
        raise no_image(plan.backend, None, host.runtime)
    if host.isolated and host.runtime == "docker" and (host.rootless or not host.linux):
        raise NotDeployableError(
            "docker publishes no port of a network without a way out, and this machine does not "
            "reach the addresses of containers of a docker without root or in a virtual machine",
            hint="modelscan deploy MODEL --runtime podman --offline-after-download",
            code="not_isolated",
        )
    inside = replace(serving, host=_EVERY_INTERFACE, binary=None)
    gpus = tuple(gpu for gpu in host.gpus if gpu.index in plan.gpus)
    argv = _argv(plan, inside)
    return LocalLaunch(
        engine=plan.backend,
        argv=argv,
        embedded=False,
        env=_environment(plan, gpus),
        secrets=_secrets(plan, serving),
        host=serving.host,
        port=serving.port,
        served_model=serving.served_model,
        task=plan.task,
        container=_container(plan, gpus, mounts_of(_paths(argv, serving)), host),
    )


def no_image(name: str, vendor: str | None, runtime: ContainerRuntime) -> NotDeployableError:
    """The error for an engine without an official image for these GPUs."""
    title = engine(name).title
    where = f" for {vendor} GPUs" if vendor else ""
    return NotDeployableError(
        f"{title} has no official container image{where} that modelscan knows",
        hint=f"modelscan deploy MODEL --backend {name} --runtime {runtime} --image NAME:TAG",
        code="no_image",
    )


def _argv(plan: Plan, serving: Serving) -> tuple[str, ...]:
    one = engine(plan.backend)
    if not isinstance(one, PoolEngine):
        return (PROGRAM, *absolute_paths(arguments(plan, serving)))
    program = one.container_program(plan.backend_version, keyed=serving.api_key is not None)
    return (*program, *engine_options(one, plan, serving, plan.backend_version))


def _environment(plan: Plan, gpus: Sequence[Gpu]) -> dict[str, str]:
    """Only the plan's GPUs are given to an NVIDIA container, which numbers them from 0."""
    one = engine(plan.backend)
    hidden = _HIDES_DEVICES if gpus and gpus[0].vendor == "nvidia" else ()
    chosen = {name: value for name, value in plan.env.items() if name not in hidden}
    if isinstance(one, PoolEngine):
        return {**QUIET, **one.process_environment(plan), **chosen}
    return {**ENVIRONMENT, **chosen}


def _secrets(plan: Plan, serving: Serving) -> dict[str, str]:
    one = engine(plan.backend)
    name = one.key_variable if isinstance(one, PoolEngine) else KEY_VARIABLE
    return {name: serving.api_key} if serving.api_key else {}


def _paths(argv: Sequence[str], serving: Serving) -> Iterable[str]:
    """The model's own files, and every file or folder that an option names."""
    yield serving.model_file
    if serving.mmproj_file:
        yield serving.mmproj_file
    for word in argv[1:]:
        value = word.partition("=")[2] or word
        if value.startswith("/") and value != "/" and Path(value).exists():
            yield value


def _container(
    plan: Plan, gpus: tuple[Gpu, ...], mounts: tuple[str, ...], host: ContainerHost
) -> ContainerLaunch:
    images = engine(plan.backend).images
    assert images is not None
    vendor = gpus[0].vendor if gpus else None
    keep_id = host.rootless and host.runtime == "podman" and images.any_user
    ranks = len(gpus) > 1
    return ContainerLaunch(
        runtime=host.runtime,
        image=host.image,
        digest=host.digest,
        vendor=vendor,
        devices=device_names(gpus, host.runtime),
        groups=device_groups(vendor, host.root, keep=host.rootless and host.runtime == "podman"),
        mounts=mounts,
        user=_user(host, mounts, any_user=images.any_user),
        keep_id=keep_id,
        shared_memory_bytes=(_SHARED_MEMORY_OF_RANKS if ranks else _SHARED_MEMORY)
        if images.shares_memory
        else None,
        network="isolated" if host.isolated else "published",
        label_disable=host.selinux,
    )


def _user(host: ContainerHost, mounts: Iterable[str], *, any_user: bool) -> str | None:
    """This user, who can read the model; root becomes UID 65534 where every user can read it.

    An image that is made for root runs as root, which without capabilities reads only what every
    user may read: else it runs as this user, too.
    """
    readable = all(map(readable_by_others, mounts))
    if not any_user and (host.rootless or readable):
        return None
    if host.uid != 0:
        return f"{host.uid}:{host.gid}"
    return _UNPRIVILEGED if any_user and readable else None
