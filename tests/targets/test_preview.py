"""A preview of an engine that is not installed: the exact command, and the step that installs it."""

from __future__ import annotations

import sys
from dataclasses import replace

from support.deployments import plan

from modelscan.core.gpu import Host, Inventory
from modelscan.core.launch import LocalLaunch
from modelscan.core.machine import EngineHere, Machine, MissingEngine
from modelscan.engines.base import Serving
from modelscan.supervisor.launch.python_engine import PythonLauncher
from modelscan.targets.local.plan import _as_if_installed
from modelscan.targets.local.target import _install_step

LACKING = MissingEngine("vllm", "vLLM is not installed", "pip install vllm")
MACHINE = Machine(
    Inventory((), Host(8, 1 << 34, 1 << 33)), (EngineHere("llama.cpp"),), missing=(LACKING,)
)


def launch() -> LocalLaunch:
    serving = Serving("/w/model.safetensors", "127.0.0.1", 4, "n")
    return PythonLauncher("vllm").launch(plan(backend="vllm", gpus=(0,)), serving)


def test_a_named_engine_is_planned_as_if_it_were_installed() -> None:
    assumed = _as_if_installed(MACHINE, "vllm")
    assert [one.name for one in assumed.engines] == ["llama.cpp", "vllm"]
    assert assumed.missing == ()
    assert _as_if_installed(MACHINE, None) == MACHINE
    assert _as_if_installed(MACHINE, "sglang") == MACHINE


def test_the_command_is_that_of_the_environment_that_the_step_makes() -> None:
    command = launch()
    assert "/engines/vllm/" in command.argv[0]
    assert command.argv[1] == "-m"
    step = _install_step(command)
    assert step is not None
    assert step == "modelscan engine install vllm"
    assert _install_step(replace(command, argv=(sys.executable, *command.argv[1:]))) is None
