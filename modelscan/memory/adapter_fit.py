"""Whether an adapter's matrices have the sizes of a base model's. Pure.

A wrong base is seen by the number of layers, the hidden size, the heads or the vocabulary; two
bases of equal sizes are told apart only by the name that the adapter states.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from modelscan.core.adapter import AdapterCheck
from modelscan.core.architecture import Attention
from modelscan.formats.gguf_adapter import TOKENS

if TYPE_CHECKING:
    from modelscan.core.adapter import AdaptedModule, Adapter
    from modelscan.core.architecture import Architecture, Layer, ModelShape

Sizes = tuple[int | None, tuple[int, ...]]  # inputs, and the possible numbers of outputs
_BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.(?:self_attn|attn|attention|mlp)\.(\w+)$")
_GGUF_BLOCK = re.compile(r"^blk\.(\d+)\.")
_OTHER_TOWER = re.compile(r"vision|visual|audio|encoder|multi_modal|mm_")
_PLAIN = (Attention.FULL, Attention.SLIDING, Attention.CHUNKED)


class _Misfit(NamedTuple):
    """A module that the base does not have, or has in another size."""

    module: str
    reason: str


def base_checks(adapter: Adapter, shape: ModelShape) -> Iterator[AdapterCheck]:
    """``architecture`` and ``sizes`` of an adapter against a base; ``unknown`` where its sizes are
    not known.
    """
    if adapter.format == "gguf" and shape.format == "gguf":
        yield _architecture(adapter, shape.architecture)
    misfits, compared = _compared(adapter, shape)
    if misfits:
        more = f" and {len(misfits) - 1} more modules" if len(misfits) > 1 else ""
        first = misfits[0]
        yield AdapterCheck("sizes", "fails", f"{first.module} {first.reason}{more}: another base?")
    elif compared:
        yield AdapterCheck("sizes", "ok", f"{compared} adapted matrices have the base's sizes")
    else:
        yield AdapterCheck("sizes", "unknown", "no adapted matrix has a size to compare")


def _architecture(adapter: Adapter, base: Architecture) -> AdapterCheck:
    mine, theirs = adapter.architecture, base.name
    if mine is None:
        return AdapterCheck("architecture", "fails", "the file has no general.architecture")
    if mine != theirs:
        reason = f"the adapter is for {mine}, the base is {theirs}"
        return AdapterCheck("architecture", "fails", reason)
    return AdapterCheck("architecture", "ok", f"both are {mine}")


def _compared(adapter: Adapter, shape: ModelShape) -> tuple[list[_Misfit], int]:
    """The modules that do not fit, and how many were compared."""
    tensors = {one.name: one.shape for one in shape.tensors}
    exact = adapter.format == "gguf" and bool(tensors)
    misfits, compared = [], 0
    for module in adapter.modules:
        if adapter.format == "gguf":
            reason = _against_tensor(module, tensors) if exact else _gguf_layer(module, shape)
        else:
            sizes = _sizes(module.name, shape.architecture)
            if sizes is None:
                continue
            reason = sizes if isinstance(sizes, str) else _against_sizes(module, sizes)
        compared += 1
        if reason is not None:
            misfits.append(_Misfit(module.name, reason))
    return misfits, compared


def _against_tensor(module: AdaptedModule, tensors: Mapping[str, tuple[int, ...]]) -> str | None:
    """GGUF against GGUF, as llama.cpp itself compares them."""
    base = tensors.get(f"{module.name}.weight")
    if base is None:
        tied = module.name == "output" and f"{TOKENS}.weight" in tensors
        return "is no tensor of the base" + (": its output is its embedding" if tied else "")
    mine = (module.inputs, module.outputs)
    return None if mine == base[:2] else f"is {_size(*mine)}, the base's is {_size(*base[:2])}"


def _gguf_layer(module: AdaptedModule, shape: ModelShape) -> str | None:
    match = _GGUF_BLOCK.match(module.name)
    count = len(shape.architecture.layers)
    if match and int(match[1][:9]) >= count:
        return f"is in block {int(match[1][:9])}, the base has {count}"
    return None


def _sizes(name: str, base: Architecture) -> Sizes | str | None:
    """The sizes of a module of the base; a text where it has no such layer, None if unknown."""
    last = name.rpartition(".")[2]
    if last in ("lm_head", "embed_tokens"):
        ends = (base.hidden, (base.vocabulary,))
        return ends if base.vocabulary and not _OTHER_TOWER.search(name) else None
    match = _BLOCK.search(name)
    if match is None or _OTHER_TOWER.search(name[: match.start()]):
        return None
    number = int(match[1][:9])
    if number >= len(base.layers) + base.mtp_layers:
        return f"is in layer {number}, the base has {len(base.layers)}"
    if number >= len(base.layers) or not base.known:
        return None
    return _layer_sizes(match[2], base.layers[number], base)


def _layer_sizes(part: str, layer: Layer, base: Architecture) -> Sizes | None:
    """Attention's and the dense feed-forward's matrices; outputs of gated queries are doubled."""
    hidden, width = base.hidden, layer.feed_forward
    if part in ("gate_proj", "up_proj") and width and not layer.moe:
        return hidden, (width,)
    if part == "down_proj" and width and not layer.moe:
        return width, (hidden,)
    if layer.attention not in _PLAIN or not layer.heads:
        return None
    query = layer.heads * layer.key_length
    return {
        "q_proj": (hidden, (query, 2 * query)),
        "k_proj": (hidden, (layer.kv_heads * layer.key_length,)),
        "v_proj": (hidden, (layer.kv_heads * layer.value_length,)),
        "o_proj": (layer.heads * layer.value_length, (hidden,)),
    }.get(part)


def _against_sizes(module: AdaptedModule, sizes: Sizes) -> str | None:
    inputs, outputs = sizes
    if module.name.endswith("embed_tokens"):  # its A is rank x vocabulary
        inputs, outputs = outputs[0], (inputs or 0,)
    wrong_in = module.inputs is not None and inputs is not None and module.inputs != inputs
    wrong_out = module.outputs is not None and module.outputs not in outputs
    if not wrong_in and not wrong_out:
        return None
    mine = _size(module.inputs, module.outputs)
    return f"is {mine}, the base's is {_size(inputs, outputs[0])}"


def _size(inputs: int | None, outputs: int | None) -> str:
    return f"{inputs or '?'} x {outputs or '?'}"
