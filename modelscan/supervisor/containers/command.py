"""A launch in a container as the exact command of docker or podman. Pure.

The command stays in the foreground: its output is the engine's, and SIGTERM reaches the engine.
Variables, and with them every secret, are in a file that only the user can read: arguments are
visible to all users of the machine.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from modelscan.core.container import ContainerLaunch
from modelscan.core.launch import LocalLaunch
from modelscan.supervisor.containers.handle import NETWORK, ContainerHandle, labels

HOME = "/tmp"  # noqa: S108 - inside the container, where it is a private tmpfs
# Engines compile kernels into their cache and load them from there, so it must be executable.
_TMPFS = f"{HOME}:rw,exec,nosuid,nodev,mode=1777"
_ENTRY = ("--entrypoint",)
# What an engine must find where no user of that number exists: its caches go to ``HOME``, and
# Python's getpass asks these variables before the list of users.
BASE_VARIABLES = {"HOME": HOME, "USER": "modelscan", "LOGNAME": "modelscan"}
# Sockets of slirp4netns that are bound to loopback have no way to another machine, and published
# ports still work. docker has only internal networks, which publish no port (``relay``), and whose
# resolver may ask another machine.
_ISOLATED = {
    "podman": ("--network", "slirp4netns:allow_host_loopback=false,outbound_addr=127.0.0.1"),
    "docker": ("--network", NETWORK, "--dns", "127.0.0.1"),
}
_NICE_STEP = 1.25  # the kernel's ratio of CPU weights between two nice values
_CPU_SHARES = 1024


def run_command(launch: LocalLaunch, handle: ContainerHandle) -> tuple[str, ...]:
    """The whole command line, without secrets."""
    container = launch.container
    assert container is not None
    words = [handle.program, "run", "--rm", "--name", handle.name]
    for label in labels(handle):
        words += ["--label", label]
    words += ["--pull", "never", *_isolation(container), *_limits(launch), *_devices(container)]
    for path in container.mounts:
        words += ["--mount", mount(path)]
    words += ["--env-file", handle.env_file]
    words += _network(container, launch.host, launch.port)
    return (*words, *_ENTRY, launch.argv[0], container.pinned, *launch.argv[1:])


def _isolation(container: ContainerLaunch) -> Iterator[str]:
    yield from ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    yield from ("--read-only", "--tmpfs", _TMPFS)
    if container.label_disable:
        yield from ("--security-opt", "label=disable")
    if container.keep_id:
        yield from ("--userns", "keep-id")
    if container.user is not None:
        yield from ("--user", container.user)


def _limits(launch: LocalLaunch) -> Iterator[str]:
    """Niceness as the weight that the kernel gives it: the runtimes have no such option."""
    container, limits = launch.container, launch.limits
    if container is not None and container.shared_memory_bytes is not None:
        yield from ("--shm-size", str(container.shared_memory_bytes))
    if limits.memory_bytes is not None:
        yield from ("--memory", str(limits.memory_bytes))
    if limits.nice:
        yield from ("--cpu-shares", str(round(_CPU_SHARES / _NICE_STEP**limits.nice)))


def _devices(container: ContainerLaunch) -> Iterator[str]:
    if container.vendor == "nvidia" and container.runtime == "docker" and container.devices:
        yield from ("--gpus", _quoted(f"device={','.join(container.devices)}"))
        return
    for device in container.devices:
        yield "--device"
        yield f"nvidia.com/gpu={device}" if container.vendor == "nvidia" else device
    for group in container.groups:
        yield from ("--group-add", group)


def mount(path: str) -> str:
    """The value of ``--mount``: the same path inside, read-only. A path may contain a comma."""
    fields = ("type=bind", f"source={path}", f"target={path}", "readonly")
    return ",".join(map(_quoted, fields))


def _quoted(text: str) -> str:
    """A field of the comma-separated values that both runtimes read."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow([text])
    return stream.getvalue()


def _network(container: ContainerLaunch, host: str, port: int) -> Iterator[str]:
    if container.network == "isolated":
        yield from _ISOLATED[container.runtime]
        if container.runtime == "docker":
            return
    address = f"[{host}]" if ":" in host else host
    yield from ("--publish", f"{address}:{port}:{port}")
