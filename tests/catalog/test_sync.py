"""``catalog sync`` against real servers: what fails alone and what is kept."""

from __future__ import annotations

import json

import pytest
from support import catalog_world
from support.catalog_world import NAMES, PREFIX, models, untimed
from support.hub_content import llama_tensors, parameters, safetensors

from modelscan.catalog.index import publish
from modelscan.catalog.index.layout import synced_index
from modelscan.catalog.index.read import Index
from modelscan.state import targets
from modelscan.state.paths import paths

pytest_plugins = ["support.sync_fixtures"]


def test_every_source_is_merged(world, sync):
    document, rows = sync()
    assert sorted(rows) == NAMES
    assert {name: row["result"] for name, row in rows.items()} == {
        **dict.fromkeys(NAMES, "updated"), "user": "unchanged",
    }  # fmt: skip
    assert rows["models.dev"]["models"] == 8 and rows["gpustack"]["models"] == 1
    assert document["index_updated"] and document["warnings"] == []
    qwen = models()["alibaba/qwen3-1b"]
    assert qwen.repos == ("Qwen/Qwen3-1B",) and len(qwen.specs) == 2
    assert qwen.license == "apache-2.0"
    assert qwen.limits.context_tokens == 32768
    assert len(qwen.offerings) == 1


def test_fine_tunes_of_the_hub_are_models_of_their_own(world, sync, run_in_process):
    """Only a conversion of the weights is a variant; each fine-tune is found under its own name."""
    base, tensors = "Qwen/Qwen3-1B", llama_tensors()
    derived = {
        "NousResearch/Hermes-9-1B": "finetune",
        "someone/Qwen3-1B-roleplay": "finetune",
        "huihui-ai/Huihui-Qwen3-1B-abliterated-v2": "finetune",
        "someone/Qwen3-1B-SLERP": "merge",
        "bartowski/Qwen3-1B-heretic-GGUF": "quantized",
    }
    conversions = {"unsloth/Qwen3-1B-bnb-4bit": "quantized", "RedHatAI/Qwen3-1B-FP8": "quantized"}
    for name, relation in (derived | conversions).items():
        world.add(name, {"model.safetensors": safetensors(tensors)}, card={"base_model": [base]},
                  tags=["text-generation", "safetensors", f"base_model:{relation}:{base}"],
                  safetensors=parameters(tensors), downloads=900)  # fmt: skip
    sync()
    found = models()
    variants = {variant.repo for variant in found["alibaba/qwen3-1b"].variants}
    assert variants.isdisjoint(derived) and variants >= set(conversions)
    for name in derived:
        shown = run_in_process("--offline", "catalog", "info", name, "-q").out.split()
        assert shown and shown != ["alibaba/qwen3-1b"]


def test_each_credential_goes_to_its_own_service(world, sync):
    sync()
    assert {r.headers["authorization"] for r in world.seen("/v2")} == {"Bearer gpustack_0011"}
    for request in world.log:
        if not request.path.startswith("/v2"):
            assert "authorization" not in request.headers and "cookie" not in request.headers


def test_twice_equals_once(world, sync):
    sync()
    first = {key: untimed(model) for key, model in models().items()}
    document, rows = sync()
    assert {row["result"] for row in rows.values()} == {"unchanged"}
    assert {key: untimed(model) for key, model in models().items()} == first
    assert document["models"] == len(first)
    conditional = [r for r in world.seen("/api.json") if "if-none-match" in r.headers]
    assert len(conditional) == 1


def test_a_new_row_appears_only_after_the_sync(world, sync):
    sync()
    rows = [catalog_world.row("new/brand-new", canonical_model_id="new/brand-new")]
    world.documents["/api.json"] = catalog_world.api(*rows)
    assert "new/brand-new" not in models()
    _, outcome = sync("--source", "modelsdev")
    row = outcome["models.dev"]
    assert (row["added"], row["removed"]) == (1, 7)
    assert "new/brand-new" in models()
    assert list(outcome) == ["models.dev"]


def test_dry_run_changes_nothing(world, sync, clean_environment):
    document, rows = sync("--dry-run")
    assert rows["models.dev"]["added"] == 8 and not document["index_updated"]
    assert document["models"] is None
    assert not synced_index(paths()).exists()
    assert not publish.snapshots_dir(paths()).exists()


