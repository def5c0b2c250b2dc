"""``catalog sync`` against real servers: what fails alone, what is kept, what a kill leaves."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from support import catalog_world
from support.fake_hub import FakeHub

from modelscan.catalog import index_read, publish
from modelscan.catalog.http import HttpClient
from modelscan.catalog.index_read import Index, synced_index
from modelscan.core.errors import ModelscanError
from modelscan.core.model import Model
from modelscan.state import targets
from modelscan.state.paths import paths

REPOSITORY = Path(__file__).parents[2]
SCHEMA = json.loads((REPOSITORY / "modelscan/schemas/catalog.sync.json").read_text())
NAMES = ["gpustack", "huggingface", "models.dev", "modelscope", "user"]
# Which requests are a source's own.
PREFIX = {
    "models.dev": "/api.json",
    "gpustack": "/v2",
    "huggingface": "/api/models",
    "modelscope": "/openapi",
}


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(publish, "bundled_snapshots", dict)
    with FakeHub() as running:
        catalog_world.fill(running)
        for name, value in catalog_world.environment(running).items():
            monkeypatch.setenv(name, value)
        catalog_world.target(running)
        quick = {**(HttpClient.__init__.__kwdefaults__ or {}), "backoff_s": (0.01,)}
        monkeypatch.setattr(HttpClient.__init__, "__kwdefaults__", quick)
        yield running


@pytest.fixture
def sync(run_in_process):
    def run(*args: str, code: int = 0):
        done = run_in_process("catalog", "sync", "--json", *args)
        assert done.code == code, done.out + done.err
        jsonschema.validate(done.json, SCHEMA)
        rows = {row["source"]: row for row in done.json["sources"]}
        return done.json, rows

    return run


def models() -> dict[str, Model]:
    index = Index(synced_index(paths()))
    try:
        made = [index.model(number) for number in range(1, index.count() + 1)]
    finally:
        index.close()
    return {model.id: model for model in made}


def untimed(model: Model) -> Model:
    """The model without the times of its provenance."""
    kept = {
        field: dataclasses.replace(origin, retrieved_at=None)
        for field, origin in model.provenance.items()
    }
    return dataclasses.replace(model, provenance=kept)


def test_every_source_is_merged(hub, sync):
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


def test_each_credential_goes_to_its_own_service(hub, sync):
    sync()
    assert {r.headers["authorization"] for r in hub.seen("/v2")} == {"Bearer gpustack_0011"}
    for request in hub.log:
        if not request.path.startswith("/v2"):
            assert "authorization" not in request.headers and "cookie" not in request.headers


def test_twice_equals_once(hub, sync):
    sync()
    first = {key: untimed(model) for key, model in models().items()}
    document, rows = sync()
    assert {row["result"] for row in rows.values()} == {"unchanged"}
    assert {key: untimed(model) for key, model in models().items()} == first
    assert document["models"] == len(first)
    conditional = [r for r in hub.seen("/api.json") if "if-none-match" in r.headers]
    assert len(conditional) == 1


def test_a_new_row_appears_only_after_the_sync(hub, sync):
    sync()
    rows = [catalog_world.row("new/brand-new", canonical_model_id="new/brand-new")]
    hub.documents["/api.json"] = catalog_world.api(*rows)
    assert "new/brand-new" not in models()
    _, outcome = sync("--source", "modelsdev")
    row = outcome["models.dev"]
    assert (row["added"], row["removed"]) == (1, 7)
    assert "new/brand-new" in models()
    assert list(outcome) == ["models.dev"]


def test_dry_run_changes_nothing(hub, sync, clean_environment):
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


@pytest.mark.parametrize(("name", "mode"), FAILURES)
def test_each_source_fails_alone_and_keeps_its_data(hub, sync, monkeypatch, name, mode):
    monkeypatch.setenv("MODELSCAN_HTTP_TIMEOUT_S", "1.0")
    sync()
    before = {key: untimed(model) for key, model in models().items()}
    hub.fault(PREFIX[name], mode)
    document, rows = sync()
    assert (rows[name]["result"], rows[name]["state"]) == ("failed", "failed")
    assert rows[name]["error"] and rows[name]["models"] == rows[name]["before"] > 0
    assert [n for n in NAMES if rows[n]["result"] == "failed"] == [name]
    (warning,) = document["warnings"]
    assert warning.startswith(name) and "its last data is kept" in warning
    assert {key: untimed(model) for key, model in models().items()} == before
    hub.heal()
    _, rows = sync()
    assert rows[name]["state"] == "live" and rows[name]["error"] is None


@pytest.mark.parametrize("name", sorted(PREFIX))
def test_strict_makes_one_failure_exit_5(hub, sync, name):
    hub.fault(PREFIX[name], "500")
    _, rows = sync("--strict", code=5)
    assert rows[name]["result"] == "failed"
    assert rows[name]["models"] == 0
    sync()


def test_when_everything_fails_it_is_a_failure(hub, sync):
    sync()
    before = models()
    hub.fault("/", "500")
    for asked in ((), ("--source", "hf"), ("--dry-run",)):
        _, rows = sync(*asked, code=5)
        assert rows["huggingface"]["result"] == "failed"
    assert models().keys() == before.keys()


def test_the_state_of_sources_is_in_the_index(hub, sync):
    sync()
    hub.fault("/openapi", "500")
    sync()
    index = Index(synced_index(paths()))
    states = {s.name: (s.state, s.error) for s in index.sources()}
    index.close()
    assert states["models.dev"] == ("live", None)
    assert states["modelscope"][0] == "failed" and "answered 500" in states["modelscope"][1]


def test_offline_asks_nothing(hub, run_in_process):
    done = run_in_process("catalog", "sync", "--offline", "--json")
    assert (done.code, done.json["error"]["code"]) == (5, "offline")
    assert hub.log == []


def test_unknown_source_and_missing_server(hub, run_in_process, monkeypatch):
    done = run_in_process("catalog", "sync", "--source", "nowhere")
    assert done.code == 2 and "models.dev" in done.err
    targets.drop(paths(), "stack")
    done = run_in_process("catalog", "sync", "--source", "gpustack")
    assert done.code == 2 and "modelscan target add" in done.err
    done = run_in_process("catalog", "sync", "--json")
    rows = {row["source"]: row for row in done.json["sources"]}
    assert done.code == 0 and rows["gpustack"]["result"] == "skipped"


def test_a_source_that_shrinks_is_named(hub, sync):
    sync()
    row = catalog_world.row("alibaba/qwen3-1b", canonical_model_id="alibaba/qwen3-1b")
    hub.documents["/api.json"] = catalog_world.api(row)
    document, rows = sync("--source", "models.dev")
    assert (rows["models.dev"]["models"], rows["models.dev"]["before"]) == (2, 8)
    assert document["warnings"] == ["models.dev: 2 entries now, 8 before"]


@pytest.mark.parametrize("mode", [None, "500", "garbage", "huge", "redirect-loop", "html"])
def test_a_password_in_an_endpoint_is_never_shown_or_stored(hub, sync, monkeypatch, mode):
    """A mirror may want basic authentication; what is told and kept has the host only."""
    mirror = hub.url.replace("://", "://someone:open-sesame@")
    for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "MODELSCAN_MODELSDEV_ENDPOINT"):
        monkeypatch.setenv(name, mirror)
    if mode:
        hub.fault("/", mode)
    document, _ = sync(code=5 if mode else 0)
    assert "sesame" not in json.dumps(document)
    api = [request for request in hub.log if request.path == "/api.json"]
    assert api[0].headers["authorization"].startswith("Basic ")
    index = Index(synced_index(paths()))
    stored = [str(row) for row in index.connection.execute("SELECT * FROM source")]
    index.close()
    assert "sesame" not in "".join(stored)
    for file in paths().catalog_dir.rglob("*"):
        assert not file.is_file() or b"sesame" not in file.read_bytes()


def test_wrong_gpustack_key(hub, sync, monkeypatch):
    monkeypatch.setenv("GPUSTACK_SECRET", "gpustack_wrong")
    document, rows = sync()
    assert rows["gpustack"]["result"] == "failed"
    assert "refused the key" in rows["gpustack"]["error"]
    assert "gpustack_wrong" not in json.dumps(document)


def test_an_older_gpustack_is_recognised(hub, sync):
    hub.gpustack_version = "0.7.1"
    hub.model_sets = [catalog_world.model_set(1, "Qwen3")]  # a family, as that version lists them
    hub.specs = {1: [catalog_world.spec(f"Qwen/Qwen3-{size}B", "BF16") for size in (1, 2)]}
    _, rows = sync("--source", "gpustack")
    assert rows["gpustack"]["models"] == 2
    found = models()
    assert [s.repo for s in found["alibaba/qwen3-1b"].specs] == ["Qwen/Qwen3-1B"]
    assert [s.repo for s in found["alibaba/qwen3-2b"].specs] == ["Qwen/Qwen3-2B"]
    assert found["alibaba/qwen3-1b"].parameters != 8_200_000_000
    assert hub.seen("/v1/model-sets") and not hub.seen("/v2")
    hub.gpustack_version = "something else"
    _, rows = sync("--source", "gpustack", code=5)
    assert "not a GPUStack server" in rows["gpustack"]["error"]


def test_a_mirror_without_models_json_keeps_the_licences(hub, sync):
    sync()
    del hub.documents["/models.json"]
    document, rows = sync()
    assert rows["models.dev"]["result"] == "unchanged"
    assert "models.json" in document["warnings"][0]
    assert models()["alibaba/qwen3-1b"].license == "apache-2.0"


def test_a_mirror_with_one_document_for_both(hub, sync):
    sync("--source", "models.dev")
    expected = {key: untimed(model) for key, model in models().items()}
    both = {"models": json.loads(hub.documents.pop("/models.json")),
            "providers": json.loads(hub.documents.pop("/api.json"))}  # fmt: skip
    hub.documents["/catalog.json"] = json.dumps(both).encode()
    document, rows = sync("--source", "models.dev")
    assert (rows["models.dev"]["result"], document["warnings"]) == ("unchanged", [])
    assert {key: untimed(model) for key, model in models().items()} == expected


def test_overlay_wins_and_inherits(hub, sync):
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(
        '[models."alibaba/qwen3-1b"]\nlimit = { context = 65536 }\n'
        '[models."me/bot"]\nbase_model = "alibaba/qwen3-1b"\nbase_model_omit = ["tool_call"]\n'
        'license = "mit"\n'
        '[models."me/bot-2"]\nbase_model = "me/bot"\n'
    )
    sync()
    found = models()
    changed, bot, second = found["alibaba/qwen3-1b"], found["me/bot"], found["me/bot-2"]
    origin = changed.provenance["limits.context_tokens"]
    assert (changed.limits.context_tokens, origin.source) == (65536, "user")
    assert ("models.dev", 32768) in origin.others
    assert (bot.license, bot.limits.context_tokens) == ("mit", 65536)
    assert bot.capabilities.tools is None
    assert bot.provenance["limits.context_tokens"].source == "base_model alibaba/qwen3-1b"
    assert (second.license, second.limits.context_tokens) == ("mit", 65536)
    assert second.capabilities.tools is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[models."a/b"]\nbase_model = "no/such"', "which is no model"),
        ('[models."a/b"]\nbase_model = "c/d"\n[models."c/d"]\nbase_model = "a/b"', "in a circle"),
    ],
)
def test_impossible_bases_are_refused_and_the_index_stays(hub, sync, run_in_process, text, words):
    sync()
    before = synced_index(paths()).read_bytes()
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(text)
    done = run_in_process("catalog", "sync")
    assert done.code == 2 and words in done.err
    assert synced_index(paths()).read_bytes() == before


def test_a_changed_overlay_is_noticed(hub, sync):
    assert not publish.overlay_changed(paths())
    sync()
    assert not publish.overlay_changed(paths())
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    file = folder / "mine.toml"
    file.write_text('[models."alibaba/qwen3-1b"]\nlimit = { context = 9 }\n')
    assert publish.overlay_changed(paths())
    hub.log.clear()
    publish.refresh_overlay(paths())
    assert models()["alibaba/qwen3-1b"].limits.context_tokens == 9
    assert not publish.overlay_changed(paths()) and hub.log == []


def test_another_release_makes_the_index_again(hub, sync, run_in_process):
    sync()
    index = synced_index(paths())
    stamp = index_read.stamp_file(paths())
    before = models()
    stamp.write_text("3 of another release")
    index.write_bytes(b"an index of another form")
    hub.log.clear()
    index_read.open_index(paths()).close()
    assert models() == before and hub.log == []
    written = index.stat().st_mtime_ns
    index_read.open_index(paths()).close()
    assert index.stat().st_mtime_ns == written


def test_an_index_that_cannot_be_made_again_is_tried_once(hub, sync, monkeypatch):
    sync()
    index_read.stamp_file(paths()).write_text("another release")
    calls = []

    def fail(*_):
        calls.append(1)
        raise ModelscanError("no")

    monkeypatch.setattr(publish, "publish", fail)
    for _ in range(2):
        index_read.open_index(paths()).close()
    assert calls == [1]


def test_damaged_files_are_as_good_as_none(hub, sync):
    sync()
    for file in publish.snapshots_dir(paths()).iterdir():
        file.write_bytes(b"\x1f\x8bdamaged")
    (publish.snapshots_dir(paths()).parent / "failures.json").write_text("[")
    _, rows = sync()
    assert rows["models.dev"]["result"] == "updated"


def start(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", catalog_world.DRIVER, "catalog", "sync", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip


def test_kill_9_at_any_moment_leaves_a_whole_index(hub, sync):
    """The index is the old one or the new one, the next sync works, and no lock is left."""
    sync()
    names = sorted(models())
    chance = random.Random(7)
    for trial in range(10):
        rows = [catalog_world.row(f"x/trial-{trial}", canonical_model_id=f"x/trial-{trial}")]
        hub.documents["/api.json"] = catalog_world.api(*rows)
        process = start("--json")
        time.sleep(chance.uniform(0.1, 1.6))
        process.kill()
        process.communicate()
        found = sorted(models())
        index = Index(synced_index(paths()))
        assert index.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        index.close()
        assert found == names or any(name.startswith("x/trial-") for name in found)
        names = found
    sync()
    assert f"x/trial-{trial}" in models()


KILLED = """
import os, pathlib, signal, sys
left, rename = int(sys.argv.pop(1)), pathlib.Path.replace
def replace(self, target):
    global left
    if "/http/" not in str(target):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
