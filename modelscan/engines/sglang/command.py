"""SGLang's command line for a plan, in the spelling of the installed version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelscan.engines.command_line import adapters, own_options, parse, render, with_defaults
from modelscan.engines.sglang.flags import LORA_SWITCH_SINCE

if TYPE_CHECKING:
    from modelscan.core.plan import Plan
    from modelscan.engines.base import Serving
    from modelscan.engines.option_names import OptionPair
    from modelscan.engines.versions import Version

KEY_VARIABLE = "MODELSCAN_SGLANG_API_KEY"
# SGLang reads its key only as an argument, which every user of the machine can see in ``ps``:
# this adds it inside the process.
_WITH_KEY = (
    "import os,runpy,sys;"
    f"sys.argv[1:]=[*sys.argv[1:],'--api-key',os.environ.pop('{KEY_VARIABLE}')];"
    "runpy.run_module('sglang.launch_server',run_name='__main__',alter_sys=True)"
)


def arguments(plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
    """The options of that version, without the program."""
    options = parse(plan.parameters)
    if version < LORA_SWITCH_SINCE:
        options = [option for option in options if option[0] != "enable-lora"]
    options = with_defaults(options, _defaults(plan))
    adapter_entries = adapters(plan.adapters, serving.adapter_files)
    lora = ("--lora-paths", *adapter_entries) if adapter_entries else ()
    return (*render([*own_options(serving, "model-path"), *options]), *lora)


def keyed_program(python: str) -> tuple[str, ...]:
    """The server's command, with the key from its environment."""
    return (python, "-c", _WITH_KEY)


def _defaults(plan: Plan) -> Iterator[OptionPair]:
    yield "enable-metrics", None
