"""Names of weight formats: one spelling each, bits per weight, and which of them a user means."""

from __future__ import annotations

import functools
import re

# Spellings that repositories, configs and catalogs use -> the one used here (upper case).
_SAME = {
    "BFLOAT16": "BF16", "FLOAT16": "FP16", "F16": "FP16", "HALF": "FP16",
    "FLOAT32": "FP32", "F32": "FP32", "FLOAT": "FP32",
    "FP8_E4M3": "FP8", "F8_E4M3": "FP8", "FP8-DYNAMIC": "FP8", "W8A8-FP8": "FP8", "FP8-W8A8": "FP8",
    "FP8-BLOCK": "FP8-BLOCK", "FP8_BLOCK": "FP8-BLOCK", "FBGEMM_FP8": "FP8",
    "W8A8": "INT8", "W8A8-INT8": "INT8", "INT8-W8A8": "INT8", "I8": "INT8",
    "INT8-W8A16": "W8A16", "GPTQ-INT8": "GPTQ-INT8", "GPTQ-8BIT": "GPTQ-INT8",
    "GPTQ": "GPTQ-INT4", "GPTQ-4BIT": "GPTQ-INT4", "AWQ-INT4": "AWQ", "AWQ-4BIT": "AWQ",
    "INT4-AWQ": "AWQ", "W4A16": "INT4", "AUTOROUND": "INT4", "INT4-W4A16": "INT4", "4BIT": "INT4",
    "8BIT": "INT8",
    "FP4": "NVFP4", "MODELOPT_FP4": "NVFP4", "W4A4-NVFP4": "NVFP4",
    "BNB": "BNB-4BIT", "BITSANDBYTES": "BNB-4BIT", "NF4": "BNB-4BIT", "BNB-NF4": "BNB-4BIT",
}  # fmt: skip

# Bits per weight of the quantized tensors, scales included (group of 128 for AWQ/GPTQ,
# 16 for NVFP4, 32 for MX formats); GGUF types: see catalogs/quality.tsv.
_BITS = {
    "FP32": 32.0, "BF16": 16.0, "FP16": 16.0, "FP8": 8.0, "FP8-BLOCK": 8.0, "INT8": 8.0,
    "W8A16": 8.0, "GPTQ-INT8": 8.2, "MXFP8": 8.25, "BNB-8BIT": 8.0, "INT4": 4.25, "AWQ": 4.25,
    "GPTQ-INT4": 4.25, "W4A8": 4.25, "NVFP4": 4.5, "MXFP4": 4.25, "BNB-4BIT": 4.13,
    "Q8_0": 8.5, "Q6_K": 6.56, "Q5_K_M": 5.7, "Q5_K_S": 5.57, "Q5_K": 5.7, "Q5_1": 6.0,
    "Q5_0": 5.5, "Q4_K_M": 4.89, "Q4_K_S": 4.67, "Q4_K": 4.89, "Q4_1": 5.0, "Q4_0": 4.5,
    "IQ4_NL": 4.68, "IQ4_XS": 4.46, "Q3_K_L": 4.3, "Q3_K_M": 4.0, "Q3_K_S": 3.64, "Q3_K": 4.0,
    "IQ3_M": 3.76, "IQ3_S": 3.66, "IQ3_XS": 3.5, "IQ3_XXS": 3.25, "Q2_K": 3.16, "Q2_K_S": 3.0,
    "IQ2_M": 2.93, "IQ2_S": 2.74, "IQ2_XS": 2.6, "IQ2_XXS": 2.38, "IQ1_M": 2.15, "IQ1_S": 2.0,
    "TQ2_0": 2.06, "TQ1_0": 1.69,
}  # fmt: skip
_GGUF_NAME = re.compile(r"^(I?Q\d|TQ\d)")
_WORD_BITS = re.compile(r"(?:^|[^0-9])(?:INT|FP|W|MXFP|NVFP|Q|IQ|TQ)?(\d{1,2})(?:-?BIT)?")


@functools.lru_cache(maxsize=512)
def canonical(name: str | None) -> str | None:
    """One spelling for a format's name: upper case, dynamic GGUF prefixes removed."""
    if name is None:
        return None
    text = name.strip().upper().replace(" ", "-")
    text = text.removeprefix("UD-")
    if _GGUF_NAME.match(text):
        return _gguf_name(text.replace("-", "_"))
    return _SAME.get(text, text)


def _gguf_name(text: str) -> str:
    if text in _BITS:
        return text
    for ending in ("_XXL", "_XL", "_L", "_M", "_XS", "_S"):
        if text.endswith(ending):
            stem = text.removesuffix(ending)
            nearest = (stem + "_S", stem + "_M", stem) if "S" in ending else (stem + "_M", stem)
            whole = stem.removesuffix("_K") + "_0"  # UD-Q8_K_XL is Q8_0 with larger parts
            return next((n for n in (*nearest, whole) if n in _BITS), text)
    return text


def bits_per_weight(name: str | None) -> float | None:
    """Bits per weight of a format; None when its name says nothing."""
    spelled = canonical(name)
    if spelled is None:
        return None
    if spelled in _BITS:
        return _BITS[spelled]
    match = _WORD_BITS.search(spelled)
    bits = int(match.group(1)) if match else 0
    return float(bits) if 1 <= bits <= 32 else None


def means(wanted: str, name: str | None, file_format: str | None = None) -> bool:
    """Whether a format is what ``--quantization wanted`` asks for.

    An exact name always is. ``INT4``, ``INT8`` and ``FP8`` also mean their relatives (AWQ, GPTQ,
    4-bit GGUF types, block FP8): ``4bit``-like wishes are about size, not about a method.
    """
    asked, spelled = canonical(wanted), canonical(name)
    if spelled is None or asked is None:
        return False
    if wanted.strip().upper() == (name or "").strip().upper() or asked == spelled:
        return True
    return spelled in _RELATIVES.get(asked, ()) or (
        file_format == "gguf" and spelled.startswith(_GGUF_RELATIVES.get(asked, ("\0",)))
    )


_RELATIVES = {
    "INT4": ("AWQ", "GPTQ-INT4", "W4A8", "BNB-4BIT"),
    "INT8": ("GPTQ-INT8", "W8A16", "BNB-8BIT"),
    "FP8": ("FP8-BLOCK", "MXFP8"),
    "BF16": ("FP16",),
    "FP16": ("BF16",),
}
_GGUF_RELATIVES = {"INT4": ("Q4_", "IQ4_"), "INT8": ("Q8_",), "Q4": ("Q4_",), "Q8": ("Q8_",)}


def is_weight_only_four_bit(name: str | None) -> bool:
    """AWQ, GPTQ and their kin: 4-bit weights, 16-bit arithmetic."""
    return canonical(name) in {"AWQ", "GPTQ-INT4", "INT4"}
