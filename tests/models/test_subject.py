"""What MODEL means: files, folders, configs and hub repositories."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_hub import FakeHub
from support.hub_content import File, gguf, llama_config, llama_tensors, safetensors
from support.tiny_gguf import Shape, write_tiny_gguf

from modelscan.core.errors import OfflineError, UsageError
from modelscan.core.plan import ResolvedModel
from modelscan.core.workload import Workload
from modelscan.models.resolve import load_subject
from modelscan.state.config import load


def whole(file: File) -> bytes:
    """The file with its data, which the fake hub leaves out of memory."""
    return file.head + bytes(file.size - len(file.head))


def subject(
    text: str | Path, workload: Workload | None = None, *, offline: bool = False
) -> ResolvedModel:
    return load_subject(str(text), load({"offline": offline}), workload or Workload())


def test_a_gguf_file(tmp_path: Path) -> None:
    file = write_tiny_gguf(tmp_path / "tiny.gguf", name="Tiny")
    found = subject(file)
    (candidate,) = found.candidates
    assert (found.id, found.name, found.task) == ("tiny", "Tiny", "chat")
    assert candidate.variant.source == "local_path"
    assert candidate.variant.files[0].size_bytes == file.stat().st_size
    assert candidate.shape.weights.total_bytes < file.stat().st_size
    assert candidate.shape.weights.basis == "exact"
    assert candidate.quality is not None


def test_a_truncated_file_is_said(tmp_path: Path) -> None:
    file = write_tiny_gguf(tmp_path / "tiny.gguf")
    file.write_bytes(file.read_bytes()[:-4096])
    assert "cut off" in subject(file).warnings[0]


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"PK\x03\x04 not a model", b"GGUF" + b"\xff" * 64]
)
def test_what_is_no_gguf_is_a_users_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"broken\.gguf") as caught:
        subject(file)
    assert caught.value.exit_code == 2


def test_nothing_there() -> None:
    with pytest.raises(UsageError, match="no file or folder") as caught:
        subject("./nothing.gguf")
    assert caught.value.hint


def test_missing_shards_are_named(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "m-00001-of-00003.gguf")
    write_tiny_gguf(tmp_path / "m-00003-of-00003.gguf")
    with pytest.raises(UsageError, match="1 of 3 files") as caught:
        subject(tmp_path / "m-00001-of-00003.gguf")
    assert caught.value.details["missing"] == ["m-00002-of-00003.gguf"]


def test_a_folder_of_gguf_files_has_a_candidate_each(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "a-F32.gguf")
    write_tiny_gguf(tmp_path / "b-F32.gguf", shape=Shape(layers=4))
    write_tiny_gguf(tmp_path / "mmproj-x.gguf")
    found = subject(tmp_path)
    assert [Path(c.variant.repo).name for c in found.candidates] == ["a-F32.gguf", "b-F32.gguf"]


def test_a_projector_made_for_the_model_is_counted(tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "vision.gguf")
    before = subject(model).candidates[0].shape.weights.vision_bytes
    other = gguf({"general.architecture": "clip", "clip.vision.projection_dim": 9999}, {})
    (tmp_path / "mmproj-other.gguf").write_bytes(whole(other))
    assert subject(model).candidates[0].shape.weights.vision_bytes == before == 0
    fits = gguf(
        {"general.architecture": "clip", "clip.vision.projection_dim": 64},
        {"v.patch_embd.weight": ("F16", (64, 256))},
    )
    projector = tmp_path / "mmproj-right.gguf"
    projector.write_bytes(whole(fits))
    (candidate,) = subject(model).candidates
    assert candidate.shape.weights.vision_bytes >= 64 * 256 * 2
    assert str(projector) in [file.path for file in candidate.variant.files]


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"neither config.json nor a .gguf"):
        subject(tmp_path)


def repository(folder: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(llama_config() | changes))
    (folder / "model.safetensors").write_bytes(whole(safetensors(llama_tensors())))
    return folder


def test_a_folder_with_safetensors_is_read_by_its_headers(tmp_path: Path) -> None:
    folder = repository(tmp_path / "tiny")
    (candidate, *_) = subject(folder).candidates
    data = (folder / "model.safetensors").stat().st_size
    header = 8 + struct.unpack("<Q", (folder / "model.safetensors").read_bytes()[:8])[0]
    assert candidate.variant.weight_bytes == candidate.shape.weights.total_bytes == data - header
    assert candidate.shape.weights.basis == "exact"
    assert candidate.variant.format == "safetensors"
    assert subject(folder / "config.json").candidates[0].variant == candidate.variant


def test_a_config_alone_is_computed_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "some-model.json"
    file.write_text(json.dumps(llama_config()))
    found = subject(file)
    assert found.id == "some-model"
    assert "sizes are computed" in found.warnings[0]
    assert found.candidates[0].shape.weights.basis == "computed"
    asked = subject(file, Workload(quantization="Q4_K_M")).candidates[0]
    assert (asked.variant.format, asked.variant.quantization) == ("gguf", "Q4_K_M")
    assert asked.shape.weights.total_bytes < found.candidates[0].shape.weights.total_bytes


def test_a_wish_for_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """Here nothing but the wish says what the weights would be."""
    file = tmp_path / "some-model.json"
    file.write_text(json.dumps(llama_config()))
    with pytest.raises(UsageError, match="'q17' is not a weight format") as caught:
        subject(file, Workload(quantization="q17"))
    assert "Q4_K_M" in (caught.value.hint or "") and "AWQ" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"vocab_size": 7}', "nan", "[" * 2000])
def test_what_is_no_config_is_a_users_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(UsageError):
        subject(file)


def test_pickle_only_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(llama_config()))
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 1000)
    (candidate,) = subject(tmp_path).candidates
    assert candidate.variant.format == "pickle"


def test_sentence_transformers_folders_are_embedding_models(tmp_path: Path) -> None:
    folder = repository(tmp_path / "e")
    (folder / "modules.json").write_text("[]")
    assert subject(folder).task == "embedding"
    rerank = repository(tmp_path / "r", architectures=["LlamaForSequenceClassification"])
    assert subject(rerank).task == "rerank"


def test_an_empty_name() -> None:
    with pytest.raises(UsageError, match="empty"):
        subject("  ")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


LLAMA = {
    "general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 256,
    "llama.feed_forward_length": 512, "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2, "llama.context_length": 4096,
    "llama.vocab_size": 1000,
}  # fmt: skip


def gguf_file(kind: str) -> File:
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "token_embd.weight": (kind, (256, 1000)), "output.weight": (kind, (256, 1000)),
    }  # fmt: skip
    for layer in range(2):
        for name, rows in (("attn_q", 256), ("attn_k", 128), ("attn_v", 128), ("attn_output", 256),
                           ("ffn_gate", 512), ("ffn_up", 512)):  # fmt: skip
            tensors[f"blk.{layer}.{name}.weight"] = (kind, (256, rows))
        tensors[f"blk.{layer}.ffn_down.weight"] = (kind, (512, 256))
    return gguf(LLAMA, tensors)


def test_a_remote_gguf_repository(hub: FakeHub) -> None:
    """Each quantization is a candidate; the header is read by ranges, never the weights."""
    files = {"tiny-F16.gguf": gguf_file("F16"), "tiny-Q8_0.gguf": gguf_file("Q8_0")}
    hub.add("acme/tiny-GGUF", files)
    found = subject("hf:acme/tiny-GGUF", Workload(quantization="Q8_0"))
    sizes = {c.variant.quantization: c.shape.weights.total_bytes for c in found.candidates}
    assert set(sizes) == {"F16", "Q8_0"}
    assert sizes["F16"] > 1.7 * sizes["Q8_0"]
    assert max(layer.kv_heads for layer in found.candidates[0].shape.architecture.layers) == 2


def test_a_remote_safetensors_repository(hub: FakeHub) -> None:
    content = safetensors(llama_tensors())
    files = {"config.json": json.dumps(llama_config()).encode(), "model.safetensors": content}
    for where in ("hf", "ms"):
        hub.add("acme/tiny", files, on=where)
    for text, source in (("hf:acme/tiny", "huggingface"), ("ms:acme/tiny", "modelscope"),
                         ("https://huggingface.co/acme/tiny", "huggingface")):  # fmt: skip
        (candidate, *_) = subject(text).candidates
        assert candidate.variant.source == source
        assert candidate.variant.format == "safetensors"
        assert 0.9 < candidate.shape.weights.total_bytes / content.size <= 1.0


def test_a_repository_that_is_no_model(hub: FakeHub) -> None:
    hub.add("acme/docs", {"README.md": b"hello"})
    with pytest.raises(UsageError, match=r"no config\.json"):
        subject("hf:acme/docs")


def test_offline_asks_nobody(hub: FakeHub) -> None:
    hub.add("acme/tiny", {"config.json": b"{}"})
    with pytest.raises(OfflineError) as caught:
        subject("hf:acme/tiny", offline=True)
    assert caught.value.exit_code == 5
    assert hub.log == []


def test_a_downloaded_snapshot_is_used_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "hub" / "models--acme--tiny"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("abc")
    (root / "snapshots").mkdir()
    repository(root / "snapshots" / "abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    found = subject("hf:acme/tiny", offline=True)
    assert found.id == "acme/tiny"
    assert found.candidates[0].variant.source == "local_path"
    (root / "snapshots" / "abc" / "model.safetensors").unlink()
    with pytest.raises(OfflineError):
        subject("hf:acme/tiny", offline=True)
