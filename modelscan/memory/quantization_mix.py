"""The GGML type llama-quantize assigns to each tensor: the recipes of Q4_K_M and the others.

Restated from ``llama_tensor_get_type_impl`` and ``tensor_allows_quantization``
(src/llama-quant.cpp, b11549); with an importance matrix only where the recipe requires one.
Other files made with one (IQ4_XS: 1 % smaller) or by "dynamic" recipes differ by a few per cent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from modelscan.core.architecture import Architecture, Tensor
from modelscan.core.errors import UsageError
from modelscan.formats.gguf_types import BY_NAME, tensor_bytes
from modelscan.formats.quantization import canonical, is_dynamic

# recipe -> base type; the exceptions per tensor are in the functions below.
BASE = {
    "F32": "F32", "F16": "F16", "BF16": "BF16", "Q8_0": "Q8_0", "Q4_0": "Q4_0", "Q4_1": "Q4_1",
    "Q5_0": "Q5_0", "Q5_1": "Q5_1", "Q2_K": "Q2_K", "Q2_K_S": "Q2_K", "Q3_K_S": "Q3_K",
    "Q3_K_M": "Q3_K", "Q3_K_L": "Q3_K", "Q4_K_S": "Q4_K", "Q4_K_M": "Q4_K", "Q5_K_S": "Q5_K",
    "Q5_K_M": "Q5_K", "Q6_K": "Q6_K", "IQ1_S": "IQ1_S", "IQ1_M": "IQ1_M", "IQ2_XXS": "IQ2_XXS",
    "IQ2_XS": "IQ2_XS", "IQ2_S": "IQ2_XS", "IQ2_M": "IQ2_S", "IQ3_XXS": "IQ3_XXS",
    "IQ3_XS": "IQ3_S", "IQ3_S": "IQ3_S", "IQ3_M": "IQ3_S", "IQ4_NL": "IQ4_NL",
    "IQ4_XS": "IQ4_XS", "TQ1_0": "TQ1_0", "TQ2_0": "TQ2_0", "MXFP4_MOE": "MXFP4",
    "Q1_0": "Q1_0", "Q2_0": "Q2_0",
}  # fmt: skip
# Names in the table of formats -> llama-quantize's names.
_RECIPES = {
    "FP16": "F16", "FP32": "F32", "Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M",
    "MXFP4": "MXFP4_MOE", "Q4": "Q4_0", "Q5": "Q5_0", "Q8": "Q8_0", "Q6": "Q6_K",
}  # fmt: skip
_LOW = ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ1_S", "IQ1_M")
_FALLBACK = {
    "IQ4_NL": ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"),
    "Q4_0": ("Q2_0", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0"),
    "Q5_0": ("Q4_K",), "Q5_1": ("Q5_K",), "Q8_0": ("Q6_K",),
}  # fmt: skip
_INSTEAD = {kind: to for to, kinds in _FALLBACK.items() for kind in kinds}
_KEPT = re.compile(
    "_norm[.]weight|ffn_gate_inp[.]weight|ssm_conv1d|shortconv[.]conv|altup|laurel"
    "|per_layer_model_proj|time_mix_first|time_mix_w[012]|time_mix_decay_w|time_mix_lerp"
    "|attn_rel_b|position_embd|token_types|indexer[.][kq]_proj"
)


def recipe_name(quantization: str) -> str:
    """``UD-Q4_K_XL`` and other spellings -> llama-quantize's name; raises UsageError if unknown."""
    name = canonical(quantization) or ""
    name = _RECIPES.get(name, name)
    if name not in BASE:
        raise UsageError(
            f"'{quantization}' is not a GGUF quantization",
            hint="one of " + ", ".join(sorted(BASE)),
        )
    return name


def dynamic_range(quantization: str) -> tuple[float, float, float] | None:
    """Least, middle and most of a "dynamic" file's size as factors of the plain recipe's; None for
    plain names.

    ``UD-`` files choose a type per tensor. In 18 published ones the bits per weight are 0.90 to
    1.14 of the plain recipe's, and 1.04 to 1.23 of Q8_0's (median 1.07) for ``UD-Q8_K_XL``.
    """
    if not is_dynamic(quantization):
        return None
    return (1.0, 1.07, 1.27) if "Q8" in quantization.upper() else (0.88, 1.0, 1.16)


