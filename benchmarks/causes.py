"""Why the worst rows of the benches are off, as far as the rows and their sources tell."""

from __future__ import annotations

import re

_CAUSES = (
    # speed
    (r"R9700.*(gpt-oss-120b|Devstral-2-123B).*Vulkan d(32768|65536)",
     "weights and cache exceed the two cards: Vulkan puts the rest into host memory"),
    (r"Ryzen.*A3B-BF16 BF16 llama.cpp Vulkan",
     "Vulkan has no matrix kernels for BF16 experts, ROCm has"),
    (r"RTX 3090.*Qwen3(\.5-9B|-4B).* vLLM",
     "tokens over wall time, or it is not stated whether graphs were captured"),
    (r"llama-2-7b.Q4_0.*d(32768|65536)",
     "8 to 16 times the trained context, 32 KV heads: ROCm reaches two thirds of Vulkan there"),
    (r"gemma-3-12b.*Vulkan d(32768|65536)",
     "heads of 256: Vulkan falls to two thirds of ROCm, the estimate is between"),
    # memory
    (r"Qwen3-8B-AWQ .*T4",
     "the row states neither the card's memory nor the utilisation: 0.9 of 14.56 GiB assumed"),
    (r"0\.12\.0 .* A100",
     "graphs of 1.8 and 2.7 GiB: the same start takes 0.3 to 0.75 on four other cards"),
    (r"nightly 2.*AutoRound", "utilisation, captures and unquantized modules are not in the row"),
    (r"Qwen2\.5-1\.5B.* 24GB class", "the card is a class, not a name: its memory is assumed"),
    (r"Qwen3-Next.*Radeon", "the checkpoint's unquantized modules are not listed in the row"),
    (r"Qwen2\.5-7B-Instruct .*48GB class", "the card's memory is deduced from the utilisation"),
    (r"gemma-4-E4B", "the config in the rows' folder lacks the audio encoder: 0.57 GiB"),
    (r"Qwen3\.6-27B-NVFP4.*DGX Spark",
     "unified memory: the budget is what the whole machine leaves, other programs included"),
    (r"gemma-3-.*-it",
     "the config in the rows' folder has 163,840 positions for 131,072: 144 MiB of tables"),
    (r"Qwen3\.8-27B .*DGX Spark", "unified memory, and the fraction is not in the row"),
)  # fmt: skip


def cause(row: str) -> str:
    """The known cause of a row's error, after a colon; "" if there is none."""
    return next((f": {why}" for pattern, why in _CAUSES if re.search(pattern, row)), "")
