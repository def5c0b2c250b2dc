"""Options of a workload that an estimate does not model and that may change what is allocated.

An option passes without a warning if the engine's estimate reads it, if the engine lists it as
harmless, or if its name says what it is about: addresses, keys, logs, templates, parsers, sampling.
Anything else is named, so that a new option is named before its effect is known.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from modelscan.engines.command_line import folded

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.engines.engine import Engine

_TOPIC_WORDS = """
    log logs logger logging http http2 ssl tls port host cors origin origins header headers methods
    credentials api apikey key token secret template templates parser parsers reasoning thinking
    tool tools grammar guided structured json metric metrics trace traces tracing otlp oltp otel
    timeout interval seed served alias revision fastapi uvicorn docs middleware root url urls
    download watchdog logprobs sampling sampler samplers temp temperature penalty response tokenizer
    chat completion usage priority verbose verbosity timestamps crash dump labels buckets
    """
_ALLOCATING_WORDS = """
    cache caches kv mem memory gb mib offload offloading cpu gpu vram graph graphs cudagraph batch
    batched batching block blocks pool quant quantization dtype lora loras expert experts moe ep dp
    tp cp pp sp parallel draft speculative spec mamba ssm swa window context ctx layers mm
    multimodal encoder embeds reserve buffer ring copies replicas
    """
_TOPICS = frozenset(_TOPIC_WORDS.split())
_ALLOCATES = frozenset(_ALLOCATING_WORDS.split())


def unmodelled(engine: Engine, workload: Workload) -> tuple[str, ...]:
    """The names of such options, as given."""
    return tuple(
        dict.fromkeys(
            name
            for name, value in folded(workload.parameters)
            if not engine.reads(name.replace("_", "-"), value) and not _harmless(name)
        )
    )


def unmodelled_notes(engine: Engine, workload: Workload) -> tuple[str, ...]:
    """A warning for each of them."""
    return tuple(
        f"--{name} may change what {engine.title} allocates: this estimate does not count it"
        for name in unmodelled(engine, workload)
    )


@functools.lru_cache(maxsize=1024)
def _harmless(name: str) -> bool:
    words = frozenset(name.replace("_", "-").split("-"))
    return bool(words & _TOPICS) and not words & _ALLOCATES
