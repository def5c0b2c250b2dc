"""Layers that read another layer's keys and values: which layers have a cache of their own."""

from __future__ import annotations

from modelscan.memory.architecture.config_fields import ConfigFields


def owns_cache(fields: ConfigFields, index: int, count: int) -> bool:
    """Whether layer ``index`` of ``count`` stores keys and values.

    ``num_kv_shared_layers``: so many last layers read an earlier layer's (Gemma 3n and 4).
    ``use_cla`` with ``cla_share_factor``: the first of each group stores (Hunyuan).
    ``kv_source_layer_ids``: the layers that store, or each layer's source. ``kv_reuse_group``: the
    first of each listed group stores (Hymba).
    """
    shared = fields.number("num_kv_shared_layers") or 0
    if index >= count - shared:
        return False
    factor = cross_layer(fields)
    if factor:
        return index % factor == 0
    sources = fields.items("kv_source_layer_ids")
    if sources:
        return index in sources
    groups = fields.items("kv_reuse_group")
    return not any(index in group[1:] for group in groups if isinstance(group, (list, tuple)))


def cross_layer(fields: ConfigFields) -> int:
    """Number of layers that share one cache and its projections; 0 if each has its own."""
    factor = fields.number("cla_share_factor") or 0
    return factor if fields.flag("use_cla") and factor > 1 else 0
