"""The hub helpers that estimate, plan and passport call: parts of files, config, headers."""

from __future__ import annotations

import json

import pytest
from support.fake_hub import FakeHub
from support.hub_content import File, gguf, llama_config, llama_tensors, parameters, safetensors

from modelscan.core.errors import AuthError, OfflineError, RemoteError, UsageError
from modelscan.core.reference import parse_reference
from modelscan.formats.safetensors import (
    BadHeader,
    parameters_by_dtype,
    parse_header,
    read_header,
)
from modelscan.hub.repository import Hub
from modelscan.state.config import load

WIDE = 4096


@pytest.fixture
def fake():
    with FakeHub() as running:
        files = {
            "config.json": json.dumps(llama_config()).encode(),
            "model.safetensors": safetensors(llama_tensors(hidden=WIDE, layers=32)),
            "tiny-Q8_0.gguf": gguf(
                {"general.architecture": "llama", "tokenizer.ggml.tokens": ["tok"] * 40_000},
                {"token_embd.weight": ("Q8_0", (64, 256)), "output.weight": ("F16", (64, 256))},
            ),
        }
        for where in ("hf", "ms"):
            running.add("acme/tiny", files, on=where)
        running.add("acme/bare", {"README.md": b"hi"})
        running.add("acme/bare", {"README.md": b"hi"}, on="ms")
        running.add("acme/gated", {"config.json": b"{}", "a.gguf": b"GGUF"}, gated="auto")
        yield running


@pytest.fixture
def hub(fake, monkeypatch):
    for name, value in fake.environment().items():
        monkeypatch.setenv(name, value)
    with Hub.from_config(load()) as made:
        yield made


@pytest.mark.parametrize("text", ["hf:acme/tiny", "ms:acme/tiny"])
def test_both_hubs_answer_the_same_calls(fake, hub, text):
    ref = parse_reference(text)
    assert hub.repo_info(ref).repo == "acme/tiny"
    files = {f.path: f for f in hub.list_files(ref)}
    weights = fake.repos["acme/tiny"].files["model.safetensors"]
    assert files["model.safetensors"].size_bytes == weights.size
    assert hub.fetch_config(ref)["hidden_size"] == 64
    assert hub.fetch_range(ref, "config.json", 0, 5) == b'{"arc'
    assert hub.fetch_config(parse_reference(text[:3] + "acme/bare")) is None


@pytest.mark.parametrize("text", ["hf:acme/tiny", "ms:acme/tiny"])
def test_safetensors_header_by_ranges(fake, hub, text):
    remote = hub.open_file(parse_reference(text), "model.safetensors")
    header = read_header(remote.read)
    tensors = llama_tensors(hidden=WIDE, layers=32)
    assert parameters_by_dtype(header.tensors) == parameters(tensors)
    assert header.size_bytes == fake.repos["acme/tiny"].files["model.safetensors"].size
    assert header.size_bytes > 5 << 30
    assert remote.moved_bytes < 128 << 10
    assert hub.http.received_bytes == remote.moved_bytes


def test_remote_file_reads_like_a_file(fake, hub):
    remote = hub.open_file(parse_reference("hf:acme/tiny"), "tiny-Q8_0.gguf")
    file = fake.repos["acme/tiny"].files["tiny-Q8_0.gguf"]
    assert remote.read(0, 4) == b"GGUF"
    assert remote.read(0, 400_000) == file.read(0, 400_000)
    assert remote.read(file.size - 3, 10) == file.read(file.size - 3, file.size)
    assert remote.read(file.size + 5, 10) == b""
    asked = len(fake.seen("/cdn/"))
    assert remote.read(100, 1000) == file.read(100, 1100)
    assert len(fake.seen("/cdn/")) == asked  # kept, not fetched again
    assert asked <= 7


def test_remote_file_has_a_limit(hub):
    remote = hub.open_file(parse_reference("hf:acme/tiny"), "model.safetensors")
    remote.limit_bytes = 1 << 20
    with pytest.raises(RemoteError, match="more than 1 MiB"):
        remote.read(0, 3 << 20)


def test_gguf_header_of_a_remote_file(fake, hub):
    memory = pytest.importorskip("modelscan.formats.gguf")
    remote = hub.open_file(parse_reference("hf:acme/tiny"), "tiny-Q8_0.gguf")
    header = memory.parse_header(remote.read)
    assert header is not None
    assert remote.moved_bytes < fake.repos["acme/tiny"].files["tiny-Q8_0.gguf"].size + 1


def test_gated_file_is_explained(hub):
    ref = parse_reference("hf:acme/gated")
    assert hub.repo_info(ref).gated_kind == "auto"
    with pytest.raises(AuthError, match="is gated") as caught:
        hub.fetch_config(ref)
    assert "acme/gated" in caught.value.hint and "hf_token" in caught.value.hint


def test_configured_token_opens_it(fake, monkeypatch):
    for name, value in {**fake.environment(), "MY_HUB": "hf_valid", "HF_TOKEN": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODELSCAN_HF_TOKEN", "env:MY_HUB")
    with Hub.from_config(load()) as hub:
        assert hub.fetch_config(parse_reference("hf:acme/gated")) == {}
        hub.repo_info(parse_reference("ms:acme/tiny"))
    assert fake.log[0].headers["authorization"] == "Bearer hf_valid"
    assert "authorization" not in fake.seen("/openapi")[0].headers
    assert "cookie" not in fake.seen("/api/v1")[0].headers
    monkeypatch.delenv("MY_HUB")
    with pytest.raises(AuthError, match="MY_HUB is not set"):
        Hub.from_config(load())


def test_offline_sends_nothing(fake, monkeypatch):
    for name, value in fake.environment().items():
        monkeypatch.setenv(name, value)
    with Hub.from_config(load({"offline": True})) as hub:
        for call in (hub.repo_info, hub.list_files, hub.fetch_config):
            with pytest.raises(OfflineError):
                call(parse_reference("hf:acme/tiny"))
    assert fake.log == []


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan"])
def test_an_impossible_time_limit_is_refused(monkeypatch, seconds):
    monkeypatch.setenv("MODELSCAN_HTTP_TIMEOUT_S", seconds)
    with pytest.raises(UsageError, match="http_timeout_s"):
        Hub.from_config(load())


def test_a_name_is_no_repository(hub):
    with pytest.raises(UsageError, match="not a repository of a hub"):
        hub.repo_info(parse_reference("qwen3-8b"))


@pytest.mark.parametrize(
    "file",
    [
        File(b"", 0),
        File(b"\x08\0\0", 3),
        File(b"\xff" * 8, 8),
        File(b"\x01" + bytes(7) + b"{", 9),
        File(b"\x10" + bytes(7) + b'{"a": {"dty', 19),
        File(b"\x06" + bytes(7) + b"[1, 2]", 14),
        File(b"\x09" + bytes(7) + b'{"a": {}}', 17),
    ],
)
def test_damaged_safetensors_are_refused(file):
    with pytest.raises(BadHeader):
        read_header(lambda offset, size: file.read(offset, offset + size) if size > 0 else b"")


def test_impossible_offsets_are_refused():
    with pytest.raises(BadHeader, match="'w'"):
        parse_header(b'{"w": {"dtype": "F16", "shape": [2], "data_offsets": [4, 0]}}')
    with pytest.raises(BadHeader):
        parse_header(b'{"w": {"dtype": "F16", "shape": [-2], "data_offsets": [0, 4]}}')
