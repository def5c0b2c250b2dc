"""A config key that may change sizes and that no reader looks up: never a computed estimate."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.memory.architecture.config_fields import ConfigFields
from modelscan.memory.architecture.config_keys import HARMLESS_WORDS
from modelscan.memory.architecture.harmless_keys import HARMLESS
from modelscan.memory.shape import from_config
from scripts.fuzz_targets import bundled_configs

CARD = Inventory(
    (Gpu(0, "NVIDIA H100", "nvidia", 80 * GIB, 79 * GIB, "simulated", compute_capability="9.0"),),
    Host(16, 512 * GIB, 500 * GIB), source="simulated",
)  # fmt: skip
NEW = ("zeta", "hyper", "router", "bank", "ring", "slot", "codebook", "rank", "branch", "levels",
       "channels", "units", "slices", "mixers", "stride")  # fmt: skip
FIRST = ("num", "n", "moe", "kv", "linear", "shared", "cross", "second", "latent", "sparse", "mtp")
THING = ("heads", "layers", "experts", "groups", "states", "kv_heads", "hidden", "blocks", "ffn")
LAST = ("", "dim", "size", "count", "ratio", "per_layer", "period", "width", "sharing")
KEYS = st.builds(
    lambda first, thing, last: "_".join(part for part in (first, thing, last) if part),
    st.sampled_from((*FIRST, *NEW)), st.sampled_from((*THING, *NEW)), st.sampled_from(LAST),
)  # fmt: skip
VALUES = st.one_of(
    st.integers(1, 4096), st.lists(st.integers(0, 64), min_size=1, max_size=4), st.just("full"),
    st.just(True), st.dictionaries(st.just("dim"), st.integers(1, 64), min_size=1, max_size=1),
)  # fmt: skip


@functools.cache
def known() -> frozenset[str]:
    """Every name that a reader looks up for any bundled config."""
    names: set[str] = set(HARMLESS)
    original = ConfigFields.get

    def recording(self: ConfigFields, *wanted: str) -> Any:
        names.update(wanted)
        return original(self, *wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigFields, "get", recording)
        for config in bundled_configs():
            from_config(config)
    return frozenset(names)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(range(len(bundled_configs()))), KEYS, VALUES, st.integers(0, 5))
def test_an_unknown_size_makes_every_estimate_a_range(
    number: int, key: str, value: Any, place: int
) -> None:
    """At the top, or in any of the configuration's tables."""
    if key in known() or HARMLESS_WORDS.search(key):
        return
    config = dict(bundled_configs()[number])
    tables = [k for k, table in config.items() if isinstance(table, dict) and k.endswith("_config")]
    inner = (*tables, *[""] * (6 - len(tables)))[place]
    if inner == "quantization_config":
        return
    if inner:
        config[inner] = {**config[inner], key: value}
    else:
        config[key] = value
    shapes = [from_config(config), from_config(config, format="gguf", quantization="Q4_K_M")]
    for shape in shapes:
        result = estimate(shape, Workload(), CARD, model="m")
        assert result.basis == "range", (key, value)
        assert any(key in note for note in (*result.warnings, *result.assumptions)), key
