"""Hugging Face: through a real server, and parsers against anything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_hub import FakeHub
from support.hub_content import llama_config, llama_tensors, parameters, safetensors
from support.json_values import JSON

from modelscan.catalog.sources.huggingface import popular, record
from modelscan.core.errors import AuthError, ModelscanError, RemoteError, UsageError
from modelscan.core.model import WeightFile
from modelscan.formats.files import describe, gguf_sets
from modelscan.hub.huggingface import client as hf
from modelscan.hub.huggingface import parse
from modelscan.hub.variants import variants
from modelscan.net.client import HttpClient, HttpSettings


@pytest.fixture
def hub():
    with FakeHub() as running:
        tensors = llama_tensors()
        running.add(
            "acme/tiny",
            {
                "config.json": json.dumps(llama_config()).encode(),
                "model.safetensors": safetensors(tensors),
                "sub/notes.txt": b"x",
            },
            card={"license": "apache-2.0", "language": ["en", "de"], "datasets": ["acme/words"]},
            tags=["safetensors", "llama", "text-generation"],
            safetensors=parameters(tensors),
            spaces=["someone/demo"],
        )
        running.add(
            "acme/tiny-GGUF",
            {"tiny-Q4_K_M.gguf": bytes(300), "tiny-Q8_0.gguf": bytes(500), "README.md": b"hi"},
            card={"license": "apache-2.0", "base_model": ["acme/tiny"]},
            tags=["gguf", "base_model:quantized:acme/tiny"],
            gguf={"total": 131392, "architecture": "llama", "context_length": 4096},
            library_name=None,
            downloads=5000,
        )
        running.add(
            "acme/tiny-lora",
            {"adapter_model.safetensors": bytes(20)},
            card={"base_model": "acme/tiny"},
            tags=["peft", "base_model:adapter:acme/tiny"],
            downloads=7,
        )
        running.add("acme/secret", {"a.txt": b"x"}, private=True)
        running.add("acme/gated", {"a.txt": b"x"}, gated="manual")
        yield running


@pytest.fixture
def http():
    with HttpClient(HttpSettings(timeout_s=60, pauses_s=(0.01,))) as client:
        yield client


def client(hub, http, token=None):
    return hf.HuggingFace(http, hub.url, token)


def test_info(hub, http):
    info = client(hub, http).info("acme/tiny")
    repo = hub.repos["acme/tiny"]
    assert (info.commit, info.license, info.languages) == (repo.sha, "apache-2.0", ("en", "de"))
    assert info.datasets == ("acme/words",) and info.spaces == ("someone/demo",)
    assert info.parameters == {"BF16": 131392} and info.total_parameters == 131392
    assert (info.gated, info.private, info.gated_kind) == (False, False, None)
    weights = repo.files["model.safetensors"]
    assert WeightFile("model.safetensors", weights.size, weights.sha256) in info.files
    assert hub.log[0].query["blobs"] == ["true"]


def test_tree_takes_the_lfs_hash(hub, http):
    hub.page_size = 2
    files = {file.path: file for file in client(hub, http).files("acme/tiny")}
    assert sorted(files) == ["config.json", "model.safetensors", "sub/notes.txt"]
    weights = hub.repos["acme/tiny"].files["model.safetensors"]
    assert files["model.safetensors"].sha256 == weights.sha256
    assert files["config.json"].sha256 is None  # a git hash is not a SHA-256
    assert len(hub.log) == 2


def test_search_and_its_parameters(hub, http):
    found = client(hub, http).search("tiny", limit=2)
    assert [info.repo for info in found] == ["acme/tiny-GGUF", "acme/tiny"]
    query = hub.log[0].query
    assert (query["search"], query["sort"], query["limit"]) == (["tiny"], ["downloads"], ["2"])
    assert "authorization" not in hub.log[0].headers


def test_adapters_of_a_model(hub, http):
    assert [a.repo for a in client(hub, http).adapters_of("acme/tiny")] == ["acme/tiny-lora"]


def test_gguf_repository_as_record(hub, http):
    made = record(client(hub, http).info("acme/tiny-GGUF"))
    assert (made.kind, made.base, made.repos) == ("repository", "acme/tiny", ("acme/tiny-GGUF",))
    assert made.facts["limits.context_tokens"] == 4096
    sizes = {v.quantization: (v.format, v.weight_bytes) for v in made.variants}
    assert sizes == {"Q4_K_M": ("gguf", 300), "Q8_0": ("gguf", 500)}
    assert all(file.sha256 for variant in made.variants for file in variant.files)


def test_popular_pages_and_expands(hub, http):
    for repo in hub.repos.values():
        repo.tags.append("text-generation")
    hub.page_size = 2
    found = popular(client(hub, http), 10)
    assert {r.key for r in found} == set(hub.repos) - {"acme/secret"}
    assert "safetensors" in hub.log[0].query["expand"]


def test_token_is_sent_only_when_configured(hub, http, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_decoy")
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_decoy")
    client(hub, http).info("acme/tiny")
    client(hub, http, "hf_valid").info("acme/secret")
    assert "authorization" not in hub.log[0].headers
    assert hub.log[1].headers["authorization"] == "Bearer hf_valid"
    assert "hf_valid" not in repr(client(hub, http, "hf_valid"))


@pytest.mark.parametrize(
    ("repo", "token", "kind", "words"),
    [
        ("acme/none", None, AuthError, "does not exist, or is private"),
        ("acme/secret", None, AuthError, "does not exist, or is private"),
        ("acme/none", "hf_valid", UsageError, "no repository acme/none"),
        ("acme/tiny", "hf_wrong", AuthError, "refused the configured token"),
    ],
)
def test_refusals_are_explained(hub, http, repo, token, kind, words):
    with pytest.raises(kind, match=words) as caught:
        client(hub, http, token).info(repo)
    assert caught.value.hint
    assert token is None or token not in caught.value.message


def test_unknown_revision(hub, http):
    with pytest.raises(UsageError, match="no such revision"):
        client(hub, http).files("acme/tiny", "v9")


def test_renamed_repository_is_followed(hub, http):
    hub.redirects["acme/old"] = "acme/tiny"
    assert client(hub, http).info("acme/old").repo == "acme/tiny"


def test_server_failure_stays_a_remote_error(hub, http):
    hub.fault("/api/models", "500")
    with pytest.raises(RemoteError, match="answered 500"):
        client(hub, http).info("acme/tiny")


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("gemma-3-1b-it-Q4_K_M.gguf", "Q4_K_M"),
        ("gemma-3-1b-it-f16.gguf", "F16"),
        ("UD-IQ2_XXS/DeepSeek-R1-UD-IQ2_XXS-00001-of-00004.gguf", "UD-IQ2_XXS"),
        ("Qwen3-30B-A3B-Q5_K_S.gguf", "Q5_K_S"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("model.gguf", None),
        ("Q8_0.gguf", "Q8_0"),
        ("model-Q4_K_M.bin", None),
    ],
)
def test_gguf_label(path, label):
    assert describe(path).quantization == label


def test_split_files_are_one_variant():
    files = [
        WeightFile("m-Q4_0-00002-of-00002.gguf", 5),
        WeightFile("m-Q4_0-00001-of-00002.gguf", 7),
        WeightFile("mmproj-F16.gguf", 3),
        WeightFile("m-Q8_0.gguf", 20),
    ]
    groups = gguf_sets(files)
    assert [(label, [f.size_bytes for f in group]) for label, group in groups] == [
        ("Q4_0", [7, 5]),
        ("Q8_0", [20]),
    ]


def test_a_quantized_repository_states_no_parameter_count():
    info = parse.parse_info(
        {
            "id": "acme/big-AWQ",
            "safetensors": {"parameters": {"I32": 1000, "F16": 24}, "total": 1024},
            "config": {"quantization_config": {"quant_method": "awq"}},
            "tags": ["safetensors"],
        }
    )
    made = record(info)
    assert "parameters" not in made.facts
    (variant,) = variants(info)
    assert (variant.quantization, variant.weight_bytes) == ("AWQ", 4048)


def test_containers_are_not_counted_as_parameters():
    native = {"id": "openai/gpt-oss-20b", "tags": ["safetensors"],
              "safetensors": {"parameters": {"BF16": 1_800_000_000, "U8": 10_000_000_000}}}  # fmt: skip
    made = record(parse.parse_info(native))
    assert "parameters" not in made.facts and made.variants[0].parameters is None
    assert made.variants[0].weight_bytes == 13_600_000_000
    native["safetensors"]["parameters"] = {"BF16": 1_000_000, "I32": 1000}
    assert record(parse.parse_info(native)).facts["parameters"] == 1_001_000


KEYS = st.sampled_from(
    [
        "id",
        "tags",
        "cardData",
        "config",
        "safetensors",
        "gguf",
        "gated",
        "siblings",
        "spaces",
        "sha",
    ]
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(KEYS, JSON, max_size=8))
def test_parsers_never_raise_but_the_named_error(payload):
    for parser in (parse.parse_info, parse.parse_search, parse.parse_tree):
        for value in (payload, [payload]):
            try:
                parsed = parser(value)
            except ModelscanError:
                continue
            for info in parsed if parser is parse.parse_search else []:
                record(info)


@pytest.mark.shared
def test_recorded_answers(shared):
    samples = shared / "data/api_samples"
    payload = json.loads((samples / "hf.model_info.gguf.json").read_text())["payload"]
    info = parse.parse_info(payload)
    assert (info.repo, info.license, info.gated) == ("ggml-org/gemma-3-1b-it-GGUF", "gemma", False)
    assert info.total_parameters == 999885952 and info.context_tokens == 32768
    assert {v.quantization for v in variants(info)} == {"Q4_K_M", "Q8_0", "F16"}
    tree = json.loads((samples / "hf.tree.lfs.SHAPE.json").read_text())["payload"]
    assert [f.path for f in parse.parse_tree(tree)] == ["model.gguf"]
