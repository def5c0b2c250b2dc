"""The part of a supervised start that is different for a container.

The runtime's client is the supervisor's child: its output is the engine's log, it passes SIGTERM
on, and it ends with the container. The container itself is a child of conmon or dockerd, so it is
ended by name: before a start, after an end, and by ``stop`` where its supervisor was killed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from modelscan.core.errors import ModelscanError
from modelscan.state.files import open_private
from modelscan.supervisor.containers.command import BASE_VARIABLES
from modelscan.supervisor.containers.handle import ContainerHandle
from modelscan.supervisor.containers.runtime import internal_address, make_network, remove

if TYPE_CHECKING:
    from modelscan.supervisor.rundir import ProcessSpec

_FIRST_FILE = 3
_MOST_FILES = 4096


def become_client(
    handle: ContainerHandle,
    spec: ProcessSpec,
    variables: Mapping[str, str],
    environ: Mapping[str, str],
) -> NoReturn:
    """Replace this process by the runtime's client. ``variables``: the engine's, with its secrets.

    Raises ModelscanError for a variable that the runtimes cannot read from a file.
    """
    argv = spec.argv
    remove(handle)
    write_variables(Path(handle.env_file), {**BASE_VARIABLES, **variables})
    # The lock of a deployment that is alive: conmon, which may outlive the supervisor, would keep
    # it.
    os.closerange(_FIRST_FILE, _MOST_FILES)
    if handle.relay:
        from modelscan.supervisor.containers import relay

        make_network(handle)
        relay.start(spec.host, spec.port, lambda: internal_address(handle))
    os.execvpe(argv[0], list(argv), dict(environ))  # noqa: S606 - no shell


def write_variables(file: Path, variables: Mapping[str, str]) -> None:
    """The file for ``--env-file``: a line NAME=VALUE each, as it is, readable by this user only."""
    for name, value in variables.items():
        if "\n" in value or "\r" in value:
            raise ModelscanError(
                f"the variable {name} has more than one line, which a container cannot be given",
                hint="leave the variable out, or write it in one line",
                code="variable_lines",
            )
    file.unlink(missing_ok=True)
    with open_private(file) as stream:
        stream.write("".join(f"{name}={value}\n" for name, value in variables.items()).encode())


def forget_variables(handle: ContainerHandle) -> None:
    """Delete the file with the variables: the runtime has read it."""
    with contextlib.suppress(OSError):
        Path(handle.env_file).unlink(missing_ok=True)


def clear(handle: ContainerHandle) -> bool:
    """End what is left of the container; True if there was one. Raises RemoteError if it stays."""
    forget_variables(handle)
    return remove(handle)