# Every kind of failure, every source at least twice.
FAILURES = [
    ("models.dev", "500"), ("gpustack", "garbage"), ("huggingface", "html"),
    ("modelscope", "huge"), ("models.dev", "redirect-loop"), ("gpustack", "slow-body"),
    ("huggingface", "reset"), ("modelscope", "half"), ("models.dev", "429"),
    ("gpustack", "endless"), ("huggingface", "slow-headers"), ("modelscope", "401"),
    ("models.dev", "slow-body"), ("gpustack", "half"), ("models.dev", "huge"),
]  # fmt: skip
ENDED_BY_DEADLINE = ("slow-body", "slow-headers", "endless")


@pytest.mark.parametrize(("name", "mode"), FAILURES)
def test_each_source_fails_alone_and_keeps_its_data(world, sync, monkeypatch, name, mode):
    sync()
    before = {key: untimed(model) for key, model in models().items()}
    world.fault(PREFIX[name], mode)
    if mode in ENDED_BY_DEADLINE:  # which the other sources must keep on a busy machine, too
        monkeypatch.setenv("MODELSCAN_HTTP_TIMEOUT_S", "5.0")
    document, rows = sync()
    assert (rows[name]["result"], rows[name]["state"]) == ("failed", "failed")
    assert rows[name]["error"] and rows[name]["models"] == rows[name]["before"] > 0
    assert [n for n in NAMES if rows[n]["result"] == "failed"] == [name]
    (warning,) = document["warnings"]
    assert warning.startswith(name) and "its last good data stays in use" in warning
    assert {key: untimed(model) for key, model in models().items()} == before
    world.heal()
    monkeypatch.delenv("MODELSCAN_HTTP_TIMEOUT_S", raising=False)
    _, rows = sync()
    assert rows[name]["state"] == "live" and rows[name]["error"] is None


@pytest.mark.parametrize("name", sorted(PREFIX))
def test_strict_makes_one_failure_exit_5(world, sync, name):
    world.fault(PREFIX[name], "500")
    _, rows = sync("--strict", code=5)
    assert rows[name]["result"] == "failed"
    assert rows[name]["models"] == 0
    sync()


def test_when_everything_fails_it_is_a_failure(world, sync):
    sync()
    before = models()
    world.fault("/", "500")
    for asked in ((), ("--source", "hf"), ("--dry-run",)):
        _, rows = sync(*asked, code=5)
        assert rows["huggingface"]["result"] == "failed"
    assert models().keys() == before.keys()


def test_the_state_of_sources_is_in_the_index(world, sync):
    sync()
    world.fault("/openapi", "500")
    sync()
    index = Index(synced_index(paths()))
    states = {s.name: (s.state, s.error) for s in index.sources()}
    index.close()
    assert states["models.dev"] == ("live", None)
    assert states["modelscope"][0] == "failed" and "answered 500" in states["modelscope"][1]


def test_offline_asks_nothing(world, run_in_process):
    done = run_in_process("catalog", "sync", "--offline", "--json")
    assert (done.code, done.json["error"]["code"]) == (5, "offline")
    assert world.log == []


def test_unknown_source_and_missing_server(world, run_in_process, monkeypatch):
    done = run_in_process("catalog", "sync", "--source", "nowhere")
    assert done.code == 2 and "models.dev" in done.err
    targets.drop(paths(), "stack")
    done = run_in_process("catalog", "sync", "--source", "gpustack")
    assert done.code == 2 and "modelscan target add" in done.err
    done = run_in_process("catalog", "sync", "--json")
    rows = {row["source"]: row for row in done.json["sources"]}
    assert done.code == 0 and rows["gpustack"]["result"] == "skipped"


def test_a_source_that_shrinks_is_named(world, sync):
    sync()
    row = catalog_world.row("alibaba/qwen3-1b", canonical_model_id="alibaba/qwen3-1b")
    world.documents["/api.json"] = catalog_world.api(row)
    document, rows = sync("--source", "models.dev")
    assert (rows["models.dev"]["models"], rows["models.dev"]["before"]) == (2, 8)
    assert document["warnings"] == ["models.dev: now 2 entries, previously 8"]