pathlib.Path.replace = replace
"""


def test_kill_9_before_each_file_is_put_in_place(hub, sync):
    """Five snapshots, the list of failures, the index: whichever is missing, the old index holds."""
    sync()
    before = models()
    hub.documents["/api.json"] = catalog_world.api(
        catalog_world.row("new/brand-new", canonical_model_id="new/brand-new")
    )
    for number in range(12):
        done = subprocess.run(
            [sys.executable, "-c", KILLED + catalog_world.DRIVER, str(number), "catalog", "sync"],
            capture_output=True, text=True, cwd=REPOSITORY, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        assert models() == before or number == 7
    assert number == 8  # seven files are replaced, then the stamp of the bundle
    assert "new/brand-new" in models()
    assert not list(synced_index(paths()).parent.glob("*.sqlite3-*"))


def test_ctrl_c_stops_at_once_and_changes_nothing(hub, sync, monkeypatch):
    sync()
    before = synced_index(paths()).read_bytes()
    for prefix in PREFIX.values():
        hub.fault(prefix, "hang")
    monkeypatch.setenv("MODELSCAN_HTTP_TIMEOUT_S", "60")
    hub.log.clear()
    process = start()
    until = time.monotonic() + 20
    while len(hub.log) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert time.monotonic() - sent < 5
    assert "Traceback" not in errors
    assert synced_index(paths()).read_bytes() == before


def test_two_syncs_at_once(hub, sync):
    both = [start("--json"), start("--json")]
    for process in both:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert json.loads(out)["index_updated"]
    assert "alibaba/qwen3-1b" in models()


@pytest.mark.shared
def test_the_real_payloads(hub, sync, shared):
    """models.dev's own files and a real server's sets go through the real client."""
    data = shared / "data"
    hub.documents["/api.json"] = (data / "models.dev.api.json").read_bytes()
    hub.documents["/models.json"] = (data / "models.dev.models.json").read_bytes()
    samples = data / "gpustack/samples/2.3.0"

    def items(name):
        return json.loads((samples / name).read_text())["response"]["body"]["items"]

    hub.model_sets = items("142_catalog-all.json")
    hub.specs = {2: items("144_catalog-specs-cluster-1.json"),
                 29: items("146_catalog-specs-gpt-oss.json")}  # fmt: skip
    document, rows = sync("--source", "models.dev", "--source", "gpustack")
    assert rows["models.dev"]["models"] == 8337 + 231
    assert rows["gpustack"]["models"] == 130
    assert len(hub.seen("/v2/model-sets")) == 131
    assert document["models"] > 1400
