"""What an engine says it allocated: its start-up log, read into bytes. Pure text in, numbers out.

Lines and units: vLLM prints GiB (called GB before 0.9), SGLang prints GiB and calls it GB,
llama.cpp prints MiB. Line prefixes changed over the years, so only the telling part is matched.
Several ranks print the same lines: of sizes the largest counts, of pools the smallest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from modelscan.core.units import GIB, MIB


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes as one GPU of the engine reported them; None was not in the log.

    ``failure`` is the engine's own line when it refused to start for memory.
    """

    weights_bytes: int | None = None
    kv_pool_bytes: int | None = None
    kv_tokens: int | None = None
    max_concurrency: float | None = None
    context_tokens: int | None = None
    compute_bytes: int | None = None
    non_torch_bytes: int | None = None
    cuda_graph_bytes: int | None = None
    recurrent_state_bytes: int | None = None
    output_bytes: int | None = None
    failure: str | None = None

    @property
    def empty(self) -> bool:
        return self == Measured()


def parse(text: str, backend: str) -> Measured:
    """The log of ``backend``; ``empty`` where nothing was recognised.

    Raises KeyError for a backend that has no log format here.
    """
    return _PARSERS[backend](text)


def parse_vllm(text: str) -> Measured:
    """vLLM 0.6 to 0.32, GPU or CPU build."""
    found = Measured(
        weights_bytes=_largest(_VLLM_WEIGHTS, text, GIB),
        kv_pool_bytes=_smallest(_VLLM_POOL, text, GIB),
        kv_tokens=_integer(_VLLM_TOKENS, text),
        compute_bytes=_largest(_VLLM_PEAK, text, GIB),
        non_torch_bytes=_largest(_VLLM_NON_TORCH, text, GIB),
        cuda_graph_bytes=_largest(_VLLM_GRAPHS, text, GIB),
        failure=_line(_VLLM_FAILURES, text),
    )
    concurrency = _VLLM_CONCURRENCY.search(text)
    if concurrency:
        length, times = concurrency.groups()
        found = replace(
            found, context_tokens=int(length.replace(",", "")), max_concurrency=float(times)
        )
    return _with_blocks(found, text)


def _with_blocks(found: Measured, text: str) -> Measured:
    """0.6 and 0.7 print blocks of 16 tokens instead of tokens."""
    blocks = _integer(_VLLM_BLOCKS, text)
    if found.kv_tokens is not None or blocks is None:
        return found
    return replace(found, kv_tokens=blocks * 16)


def parse_sglang(text: str) -> Measured:
    """SGLang 0.4 to 0.5; its GB are GiB."""
    keys, values = _number(_SGLANG_KEYS, text), _number(_SGLANG_VALUES, text)
    pool = _number(_SGLANG_POOL, text)
    if pool is None and keys is not None:
        pool = keys + (values or 0.0)
    states = [_number(pattern, text) for pattern in (_SGLANG_CONV, _SGLANG_SSM)]
    held = [state for state in states if state is not None]
    tokens = _integer(_SGLANG_TOKENS, text)
    return Measured(
        weights_bytes=_largest(_SGLANG_WEIGHTS, text, GIB),
        kv_pool_bytes=None if pool is None else round(pool * GIB),
        kv_tokens=tokens if tokens is not None else _integer(_SGLANG_MAX_TOKENS, text),
        context_tokens=_integer(_SGLANG_CONTEXT, text),
        cuda_graph_bytes=_last_bytes(_SGLANG_GRAPHS, text, GIB),
        recurrent_state_bytes=round(sum(held) * GIB) if held else None,
        failure=_line(_SGLANG_FAILURES, text),
    )


def parse_llamacpp(text: str) -> Measured:
    """llama.cpp (verbosity 4) and Ollama's runner: buffers of all devices together."""
    return Measured(
        weights_bytes=_sum(_LLAMA_MODEL, text),
        kv_pool_bytes=_sum(_LLAMA_KV, text),
        kv_tokens=_integer(_LLAMA_CONTEXT, text),
        compute_bytes=_sum_of_last(_LLAMA_COMPUTE, text),
        recurrent_state_bytes=_sum(_LLAMA_STATE, text),
        output_bytes=_sum_of_last(_LLAMA_OUTPUT, text),
        failure=_line(_LLAMA_FAILURES, text),
    )


def llamacpp_devices(text: str) -> dict[str, Measured]:
    """The same per device name (``CUDA0``, ``CPU``, ``CUDA_Host``), as the log spells it."""
    names = dict.fromkeys(
        device for pattern in _LLAMA_FIELDS for device, _ in pattern.findall(text)
    )
    return {name: parse_llamacpp("\n".join(_lines_of(name, text))) for name in names}


def _lines_of(device: str, text: str) -> list[str]:
    return [line for line in text.splitlines() if re.search(rf"(?<!\S){re.escape(device)}\s", line)]


