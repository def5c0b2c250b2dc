"""``catalog search --source hf|ms``: the hub's own search; and overlays without a sync."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_hub import FakeHub

from modelscan.catalog.index import publish
from modelscan.state.paths import paths


@pytest.fixture
def hub(monkeypatch):
    with FakeHub() as running:
        for i in range(5):
            running.add(f"acme/tiny-{i}", {"model.safetensors": bytes(16)}, downloads=100 - i,
                        card={"license": "mit"}, safetensors={"BF16": 8})  # fmt: skip
            running.add(f"Acme/Tiny-{i}", {"a.bin": b"x"}, on="ms")
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HF_TOKEN", "hf_decoy")
        yield running


def test_the_query_arrives_anonymously(hub, run_in_process):
    done = run_in_process("catalog", "search", "tiny", "--source", "hf", "--limit", "2", "--json")
    assert done.code == 0, done.err
    assert [row["id"] for row in done.json["models"]] == ["hf:acme/tiny-0", "hf:acme/tiny-1"]
    row = done.json["models"][0]
    assert (row["license"], row["parameters"], row["tools"]) == ("mit", 8, None)
    (request,) = hub.log
    assert request.query["search"] == ["tiny"] and request.query["limit"] == ["2"]
    assert "authorization" not in request.headers


def test_the_form_is_that_of_every_search(hub, run_in_process):
    local = run_in_process("catalog", "search", "qwen3", "--limit", "1", "--json").json
    live = run_in_process("catalog", "search", "tiny", "--source", "ms", "--json").json
    assert live.keys() == local.keys()
    assert live["models"][0].keys() == local["models"][0].keys()
    assert live["models"][0]["id"] == "ms:Acme/Tiny-0"


def test_license_is_passed_on_and_other_filters_are_refused(hub, run_in_process):
    done = run_in_process("catalog", "search", "tiny", "--source", "hf", "--license", "mit")
    assert done.code == 0 and hub.log[0].query["filter"] == ["license:mit"]
    done = run_in_process("catalog", "search", "tiny", "--source", "hf", "--tools")
    assert done.code == 2 and "does not support --tools" in done.err


def test_a_hub_that_was_never_synced(hub, run_in_process):
    done = run_in_process("catalog", "list", "--source", "hf")
    assert done.code == 0 and "modelscan catalog sync --source huggingface" in done.err


def test_offset(hub, run_in_process):
    done = run_in_process(
        "catalog", "search", "tiny", "--source", "hf", "--limit", "2", "--offset", "2", "-q"
    )
    assert done.out.split() == ["hf:acme/tiny-2", "hf:acme/tiny-3"]


def test_dead_hub(hub, run_in_process):
    hub.fault("/api/models", "404")
    done = run_in_process("catalog", "search", "tiny", "--source", "hf", "--json")
    assert done.code == 5 and "answered 404" in done.json["error"]["message"]


@pytest.mark.parametrize(
    ("model", "source"),
    [("hf:acme/tiny-1", "huggingface"), ("ms:Acme/Tiny-1", "modelscope"),
     ("https://huggingface.co/acme/tiny-1", "huggingface")],
)  # fmt: skip
def test_info_of_a_repository_the_catalog_does_not_know(hub, run_in_process, model, source):
    done = run_in_process("catalog", "info", model, "--json")
    assert done.code == 0, done.out
    body = done.json
    assert body["deployable"] and body["variants"][0]["source"] == source
    assert {origin["source"] for origin in body["provenance"].values()} <= {
        source, "link: repository", "link", "name", "facts",
    }  # fmt: skip
    if source == "huggingface":
        assert (body["model"]["license"], body["model"]["parameters"]) == ("mit", 8)


@pytest.mark.parametrize(
    ("mode", "code"),
    [("500", 5), ("garbage", 5), ("redirect-loop", 5), ("slow-body", 5), ("huge", 5), ("429", 5),
     ("reset", 5), ("half", 5), ("401", 4)],
)  # fmt: skip
def test_info_when_the_hub_misbehaves(hub, run_in_process, monkeypatch, mode, code):
    monkeypatch.setenv("MODELSCAN_HTTP_TIMEOUT_S", "0.7")
    hub.fault("/api/models", mode)
    done = run_in_process("catalog", "info", "hf:acme/tiny-1", "--json")
    assert done.code == code and done.json["error"]["message"]
    assert run_in_process("catalog", "info", "qwen3-8b").code == 0


def test_info_offline(hub, run_in_process):
    done = run_in_process("catalog", "info", "hf:acme/tiny-1", "--offline", "--json")
    assert (done.code, done.json["error"]["code"]) == (5, "offline") and hub.log == []


@pytest.fixture
def small_bundle(monkeypatch):
    """Of the bundle, only what is about one model: rebuilding takes no time."""
    whole = publish.bundled_snapshots()
    small = {
        name: replace(s, records=tuple(r for r in s.records if "qwen3-8b" in r.key.lower()))
        for name, s in whole.items()
    }
    monkeypatch.setattr(publish, "bundled_snapshots", lambda: dict(small))


def test_an_overlay_counts_without_a_sync(hub, run_in_process, small_bundle):
    before = run_in_process("catalog", "info", "qwen3-8b", "--json").json["model"]
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(f'[models."{before["id"]}"]\nlimit = {{ context = 12345 }}\n')
    done = run_in_process("catalog", "info", "qwen3-8b", "--json", "--offline").json
    assert done["model"]["limits"]["context_tokens"] == 12345
    origin = done["provenance"]["limits.context_tokens"]
    assert origin["source"] == "user"
    assert before["limits"]["context_tokens"] in [o["value"] for o in origin["others"]]
    (folder / "mine.toml").unlink()
    after = run_in_process("catalog", "info", "qwen3-8b", "--json").json["model"]
    assert after["limits"] == before["limits"]
    assert all("GGUF" in seen.path for seen in hub.log)  # its fit queries file lists


def test_a_broken_overlay_is_named_and_blocks_nothing(run_in_process, small_bundle):
    """The other file and the bundle count; each search and ``sources`` say what is wrong."""
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    (folder / "bad.toml").write_text("models = [")
    (folder / "nowhere.toml").symlink_to(folder / "gone")
    (folder / "good.toml").write_text('[models."me/qwen-bot"]\nname = "Qwen Bot"\n')
    for _ in range(2):
        done = run_in_process("catalog", "search", "qwen-bot", "--json")
        assert done.code == 0
        assert [m["id"] for m in done.json["models"]] == ["me/qwen-bot"]
        assert str(folder / "bad.toml") in done.json["warnings"][0]
        assert "not valid TOML" in done.json["warnings"][0]
    assert run_in_process("catalog", "info", "qwen3-8b").code == 0
    rows = run_in_process("catalog", "sources", "--json").json["sources"]
    assert "bad.toml" in next(row["error"] for row in rows if row["name"] == "user")
    (folder / "bad.toml").unlink()
    (folder / "nowhere.toml").unlink()
    assert run_in_process("catalog", "search", "qwen-bot", "--json").json["warnings"] == []


def test_overlay_entries_that_do_not_go_together(run_in_process, small_bundle):
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('[models."a/b"]\nbase_model = "no/such"\n')
    done = run_in_process("catalog", "search", "qwen", "--json")
    assert done.code == 0 and done.json["models"]
    assert "which is not in the catalog" in done.json["warnings"][0]


def test_the_example_overlay_fits_the_bundled_catalog(run_in_process, small_bundle):
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    example = Path(__file__).parents[2] / "examples/overlay.toml"
    (folder / "mine.toml").write_text(example.read_text())
    done = run_in_process("catalog", "info", "support-bot", "--json")
    assert done.code == 0, done.err
    body = json.loads(done.out)
    assert body["model"]["id"] == "our-lab/support-bot-8b"
    assert body["model"]["knowledge"] is None
    assert body["model"]["limits"]["context_tokens"] == 32768
    assert body["model"]["capabilities"]["tools"] is True
