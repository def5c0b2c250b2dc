"""The role of a weight file by its header, which overrides the role by its name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelscan.core.architecture import Tensor
from modelscan.formats.files import Role
from modelscan.formats.gguf import GgufHeader

# ``general.type`` of llama.cpp's converters; "model" is not listed.
_GGUF_TYPES = {
    "adapter": Role.ADAPTER,
    "mmproj": Role.PROJECTOR,
    "imatrix": Role.IMPORTANCE_MATRIX,
    "vocab": Role.OTHER,
}
_DRAFTERS = re.compile(r"(-assistant|^eagle\d*|^medusa|^dflash|-mtp)$")
_ADAPTER_TENSOR = re.compile(r"\.(lora|ia3|dora|hada|lokr)_|\.lora\.|^base_model\.")
_DRAFT_TENSOR = re.compile(r"^(model\.)?(mtp|eagle\d*|draft(_model)?|medusa_head|nextn)[._]")


def gguf_role(header: GgufHeader) -> Role:
    """The role of a GGUF file: model weights unless its metadata give another role."""
    keys = header.metadata
    role = _GGUF_TYPES.get(header.string("general.type") or "")
    if role is not None:
        return role
    architecture = header.string("general.architecture") or ""
    if architecture == "clip" or "clip.vision.block_count" in keys:
        return Role.PROJECTOR
    if "adapter.type" in keys:
        return Role.ADAPTER
    if any(key.startswith("imatrix.") for key in keys) or architecture == "imatrix":
        return Role.IMPORTANCE_MATRIX
    if _DRAFTERS.search(architecture):
        return Role.DRAFT
    return Role.WEIGHTS


def safetensors_role(tensors: Iterable[Tensor]) -> Role:
    """The role of a safetensors file: adapter or draft if all tensors have such names."""
    names = [tensor.name for tensor in tensors]
    for role, pattern in ((Role.ADAPTER, _ADAPTER_TENSOR), (Role.DRAFT, _DRAFT_TENSOR)):
        if names and all(pattern.search(name) for name in names):
            return role
    return Role.WEIGHTS
