"""Projectors and drafts that engine options name."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelscan.core.errors import UsageError
from modelscan.core.workload import Workload
from modelscan.engines.llamacpp import memory as llamacpp
from modelscan.models.resolve import load_subject
from modelscan.state.config import load
from tests.support.tiny_gguf import write_tiny_gguf


def loaded(model: Path, *options: tuple[str, str | None]):
    workload = Workload(parameters=options)
    return load_subject(str(model), load(), workload).candidates[0].shape


def test_a_named_projector_is_counted_and_none_if_switched_off(tmp_path: Path):
    (tmp_path / "a").mkdir()
    model = write_tiny_gguf(tmp_path / "a" / "m.gguf")
    projector = write_tiny_gguf(tmp_path / "p.gguf", seed=2)
    size = projector.stat().st_size
    assert loaded(model).weights.vision_bytes == 0
    assert loaded(model, ("mm", str(projector))).weights.vision_bytes == size
    both = loaded(model, ("mmproj", str(projector)), ("no-mmproj", None))
    assert both.weights.vision_bytes == 0


@pytest.mark.parametrize("content", [None, b"not a header"])
def test_a_projector_that_is_none_is_a_usage_error(content: bytes | None, tmp_path: Path):
    model = write_tiny_gguf(tmp_path / "m.gguf")
    path = tmp_path / "p.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError):
        loaded(model, ("mmproj", str(path)))


def test_a_named_draft_is_a_shape_of_its_own(tmp_path: Path):
    model = write_tiny_gguf(tmp_path / "m.gguf")
    draft = loaded(model, ("model_draft", str(write_tiny_gguf(tmp_path / "d.gguf", seed=3)))).draft
    assert draft is not None
    assert draft.tensors
    assert loaded(model, ("md", str(tmp_path / "none.gguf"))).draft is None
    (tmp_path / "bad.gguf").write_bytes(b"GGUF")
    assert loaded(model, ("md", str(tmp_path / "bad.gguf"))).draft is None


def test_named_adapters_lie_with_the_layers_they_change(tmp_path: Path):
    model = write_tiny_gguf(tmp_path / "m.gguf")
    first, second = (write_tiny_gguf(tmp_path / f"{n}.gguf", seed=n) for n in (5, 6))
    size = first.stat().st_size + second.stat().st_size
    scaled = loaded(model, ("lora", str(first)), ("lora-scaled", f"{second}:0.5"))
    assert scaled.adapter_bytes == size
    assert loaded(model, ("lora", f"{first},{second}")).adapter_bytes == size
    absent = Workload(parameters=(("lora", str(tmp_path / "none.gguf")),), context_tokens=512)
    without = llamacpp.estimate(loaded(model, *absent.parameters), absent, None)
    assert any("adapter" in warning for warning in without.warnings)
    named = Workload(parameters=(("lora", f"{first},{second}"),), context_tokens=512)
    found = llamacpp.estimate(loaded(model, *named.parameters), named, None)
    assert found.parts.weights_bytes == without.parts.weights_bytes + size
    assert not any("adapter" in warning for warning in found.warnings)
