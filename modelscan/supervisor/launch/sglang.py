"""SGLang as an engine: its options by version, its environment.

Sources: the server arguments of 0.5.23 and the arguments that published logs print (0.4 to 0.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelscan.core.plan import Plan
from modelscan.engines.base import Serving
from modelscan.engines.command_line import (
    Option,
    adapters,
    model_folder,
    parse,
    render,
    with_defaults,
)
from modelscan.engines.versions import Version
from modelscan.supervisor.installed import Installed
from modelscan.supervisor.launch.python_engine import PythonEngine

NAME = "sglang"
KEY_VARIABLE = "MODELSCAN_SGLANG_API_KEY"
_LORA_SWITCH = (0, 4, 9)  # before, --lora-paths alone was enough and --enable-lora unknown
# SGLang takes its key as an argument only, which everybody on the machine could read in ``ps``:
# this puts it there inside the process.
_WITH_KEY = (
    "import os,runpy,sys;"
    f"sys.argv[1:]=[*sys.argv[1:],'--api-key',os.environ.pop('{KEY_VARIABLE}')];"
    "runpy.run_module('sglang.launch_server',run_name='__main__',alter_sys=True)"
)


class SgLang(PythonEngine):
    """See ``engines.base.Engine``."""

    name = NAME

    def options(self, plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
        own: list[Option] = [
            ("model-path", model_folder(serving.model_file)),
            ("served-model-name", serving.served_model),
            ("host", serving.host),
            ("port", str(serving.port)),
        ]
        given = parse(plan.parameters)
        if version < _LORA_SWITCH:
            given = [option for option in given if option[0] != "enable-lora"]
        named = adapters(plan.adapters, serving.adapter_files)
        lora = ("--lora-paths", *named) if named else ()
        return (*render([*own, *with_defaults(given, _defaults(plan))]), *lora)

    def environment(self, plan: Plan) -> Mapping[str, str]:
        return {}

    def program(self, found: Installed, serving: Serving) -> tuple[str, ...]:
        return (found.python, "-c", _WITH_KEY) if serving.api_key else found.command

    def key_variable(self) -> str:
        return KEY_VARIABLE


def _defaults(plan: Plan) -> Iterator[Option]:
    yield "enable-metrics", None
    yield "context-length", str(plan.context_tokens)
