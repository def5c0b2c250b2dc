"""SGLang's command line for a plan, in the spelling of the installed version."""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.core.plan import Plan
from modelscan.engines.base import Serving
from modelscan.engines.command_line import adapters, own_options, parse, render, with_defaults
from modelscan.engines.option_names import OptionPair
from modelscan.engines.sglang.flags import LORA_SWITCH_SINCE, NAMES
from modelscan.engines.versions import Version

KEY_VARIABLE = "MODELSCAN_SGLANG_API_KEY"
# SGLang takes its key only as an argument, which every user of the machine can read in ``ps``:
# this adds it inside the process.
_WITH_KEY = (
    "import os,runpy,sys;"
    f"sys.argv[1:]=[*sys.argv[1:],'--api-key',os.environ.pop('{KEY_VARIABLE}')];"
    "runpy.run_module('sglang.launch_server',run_name='__main__',alter_sys=True)"
)


def arguments(plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
    """The options of that version, without the program."""
    given = parse(plan.parameters)
    if version < LORA_SWITCH_SINCE:
        given = [option for option in given if option[0] != "enable-lora"]
    given = with_defaults(given, _defaults(plan))
    named = adapters(plan.adapters, serving.adapter_files)
    lora = ("--lora-paths", *named) if named else ()
    return (*render([*own_options(serving, "model-path"), *given]), *lora)


def keyed_program(python: str) -> tuple[str, ...]:
    """What starts the server with the key of its environment."""
    return (python, "-c", _WITH_KEY)


def _defaults(plan: Plan) -> Iterator[OptionPair]:
    yield "enable-metrics", None
    yield NAMES.context[0], str(plan.context_tokens)
