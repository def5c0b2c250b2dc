"""What docker and podman print when they cannot do something, as a cause and the next step. Pure.

The texts are those of docker 20 to 29, podman 4 and 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from modelscan.core.container import ContainerRuntime

RUNTIME_CODES = (125, 126, 127)
"""Exit codes of the runtime itself: its own error, a command that cannot be run, none found."""

_NO_TOOLKIT = "the NVIDIA container toolkit is not set up for {runtime}"
TOOLKIT_STEPS = {
    "docker": "sudo apt-get install -y nvidia-container-toolkit && sudo nvidia-ctk runtime "
    "configure --runtime=docker && sudo systemctl restart docker",
    "podman": "sudo apt-get install -y nvidia-container-toolkit && sudo nvidia-ctk cdi generate "
    "--output=/etc/cdi/nvidia.yaml",
}
INSTALL_STEPS = {
    "docker": "sudo apt-get install -y docker.io",
    "podman": "sudo apt-get install -y podman",
}


class RuntimeFailure(NamedTuple):
    """A recognised failure. ``port_taken``: the port to publish is in use. ``line``: its number."""

    code: str
    message: str
    hint: str | None
    port_taken: bool = False
    line: int | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """``hint`` None: the one of ``hints`` for the runtime."""

    code: str
    pattern: str
    message: str
    hint: str | dict[str, str]


_RULES = (
    _Rule("port_in_use", r"address already in use|port is already allocated",
          "the port is in use", "choose another --port, or remove the option"),
    _Rule("runtime_permission", r"permission denied while trying to connect to the [Dd]ocker",
          "this user may not use docker's socket",
          "sudo usermod -aG docker $USER && newgrp docker, or use: --runtime podman"),
    _Rule("runtime_not_running",
          r"Cannot connect to the Docker daemon|[Ff]ailed to connect to the docker API|"
          r"Is the docker daemon running|Cannot connect to Podman",
          "the {runtime} service does not run",
          {"docker": "sudo systemctl start docker", "podman": "podman machine start"}),
    _Rule("gpu_toolkit_missing",
          r"could not select device driver|unresolvable CDI devices?|nvidia-container-cli|"
          r"no known GPU vendor found|stat nvidia\.com/gpu=\S+: no such file|"
          r"unknown or invalid runtime name: nvidia", _NO_TOOLKIT, TOOLKIT_STEPS),
    _Rule("device_missing", r"(/dev/(?:kfd|dri)\S*?)[\"':]?:? no such file or directory",
          "the device file {found} does not exist", "modelscan gpu"),
    _Rule("disk_full", r"(?:(?:write|copying|extracting|mkdir|open) )?(/[\w./-]+)?:? *"
          r"no space left on device", "the disk of {runtime}'s images is full{at}",
          "{runtime} system df; {runtime} image prune"),
    _Rule("image_damaged",
          r"[Dd]igest did not match|unexpected commit digest|layer verification failed",
          "the registry sent another content than the digest of {image} names",
          "{runtime} pull {image}"),
    _Rule("registry_refused",
          r"unauthorized|denied: requested access|authentication required|access to the resource",
          "the registry has no image {image}, or sends it only with an account",
          "{runtime} login {registry}"),
    _Rule("image_unknown",
          r"manifest unknown|StatusCode: 404|manifest for \S+ not found|name unknown",
          "the registry has no image {image}",
          "choose a version that is published: --backend-version, or name an image: --image"),
    _Rule("registry_limit", r"toomanyrequests|rate limit",
          "the registry's limit of downloads is reached", "{runtime} login {registry}"),
    _Rule("registry_unreachable",
          r"no such host|i/o timeout|TLS handshake timeout|connection refused|connection reset|"
          r"network is unreachable|server misbehaving",
          "the registry {registry} does not answer", "{runtime} pull {image}"),
    # After the errors of a download: docker prints it before it tries one.
    _Rule("image_missing", r"[Nn]o such image|image not known|Unable to find image",
          "the image {image} is not on this machine", "{runtime} pull {image}"),
    _Rule("no_subordinate_ids", r"no subuid ranges|no subgid ranges|newuidmap",
          "this user has no user numbers for containers without root",
          "sudo apt-get install -y uidmap && sudo usermod --add-subuids 100000-165535 "
          "--add-subgids 100000-165535 $USER && podman system migrate"),
    _Rule("isolation_missing",
          r"slirp4netns.*(?:not found|no such file)|could not find slirp4netns",
          "podman needs slirp4netns for a container without a network",
          "sudo apt-get install -y slirp4netns"),
    _Rule("no_network_device", r"/dev/net/tun\W+[Pp]ermission denied",
          "this user may not open /dev/net/tun, which a container's network needs",
          "sudo chmod 666 /dev/net/tun"),
    _Rule("not_an_engine_image",
          r"executable file .*not found|exec: .*: no such file or directory|"
          r"executable file `[^`]+` not found|stat /app/llama-server",
          "the image {image} does not contain the engine's program",
          "name an image of this engine: --image NAME:TAG"),
)  # fmt: skip


def explain(text: str, runtime: ContainerRuntime, image: str) -> RuntimeFailure | None:
    """The first known cause in the runtime's output; None for another one."""
    for rule in _RULES:
        match = re.search(rule.pattern, text)
        if match is None:
            continue
        found = match[1] if match.re.groups else None
        names = {
            "runtime": runtime, "image": image, "registry": registry_of(image),
            "found": found, "at": f" ({found})" if found else "",
        }  # fmt: skip
        hint = rule.hint if isinstance(rule.hint, str) else rule.hint[runtime]
        return RuntimeFailure(
            rule.code, rule.message.format(**names), hint.format(**names),
            port_taken=rule.code == "port_in_use", line=text.count("\n", 0, match.start()) + 1,
        )  # fmt: skip
    return None


def registry_of(image: str) -> str:
    """The registry's host; Docker Hub's where the name has none."""
    host, slash, _ = image.partition("/")
    return host if slash and ("." in host or ":" in host or host == "localhost") else "docker.io"
