"""``/hf`` with the unmodified ``huggingface_hub``: lists, reads, downloads by redirect."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.served import Served, serving, write_routing

from modelscan.registry.labels import set_alias, set_tag
from modelscan.registry.models import create_model
from modelscan.registry.types import RegistryModelFacts, RegistryVersionFacts, WeightsFile
from modelscan.registry.versions import add_version, publish_version
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase

huggingface_hub = pytest.importorskip("huggingface_hub")

ANN = Actor("key", "ann")
COMMITS = ("a" * 40, "b" * 40)
CONFIG = b'{"model_type": "llama"}'
TOKEN = "hf_" + "s3cret" * 6


class FakeHub:
    """The place of the weights: ``/acme/coder/resolve/COMMIT/FILE``. Counts what it is sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str | None]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                hub.requests.append((self.command, self.path, self.headers.get("Authorization")))
                commit, name = self.path.split("/")[-2:]
                data = content(commit, name)
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def content(commit: str, name: str) -> bytes:
    return CONFIG if name == "config.json" else f"weights of {commit}".encode() * 100


def files(commit: str) -> tuple[WeightsFile, ...]:
    rows = [(name, content(commit, name)) for name in ("config.json", "model.safetensors")]
    return tuple(
        WeightsFile(path=name, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in rows
    )


def stored(home: Path, hub: str) -> None:
    with ServerDatabase.open(home / "state") as database, database.writing() as connection:
        for slug, visibility in (
            ("acme/coder", "public"), ("acme/secret", "private"), ("other/chat", "public"),
            ("solo", "public"),
        ):  # fmt: skip
            facts = RegistryModelFacts(
                slug=slug, license="apache-2.0", visibility=visibility,  # type: ignore[arg-type]
                description=f"the model {slug}", family="llama",
            )  # fmt: skip
            create_model(connection, ANN, facts)
            for number, commit in enumerate(COMMITS, 1):
                version = RegistryVersionFacts(
                    weights_url=f"{hub}/{slug}", revision=commit, format="safetensors",
                    files=files(commit) if slug != "solo" else (),
                )  # fmt: skip
                if number == 1 or slug == "acme/coder":
                    add_version(connection, ANN, slug, version)
                    publish_version(connection, ANN, slug, number)
        set_tag(connection, ANN, "acme/coder", 2, "curated")
        set_alias(connection, ANN, "acme/coder", "champion", 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub") / "home"


@pytest.fixture(scope="module")
def hub(home: Path) -> Iterator[FakeHub]:
    with contextlib.closing(FakeHub()) as running:
        write_routing(home, {})
        stored(home, running.url)
        yield running


@pytest.fixture(scope="module")
def gateway(home: Path, hub: FakeHub) -> Iterator[Served]:
    with serving(MODELSCAN_HOME=str(home)) as running:
        yield running


@pytest.fixture
def api(gateway: Served) -> Any:
    return huggingface_hub.HfApi(endpoint=f"{gateway.url}/hf", token=False)


def test_public_models_are_listed_and_filtered(api: Any) -> None:
    def ids(**values: Any) -> list[str]:
        return [one.id for one in api.list_models(**values)]

    assert ids() == ["acme/coder", "other/chat", "solo"]
    assert ids(filter="curated") == ids(filter=["curated"]) == ["acme/coder"]
    assert ids(filter=["curated", "other"]) == []
    assert ids(search="chat") == ["other/chat"]
    assert ids(author="acme") == ["acme/coder"]
    assert ids(filter="license:apache-2.0", limit=2) == ["acme/coder", "other/chat"]
    assert ids(pipeline_tag="text-generation") == []  # not known of any
    assert sorted(ids(sort="last_modified")) == ids()


def test_pages_follow_each_other(gateway: Served) -> None:
    host = gateway.url.partition("//")[2]
    seen, path = [], "/hf/api/models?limit=1"
    while path:
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        seen += [row["id"] for row in json.loads(answer.read())]
        link = answer.getheader("Link")
        path = "" if link is None else link.partition("<")[2].partition(">")[0]
        path = path.removeprefix(gateway.url)
        connection.close()
    assert seen == ["acme/coder", "other/chat", "solo"]


def test_a_model_is_read_at_its_revisions(api: Any) -> None:
    info = api.model_info("acme/coder", files_metadata=True)
    assert (info.id, info.sha, info.private) == ("acme/coder", COMMITS[0], False)  # the champion
    assert {one.rfilename for one in info.siblings} == {"config.json", "model.safetensors"}
    assert info.siblings[0].lfs.sha256 == hashlib.sha256(CONFIG).hexdigest()
    assert info.card_data.license == "apache-2.0"
    for revision, commit in (("2", COMMITS[1]), ("champion", COMMITS[0]), (COMMITS[1],) * 2):
        assert api.model_info("acme/coder", revision=revision).sha == commit
    assert "curated" in api.model_info("acme/coder", revision="2").tags
    tree = list(api.list_repo_tree("acme/coder", recursive=True))
    assert [one.path for one in tree] == ["config.json", "model.safetensors"]
    refs = api.list_repo_refs("acme/coder")
    assert {one.name for one in refs.tags} == {"1", "2", "champion"}
    assert refs.branches[0].target_commit == COMMITS[0]
    assert api.file_exists("acme/coder", "config.json")
    assert not api.file_exists("acme/coder", "other.bin")
    assert api.repo_exists("solo") and not api.repo_exists("acme/secret")


def test_errors_are_the_hubs(api: Any) -> None:
    errors = huggingface_hub.errors
    for slug in ("acme/secret", "acme/nothing", "nothing"):  # private ones do not exist
        with pytest.raises(errors.RepositoryNotFoundError):
            api.model_info(slug)
    for revision in ("9", "challenger", "c" * 40):
        with pytest.raises(errors.RevisionNotFoundError):
            api.model_info("acme/coder", revision=revision)
    with pytest.raises(errors.RemoteEntryNotFoundError):
        api.hf_hub_download("acme/coder", "other.bin")


def test_files_are_downloaded_by_redirect(
    api: Any, hub: FakeHub, gateway: Served, tmp_path: Path
) -> None:
    hub.requests.clear()
    cache = tmp_path / "cache"
    path = api.hf_hub_download("acme/coder", "model.safetensors", revision="2", cache_dir=cache)
    assert Path(path).read_bytes() == content(COMMITS[1], "model.safetensors")
    assert f"snapshots/{COMMITS[1]}" in path
    blob = Path(path).resolve().name
    assert blob == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert [one[:2] for one in hub.requests if one[0] == "GET"] == [
        ("GET", f"/acme/coder/resolve/{COMMITS[1]}/model.safetensors")
    ]
    before = len(hub.requests)
    api.hf_hub_download("acme/coder", "model.safetensors", revision="2", cache_dir=cache)
    assert len(hub.requests) == before
    folder = api.snapshot_download("acme/coder", cache_dir=cache)
    assert {one.name for one in Path(folder).iterdir()} == {"config.json", "model.safetensors"}
    assert COMMITS[0] in folder


def test_a_file_is_only_ever_a_redirect(gateway: Served, hub: FakeHub) -> None:
    for method in ("HEAD", "GET"):
        connection = http.client.HTTPConnection(gateway.url.partition("//")[2], timeout=60)
        connection.request(method, "/hf/acme/coder/resolve/main/config.json")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (302, b"")
        headers = {name.lower(): value for name, value in answer.getheaders()}
        assert headers["location"] == f"{hub.url}/acme/coder/resolve/{COMMITS[0]}/config.json"
        assert headers["x-repo-commit"] == COMMITS[0]
        assert headers["x-linked-etag"] == f'"{hashlib.sha256(CONFIG).hexdigest()}"'
        assert headers["x-linked-size"] == str(len(CONFIG)) and headers["content-length"] == "0"
        connection.close()


def test_the_token_of_a_client_is_neither_passed_on_nor_stored(
    gateway: Served, hub: FakeHub, home: Path, tmp_path: Path
) -> None:
    """Clients of the hub send their token to whatever address they are given."""
    hub.requests.clear()
    api = huggingface_hub.HfApi(endpoint=f"{gateway.url}/hf", token=TOKEN)
    assert [one.id for one in api.list_models(search="coder")] == ["acme/coder"]
    api.hf_hub_download("acme/coder", "config.json", cache_dir=tmp_path / "cache")
    for file in home.rglob("*"):
        if file.is_file():
            assert TOKEN.encode() not in file.read_bytes(), file
    assert TOKEN not in str(gateway.events)
