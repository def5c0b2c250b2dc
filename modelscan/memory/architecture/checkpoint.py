"""The parts of config.json that decide whether an engine loads a checkpoint, not its size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.core.checkpoint import Checkpoint, RopeScaling, StoredQuantization
from modelscan.formats.quantization_config import groups_of
from modelscan.memory.architecture.config_fields import ConfigFields, whole

# The trained length under the names of different families; those that engines alone read.
POSITIONS = ("max_position_embeddings", "n_positions", "seq_length", "n_ctx", "max_seq_len",
             "max_sequence_length", "model_max_length")  # fmt: skip
_LENGTHS = (*POSITIONS, "max_target_positions", "max_seq_length", "seq_len")


def checkpoint_of(config: Mapping[str, Any], fields: ConfigFields) -> Checkpoint:
    """What ``config`` states; its quantization is read with ``stored_quantization``."""
    classes = config.get("architectures")
    return Checkpoint(
        classes=tuple(str(c) for c in classes) if isinstance(classes, (list, tuple)) else (),
        model_type=str(config.get("model_type") or ""),
        ropes=tuple(_ropes(fields)),
        lengths=tuple((name, n) for name in _LENGTHS if (n := fields.number(name))),
    )


def _ropes(fields: ConfigFields) -> Iterator[RopeScaling]:
    settings = fields.table("rope_parameters", "rope_scaling")
    nested = [value for value in settings.values() if isinstance(value, Mapping)]
    for entry in nested or ([settings] if settings else []):
        yield rope_of(entry)


def rope_of(entry: Mapping[str, Any]) -> RopeScaling:
    """One table of RoPE settings; ``type`` is the older spelling of ``rope_type``."""
    factor = entry.get("factor")
    kind = str(entry.get("rope_type") or entry.get("type") or "")
    return RopeScaling(
        kind="" if kind in ("default", "mrope") else kind,
        factor=float(factor) if isinstance(factor, (int, float)) and factor > 0 else None,
        original_tokens=whole(entry.get("original_max_position_embeddings")),
    )


def stored_quantization(config: Any, hf_quant_config: Any = None) -> StoredQuantization | None:
    """The quantizer's own words in quantization_config or hf_quant_config.json; None if neither."""
    details = config if isinstance(config, Mapping) else {}
    extra = hf_quant_config if isinstance(hf_quant_config, Mapping) else {}
    extra = extra.get("quantization", extra)
    details = {**details, **(extra if isinstance(extra, Mapping) else {})}
    method = _method(details)
    if not method:
        return None
    group = next(iter(groups_of(details)), None)
    weights: Mapping[str, Any] = group["weights"] if group else details
    block = details.get("weight_block_size") or weights.get("block_structure")
    side = block[0] if isinstance(block, (list, tuple)) and block else None
    return StoredQuantization(
        method=method,
        algorithm=str(details.get("quant_algo") or details.get("format") or ""),
        bits=_first(weights, "num_bits", "bits", "w_bit", "nbits"),
        group=_first(weights, "group_size", "q_group_size"),
        block=whole(side) or None,
        symmetric=_symmetric(weights),
        reordered=details.get("desc_act") is True and details.get("static_groups") is not True,
    )


def _method(details: Mapping[str, Any]) -> str:
    method = str(details.get("quant_method") or "").lower()
    if not method and (details.get("load_in_4bit") or details.get("load_in_8bit")):
        return "bitsandbytes"
    if not method and details.get("quant_algo"):
        return "modelopt"
    return method


def _first(table: Mapping[str, Any], *names: str) -> int | None:
    """The first positive number; a group of -1 is a whole column."""
    numbers = (whole(table.get(name)) for name in names)
    return next((number for number in numbers if number), None)


def _symmetric(weights: Mapping[str, Any]) -> bool:
    stated = weights.get("sym", weights.get("symmetric"))
    return stated is not False
