"""vLLM's command line for a plan, in the spelling of the installed version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from modelscan.core.units import GIB
from modelscan.engines.adapter_rules import rank_slot
from modelscan.engines.command_line import (
    adapters,
    own_options,
    parse,
    renamed,
    render,
    with_defaults,
)
from modelscan.engines.versions import parse_version
from modelscan.engines.vllm.adapters import DEFAULT_RANK, lora_ranks
from modelscan.engines.vllm.flags import NAMES, QUIET_LOG_SINCE, RENAMES

if TYPE_CHECKING:
    from modelscan.core.plan import Plan
    from modelscan.core.workload import Workload
    from modelscan.engines.base import Serving
    from modelscan.engines.option_names import OptionPair
    from modelscan.engines.repository_files import RepositoryFiles
    from modelscan.engines.versions import Version

_MIN_CPU_POOL_GIB = 1
_UTILIZATION = NAMES.memory_share[0]  # means nothing on a CPU, where the pool is fixed
_RERANKER_SINCE: Version = (0, 9, 2)
# The published Qwen3 rerankers are language models that say yes or no (vLLM's list of supported
# models gives these overrides).
_QWEN3_RERANKER = {
    "architectures": ["Qwen3ForSequenceClassification"],
    "classifier_from_token": ["no", "yes"],
    "is_original_qwen3_reranker": True,
}


def arguments(plan: Plan, serving: Serving, version: Version) -> tuple[str, ...]:
    """The options of that version, without the program."""
    planned = [one for one in parse(plan.parameters) if plan.gpus or one[0] != _UTILIZATION]
    options = with_defaults(renamed(planned, version, RENAMES), _defaults(plan, version))
    adapter_entries = adapters(plan.adapters, serving.adapter_files)
    lora = ("--lora-modules", *adapter_entries) if adapter_entries else ()
    return (*render([*own_options(serving, "model"), *options]), *lora)


def _defaults(plan: Plan, version: Version) -> Iterator[OptionPair]:
    """Without ``--allowed-origins`` any web page in the user's browser could read answers."""
    yield "allowed-origins", "[]"
    if version < QUIET_LOG_SINCE:
        yield "disable-log-requests", None


def environment(plan: Plan) -> dict[str, str]:
    """``VLLM_HOST_IP``: keeps its own rendezvous on loopback."""
    env = {"VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1"}
    if not plan.gpus:
        pool_gib = -(-plan.estimate.parts.kv_cache_bytes // GIB)
        env["VLLM_CPU_KVCACHE_SPACE"] = str(max(_MIN_CPU_POOL_GIB, pool_gib))
    return env


def reranker_options(classes: Iterable[str], task: str, workload: Workload) -> Iterator[OptionPair]:
    """The override that makes a published Qwen3 reranker, by its classes, a scoring model."""
    yield from _reranker(classes, task, parse_version(workload.backend_version))


def _reranker(classes: Iterable[str], task: str, version: Version) -> Iterator[OptionPair]:
    if task == "rerank" and "Qwen3ForCausalLM" in classes and version >= _RERANKER_SINCE:
        yield "hf-overrides", json.dumps(_QWEN3_RERANKER, separators=(",", ":"))


def repository_options(files: RepositoryFiles, task: str, version: Version) -> Iterator[OptionPair]:
    """Options that a repository needs and vLLM does not detect by itself."""
    if files.tekken_only:
        yield "tokenizer-mode", "mistral"
    yield from _reranker(files.architectures, task, version)
    slot = rank_slot(files.lora_ranks, lora_ranks(version))
    if slot is not None and slot > DEFAULT_RANK:
        yield "max-lora-rank", str(slot)
