"""The engines, best known first. A new engine is a folder and a line here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.engines.llamacpp.engine import LlamaCpp
from modelscan.engines.ollama.engine import Ollama
from modelscan.engines.sglang.engine import SgLang
from modelscan.engines.vllm.engine import Vllm
from modelscan.engines.voxbox.engine import VoxBox

if TYPE_CHECKING:
    from modelscan.engines.engine import Engine

ENGINES: Mapping[str, Engine] = {
    engine.name: engine for engine in (LlamaCpp(), Vllm(), SgLang(), Ollama(), VoxBox())
}


def engine(name: str) -> Engine:
    """The engine of that name. Raises UsageError for an unknown name."""
    match = ENGINES.get(name)
    if match is None:
        raise UsageError(f"there is no backend '{name}'", hint="--backend " + "|".join(ENGINES))
    return match


def engines() -> Iterator[Engine]:
    """Every engine, in the order of ``core.workload.BACKENDS``."""
    return iter(ENGINES.values())


def engine_for(file_format: str) -> Engine:
    """GGUF files run on llama.cpp, everything else on vLLM."""
    gguf = file_format == "gguf"
    return next(one for one in engines() if one.runs_gguf is gguf)
