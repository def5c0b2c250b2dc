"""``modelscan.RegistryClient`` against running gateways: one request per answer, events, losses."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.served import Served, serving, until, write_routing

import modelscan
from modelscan.registry.client import RegistryClient
from modelscan.registry.client_cache import RegistryAnswerCache
from modelscan.registry.event_lines import read_events
from modelscan.registry.labels import set_alias
from modelscan.registry.models import create_model
from modelscan.registry.types import RegistryModelFacts, RegistryVersionFacts
from modelscan.registry.versions import add_version, publish_version
from modelscan.state.config import load
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase, open_server

WHO = Actor("key", "ann")
SLUGS = itertools.count()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client") / "home"
    write_routing(folder, {})
    return folder


@pytest.fixture(scope="module")
def gateway(home: Path) -> Iterator[Served]:
    with serving(MODELSCAN_HOME=str(home)) as running:
        yield running


@pytest.fixture(scope="module")
def database(home: Path) -> Iterator[ServerDatabase]:
    with open_server(load(environ={"MODELSCAN_HOME": str(home)})) as opened:
        yield opened


@pytest.fixture
def slug(database: ServerDatabase) -> str:
    """A model with two published versions; the first one is the champion."""
    name = f"acme/m{next(SLUGS)}"
    with database.writing() as connection:
        create_model(connection, WHO, RegistryModelFacts(slug=name, family="qwen3"))
        for number in (1, 2):
            url = f"https://hub.test/{name}/{number}"
            add_version(connection, WHO, name, RegistryVersionFacts(weights_url=url))
            publish_version(connection, WHO, name, number)
        set_alias(connection, WHO, name, "champion", 1)
    return name


class Counted(RegistryClient):
    """Counts its requests; those of the events are none of them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.requests: list[tuple[str, str | None]] = []

    def _ask(self, url: str, etag: str | None) -> tuple[bytes | None, str | None]:
        self.requests.append((url.partition("/v1/")[2], etag))
        return super()._ask(url, etag)


def champion(database: ServerDatabase, slug: str, number: int) -> None:
    with database.writing() as connection:
        set_alias(connection, WHO, slug, "champion", number)


def test_one_request_per_answer_however_many_threads(gateway: Served, slug: str) -> None:
    with Counted(gateway.url) as client:
        found: list[str] = []
        threads = [
            threading.Thread(target=lambda: found.append(client.resolve(slug).version))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == ["1"] * 16 and len(client.requests) == 1
        assert client.version(slug, 2).weights_url == f"https://hub.test/{slug}/2"
        assert slug in [one.slug for one in client.models(family="qwen3")]
        client.version(slug, "2"), client.models(family="qwen3")
        assert len(client.requests) == 3


def test_an_event_drops_what_changed(gateway: Served, slug: str, database: ServerDatabase) -> None:
    with Counted(gateway.url, cache_s=3600) as client:
        other = client.version(slug, 1)
        assert client.resolve(f"{slug}@champion").version == "1"
        events = client.watch()
        champion(database, slug, 2)
        # Events of the model's first versions may arrive after the start of the watch.
        next(one for one in events if one.event == "alias.set" and one.version == "2")
        until(lambda: client.resolve(f"{slug}@champion").version == "2")
        before = len(client.requests)
        assert client.version(slug, 1) == other  # dropped, too; revalidated by its ETag
        assert client.requests[before][1] is not None
        client.close()
        assert next(events, None) is None


def test_a_lifetime_ends_and_an_etag_revalidates(gateway: Served, slug: str) -> None:
    with Counted(gateway.url, cache_s=0) as client:
        first, second = client.version(slug, 1), client.version(slug, 1)
        assert first == second
        assert [etag for _, etag in client.requests] == [None, f'"{first.etag}"']


def test_a_gateway_that_is_away_and_comes_back(tmp_path: Path) -> None:
    """Cached answers are used meanwhile; what changed is replayed to the same client."""
    home = str(tmp_path / "home")
    write_routing(tmp_path / "home", {})
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    config = load(environ={"MODELSCAN_HOME": home})
    with open_server(config) as database:
        with database.writing() as connection:
            create_model(connection, WHO, RegistryModelFacts(slug="a"))
            for number in (1, 2):
                facts = RegistryVersionFacts(weights_url=f"https://hub.test/{number}")
                add_version(connection, WHO, "a", facts)
            set_alias(connection, WHO, "a", "champion", 1)
        with serving("--port", port, MODELSCAN_HOME=home) as running:
            client = Counted(running.url, cache_s=3600)
            events = client.watch()
            assert client.resolve("a").version == "1"
            set_champion_and_back(database)
            assert [next(events).event for _ in range(2)] == ["alias.set"] * 2
            until(lambda: client.resolve("a").version == "1")
        assert client.resolve("a").version == "1"  # nobody answers, and it is still fresh
        champion(database, "a", 2)
        with serving("--port", port, MODELSCAN_HOME=home):
            until(lambda: client.resolve("a").version == "2")
            assert next(events).event == "alias.set"
        client.close()


def set_champion_and_back(database: ServerDatabase) -> None:
    champion(database, "a", 2)
    champion(database, "a", 1)


def test_errors_say_what_to_do(gateway: Served) -> None:
    with RegistryClient(gateway.url) as client:
        with pytest.raises(modelscan.UsageError, match="no model 'nothing'"):
            client.resolve("nothing")
        with pytest.raises(modelscan.UsageError, match="not a slug"):
            client.resolve("No Slug")
        with pytest.raises(modelscan.UsageError, match="filter"):
            client.models(nonsense="1")
    with RegistryClient("http://127.0.0.1:1") as client, pytest.raises(modelscan.RemoteError):
        client.resolve("a")


def test_the_hubs_token_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[str] = []

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heads.append(str(self.headers))
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("HF_TOKEN", "hf_" + "a" * 30)
    monkeypatch.setenv("OWN", "sk-ms-1")
    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/"
        for token in (None, "env:OWN", "sk-ms-1"):
            with RegistryClient(url, token) as client, pytest.raises(modelscan.UsageError):
                client.resolve("a")
        server.shutdown()
    assert heads and not any("hf_" in head for head in heads)
    assert sum("Bearer sk-ms-1" in head for head in heads) == len(heads) - 2
    for token in ("hf_" + "a" * 30, "env:HF_TOKEN"):
        with pytest.raises(modelscan.UsageError, match="token of Hugging Face"):
            RegistryClient("http://127.0.0.1:1", token)


def test_an_answer_from_before_a_change_is_not_kept() -> None:
    cache, answers = RegistryAnswerCache(60, lambda: 0.0), iter(["old", "new"])

    def ask(_: str | None) -> tuple[bytes, str]:
        text = next(answers)
        if text == "old":
            cache.drop("a")  # the event overtakes the answer
        return text.encode(), text

    assert cache.get("u", "a", ask) == b"old"
    assert cache.get("u", "a", ask) == b"new"
    assert cache.get("u", "a", ask) == b"new"
    cache.drop("b")
    assert cache.get("u", "a", ask) == b"new"  # another model's change


def test_lines_become_events() -> None:
    text = (
        ": hello\nretry: 1\n\nid: 7\nevent: a\ndata: {}\n\ndata:x\ndata: y\n\nid: 9\n\nevent: end"
    )
    assert [(one.event, one.data, one.id) for one in read_events(text.split("\n"))] == [
        ("a", "{}", "7"), ("message", "x\ny", None),
    ]  # fmt: skip
