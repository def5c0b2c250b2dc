"""llama.cpp as an engine: a plan becomes the command line of the embedded server or a binary."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.core.errors import ModelscanError, NotDeployableError, UsageError
from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan
from modelscan.engines.base import Failure, Serving
from modelscan.engines.llamacpp import failures
from modelscan.engines.llamacpp import log as measure
from modelscan.engines.llamacpp.options import ALIASES, absolute_paths, parse
from modelscan.supervisor.embedded.launcher import API_KEY_VARIABLE, ENVIRONMENT, MODULE
from modelscan.supervisor.launch import llama_server as binary

NAME = "llama.cpp"

# Unless the plan says otherwise. Why: the host-memory prompt cache would take up to
# 8 GiB that no estimate knows of; ``fit`` changes what the plan decided; verbosity 4 prints the
# buffer sizes; without a key any web page in the user's browser could read answers: no CORS.
_ALWAYS = (
    ("--cache-ram", "0"), ("--fit", "off"), ("--verbosity", "4"), ("--no-ui",), ("--metrics",),
    ("--cors-origins", ""),
)  # fmt: skip
# Repacked weights are a second copy of them in memory (CPU_REPACK).
_ON_CPU = (("--n-gpu-layers", "0"), ("--no-repack",))
_TASKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "embedding": (("--embeddings",), ("--pooling", "mean")),
    "rerank": (("--rerank",),),
}
_EXCLUDES = {"--no-repack": ("repack",), "--no-ui": ("ui",)}


class LlamaCpp:
    """See ``engines.base.Engine``."""

    def launch(self, plan: Plan, serving: Serving) -> LocalLaunch:
        options = absolute_paths((*self._own(plan, serving), *plan.parameters))
        if serving.binary is None:
            parse(options)
        elif (known := binary.known_options(serving.binary)) is not None:
            options = binary.adapt(options, known)
        program = (serving.binary,) if serving.binary else (sys.executable, "-m", MODULE)
        return LocalLaunch(
            engine=NAME,
            argv=(*program, *options),
            embedded=serving.binary is None,
            env={**ENVIRONMENT, **plan.env},
            secrets={API_KEY_VARIABLE: serving.api_key} if serving.api_key else {},
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
                hint="pip install 'modelscan-deploy[local]'",
                code="engine_missing",
            )
        if gpus and not _built_for_gpus():
            raise NotDeployableError(
                f"the plan uses GPU {', '.join(map(str, gpus))}, but the installed llama.cpp "
                "(xllamacpp) was built for the CPU only",
                hint="modelscan config set llama_server PATH_OF_A_LLAMA_SERVER_WITH_GPU_SUPPORT",
                code="cpu_only_build",
            )

    def uses_gpus(self) -> bool:
        """An engine that is not installed says nothing: ``check`` will."""
        return importlib.util.find_spec("xllamacpp") is None or _built_for_gpus()

    def moved(self, launch: LocalLaunch, port: int) -> LocalLaunch:
        argv = list(launch.argv)
        argv[argv.index("--port") + 1] = str(port)
        return dataclasses.replace(launch, argv=tuple(argv), port=port)

    def failure(self, log: str) -> Failure | None:
        return failures.failure(log)

    def measured(self, log: str) -> Mapping[str, Any] | None:
        return measure.measured(log)

    def _own(self, plan: Plan, serving: Serving) -> tuple[str, ...]:
        """What the plan does not say itself; an option that it gives is left to it."""
        words = ["--model", serving.model_file, "--alias", serving.served_model]
        words += ["--host", serving.host, "--port", str(serving.port)]
        given = _given(plan)
        for option in self._defaults(plan):
            if not given & {option[0].lstrip("-"), *_EXCLUDES.get(option[0], ())}:
                words += option
        if serving.mmproj_file and "mmproj" not in given:
            words += ["--mmproj", serving.mmproj_file]
        for adapter in serving.adapter_files:
            words += ["--lora", adapter]
        return tuple(words)

    def _defaults(self, plan: Plan) -> Iterator[tuple[str, ...]]:
        yield from _ALWAYS
        if not plan.gpus:
            yield from _ON_CPU
        yield "--ctx-size", str(plan.context_tokens * plan.parallel)
        yield "--parallel", str(plan.parallel)
        yield from _TASKS.get(plan.task, ())


def _check_program(program: str) -> None:
    if shutil.which(program) is None:
        raise UsageError(
            f"there is no program '{program}'",
            hint="modelscan config set llama_server PATH, or --unset to use the embedded engine",
            code="engine_missing",
        )


def _built_for_gpus() -> bool:
    import xllamacpp

    kinds = xllamacpp.ggml_backend_dev_type
    gpu = (kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU)
    return any(device["type"] in gpu for device in xllamacpp.get_device_info())


def _given(plan: Plan) -> set[str]:
    """The names of the plan's own options, in their long form."""
    names = (w.lstrip("-").partition("=")[0] for w in plan.parameters if w.startswith("-"))
    return {ALIASES.get(name, name) for name in names}
