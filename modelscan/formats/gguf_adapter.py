"""A LoRA adapter in a GGUF file, as llama.cpp's ``convert_lora_to_gguf.py`` writes it. Pure.

Code: llama.cpp, ``llama-adapter.cpp``: ``general.type`` adapter, ``adapter.type`` lora,
``adapter.lora.alpha``; per matrix ``NAME.lora_a`` (inputs x rank) and ``NAME.lora_b``
(rank x outputs), inputs first as everywhere in GGUF.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelscan.core.adapter import AdaptedModule, Adapter, AdapterFault
from modelscan.core.architecture import Tensor
from modelscan.formats.gguf import GgufHeader

_SUFFIXES = (".lora_a", ".lora_b")
TOKENS = "token_embd"  # its halves are the other way round
Halves = dict[str, dict[str, tuple[int, ...]]]


def read_gguf_adapter(header: GgufHeader, path: str) -> Adapter:
    """The adapter of a parsed header; what is wrong is among ``faults``."""
    halves, others = _halves(header.tensors)
    alpha = header.metadata.get("adapter.lora.alpha")
    number = float(alpha) if isinstance(alpha, (int, float)) else None
    modules = tuple(_modules(halves, number))
    ranks = [one.rank for one in modules]
    faults = (*_faults_of_keys(header), *_faults_of_tensors(halves, others))
    if header.truncated:
        size = f"{header.file_bytes:,} of {header.expected_bytes:,} bytes"
        faults = (*faults, AdapterFault("files", f"the file is cut off: {size}"))
    return Adapter(
        format="gguf",
        path=path,
        base=_base(header),
        r=min(ranks) if len(set(ranks)) == 1 else None,
        max_rank=max(ranks, default=None),
        alpha=number,
        target_modules=tuple(sorted({one.name.rpartition(".")[2] for one in modules})),
        method=(header.string("adapter.type") or "").upper(),
        architecture=header.architecture or None,
        file_bytes=header.file_bytes or header.expected_bytes,
        modules=modules,
        faults=faults,
    )


def _base(header: GgufHeader) -> str | None:
    """``general.base_model.0.repo_url`` as a repository, else the base's name."""
    url = header.string("general.base_model.0.repo_url")
    if url and "huggingface.co/" in url:
        return url.partition("huggingface.co/")[2].strip("/") or None
    return url or header.string("general.base_model.0.name")


def _halves(tensors: tuple[Tensor, ...]) -> tuple[Halves, list[str]]:
    found: Halves = {}
    others = []
    for tensor in tensors:
        suffix = tensor.name[-7:]
        if suffix in _SUFFIXES:
            name = tensor.name[:-7].removesuffix(".weight")
            found.setdefault(name, {})[suffix[-1]] = tensor.shape
        else:
            others.append(tensor.name)
    return found, others


def _modules(halves: Halves, alpha: float | None) -> Iterator[AdaptedModule]:
    for name, half in sorted(halves.items()):
        a, b = half.get("a", ()), half.get("b", ())
        first = b[0] if b else a[1] if len(a) > 1 else 0
        rank = a[0] if name == TOKENS and a else first
        ends: tuple[int | None, int | None]
        if name == TOKENS:  # A: rank x vocabulary, B: hidden x rank (as stored)
            ends = (b[1] if len(b) > 1 else None, a[1] if len(a) > 1 else None)
        else:
            ends = (a[0] if a else None, b[1] if len(b) > 1 else None)
        scale = None if not rank else (alpha / rank if alpha else 1.0)
        yield AdaptedModule(name, rank, *ends, scale)


def _faults_of_keys(header: GgufHeader) -> Iterator[AdapterFault]:
    kind = header.string("general.type")
    if kind != "adapter":
        what = f"its general.type is {kind}" if kind else "it has no general.type"
        yield AdapterFault("config", f"the file is no adapter: {what}")
    method = header.string("adapter.type")
    if kind == "adapter" and method != "lora":
        yield AdapterFault("config", f"adapter.type is {method or 'missing'}; it must be lora")
    alpha: object = header.metadata.get("adapter.lora.alpha")
    if kind == "adapter" and method == "lora" and not isinstance(alpha, float):
        what = "is missing" if alpha is None else f"is {alpha!r}"
        yield AdapterFault("config", f"adapter.lora.alpha {what}; it must be a number")


def _faults_of_tensors(halves: Halves, others: list[str]) -> Iterator[AdapterFault]:
    if not halves:
        yield AdapterFault("tensors", "the file has no tensors that end with .lora_a and .lora_b")
    if halves and others:
        yield AdapterFault("tensors", f"{others[0][:80]} is no LoRA tensor: llama.cpp refuses it")
    for name, half in sorted(halves.items()):
        problem = _problem(name, half)
        if problem is not None:
            yield AdapterFault("tensors", problem)
            return


def _problem(name: str, half: Mapping[str, tuple[int, ...]]) -> str | None:
    if len(half) < 2:
        return f"{name} has only lora_{next(iter(half))}"
    a, b = half["a"], half["b"]
    if len(a) < 2 or len(b) < 2:
        return f"{name} has a LoRA tensor that is no matrix"
    ranks = (a[0], b[0]) if name == TOKENS else (a[1], b[0])
    return None if ranks[0] == ranks[1] else f"lora_a and lora_b of {name} have different ranks"
