"""ModelScope: envelopes, soft errors with HTTP 200, cut listings, both kinds of login."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_hub import FakeHub
from support.json_values import JSON

from modelscan.catalog.sources import modelscope as source
from modelscan.catalog.sources.huggingface import record
from modelscan.core.errors import AuthError, ModelscanError, RemoteError, UsageError
from modelscan.hub.modelscope import parse as ms
from modelscan.hub.modelscope.client import ModelScope
from modelscan.net.client import HttpClient, HttpSettings


@pytest.fixture
def hub():
    with FakeHub() as running:
        files = {"config.json": b"{}", "model.safetensors": bytes(64), "sub/a.txt": b"a"}
        running.add("Acme/Tiny", files, on="ms", card={"license": "mit"}, tags=["library:pytorch"])
        running.add("Acme/Gated", {"a.txt": b"x"}, on="ms", gated=True)
        yield running


@pytest.fixture
def http():
    with HttpClient(HttpSettings(timeout_s=10, pauses_s=(0.01,))) as client:
        yield client


def test_info(hub, http):
    info = ModelScope(http, hub.url).info("Acme/Tiny")
    assert (info.repo, info.license, info.library, info.gated) == (
        "Acme/Tiny", "mit", "pytorch", False,
    )  # fmt: skip
    assert info.size_bytes == 67


def test_files_carry_the_hash(hub, http):
    listing = ModelScope(http, hub.url).files("Acme/Tiny")
    assert listing.complete
    assert [f.path for f in listing.files] == ["config.json", "model.safetensors", "sub/a.txt"]
    repo = hub.scope["Acme/Tiny"]
    assert all(f.sha256 == repo.files[f.path].sha256 for f in listing.files)
    assert hub.log[0].query["Revision"] == ["master"]


def test_a_cut_listing_is_walked(hub, http):
    files = {f"part{i // 1500}/f{i:05}.bin": b"x" for i in range(4500)}
    hub.add("Acme/Many", {**files, "README.md": b"x"}, on="ms")
    listing = ModelScope(http, hub.url).files("Acme/Many")
    assert len(listing.files) == 4501 and listing.complete
    assert len(hub.log) == 5


def test_a_folder_that_is_too_large_is_said_to_be_incomplete(hub, http):
    hub.add("Acme/Flat", {f"f{i:05}.bin": b"x" for i in range(3500)}, on="ms")
    listing = ModelScope(http, hub.url).files("Acme/Flat")
    assert len(listing.files) == 3000 and not listing.complete


def test_login_goes_as_bearer_and_as_cookie(hub, http):
    client = ModelScope(http, hub.url, "ms-token")
    client.info("Acme/Gated")
    client.files("Acme/Gated")
    assert hub.log[0].headers["authorization"] == "Bearer ms-token"
    assert hub.log[1].headers["cookie"] == "m_session_id=ms-token"
    anonymous = ModelScope(http, hub.url)
    with pytest.raises(AuthError, match="requires a login"):
        anonymous.files("Acme/Gated")
    assert "cookie" not in hub.log[-1].headers


def test_unknown_repository_on_both_apis(hub, http):
    client = ModelScope(http, hub.url)
    with pytest.raises(UsageError, match="no repository Acme/None"):
        client.info("Acme/None")
    with pytest.raises(UsageError, match="no repository Acme/None"):
        client.files("Acme/None")  # HTTP 200 with Success: false


def test_search_pages(hub, http):
    for i in range(70):
        hub.add(f"Acme/Model-{i:02}", {"a": b"1"}, on="ms", downloads=100 - i)
    found = ModelScope(http, hub.url).search("model", limit=60)
    assert [info.repo for info in found[:2]] == ["Acme/Model-00", "Acme/Model-01"]
    assert len(found) == 60 and len(hub.log) == 2
    assert all(len(seen.query["page_size"]) == 1 for seen in hub.log)
    assert len(source.popular(ModelScope(http, hub.url), 5)) == 5


def test_record(hub, http):
    made = record(ModelScope(http, hub.url).info("Acme/Tiny"))
    assert made.repos == ()  # ModelScope states no Hugging Face repository
    assert made.variants[0].source == "modelscope"
    assert made.variants[0].repo == "Acme/Tiny"


@pytest.mark.parametrize(
    ("repo", "name"),
    [
        ("Qwen/Qwen3-8B", "Qwen3-8B"),
        ("LLM-Research/Meta-Llama-3-8B", "Meta-Llama-3-8B"),
        ("unsloth/Qwen3-8B-GGUF", "Qwen3-8B-GGUF"),
        ("somebody/Qwen3-8B", "somebody/Qwen3-8B"),
    ],
)
def test_a_famous_name_is_believed_of_known_owners_only(repo, name):
    assert source.record(ms.parse_info({"id": repo})).name == name


def test_a_strangers_copy_is_not_joined_to_the_model():
    from modelscan.catalog.merge.models import merge
    from modelscan.catalog.records import HUGGINGFACE, MODELSCOPE, SourceRecord, SourceSnapshot

    own = SourceRecord("Qwen/Qwen3-8B", "repository", "Qwen3-8B", repos=("Qwen/Qwen3-8B",))
    copies = [
        source.record(ms.parse_info({"id": f"{who}/Qwen3-8B"})) for who in ("Qwen", "somebody")
    ]
    models = merge([SourceSnapshot(HUGGINGFACE, None, (own,)),
                    SourceSnapshot(MODELSCOPE, None, tuple(copies))])  # fmt: skip
    found = {m.id: [v.repo for v in m.variants] for m in models}
    assert found.pop("alibaba/qwen3-8b") == ["Qwen/Qwen3-8B"]
    assert list(found.values()) == [["somebody/Qwen3-8B"]]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"success": False, "code": "ResourceNotFound", "message": "no"}, UsageError),
        ({"success": False, "code": "InvalidAuthentication", "message": "no"}, AuthError),
        ({"success": False, "code": "RateLimitExceed", "message": "no"}, RemoteError),
        ({"Code": 10010103009, "Message": "AccessToken is invalid", "Success": False}, AuthError),
        ({"Code": 500, "Message": "broken", "Success": False}, RemoteError),
        ({"Code": 200, "Data": {}, "Success": False, "Message": "soft"}, RemoteError),
        ({}, RemoteError),
        ([], RemoteError),
        ("<html>", RemoteError),
    ],
)
def test_envelopes(body, kind):
    for unwrap in (ms.unwrap_openapi, ms.unwrap_legacy):
        with pytest.raises(kind):
            unwrap(body, "Acme/Tiny")


def test_data_may_be_a_bare_list():
    rows = [{"Path": "a.bin", "Type": "blob", "Size": 3}, {"Path": "sub", "Type": "tree"}]
    assert ms.file_rows(rows) == ms.file_rows({"Files": rows, "LatestCommitter": {}}) == rows
    assert [f.path for f in ms.parse_files(rows)] == ["a.bin"]


@settings(deadline=None, max_examples=150)
@given(JSON, st.dictionaries(st.sampled_from(["success", "data", "Code", "Data", "code"]), JSON))
def test_parsers_never_raise_but_the_named_error(value, envelope):
    calls = [
        lambda: ms.parse_info(value),
        lambda: ms.parse_listing({"models": [value]}),
        lambda: ms.parse_files(ms.file_rows(value)),
        lambda: ms.parse_listing(ms.unwrap_openapi(envelope, "a/b")),
        lambda: ms.file_rows(ms.unwrap_legacy(envelope, "a/b")),
    ]
    for call in calls:
        with contextlib.suppress(ModelscanError):
            call()


@pytest.mark.shared
def test_recorded_answers(shared):
    def sample(name):
        return json.loads((shared / f"data/api_samples/{name}.json").read_text())["payload"]

    rows = ms.file_rows(ms.unwrap_legacy(sample("modelscope.repo_files"), "a/b"))
    (readme,) = ms.parse_files(rows)
    assert (readme.path, readme.size_bytes) == ("README.md", 6399) and len(readme.sha256) == 64
    rows = ms.file_rows(ms.unwrap_legacy(sample("modelscope.repo_files_latest_committer"), "a/b"))
    assert [f.path for f in ms.parse_files(rows)] == ["config.json"]
    with pytest.raises(AuthError):
        ms.unwrap_legacy(sample("modelscope.error_legacy"), "a/b")
    with pytest.raises(UsageError):
        ms.unwrap_openapi(sample("modelscope.error_openapi"), "a/b")
