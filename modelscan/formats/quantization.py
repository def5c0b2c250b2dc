"""Names of weight formats: canonical spelling, bits per weight, and matching of user input.

The only such table. Bits include scales and zero points: FP8 in blocks of 128 x 128 with a 32-bit
scale (DeepSeek), NVFP4 in groups of 16 (8-bit scale), MX formats in groups of 32 (8-bit exponent),
bitsandbytes NF4 in blocks of 64 with double quantization. Integer weights have a 16-bit scale per
group of inputs (128 unless a checkpoint states another size), AWQ and GPTQ also a zero point. GGUF
recipes mix types: their numbers are measured on whole files (``catalogs/quality.tsv``).
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

Method = Literal["none", "float", "int8", "integer", "awq", "gptq", "bitsandbytes", "ggml"]
GROUP_SIZE = 128
_SCALE_BITS = 16
_GROUPED = ("integer", "awq", "gptq")
_WITH_ZERO_POINT = ("awq", "gptq")


@dataclass(frozen=True, slots=True)
class Quantization:
    """One weight format. ``value_bits`` is the width of a stored value without its scales."""

    name: str
    method: Method
    value_bits: int
    bits: float

    def bits_per_weight(self, group: int | None = None) -> float:
        """Bits per weight including scales; ``group``: number of inputs that share a scale."""
        if self.method not in _GROUPED or group is None:
            return self.bits
        return _grouped_bits(self.method, self.value_bits, group)


def _grouped_bits(method: str, value_bits: int, group: int = GROUP_SIZE) -> float:
    zero_point = value_bits if method in _WITH_ZERO_POINT else 0
    return value_bits + (_SCALE_BITS + zero_point) / group


# (name, method, bits of a stored value, bits per weight; None: by the formula for groups,
# other spellings in upper case with hyphens)
_ROWS: tuple[tuple[str, Method, int, float | None, str], ...] = (
    ("FP32", "none", 32, 32.0, "FLOAT32 F32 FLOAT"),
    ("BF16", "none", 16, 16.0, "BFLOAT16"),
    ("FP16", "none", 16, 16.0, "FLOAT16 F16 HALF"),
    ("FP8", "float", 8, 8 + 32 / 16384, "FP8-E4M3 F8-E4M3 FP8-DYNAMIC FP8-STATIC W8A8-FP8 FP8-W8A8 "
     "FBGEMM-FP8 MODELOPT"),
    ("FP8-BLOCK", "float", 8, 8 + 32 / 16384, ""),
    ("MXFP8", "float", 8, 8.25, "8BIT-MXFP8"),
    ("NVFP4", "float", 4, 4.5, "FP4 MODELOPT-FP4 W4A4-NVFP4"),
    ("MXFP4", "float", 4, 4.25, "MXFP4-MOE"),
    ("INT8", "int8", 8, 8.01, "W8A8 W8A8-INT8 INT8-W8A8 I8 8BIT 8-BIT"),
    ("W8A16", "int8", 8, 8.01, "INT8-W8A16"),
    ("BNB-8BIT", "bitsandbytes", 8, 8.01, ""),
    ("BNB-4BIT", "bitsandbytes", 4, 4.127, "BNB BITSANDBYTES NF4 BNB-NF4"),
    ("INT4", "integer", 4, None, "W4A16 INT4-W4A16 4BIT 4-BIT"),
    ("W4A8", "integer", 4, None, ""),
    ("AWQ", "awq", 4, None, "AWQ-INT4 AWQ-4BIT INT4-AWQ AWQ-MARLIN"),
    ("GPTQ-INT4", "gptq", 4, None, "GPTQ GPTQ-4BIT GPTQ-MARLIN AUTOROUND AUTO-ROUND "
     "GPTQ-INT4-W4A16 INT4-GPTQ"),
    ("GPTQ-INT8", "gptq", 8, None, "GPTQ-8BIT GPTQ-INT8-W8A16"),
)  # fmt: skip
# GGUF types and llama-quantize's recipes: bits per weight of whole files. A bare ``Q4`` is the
# plain type of that width.
_GGUF_BITS = {
    "Q8_0": 8.5, "Q8": 8.5, "Q6_K": 6.56, "Q6": 6.56, "Q5_K_M": 5.7, "Q5_K_S": 5.57, "Q5_K": 5.7,
    "Q5_1": 6.0, "Q5_0": 5.5, "Q5": 5.5, "Q4_K_M": 4.89, "Q4_K_S": 4.67, "Q4_K": 4.89,
    "Q4_1": 5.0, "Q4_0": 4.5, "Q4": 4.5, "IQ4_NL": 4.68, "IQ4_XS": 4.46, "Q3_K_L": 4.3,
    "Q3_K_M": 4.0, "Q3_K_S": 3.64, "Q3_K": 4.0, "Q3": 3.44, "IQ3_M": 3.76, "IQ3_S": 3.66,
    "IQ3_XS": 3.5, "IQ3_XXS": 3.25, "Q2_K": 3.16, "Q2_K_S": 3.0, "Q2_0": 2.25, "Q2": 2.63,
    "IQ2_M": 2.93, "IQ2_S": 2.74, "IQ2_XS": 2.6, "IQ2_XXS": 2.38, "IQ1_M": 2.15, "IQ1_S": 2.0,
    "Q1_0": 1.125, "TQ2_0": 2.06, "TQ1_0": 1.69,
}  # fmt: skip
_GGUF_NAME = re.compile(r"I?Q\d|TQ\d")
_INTEGER = re.compile(  # INT5, W3A16, 6BIT, GPTQ-INT3, AWQ-8BIT
    r"(?:(AWQ|GPTQ)-?)?(?:(?:INT|W)([2-8])(?:A\d{1,2}|-?BITS?)?|([2-8])-?BITS?)"
)


def _table() -> dict[str, Quantization]:
    table: dict[str, Quantization] = {}
    for name, method, width, bits, spellings in _ROWS:
        whole = _grouped_bits(method, width) if bits is None else bits
        entry = Quantization(name, method, width, whole)
        table |= dict.fromkeys((name, *spellings.split()), entry)
    for name, bits in _GGUF_BITS.items():
        width = int(name.lstrip("TIQ")[0])
        table[name] = Quantization(name, "ggml", width, bits)
    return table


_BY_NAME = _table()
NAMES = tuple(dict.fromkeys(entry.name for entry in _BY_NAME.values()))


@functools.lru_cache(maxsize=512)
def quantization(name: str) -> Quantization | None:
    """The format with this name in any spelling (``awq-4bit``, ``UD-Q4_K_XL``, ``W3A16``), or
    None.
    """
    text = _plain(name)
    if _GGUF_NAME.match(text):
        return _gguf(text.replace("-", "_"))
    text = text.replace("_", "-")
    return _BY_NAME.get(text) or _integer(text)


def _plain(name: str) -> str:
    """Upper case, without prefixes for how a GGUF recipe chose its types (``UD-``, ``i1-``)."""
    text = name.strip().upper().replace(" ", "-")
    for prefix in ("UD-", "UD_", "I1-", "QAT-"):
        text = text.removeprefix(prefix)
    return text


def _gguf(text: str) -> Quantization | None:
    """A GGUF format; larger and smaller variants of a recipe (``Q4_K_XL``) map to the nearest
    one.
    """
    if text in _BY_NAME:
        return _BY_NAME[text]
    for ending in ("_XXL", "_XL", "_L", "_M", "_XS", "_S"):
        if text.endswith(ending):
            stem = text.removesuffix(ending)
            whole = stem.removesuffix("_K") + "_0"  # UD-Q8_K_XL is Q8_0 with larger parts
            names = (*(stem + size for size in _NEAREST[ending]), whole)
            return next((_BY_NAME[name] for name in names if name in _BY_NAME), None)
    return None


_NEAREST = {
    **dict.fromkeys(("_XXL", "_XL", "_L", "_M"), ("_M", "")),
    **dict.fromkeys(("_XS", "_S"), ("_S", "_M", "")),
}  # fmt: skip


def _integer(text: str) -> Quantization | None:
    """An integer format with a width that has no row of its own."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    width = int(match[2] or match[3])
    method: Method = "awq" if match[1] == "AWQ" else "gptq" if match[1] else "integer"
    name = f"{match[1]}-INT{width}" if match[1] else f"INT{width}"
    return _BY_NAME.get(name) or Quantization(name, method, width, _grouped_bits(method, width))


