"""Passports from hubs (headers only), from local folders and GGUF files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_hub import FakeHub
from support.hub_content import File, gguf, llama_config, llama_tensors, parameters, safetensors
from support.json_values import JSON

from modelscan.catalog.passport.facts import Passport, parse_adapter, weight_files
from modelscan.catalog.passport.from_hub import from_hub
from modelscan.catalog.passport.from_local import local_passport
from modelscan.core.errors import AuthError, OfflineError, RemoteError, UsageError
from modelscan.core.model import WeightFile
from modelscan.core.reference import parse_reference
from modelscan.formats.safetensors import (
    BadHeader,
    parameters_by_dtype,
    parse_header,
    read_header,
)
from modelscan.hub.card import parse_card
from modelscan.hub.repository import Hub
from modelscan.state.config import load

README = b"""---
license: apache-2.0
language: [en, fr]
base_model: acme/base
datasets:
  - acme/words
tags: [chat]
---
# Tiny
"""
ADAPTER = {"peft_type": "LORA", "r": 16, "base_model_name_or_path": "acme/tiny",
           "target_modules": ["q_proj", "v_proj"]}  # fmt: skip
BIG = llama_tensors(hidden=4096, layers=32, vocabulary=32000)
METADATA = {
    "general.architecture": "llama", "general.name": "Tiny", "general.license": "mit",
    "general.tags": ["chat", "small"], "general.languages": ["en"],
    "general.base_model.count": 1,
    "general.base_model.0.repo_url": "https://huggingface.co/acme/base",
    "llama.context_length": 4096,
}  # fmt: skip


def shards(count: int) -> dict[str, File]:
    names = list(BIG)
    size = -(-len(names) // count)
    made = {}
    for i in range(count):
        part = {name: BIG[name] for name in names[i * size : (i + 1) * size]}
        made[f"model-{i + 1:05}-of-{count:05}.safetensors"] = safetensors(part)
    return made


@pytest.fixture
def fake():
    with FakeHub() as running:
        card = {"license": "apache-2.0", "language": ["en"], "datasets": ["acme/words"]}
        sampling = {"do_sample": True, "temperature": 0.6, "top_k": 20}
        config = {"config.json": json.dumps(llama_config()).encode(), "README.md": README,
                  "generation_config.json": json.dumps(sampling).encode()}  # fmt: skip
        running.add(
            "acme/tiny", {**config, **shards(4)}, card=card, spaces=["someone/demo"],
            tags=["safetensors", "text-generation"], safetensors=parameters(BIG),
        )  # fmt: skip
        running.add("acme/tiny", {**config, **shards(2)}, on="ms")
        running.add(
            "acme/tiny-lora",
            {"adapter_config.json": json.dumps(ADAPTER).encode(),
             "adapter_model.safetensors": safetensors({"a": ("F32", (16, 8))})},
            tags=["peft", "base_model:adapter:acme/tiny"],
        )  # fmt: skip
        running.add("acme/gated", shards(1), gated="manual", safetensors=parameters(BIG),
                    card={"license": "other", "license_name": "acme", "license_link": "https://a"})  # fmt: skip
        running.add("acme/tiny-GGUF", {"tiny-Q8_0.gguf": gguf(METADATA, {})},
                    tags=["gguf"], gguf={"total": 99, "architecture": "llama",
                                         "context_length": 4096})  # fmt: skip
        yield running


@pytest.fixture
def passport(fake, monkeypatch) -> Callable[[str], Passport]:
    for name, value in fake.environment().items():
        monkeypatch.setenv(name, value)

    def run(text: str) -> Passport:
        with Hub.from_config(load()) as hub:
            hub.http._backoff_s = (0.01,)
            return from_hub(hub, parse_reference(text))

    return run


def test_everything_from_a_repository(fake, passport):
    made = passport("hf:acme/tiny")
    assert (made.license, made.languages, made.datasets) == ("apache-2.0", ("en",), ("acme/words",))
    assert (made.gated, made.private, made.spaces) == (False, False, ("someone/demo",))
    assert made.safetensors == parameters(BIG) and made.parameters_basis == "headers"
    assert made.parameters == sum(parameters(BIG).values()) > 6_000_000_000
    assert made.sampling and made.sampling.body() == {"temperature": 0.6, "top_k": 20}
    assert made.commit == fake.repos["acme/tiny"].sha
    assert made.adapters == ("acme/tiny-lora",) and made.adapter is None
    files = {f.path: f.sha256 for f in made.files}
    for path, file in shards(4).items():
        assert files[path] == file.sha256
    assert made.warnings == ()


def test_less_than_one_mebibyte_is_moved(fake, passport):
    made = passport("hf:acme/tiny")
    assert made.size_bytes > 12 << 30
    assert 0 < made.moved_bytes < 1 << 20
    assert fake.sent_bytes < 1 << 20


def test_many_headers_keep_to_the_budget(fake, passport):
    tensors = {f"layer.{i}.{'x' * 120}.weight": ("BF16", (8, 8)) for i in range(9000)}
    fake.add("acme/wide", {"model.safetensors": safetensors(tensors)},
             safetensors={"BF16": 576000})  # fmt: skip
    made = passport("hf:acme/wide")
    assert fake.repos["acme/wide"].files["model.safetensors"].head.__len__() > 1 << 20
    assert (made.parameters, made.parameters_basis) == (576000, "hub")
    assert fake.sent_bytes < 1 << 20


def test_the_headers_win_over_the_hub_and_the_conflict_is_said(fake, passport):
    fake.repos["acme/tiny"].safetensors = {"BF16": 7}
    made = passport("hf:acme/tiny")
    assert made.parameters_basis == "headers" and made.parameters > 7
    assert "the hub counts 7 parameters" in made.warnings[0]


def test_packed_weights_have_no_count_of_parameters(fake, passport, tmp_path):
    tensors = {"q.qweight": ("I32", (512, 64)), "q.scales": ("F16", (4, 64))}
    file = safetensors(tensors)
    fake.add("acme/packed", {"config.json": b"{}", "model.safetensors": file},
             safetensors=parameters(tensors))  # fmt: skip
    write(tmp_path, "model.safetensors", whole(file))
    for made in (passport("hf:acme/packed"), local_passport(tmp_path)):
        assert made.safetensors == {"F16": 256, "I32": 32768}
        assert (made.parameters, made.parameters_basis) == (None, None)
        assert "packed" in made.warnings[-1]


def test_adapter(passport):
    made = passport("hf:acme/tiny-lora")
    assert made.adapter.type == "LORA" and made.adapter.rank == 16
    assert made.adapter.target_modules == ("q_proj", "v_proj")
    assert (made.base_model, made.base_relation, made.adapters) == ("acme/tiny", "adapter", None)


def test_gated_repository_keeps_what_is_public(passport):
    made = passport("hf:acme/gated")
    assert (made.gated, made.gated_kind, made.license_name) == (True, "manual", "acme")
    assert (made.safetensors, made.parameters_basis) == (parameters(BIG), "hub")
    assert "is gated" in made.warnings[0]


def test_gguf_repository(passport):
    made = passport("hf:acme/tiny-GGUF")
    assert (made.format, made.quantizations, made.parameters) == ("gguf", ("Q8_0",), 99)
    assert (made.architecture, made.context_tokens) == ("llama", 4096)


def test_modelscope_takes_the_card_from_the_readme(fake, passport):
    made = passport("ms:acme/tiny")
    assert (made.source, made.license, made.languages) == ("modelscope", "apache-2.0", ("en", "fr"))
    assert made.base_models == ("acme/base",) and made.datasets == ("acme/words",)
    assert made.safetensors == parameters(BIG) and made.adapters is None
    assert made.moved_bytes < 1 << 20


def test_a_list_of_files_that_the_hub_cut_is_said_to_be_one(fake, passport):
    fake.add("acme/flat", {f"f{i:05}.txt": b"x" for i in range(3100)}, on="ms")
    made = passport("ms:acme/flat")
    assert len(made.files) == 3000 and "incomplete" in made.warnings[0]


@pytest.mark.parametrize("mode", ["500", "garbage", "redirect-loop", "reset", "half", "huge"])
def test_a_failing_cdn_costs_the_headers_only(fake, passport, mode):
    fake.fault("/cdn/", mode)
    made = passport("hf:acme/tiny")
    assert made.license == "apache-2.0" and made.parameters_basis == "hub"
    assert "safetensors headers could not be read" in made.warnings[0]


@pytest.mark.parametrize(
    "mode", ["500", "garbage", "html", "redirect-loop", "reset", "half", "huge"]
)
def test_a_failing_hub_is_an_error(fake, passport, mode):
    fake.fault("/api/models", mode)
    with pytest.raises(RemoteError) as caught:
        passport("hf:acme/tiny")
    assert caught.value.exit_code == 5


def test_unknown_repository(passport):
    with pytest.raises(AuthError, match="does not exist, or is private"):
        passport("hf:acme/none")


def test_weights_that_lie_there_twice_are_counted_once():
    names = ["consolidated.safetensors", "model-00001-of-00002.safetensors",
             "model-00002-of-00002.safetensors", "unet/model.safetensors"]  # fmt: skip
    files = [WeightFile(name, 1) for name in names]
    assert weight_files(files) == names[1:3]
    assert weight_files(files[:1]) == names[:1]


def test_local_folder(tmp_path):
    tensors = llama_tensors()
    write(tmp_path, "config.json", json.dumps(llama_config()).encode())
    write(tmp_path, "README.md", README)
    write(tmp_path, "model.safetensors", whole(safetensors(tensors)))
    write(tmp_path, ".cache/x.bin", b"1")
    for path in (tmp_path, tmp_path / "config.json"):
        made = local_passport(path)
        assert (made.license, made.architecture, made.context_tokens) == (
            "apache-2.0",
            "llama",
            4096,
        )
        assert made.safetensors == parameters(tensors)
        assert [f.path for f in made.files] == ["README.md", "config.json", "model.safetensors"]
        assert {f.sha256 for f in made.files} == {None}


def test_checksums_are_computed_on_request_and_known_from_a_hub_cache(tmp_path):
    import hashlib

    data = whole(safetensors(llama_tensors()))
    name = hashlib.sha256(data).hexdigest()
    write(tmp_path, f"blobs/{name}", data)
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/model.safetensors").symlink_to(tmp_path / "blobs" / name)
    made = local_passport(tmp_path / "snapshot")
    assert made.files[0].sha256 == name
    copied = write(tmp_path, "copy/model.safetensors", data).parent
    assert local_passport(copied, checksum=True).files[0].sha256 == name


def test_local_gguf(tmp_path):
    file = write(tmp_path, "tiny-Q8_0.gguf",
                 whole(gguf(METADATA, {"output.weight": ("Q8_0", (64, 32))})))  # fmt: skip
    made = local_passport(file)
    assert (made.name, made.license, made.quantizations) == ("Tiny", "mit", ("Q8_0",))
    assert (made.base_models, made.tags) == (("acme/base",), ("chat", "small"))
    assert (made.parameters, made.context_tokens) == (2048, 4096)
    folder = local_passport(tmp_path)
    assert (folder.license, folder.parameters, folder.format) == ("mit", 2048, "gguf")


def test_damaged_local_weights_are_said(tmp_path):
    write(tmp_path, "config.json", b"{}")
    write(tmp_path, "model.safetensors", b"\xff" * 20)
    made = local_passport(tmp_path)
    assert made.safetensors is None and "model.safetensors" in made.warnings[0]


@pytest.mark.parametrize("name", ["none.gguf", "empty", "notes.txt"])
def test_paths_that_hold_no_model(tmp_path, name):
    (tmp_path / "empty").mkdir()
    write(tmp_path, "notes.txt", b"x")
    with pytest.raises(UsageError):
        local_passport(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [b"", b"# no front matter", b"---\n: [\n---\n", b"---\n- a\n---\n", b"---\nlicense: mit\n"],
)
def test_cards_without_fields(text):
    assert parse_card(text) == {}


def test_card_with_windows_lines():
    assert parse_card("\ufeff---\r\nlicense: mit\r\n---\r\nx") == {"license": "mit"}


def test_offline_hub_reference(fake, monkeypatch):
    with Hub.from_config(load({"offline": True})) as hub, pytest.raises(OfflineError):
        from_hub(hub, parse_reference("hf:acme/tiny"))
    assert fake.log == [] and replace(Passport("local", "x"), id="y").id == "y"


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def whole(file: File) -> bytes:
    return file.read(0, file.size)


PIECES = ["license: ", "mit", "\n", "- ", "{", "}", "[", "]", "!!int x", "? ", ": ", "2025-13-45",
          "&a ", "*a", "!!timestamp x", "0x", "0o9", "1_", ".inf", "|", ">", "'", '"', "\t", "<<: ",
          "!!set ", "!!binary =", "=", "~", "é", "\x00"]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_card_is_fields_or_nothing(text):
    assert isinstance(parse_card(f"---\n{text}\n---\n"), dict)


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=40), JSON.map(lambda v: json.dumps(v).encode())))
def test_any_adapter_config_and_header_is_read_or_refused(data):
    parse_adapter(data, None)
    with contextlib.suppress(BadHeader):
        parse_header(data)
    with contextlib.suppress(BadHeader):
        read_header(lambda offset, size: data[offset : offset + size])


TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda n: n != "__metadata__"),
    st.tuples(st.sampled_from(["BF16", "F32", "I8", "F8_E4M3"]),
              st.lists(st.integers(0, 9), max_size=3)),
    max_size=6,
)  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(TENSORS)
def test_counts_are_exact(tensors):
    file = safetensors(tensors)
    header = read_header(lambda offset, size: file.read(offset, offset + size), first_bytes=16)
    counted = parameters_by_dtype(header.tensors)
    assert counted == {d: n for d, n in parameters(tensors).items() if n or d in counted}
    assert header.size_bytes == file.size
