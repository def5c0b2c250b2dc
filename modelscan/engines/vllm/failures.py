"""Why vLLM did not start, from its error text about memory and context length."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelscan.core.remedy import Remedy
from modelscan.engines.adapter_rules import rank_slot
from modelscan.engines.failure_kinds import SMALLER, after_memory, before_memory, parameter
from modelscan.engines.failure_rules import Advice, Rule, number, recognise
from modelscan.engines.versions import parse_version
from modelscan.engines.vllm.adapters import lora_ranks
from modelscan.engines.vllm.versions import DEFAULT_VERSION

if TYPE_CHECKING:
    from modelscan.engines.base import EngineFailure

_STEP_TOKENS = 256


def _context(match: re.Match[str]) -> Advice:
    """The longest context that vLLM itself states would fit; else scaled by the pool."""
    groups = match.groupdict()
    tokens = number(groups.get("possible"))
    length, needed, pool = (number(groups.get(key)) for key in ("length", "needed", "pool"))
    if tokens is None and length and needed and pool:
        tokens = int(length * pool / needed)
    if tokens is None:
        tokens = number(groups.get("held"))
    if not tokens or tokens < _STEP_TOKENS:
        return SMALLER
    remedy = Remedy(context_tokens=int(tokens) // _STEP_TOKENS * _STEP_TOKENS)
    return Advice(remedy.text(), remedy)


def _utilization(match: re.Match[str]) -> Advice:
    """Other programs use part of the device: reserve only the free memory."""
    free, total = number(match["free"]), number(match["total"])
    if not free or not total:
        return SMALLER
    remedy = Remedy(memory_utilization=int(max(0.0, free / total - 0.01) * 100) / 100)
    return Advice(f"{remedy.text()}: other programs use part of the GPU's memory", remedy)


def _fewer_slots(match: re.Match[str]) -> Advice:
    """The warm-up runs as many requests as there may be at once."""
    slots = max(1, min(_USUAL_SLOTS, int(number(match["slots"]) or 2) // 2))
    remedy = Remedy(parameters=(("max-num-seqs", str(slots)),))
    return Advice(f"{remedy.text()}, or with a smaller --memory-utilization", remedy)


def _lora_rank(match: re.Match[str]) -> Advice:
    rank = int(match["to"] or match["to2"])
    size = rank_slot((rank,), lora_ranks(parse_version(DEFAULT_VERSION)))
    if size is None:
        return Advice(f"no version accepts rank {rank}: train the adapter with a smaller one")
    remedy = Remedy(parameters=(("max-lora-rank", str(size)),))
    return Advice(remedy.text(), remedy)


_USUAL_SLOTS = 256
_EAGER = Remedy(parameters=(("enforce-eager", None),))
_GRAPHS = "capture_model|capture_graph|CUDAGraphWrapper|cudagraph_capture|_capture_cudagraphs"
_LENGTH = r"max(?:imum)? (?:model|seq|sequence)\S*(?: seq)? len(?:gth)? "
RULES = (
    *before_memory(),
    Rule("context", re.compile(
        _LENGTH + r"\((?P<length>[\d,]+)\)[^\n]*?"
        r"\(?(?P<needed>[\d.]+) GiB KV cache is needed[^\n]*?memory \((?P<pool>[\d.]+) GiB\)"
        r"(?:[^\n]*?estimated maximum model length is (?P<possible>[\d,]+))?"), _context),
    Rule("context", re.compile(
        _LENGTH + r"\([\d,]+\) is larger than "
        r"the maximum number of tokens that can be stored in (?:the )?KV "
        r"cache \((?P<held>[\d,]+)\)"), _context),
    Rule("context", re.compile(
        r"User-specified max_model_len \([\d,]+\) is greater than the derived max_model_len "
        r"\([^)]*?=(?P<possible>[\d,]+)[^)]*\)?"), _context),
    Rule("memory", re.compile(
        r"Free memory on device[^\n]*?\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\)[^\n]*?is less "
        r"than desired GPU memory utilization"), _utilization),
    Rule("memory", re.compile(r"No available memory for the cache blocks"), SMALLER),
    Rule("memory", re.compile(
        r"out of memory occurred when warming up sampler with (?P<slots>\d+) dummy requests"),
        _fewer_slots),
    Rule("memory", re.compile(
        r"max_num_seqs \(\d+\) exceeds (?:the )?available Mamba cache blocks \((?P<to>\d+)\)"),
        parameter("max-num-seqs")),
    Rule("memory", re.compile(r"out of memory"),
         Advice(f"{_EAGER.text()} (without CUDA graphs), or with a smaller --memory-utilization",
                _EAGER), calls=re.compile(_GRAPHS)),
    Rule("option", re.compile(
        r"max_num_batched_tokens \(\d+\) is smaller than max_model_len \((?P<to>\d+)\)"),
        parameter("max-num-batched-tokens")),
    Rule("option", re.compile(
        r"LoRA rank (?P<to>\d+) is greater than max_lora_rank|"
        r"LoRA rank \((?P<to2>\d+)\) (?:exceeds|is greater than)"), _lora_rank),
    *after_memory(
        "vllm", "its files load slowly: keep them on a disk of this machine, or give it more time "
        "with the variable VLLM_ENGINE_READY_TIMEOUT_S=1800"),
)  # fmt: skip


_BEGINS = re.compile(r"vLLM API server version|^(?:\([\w ]+ pid=\d+\) )?usage: ")


def failure(log: str) -> EngineFailure | None:
    """The cause from vLLM's log; None if the log names none."""
    return recognise(RULES, log, _BEGINS)
