"""The engines that this machine can start.

A new engine is one launcher (Python engines share one) and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelscan.core.errors import NotDeployableError
from modelscan.core.launch import LocalLaunch
from modelscan.core.workload import Backend
from modelscan.engines import llamacpp, sglang, vllm
from modelscan.supervisor.launch.launcher import Launcher

DEFAULT = llamacpp.NAME  # the embedded engine, which needs no separate installation


def _llamacpp() -> Launcher:
    from modelscan.supervisor.launch.llamacpp import LlamaCppLauncher

    return LlamaCppLauncher()


def _python(name: str) -> Launcher:
    from modelscan.supervisor.launch.python_engine import PythonLauncher

    return PythonLauncher(name)


LAUNCHERS: Mapping[Backend, Callable[[], Launcher]] = {
    DEFAULT: _llamacpp,
    vllm.NAME: lambda: _python(vllm.NAME),
    sglang.NAME: lambda: _python(sglang.NAME),
}


def check(launch: LocalLaunch, gpus: tuple[int, ...]) -> None:
    """Raises ModelscanError if the engine of a launch, or its container's image, is not here, or
    was not built for these devices.
    """
    if launch.container is None:
        launcher(launch.engine).check(launch, gpus)
        return
    from modelscan.supervisor.containers.checks import check as check_container

    check_container(launch.container)


def launcher(name: str) -> Launcher:
    """The launcher of an engine. Raises NotDeployableError if this machine cannot start it."""
    make = next((make for backend, make in LAUNCHERS.items() if backend == name), None)
    if make is None:
        raise NotDeployableError(
            f"modelscan cannot start {name} on this machine (it starts {', '.join(LAUNCHERS)})",
            hint=f"modelscan deploy MODEL --backend {DEFAULT}",
            code="backend_not_startable",
            details={"backend": name, "startable": list(LAUNCHERS)},
        )
    return make()
