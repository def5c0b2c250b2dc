"""What a file is by its header, whatever it is called."""

from __future__ import annotations

from typing import Any

import pytest

from modelscan.core.architecture import Tensor
from modelscan.formats.files import Role
from modelscan.formats.gguf import GgufHeader
from modelscan.formats.header_roles import gguf_role, safetensors_role


def header(**metadata: Any) -> GgufHeader:
    keys = {name.replace("__", "."): value for name, value in metadata.items()}
    return GgufHeader(3, keys, (), (), 32, 0)


@pytest.mark.parametrize(
    ("keys", "role"),
    [
        ({"general__architecture": "llama"}, Role.WEIGHTS),
        ({"general__architecture": "llama", "general__type": "model"}, Role.WEIGHTS),
        ({"general__architecture": "llama", "general__type": "adapter"}, Role.ADAPTER),
        ({"general__architecture": "llama", "adapter__type": "lora"}, Role.ADAPTER),
        ({"general__architecture": "clip"}, Role.PROJECTOR),
        ({"general__type": "mmproj", "general__architecture": "clip"}, Role.PROJECTOR),
        ({"general__type": "imatrix"}, Role.IMPORTANCE_MATRIX),
        ({"imatrix__chunk_count": 100}, Role.IMPORTANCE_MATRIX),
        ({"general__architecture": "gemma4-assistant"}, Role.DRAFT),
        ({"general__architecture": "eagle3"}, Role.DRAFT),
    ],
)
def test_gguf(keys, role):
    assert gguf_role(header(**keys)) is role


@pytest.mark.parametrize(
    ("names", "role"),
    [
        (["model.layers.0.mlp.up_proj.weight", "lm_head.weight"], Role.WEIGHTS),
        (["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"], Role.ADAPTER),
        (["mtp.layers.0.self_attn.q_proj.weight", "mtp.fc.weight"], Role.DRAFT),
        (["mtp.fc.weight", "model.embed_tokens.weight"], Role.WEIGHTS),
        ([], Role.WEIGHTS),
    ],
)
def test_safetensors(names, role):
    assert safetensors_role(Tensor(name, (1,), "BF16", 2) for name in names) is role
