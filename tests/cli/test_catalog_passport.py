"""``catalog passport`` as a person runs it: names, hubs, paths, closed models, no network."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from support.fake_hub import FakeHub
from support.hub_content import llama_config, llama_tensors, parameters, safetensors

REPOSITORY = Path(__file__).parents[2]
SCHEMA = json.loads((REPOSITORY / "modelscan/schemas/catalog.passport.json").read_text())
REPO = "Qwen/Qwen3-8B"  # the bundled catalog knows it


@pytest.fixture
def hub(monkeypatch):
    with FakeHub() as running:
        tensors = llama_tensors()
        files = {
            "config.json": json.dumps(llama_config()).encode(),
            "model.safetensors": safetensors(tensors),
        }
        for repo in (REPO, "acme/tiny"):
            running.add(repo, files, card={"license": "apache-2.0"}, tags=["safetensors"],
                        safetensors=parameters(tensors))  # fmt: skip
        running.add("acme/tiny", files, on="ms", card={"license": "apache-2.0"})
        running.add("acme/gated", files, gated="manual", card={"license": "other"})
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def passport(run_in_process):
    def run(*args: str, code: int = 0):
        done = run_in_process("catalog", "passport", "--json", *args)
        assert done.code == code, done.out + done.err
        if code == 0:
            jsonschema.validate(done.json, SCHEMA)
        return done.json

    return run


@pytest.mark.parametrize(
    "model",
    ["hf:acme/tiny", "ms:acme/tiny", "https://huggingface.co/acme/tiny",
     "https://modelscope.cn/models/acme/tiny"],
)  # fmt: skip
def test_hub_references_and_addresses(hub, passport, model):
    made = passport(model)
    assert (made["repo"], made["license"], made["query"]) == ("acme/tiny", "apache-2.0", model)
    assert made["safetensors"] == {"BF16": 131392} and made["parameters_basis"] == "headers"
    assert made["moved_bytes"] < 1 << 20


def test_a_name_of_the_catalog_asks_for_its_repository(hub, passport):
    made = passport("qwen3-8b")
    assert (made["repo"], made["id"], made["source"]) == (REPO, "alibaba/qwen3-8b", "huggingface")
    assert passport(REPO)["repo"] == REPO


def test_the_setting_source_chooses_the_hub(hub, passport, monkeypatch):
    hub.scope[REPO] = hub.repos[REPO]
    monkeypatch.setenv("MODELSCAN_SOURCE", "modelscope")
    assert passport("qwen3-8b")["source"] == "modelscope"


def test_offline_falls_back_to_the_catalog(hub, passport):
    made = passport("qwen3-8b", "--offline")
    assert (made["source"], made["repo"], made["open_weights"]) == ("catalog", REPO, True)
    assert "no facts from the hub" in made["warnings"][0]
    assert passport(f"hf:{REPO}", "--offline")["license"] == "apache-2.0"
    assert hub.log == []
    assert passport("hf:acme/unknown", "--offline", code=5)["error"]["code"] == "offline"


def test_closed_weights_say_so_and_name_open_ones(hub, passport, run_in_process):
    made = passport("openai/gpt-4o")
    assert (made["open_weights"], made["files"]) == (False, [])
    assert len(made["alternatives"]) == 5 and "closed weights" in made["warnings"][0]
    assert hub.log == []
    done = run_in_process("catalog", "passport", "openai/gpt-4o")
    assert made["alternatives"][0] in done.out and "closed weights" in done.err


def test_unknown_names_and_repositories(hub, passport):
    assert passport("no-such-model-at-all", code=2)["error"]["code"] == "unknown_model"
    refused = passport("hf:acme/none", code=4)["error"]
    assert refused["code"] == "unknown_or_private" and "does not exist" in refused["message"]


def test_gated(hub, passport):
    made = passport("hf:acme/gated")
    assert (made["gated"], made["gated_kind"]) == (True, "manual")
    assert any("gated" in warning for warning in made["warnings"])


def test_tokens_of_other_services_stay_here(hub, passport, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "MODELSCOPE_API_TOKEN"):
        monkeypatch.setenv(name, "decoy-000000")
    passport("hf:acme/tiny")
    passport("ms:acme/tiny")
    for request in hub.log:
        assert "decoy" not in json.dumps(request.headers)


def test_export_writes_the_same_document(hub, passport, tmp_path):
    made = passport("hf:acme/tiny", "--export", str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text()) == made


def test_a_local_folder(hub, passport, tmp_path):
    file = safetensors(llama_tensors())
    (tmp_path / "config.json").write_text(json.dumps(llama_config()))
    (tmp_path / "model.safetensors").write_bytes(file.read(0, file.size))
    made = passport(str(tmp_path), "--checksum")
    assert made["files"][1]["sha256"] == file.sha256
    assert made["safetensors"] == {"BF16": 131392}
    assert hub.log == []


def test_people_see_lines(hub, run_in_process):
    done = run_in_process("catalog", "passport", "hf:acme/tiny")
    assert "license\tapache-2.0" in done.out
    assert "FILE\tBYTES\tSHA256" in done.out
    assert run_in_process("catalog", "passport", "-q", "hf:acme/tiny").out == "acme/tiny\n"


def test_dead_hub(passport, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    refused = passport("hf:acme/tiny", code=5)["error"]
    assert refused["code"] == "connect" and "127.0.0.1:9" in refused["message"]