_N = r"([\d.]+)"
_VLLM_WEIGHTS = re.compile(
    rf"(?:Model loading took|Loading model weights took|model weights take)\s+{_N}\s*Gi?B", re.I
)
_VLLM_POOL = re.compile(
    r"(?:Available KV cache memory:?\s+|reserved for KV Cache is\s+)(-?[\d.]+)\s*GiB|"
    r"Explicitly set \(([\d.]+)/[\d.]+\) GiB for KV cache",
    re.I,  # a CPU build
)
_VLLM_TOKENS = re.compile(r"[GC]PU KV cache size:\s+([\d,]+) tokens")
_VLLM_BLOCKS = re.compile(r"# (?:GPU|CUDA) blocks:\s+(\d+)")
_VLLM_CONCURRENCY = re.compile(r"Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x")
_VLLM_PEAK = re.compile(  # 0.6; debug lines of V1; the summary of 0.11 and later
    rf"PyTorch activation peak memory takes {_N} ?GiB|torch peak memory increase: {_N} ?GiB|"
    rf"{_N} GiB for peak activation"
)
_VLLM_NON_TORCH = re.compile(
    rf"non_torch_memory takes {_N} ?GiB|non-torch forward increase memory: {_N} ?GiB|"
    rf"{_N} GiB for non-torch memory"
)
_VLLM_GRAPHS = re.compile(r"Graph capturing finished in [\d.]+ secs?, took (-?[\d.]+) GiB", re.I)
_VLLM_FAILURES = re.compile(
    r"^.*(?:No available memory for the cache blocks|larger than the (?:available|maximum)|"
    r"is less than desired GPU memory utilization|CUDA out of memory).*$", re.M
)  # fmt: skip
_SGLANG_WEIGHTS = re.compile(rf"Load weight end\..*?mem usage={_N} GB")
_SGLANG_POOL = re.compile(rf"KV size: {_N} GB")
_SGLANG_KEYS, _SGLANG_VALUES = re.compile(rf"K size: {_N} ?GB"), re.compile(rf"V size: {_N} ?GB")
_SGLANG_TOKENS = re.compile(r"#tokens: (\d+)")
_SGLANG_MAX_TOKENS = re.compile(r"max_total_num_tokens=(\d+)")
_SGLANG_CONTEXT = re.compile(r"context_len=(\d+)")
_SGLANG_CONV = re.compile(rf"conv_state size: {_N} ?GB")
_SGLANG_SSM = re.compile(rf"ssm_state size: {_N} ?GB")
_SGLANG_GRAPHS = re.compile(rf"Capture .*?cuda graph end\..*?mem usage={_N} GB", re.I)
_SGLANG_FAILURES = re.compile(
    r"^.*(?:Not enough memory\. Please try to increase|CUDA out of memory).*$", re.M
)
_LLAMA_MODEL = re.compile(  # before 2025 without the word "model"
    rf"^.*load_tensors:\s+(\S+)(?: model)? buffer size\s*=\s*{_N} MiB", re.M
)
_LLAMA_KV = re.compile(rf"(\S+) KV buffer size\s*=\s*{_N} MiB")
_LLAMA_STATE = re.compile(rf"(\S+) RS buffer size\s*=\s*{_N} MiB")
_LLAMA_COMPUTE = re.compile(rf"(\S+) compute buffer size\s*=\s*{_N} MiB")
_LLAMA_OUTPUT = re.compile(rf"(\S+)\s+output buffer size\s*=\s*{_N} MiB")
_LLAMA_CONTEXT = re.compile(r"\bn_ctx\s+=\s+(\d+)")
_LLAMA_FAILURES = re.compile(
    r"^.*(?:failed to allocate|cudaMalloc failed|out of memory|unable to allocate).*$", re.M
)
_LLAMA_FIELDS = (_LLAMA_MODEL, _LLAMA_KV, _LLAMA_STATE, _LLAMA_COMPUTE, _LLAMA_OUTPUT)
_PARSERS: dict[str, Callable[[str], Measured]] = {
    "vllm": parse_vllm,
    "sglang": parse_sglang,
    "llama.cpp": parse_llamacpp,
    "ollama": parse_llamacpp,
}


def _numbers(pattern: re.Pattern[str], text: str) -> list[float]:
    return [
        float(next(group for group in match.groups() if group is not None))
        for match in pattern.finditer(text)
    ]


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    found = _numbers(pattern, text)
    return found[-1] if found else None


def _largest(pattern: re.Pattern[str], text: str, unit: int) -> int | None:
    found = _numbers(pattern, text)
    return round(max(found) * unit) if found else None


def _smallest(pattern: re.Pattern[str], text: str, unit: int) -> int | None:
    found = _numbers(pattern, text)
    return round(min(found) * unit) if found else None


def _last_bytes(pattern: re.Pattern[str], text: str, unit: int) -> int | None:
    found = _number(pattern, text)
    return None if found is None else round(found * unit)


def _integer(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.findall(text)
    return int(found[-1].replace(",", "")) if found else None


def _sum(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.findall(text)
    return round(sum(float(mib) for _, mib in found) * MIB) if found else None


def _sum_of_last(pattern: re.Pattern[str], text: str) -> int | None:
    """Per device the last line counts: a graph that changes is reserved again."""
    last = {device: float(mib) for device, mib in pattern.findall(text)}
    return round(sum(last.values()) * MIB) if last else None


def _line(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found.group(0).strip() if found else None