def canonical(name: str | None) -> str | None:
    """The canonical name of a format; an unknown name in upper case, without ``UD-``."""
    if name is None:
        return None
    entry = quantization(name)
    return entry.name if entry is not None else _plain(name)


def is_dynamic(name: str | None) -> bool:
    """Whether a name is of a "dynamic" GGUF file (``UD-Q4_K_XL``), whose size no recipe gives."""
    return (name or "").upper().replace("_", "-").startswith("UD-")


def label(name: str | None) -> str | None:
    """The displayed name: canonical, but a dynamic file's stays what it is."""
    return name.upper() if name and is_dynamic(name) else canonical(name)


def bits_per_weight(name: str | None, group: int | None = None) -> float | None:
    """Bits per weight of a format, including scales; None for an unknown name.

    ``group``: number of inputs that share a scale (AWQ, GPTQ and integer weights; default 128).
    """
    entry = quantization(name) if name is not None else None
    return entry.bits_per_weight(group) if entry is not None else None


def means(requested: str, name: str | None, file_format: str | None = None) -> bool:
    """True if a format matches ``--quantization requested``.

    The same name always matches. ``INT4``, ``INT8`` and ``FP8`` also match related formats (AWQ,
    GPTQ, 4-bit GGUF types, block FP8), because such a name asks for a size, not for a method.
    """
    target, spelling = canonical(requested), canonical(name)
    if spelling is None or target is None:
        return False
    if target == spelling or spelling in _RELATIVES.get(target, ()):
        return True
    return file_format == "gguf" and spelling.startswith(_GGUF_RELATIVES.get(target, ("\0",)))


_RELATIVES = {
    "INT4": ("AWQ", "GPTQ-INT4", "W4A8", "BNB-4BIT"),
    "INT8": ("GPTQ-INT8", "W8A16", "BNB-8BIT"),
    "FP8": ("FP8-BLOCK", "MXFP8"),
    "BF16": ("FP16",),
    "FP16": ("BF16",),
}
_GGUF_RELATIVES = {
    "INT2": ("Q2_", "IQ2_"), "INT3": ("Q3_", "IQ3_"), "INT4": ("Q4_", "IQ4_"), "INT5": ("Q5_",),
    "INT6": ("Q6_",), "INT8": ("Q8_",), "Q2": ("Q2_",), "Q3": ("Q3_",), "Q4": ("Q4_",),
    "Q5": ("Q5_",), "Q6": ("Q6_",), "Q8": ("Q8_",),
}  # fmt: skip


def is_weight_only_four_bit(name: str | None) -> bool:
    """True for AWQ, GPTQ and similar formats: 4-bit weights, 16-bit arithmetic."""
    return canonical(name) in {"AWQ", "GPTQ-INT4", "INT4"}
