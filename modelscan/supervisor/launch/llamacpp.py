"""llama.cpp on this machine: the embedded server (xllamacpp) or a llama-server program."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from modelscan.core.errors import ModelscanError, NotDeployableError, UsageError
from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan
from modelscan.engines.base import Serving
from modelscan.engines.llamacpp import NAME, server_help
from modelscan.engines.llamacpp.command import KEY_VARIABLE, arguments
from modelscan.engines.llamacpp.option_words import is_path, parse
from modelscan.supervisor.embedded.launcher import ENVIRONMENT, MODULE
from modelscan.supervisor.launch import llama_server


class LlamaCppLauncher:
    """See ``supervisor.launch.launcher.Launcher``."""

    def launch(self, plan: Plan, serving: Serving) -> LocalLaunch:
        options = absolute_paths(arguments(plan, serving))
        if serving.binary is None:
            parse(options)
        elif (known := llama_server.known_options(serving.binary)) is not None:
            options = server_help.adapt(options, known)
        program = (serving.binary,) if serving.binary else (sys.executable, "-m", MODULE)
        return LocalLaunch(
            engine=NAME,
            argv=(*program, *options),
            embedded=serving.binary is None,
            env={**ENVIRONMENT, **plan.env},
            secrets={KEY_VARIABLE: serving.api_key} if serving.api_key else {},
            host=serving.host,
            port=serving.port,
            served_model=serving.served_model,
            task=plan.task,
        )

    def check(self, launch: LocalLaunch, gpus: tuple[int, ...]) -> None:
        if not launch.embedded:
            _check_program(launch.argv[0])
            return
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelscanError(
                "the embedded llama.cpp (xllamacpp) is not installed",
                hint="pip install xllamacpp",
                code="engine_missing",
            )
        if gpus and not _built_for_gpus():
            raise NotDeployableError(
                f"the plan uses GPU {', '.join(map(str, gpus))}, but the installed llama.cpp "
                "(xllamacpp) was built for the CPU only",
                hint=f"modelscan engine install {NAME}",
                code="cpu_only_build",
            )

    def uses_gpus(self) -> bool:
        """Whether the embedded engine can use a GPU; True if not installed (``check`` rejects
        that).
        """
        return importlib.util.find_spec("xllamacpp") is None or _built_for_gpus()


def absolute_paths(words: Sequence[str]) -> tuple[str, ...]:
    """The same options with absolute paths: the engine runs in another folder."""
    absolute: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and is_path(name):
            absolute.append(f"{name}={Path(value).expanduser().absolute()}")
        elif absolute and is_path(absolute[-1]):
            absolute.append(str(Path(word).expanduser().absolute()))
        else:
            absolute.append(word)
    return tuple(absolute)


def _check_program(program: str) -> None:
    if shutil.which(program) is None:
        raise UsageError(
            f"there is no program '{program}'",
            hint="modelscan config set llama_server PATH, or --unset to use the embedded engine",
            code="engine_missing",
        )


def _built_for_gpus() -> bool:
    return bool(embedded_devices())


def embedded_devices() -> tuple[str, ...]:
    """The GPUs that the embedded engine can use."""
    import xllamacpp

    kinds = xllamacpp.ggml_backend_dev_type
    gpu = (kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU)
    devices = xllamacpp.get_device_info()
    return tuple(str(device["name"]) for device in devices if device["type"] in gpu)
