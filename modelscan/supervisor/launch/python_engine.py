"""A Python engine (vLLM, SGLang) on this machine, started as a module of its environment."""

from __future__ import annotations

import shutil
from pathlib import Path

from modelscan.core.errors import NotDeployableError
from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan
from modelscan.engines.base import Serving
from modelscan.engines.command_line import adapters, model_folder, render
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.registry import engine
from modelscan.engines.versions import parse_version
from modelscan.state.paths import paths
from modelscan.supervisor.installed import Installed, locate, missing, probe
from modelscan.supervisor.launch import repository_files

# Weights are already local; no usage statistics leave the machine.
QUIET = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}  # fmt: skip


class PythonLauncher:
    """See ``supervisor.launch.launcher.Launcher``."""

    def __init__(self, name: str) -> None:
        one = engine(name)
        assert isinstance(one, PoolEngine)
        self.engine, self.name = one, name

    def launch(self, plan: Plan, serving: Serving) -> LocalLaunch:
        installed = locate(self.name, serving.binary)
        return LocalLaunch(
            engine=self.name,
            argv=(
                *self._program(installed, plan, serving),
                *self._options(plan, serving, installed),
            ),
            embedded=False,
            env={**QUIET, **self.engine.process_environment(plan), **plan.env},
            secrets={self.engine.key_variable: serving.api_key} if serving.api_key else {},
            host=serving.host,
            port=serving.port,
            served_model=serving.served_model,
            task=plan.task,
        )

    def _program(
        self, installed: Installed | None, plan: Plan, serving: Serving
    ) -> tuple[str, ...]:
        if installed is None:
            return (_python_to_be(plan), "-m", self.engine.package.modules[0])
        keyed = self.engine.keyed_program(installed.python) if serving.api_key else None
        return keyed or installed.command

    def _options(
        self, plan: Plan, serving: Serving, installed: Installed | None
    ) -> tuple[str, ...]:  # fmt: skip
        stated = installed.version if installed else plan.backend_version
        return engine_options(self.engine, plan, serving, stated)

    def check(self, launch: LocalLaunch, gpus: tuple[int, ...]) -> None:
        installed = probe(self.name, launch.argv[0]) if shutil.which(launch.argv[0]) else None
        if installed is None:
            raise missing(self.name)
        if gpus and installed.cpu_only:
            raise NotDeployableError(
                f"the plan uses GPU {', '.join(map(str, gpus))}, but the installed {self.name} "
                f"({installed.version}) was built for the CPU only",
                hint=f"modelscan engine install {self.name}",
                code="cpu_only_build",
            )

    def uses_gpus(self) -> bool:
        installed = locate(self.name, None)
        return installed is None or not installed.cpu_only


def engine_options(
    one: PoolEngine, plan: Plan, serving: Serving, stated: str | None
) -> tuple[str, ...]:
    """The options of that version, and those that the model's own files need."""
    version = parse_version(stated)
    options = one.arguments(plan, serving, version)
    files = repository_files.read(
        Path(model_folder(serving.model_file)),
        adapters(plan.adapters, serving.adapter_files),
    )
    more = [
        *one.repository_options(files, plan.task, version),
        *one.template_options(files, plan, stated),
    ]
    return (*options, *render(option for option in more if f"--{option[0]}" not in options))


def _python_to_be(plan: Plan) -> str:
    """The Python of the environment that ``engine install`` makes."""
    build = "cuda" if plan.gpus else "cpu"
    folder = paths().engines_dir / plan.backend / f"{plan.backend_version}-{build}"
    return str(folder / "bin" / "python")