def quantized(
    tensors: Iterable[tuple[str, tuple[int, ...]]], architecture: Architecture, quantization: str
) -> tuple[Tensor, ...]:
    """Types and bytes of every tensor under a recipe; shapes in GGML order (row length first)."""
    recipe = recipe_name(quantization)
    table = list(tensors)
    state = _State.of(table, architecture, recipe)
    return tuple(_typed(name, shape, state) for name, shape in table)


def _typed(name: str, shape: tuple[int, ...], state: _State) -> Tensor:
    kind = _kind(name, shape, state)
    return Tensor(name, shape, kind, tensor_bytes(BY_NAME[kind], shape))


def _kind(name: str, shape: tuple[int, ...], state: _State) -> str:
    base = BASE[state.recipe]
    wide = "BF16" if base == "BF16" else "F16"
    if base == "F32" or len(shape) < 2 or not name.endswith(".weight"):
        return "F32"
    if _KEPT.search(name):
        return wide if "per_layer_model_proj" in name else "F32"
    if base in ("F16", "BF16"):
        return base
    kind = _recipe_kind(name, shape, state, base)
    if shape[0] % BY_NAME[kind].block:
        kind = _INSTEAD.get(kind, kind)
        if shape[0] % BY_NAME[kind].block:
            return wide
    return kind


@dataclass(slots=True)
class _State:
    """llama-quantize's counters: types with more bits depend on the tensor's position."""

    recipe: str
    tied: bool
    experts: int
    gqa: int
    layers: int
    big_dense: bool  # "70B": 80 layers of Llama or Qwen2 width
    attention: int  # number of attn_v-like tensors
    seen: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, table: list[tuple[str, tuple[int, ...]]], architecture: Architecture, recipe: str
    ) -> _State:
        names = {name for name, _ in table}
        first = next((x for x in architecture.layers if x.kv_heads), None)
        width = next((x.heads * x.key_length for x in architecture.layers if x.heads), 0)
        return cls(
            recipe=recipe,
            tied="output.weight" not in names,
            experts=architecture.experts.total if architecture.experts else 1,
            gqa=first.heads // first.kv_heads if first else 0,
            layers=len(architecture.layers),
            big_dense=len(architecture.layers) == 80
            and width == 8192
            and architecture.experts is None,
            attention=sum(1 for name in names if _is_value(name)),
        )

    def next(self, what: str) -> int:
        self.seen[what] = self.seen.get(what, 0) + 1
        return self.seen[what] - 1

    def position(self, name: str, what: str) -> int:
        """The index of a feed-forward tensor: by count, or its block number for experts."""
        counted = self.next(what)
        return int(name.split(".")[1]) if self.experts > 1 else counted


def _is_value(name: str) -> bool:
    return name.endswith(("attn_v.weight", "attn_qkv.weight", "attn_kv_b.weight"))


def _more_bits(index: int, count: int) -> bool:
    """The first and last eighth of the layers, and every third between."""
    eighth = count // 8
    return index < eighth or index >= 7 * count // 8 or (index - eighth) % 3 == 2


def _recipe_kind(name: str, shape: tuple[int, ...], state: _State, base: str) -> str:
    embedding = name in ("token_embd.weight", "per_layer_token_embd.weight")
    if name == "output.weight" or (state.tied and embedding):
        return _output_kind(shape, state.recipe, base)
    if state.recipe == "MXFP4_MOE":
        return "MXFP4" if len(shape) > 2 and shape[2] > 1 else "Q8_0"
    if embedding:
        return _embedding_kind(state.recipe, base)
    if _is_value(name):
        return _value_kind(state, base)
    rule = next((rule for mark, rule in _RULES if mark in name), None)
    return rule(name, state, base) if rule else base


def _output_kind(shape: tuple[int, ...], recipe: str, base: str) -> str:
    if recipe == "MXFP4_MOE" or shape[0] % BY_NAME[base].block:
        return "Q8_0"
    if recipe in _LOW or recipe == "IQ3_XXS":
        return "Q5_K"
    return base if base == "Q8_0" else "Q6_K"


