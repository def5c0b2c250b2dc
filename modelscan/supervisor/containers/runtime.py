"""The programs docker and podman: images, containers and their processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelscan.core.container import ContainerRuntime, repository_of
from modelscan.core.errors import ModelscanError, OfflineError, RemoteError
from modelscan.core.json_reader import json_value
from modelscan.supervisor.containers.failures import INSTALL_STEPS, explain
from modelscan.supervisor.containers.handle import NETWORK, ContainerHandle

_TIMEOUT_S = 60.0
_REMOVE_S = 30.0


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image on this machine. ``digest`` is the registry's; None for one that was made here.

    ``bytes``: on the disk.
    """

    name: str
    id: str
    digest: str | None
    bytes: int | None


def program_of(runtime: ContainerRuntime) -> str:
    """The runtime's program. Raises ModelscanError if it is not installed, or if its containers
    would run on another machine.
    """
    variable = {"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}[runtime]
    elsewhere = os.environ.get(variable, "")
    if elsewhere.startswith(("tcp:", "ssh:", "http:", "https:")):
        raise ModelscanError(
            f"{variable} names another machine: modelscan starts containers on this one",
            hint=f"unset {variable}",
            code="remote_runtime",
        )
    program = shutil.which(runtime)
    if program is None:
        raise ModelscanError(
            f"{runtime} is not installed", hint=INSTALL_STEPS[runtime], code="runtime_missing"
        )
    return program


def find_image(runtime: ContainerRuntime, image: str) -> LocalImage | None:
    """An image by name; None if it is not on this machine. Raises ModelscanError if the runtime
    cannot be asked.
    """
    done = _call(program_of(runtime), "image", "inspect", image)
    if done.returncode == 0:
        return _image(image, done.stdout)
    failure = explain(done.stderr, runtime, image)
    if failure is not None and failure.code != "image_missing":
        raise ModelscanError(failure.message, hint=failure.hint, code=failure.code)
    if failure is None:
        raise _unexplained(f"{runtime} image inspect {image}", done.stderr)
    return None


def listed_names(runtime: ContainerRuntime) -> tuple[str, ...]:
    """The names, with tags, of every image on this machine. Raises ModelscanError if the runtime
    cannot be asked.
    """
    done = _call(program_of(runtime), "images", "--format", "{{.Repository}}:{{.Tag}}")
    if done.returncode != 0:
        failure = explain(done.stderr, runtime, "")
        if failure is None:
            raise _unexplained(f"{runtime} images", done.stderr)
        raise ModelscanError(failure.message, hint=failure.hint, code=failure.code)
    return tuple(line for line in done.stdout.splitlines() if "<none>" not in line)


def image_missing(runtime: ContainerRuntime, image: str) -> ModelscanError:
    """The error for an image that must be pulled first."""
    return ModelscanError(
        f"the image {image} is not on this machine",
        hint=f"{runtime} pull {image}",
        code="image_missing",
        details={"image": image, "runtime": runtime},
    )


def pull(
    runtime: ContainerRuntime, image: str, *, offline: str | None, report: Callable[[str], None]
) -> LocalImage:
    """Download an image; ``report`` receives the runtime's own lines. ``offline``: why not.

    Raises OfflineError, RemoteError for a registry that refuses or does not answer, ModelscanError
    where the disk is full. An interrupted pull leaves no image, and its layers are used by the
    next one.
    """
    program = program_of(runtime)
    if offline is not None:
        raise OfflineError(
            f"the image {image} is not on this machine, and {offline}",
            hint=f"{runtime} pull {image}   (with a network), or: {runtime} load -i FILE.tar",
        )
    with subprocess.Popen(
        [program, "pull", image], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            report(line.rstrip())
    if process.returncode != 0:
        raise _not_pulled(runtime, image, "".join(lines))
    found = find_image(runtime, image)
    if found is None:
        raise image_missing(runtime, image)
    return found


def _not_pulled(runtime: ContainerRuntime, image: str, text: str) -> ModelscanError:
    failure = explain(text, runtime, image)
    if failure is None:
        return _unexplained(f"{runtime} pull {image}", text)
    kind = RemoteError if failure.code.startswith(("registry", "image_unk")) else ModelscanError
    return kind(
        f"{image} could not be downloaded: {failure.message}", hint=failure.hint, code=failure.code
    )


def remove(handle: ContainerHandle) -> bool:
    """End and delete the deployment's container; True if there was one. Raises RemoteError if that
    fails; a runtime that is gone has no containers.
    """
    grace = ["--time", "0"] if handle.runtime == "podman" else []
    try:
        done = _call(handle.program, "rm", "--force", *grace, handle.name, timeout_s=_REMOVE_S)
    except ModelscanError:
        return False
    text = done.stderr.lower()
    if done.returncode == 0:
        return bool(done.stdout.strip())
    if "no such container" not in text and "no container with" not in text:
        raise RemoteError(
            f"the container {handle.name} does not end: {_last_line(done.stderr)}",
            hint=f"{handle.program} rm --force {handle.name}",
            code="engine_survives",
        )
    return False


def main_pid(handle: ContainerHandle) -> int | None:
    """The pid, on this machine, of the container's first process; None if it does not run."""
    with contextlib.suppress(ModelscanError, ValueError):
        done = _call(handle.program, "inspect", "--format", "{{.State.Pid}}", handle.name)
        return int(done.stdout) or None
    return None


def make_network(handle: ContainerHandle) -> None:
    """Create docker's internal network, if it is not there; two at once are no error."""
    if _call(handle.program, "network", "inspect", NETWORK).returncode == 0:
        return
    made = _call(
        handle.program, "network", "create", "--internal", "--label", "modelscan=isolated",
        "--opt", "com.docker.network.bridge.enable_icc=false", NETWORK,
    )  # fmt: skip
    if made.returncode != 0 and "already exists" not in made.stderr:
        raise _unexplained(f"{handle.program} network create --internal {NETWORK}", made.stderr)


def internal_address(handle: ContainerHandle) -> str | None:
    """The container's address on that network; None while it does not run."""
    what = f'{{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}'
    try:
        done = _call(handle.program, "inspect", "--format", what, handle.name)
    except ModelscanError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def is_rootless(runtime: ContainerRuntime) -> bool:
    """Whether root in a container is this user: podman without root, docker's rootless mode."""
    if runtime == "podman":
        return os.geteuid() != 0
    done = _call(program_of(runtime), "info", "--format", "{{json .SecurityOptions}}")
    return "rootless" in done.stdout


def _call(
    program: str, *words: str, timeout_s: float = _TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [program, *words], capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=timeout_s, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelscanError(
            f"{program} {words[0]} failed: {error}", hint=f"{program} info", code="runtime_failed"
        ) from error


def _unexplained(what: str, text: str) -> ModelscanError:
    return ModelscanError(f"{what} failed: {_last_line(text)}", hint=what, code="runtime_failed")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "it printed nothing"


def _image(name: str, text: str) -> LocalImage:
    value: Any = json_value(text)
    row = value[0] if isinstance(value, list) and value else {}
    row = row if isinstance(row, dict) else {}
    digests = [str(one) for one in row.get("RepoDigests") or ()]
    mine = [d for d in digests if d.partition("@")[0] in _spellings(name)]
    digest = mine[0].partition("@")[2] if mine else None
    size = row.get("Size")
    return LocalImage(name, str(row.get("Id", "")), digest, size if isinstance(size, int) else None)


def _spellings(image: str) -> tuple[str, ...]:
    """docker leaves its own registry out of names."""
    repository = repository_of(image)
    return (repository, repository.removeprefix("docker.io/").removeprefix("library/"))
