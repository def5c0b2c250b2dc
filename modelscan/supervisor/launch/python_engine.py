"""What vLLM and SGLang have in common as engines; each adds its options and its log's language."""

from __future__ import annotations

import dataclasses
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from modelscan.core.errors import NotDeployableError
from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan
from modelscan.engines import failures
from modelscan.engines.base import Failure, Serving
from modelscan.engines.command_line import Option, render
from modelscan.engines.pooled_log import measured
from modelscan.engines.versions import Version, parse_version
from modelscan.supervisor.installed import Installed, locate, missing, probe

# Weights are on this machine already; nothing is reported to anybody.
QUIET = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}  # fmt: skip


class PythonEngine(ABC):
    """See ``engines.base.Engine``."""

    name = ""

    @abstractmethod
    def options(self, plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
        """The options of that version, without the program. Pure."""

    def repository_options(self, plan: Plan, serving: Serving, version: Version) -> list[Option]:
        """What the weights' own files ask for; reads them."""
        return []

    @abstractmethod
    def environment(self, plan: Plan) -> Mapping[str, str]:
        """Variables beside the plan's own."""

    def program(self, found: Installed, serving: Serving) -> tuple[str, ...]:
        """What comes before the options."""
        return found.command

    @abstractmethod
    def key_variable(self) -> str:
        """The variable that gives the server its key."""

    def launch(self, plan: Plan, serving: Serving) -> LocalLaunch:
        found = locate(self.name, serving.binary)
        version = parse_version(found.version if found else plan.backend_version)
        program = self.program(found, serving) if found else (self.name,)
        options = self.options(plan, serving, version)
        asked = self.repository_options(plan, serving, version)
        more = render(one for one in asked if f"--{one[0]}" not in options)
        return LocalLaunch(
            engine=self.name,
            argv=(*program, *options, *more),
            embedded=False,
            env={**QUIET, **self.environment(plan), **plan.env},
            secrets={self.key_variable(): serving.api_key} if serving.api_key else {},
            host=serving.host,
            port=serving.port,
            served_model=serving.served_model,
            task=plan.task,
        )

    def check(self, launch: LocalLaunch, gpus: tuple[int, ...]) -> None:
        found = probe(self.name, launch.argv[0]) if shutil.which(launch.argv[0]) else None
        if found is None:
            raise missing(self.name)
        if gpus and found.cpu_only:
            raise NotDeployableError(
                f"the plan uses GPU {', '.join(map(str, gpus))}, but the installed {self.name} "
                f"({found.version}) was built for the CPU only",
                hint=f"modelscan config set {self.name} PATH_OF_A_PYTHON_WITH_A_GPU_BUILD",
                code="cpu_only_build",
            )

    def uses_gpus(self) -> bool:
        found = locate(self.name, None)
        return found is None or not found.cpu_only

    def moved(self, launch: LocalLaunch, port: int) -> LocalLaunch:
        argv = list(launch.argv)
        argv[argv.index("--port") + 1] = str(port)
        return dataclasses.replace(launch, argv=tuple(argv), port=port)

    def failure(self, log: str) -> Failure | None:
        return failures.recognise(self.name, log)

    def measured(self, log: str) -> Mapping[str, Any] | None:
        return measured(log, self.name)