def _embedding_kind(recipe: str, base: str) -> str:
    if recipe in ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
        return "Q2_K"
    if recipe in ("IQ2_S", "IQ2_M", "IQ3_XXS"):
        return "IQ3_S"
    return "Q4_K" if recipe in ("TQ1_0", "TQ2_0", "Q2_0") else base


def _value_kind(state: _State, base: str) -> str:
    index = state.next("value")
    kind = _plain_value_kind(state, base, index)
    if state.recipe not in _LOW:
        if state.big_dense and kind in ("Q3_K", "Q4_K"):
            kind = "Q5_K"
        if state.experts == 8:
            kind = "Q8_0"
    return kind


def _plain_value_kind(state: _State, base: str, index: int) -> str:
    recipe, shared = state.recipe, state.gqa >= 4
    if recipe in _LOW:
        better = "IQ3_S" if recipe in ("IQ2_S", "IQ2_M") else "Q2_K"
        return "Q4_K" if shared or state.experts >= 4 else better
    if recipe in ("Q4_K_M", "Q5_K_M") and _more_bits(index, state.attention):
        return "Q6_K"
    fixed = {
        "Q2_K": "Q4_K" if shared else "Q3_K",
        "IQ3_XXS": "Q4_K" if shared else "IQ3_XXS",
        "IQ3_M": "Q4_K",
        "Q3_K_M": "Q5_K" if index < 2 else "Q4_K",
        "Q3_K_L": "Q5_K",
        "Q4_K_S": "Q5_K" if index < 4 else base,
    }
    if shared:
        fixed.update(Q2_K_S="Q4_K", IQ3_XS="Q4_K", IQ3_S="Q4_K", IQ4_NL="Q5_K", IQ4_XS="Q5_K")
    return fixed.get(recipe, base)


def _key_kind(name: str, state: _State, base: str) -> str:
    if state.experts == 8:
        return "Q4_K" if state.recipe in _LOW else "Q8_0"
    return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(state.recipe, base)


def _query_kind(name: str, state: _State, base: str) -> str:
    return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(state.recipe, base)


def _down_kind(name: str, state: _State, base: str) -> str:
    recipe, count = state.recipe, state.layers
    if recipe in _LOW:
        better = "IQ3_S" if recipe in ("IQ2_S", "IQ2_M") else "Q2_K"
        return better if state.next("down") < count // 8 else base
    index = state.position(name, "down")
    early = index < count // 8
    if recipe in ("Q4_K_M", "Q5_K_M"):
        return "Q6_K" if _more_bits(index, count) else base
    fixed = {
        "Q2_K": "Q3_K",
        "Q2_K_S": "Q4_K" if early else base,
        "Q3_K_M": "Q5_K" if index < count // 16 else "Q4_K",
        "IQ3_M": "Q4_K" if early or (state.experts == 8 and _more_bits(index, count)) else base,
        "Q3_K_L": "Q5_K",
        "IQ4_NL": "Q5_K" if early else base,
        "IQ4_XS": "Q5_K" if early else base,
        "Q4_K_S": "Q5_K" if early else base,
    }
    return fixed.get(recipe, base)


def _out_kind(name: str, state: _State, base: str) -> str:
    recipe = state.recipe
    if state.experts == 8:
        better = ("Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M",
                  "IQ3_S", "IQ3_M", "IQ4_XS", *_LOW)  # fmt: skip
        return "Q5_K" if recipe in better else base
    return {
        "Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K",
        "IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S",
    }.get(recipe, base)  # fmt: skip


def _up_kind(name: str, state: _State, base: str) -> str:
    index = state.position(name, "gate" if "ffn_gate" in name else "up")
    middle = state.layers // 8 <= index < 7 * state.layers // 8
    return "IQ3_XXS" if state.recipe == "IQ3_XS" and middle else base


_Rule = Callable[[str, _State, str], str]
_RULES: tuple[tuple[str, _Rule], ...] = (
    ("attn_k.weight", _key_kind),
    ("attn_q.weight", _query_kind),
    ("attn_output.weight", _out_kind),
    ("ffn_up", _up_kind),
    ("ffn_gate", _up_kind),
    ("ffn_down", _down_kind),
)
