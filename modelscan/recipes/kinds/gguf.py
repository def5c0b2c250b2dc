"""GGUF files in another weight format, by llama.cpp's programs or the package gguf."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import NotDeployableError
from modelscan.recipes.kind import RecipeKind, RecipeMethod
from modelscan.recipes.sizes import half_bytes, unknown_needs
from modelscan.recipes.types import RecipeNeeds

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeCase

# Bits per weight of whole rows: ggml's block sizes (ggml-common.h); of the mixes, about.
_BITS = {
    "Q8_0": 8.5, "F16": 16.0, "BF16": 16.0, "Q6_K": 6.56, "Q5_K_M": 5.7, "Q5_K_S": 5.54,
    "Q5_1": 6.0, "Q5_0": 5.5, "Q4_K_M": 4.85, "Q4_K_S": 4.58, "Q4_1": 5.0, "Q4_0": 4.5,
    "Q3_K_M": 3.9, "Q2_K": 2.96, "IQ4_XS": 4.3,
}  # fmt: skip
HERE = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "F16", "BF16")  # the package gguf writes these
_CONVERTERS = ("convert_hf_to_gguf.py", "convert_hf_to_gguf", "convert-hf-to-gguf.py")
_QUANTIZERS = ("llama-quantize",)
_BLOCK = 256


def _tool(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


def tools(case: RecipeCase) -> Mapping[str, Any]:
    """The paths of llama.cpp's programs; None where one is not installed."""
    return {"convert_tool": _tool(_CONVERTERS), "quantize_tool": _tool(_QUANTIZERS)}


def check(case: RecipeCase) -> tuple[str, ...]:
    """Raises NotDeployableError where no program and no package here can write the format."""
    wish, parameters = case.parameters["format"], case.parameters
    if case.base.format != "gguf" and parameters["convert_tool"] is None:
        raise NotDeployableError(
            f"{case.base.name} has safetensors weights, and llama.cpp's convert_hf_to_gguf.py, "
            "which turns them into GGUF, is not on the PATH",
            hint="put a llama.cpp checkout on the PATH, or start from a GGUF file: "
            "modelscan recipe render gguf ./model-f16.gguf --method q8_0",
            code="missing_tool",
        )
    if parameters["quantize_tool"] is None and wish not in HERE:
        raise NotDeployableError(
            f"{wish} is written by llama.cpp's llama-quantize, which is not on the PATH; without "
            f"it: {', '.join(name.lower() for name in HERE)}",
            hint="modelscan recipe render gguf MODEL --method q8_0",
            code="missing_tool",
        )
    return _row_warnings(case)


def _row_warnings(case: RecipeCase) -> tuple[str, ...]:
    """K formats have blocks of 256 values: llama-quantize replaces them in other rows."""
    shape, wish = case.shape, case.parameters["format"]
    if shape is None or "_K" not in wish or shape.architecture.hidden % _BLOCK == 0:
        return ()
    return (
        f"rows of {shape.architecture.hidden} values are no multiple of {_BLOCK}: llama-quantize "
        f"writes them in another format than {wish}",
    )


def size(case: RecipeCase) -> RecipeNeeds:
    """Disk for the result and, where safetensors are converted first, a file in 16 bits."""
    half = half_bytes(case)
    if half is None:
        return unknown_needs(case)
    result = round(half * _BITS[case.parameters["format"]] / 16)
    between = half if case.base.format != "gguf" else 0
    largest = 4 * (case.shape.architecture.hidden * case.shape.architecture.vocabulary
                   if case.shape else 0)  # fmt: skip
    return RecipeNeeds(
        0, result + between, result + largest,
        assumptions=("it runs on the processor: no GPU is needed",),
    )  # fmt: skip


GGUF = RecipeKind(
    name="gguf",
    description="Write GGUF in another weight format for llama.cpp and Ollama",
    produces="gguf",
    script="gguf",
    methods=tuple(
        RecipeMethod(
            name.lower(),
            f"about {bits:g} bits per weight" + ("" if name in HERE else ", by llama-quantize"),
            fixed={"format": name},
        )
        for name, bits in _BITS.items()
    ),
    parameters=(),
    formats=("gguf", "safetensors"),
    size=size,
    gpu="none",
    quantized_base=True,
    jobs=False,
    check=check,
    tools=tools,
)