@pytest.mark.parametrize("mode", [None, "500", "garbage", "huge", "redirect-loop", "html"])
def test_a_password_in_an_endpoint_is_never_shown_or_stored(world, sync, monkeypatch, mode):
    """A mirror may want basic authentication; what is told and kept has the host only."""
    mirror = world.url.replace("://", "://someone:open-sesame@")
    for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "MODELSCAN_MODELSDEV_ENDPOINT"):
        monkeypatch.setenv(name, mirror)
    if mode:
        world.fault("/", mode)
    document, _ = sync(code=5 if mode else 0)
    assert "sesame" not in json.dumps(document)
    api = [request for request in world.log if request.path == "/api.json"]
    assert api[0].headers["authorization"].startswith("Basic ")
    index = Index(synced_index(paths()))
    stored = [str(row) for row in index.connection.execute("SELECT * FROM source")]
    index.close()
    assert "sesame" not in "".join(stored)
    for file in paths().catalog_dir.rglob("*"):
        assert not file.is_file() or b"sesame" not in file.read_bytes()


def test_wrong_gpustack_key(world, sync, monkeypatch):
    monkeypatch.setenv("GPUSTACK_SECRET", "gpustack_wrong")
    document, rows = sync()
    assert rows["gpustack"]["result"] == "failed"
    assert "refused the key" in rows["gpustack"]["error"]
    assert "gpustack_wrong" not in json.dumps(document)


def test_an_older_gpustack_is_recognised(world, sync):
    world.gpustack_version = "0.7.1"
    world.model_sets = [catalog_world.model_set(1, "Qwen3")]  # a family, as that version lists them
    world.specs = {1: [catalog_world.spec(f"Qwen/Qwen3-{size}B", "BF16") for size in (1, 2)]}
    _, rows = sync("--source", "gpustack")
    assert rows["gpustack"]["models"] == 2
    found = models()
    assert [s.repo for s in found["alibaba/qwen3-1b"].specs] == ["Qwen/Qwen3-1B"]
    assert [s.repo for s in found["alibaba/qwen3-2b"].specs] == ["Qwen/Qwen3-2B"]
    assert found["alibaba/qwen3-1b"].parameters != 8_200_000_000
    assert world.seen("/v1/model-sets") and not world.seen("/v2")
    world.gpustack_version = "something else"
    _, rows = sync("--source", "gpustack", code=5)
    assert "not a GPUStack server" in rows["gpustack"]["error"]


def test_a_mirror_without_models_json_keeps_the_licences(world, sync):
    sync()
    del world.documents["/models.json"]
    document, rows = sync()
    assert rows["models.dev"]["result"] == "unchanged"
    assert "models.json" in document["warnings"][0]
    assert models()["alibaba/qwen3-1b"].license == "apache-2.0"


def test_a_mirror_with_one_document_for_both(world, sync):
    sync("--source", "models.dev")
    expected = {key: untimed(model) for key, model in models().items()}
    both = {"models": json.loads(world.documents.pop("/models.json")),
            "providers": json.loads(world.documents.pop("/api.json"))}  # fmt: skip
    world.documents["/catalog.json"] = json.dumps(both).encode()
    document, rows = sync("--source", "models.dev")
    assert (rows["models.dev"]["result"], document["warnings"]) == ("unchanged", [])
    assert {key: untimed(model) for key, model in models().items()} == expected


@pytest.mark.shared
def test_the_real_payloads(world, sync, shared):
    """models.dev's own files and a real server's sets go through the real client."""
    data = shared / "data"
    world.documents["/api.json"] = (data / "models.dev.api.json").read_bytes()
    world.documents["/models.json"] = (data / "models.dev.models.json").read_bytes()
    samples = data / "gpustack/samples/2.3.0"

    def items(name):
        return json.loads((samples / name).read_text())["response"]["body"]["items"]

    world.model_sets = items("142_catalog-all.json")
    world.specs = {2: items("144_catalog-specs-cluster-1.json"),
                 29: items("146_catalog-specs-gpt-oss.json")}  # fmt: skip
    document, rows = sync("--source", "models.dev", "--source", "gpustack")
    assert rows["models.dev"]["models"] == 8337 + 231
    assert rows["gpustack"]["models"] == 130
    assert len(world.seen("/v2/model-sets")) == 131
    assert document["models"] > 1400
