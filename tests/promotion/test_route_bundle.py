"""Bundles of routes between two homes: the same bytes, the same body, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.promotions import registered, running
from support.talking_gguf import write_talking_gguf

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.workload import Workload
from modelscan.deploy.deployments import Deployments
from modelscan.evals.subject import ask, find_subject
from modelscan.promotion.bundle import (
    BundleBody,
    BundledReceipts,
    BundledVersion,
    RouteBundle,
    digest_of,
    read,
    written,
)
from modelscan.promotion.bundle_export import bundle_of
from modelscan.promotion.bundle_files import BundleOptions
from modelscan.promotion.bundle_import import BundleImported, import_bundle
from modelscan.promotion.run import Promoter
from modelscan.routing.edits import add_provider, add_role
from modelscan.routing.file import load
from modelscan.state.config import Config
from modelscan.state.config import load as load_config
from modelscan.targets.request import Request

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
pytest_plugins = ("support.engine_fixtures", "support.promotion_fixtures")


def answer_of(name: str, config: Config) -> str:
    subject = find_subject(name, config)
    body = {"model": subject.model, "max_tokens": 8, "messages": [{"role": "user", "content": "?"}]}
    answer: Any = ask(subject, "/v1/chat/completions", body)
    return str(answer["choices"][0]["message"]["content"])


def exported(promoter: Promoter, talking: Path) -> tuple[RouteBundle, str]:
    """A route with an adapter, a role and a hosted provider."""
    workload = Workload(context_tokens=512, adapters=(str(talking / "worse.gguf"),))
    promoter.deployments.deploy(Request(str(talking / "base.gguf"), workload, name="talk"))
    file = promoter.config.routing_file
    add_provider(file, {
        "name": "hosted", "type": "openai", "base_url": "https://example.com",
        "model": "big", "api_key": "env:BIG_KEY",
    })  # fmt: skip
    add_role(file, {
        "role_id": "work", "routing_policy": {"providers": ["talk"]},
        "prompt_policy": {"request_policy": {"body_defaults": {"temperature": 0.1}}},
    })  # fmt: skip
    bundle = bundle_of(promoter.config, promoter.deployments.list())
    return bundle, written(bundle)


def imported(text: str, config: Config, **options: Any) -> BundleImported:
    bundle = read(text.encode(), "the bundle")
    say = lambda _: None  # noqa: E731
    return import_bundle(
        bundle, "the bundle", BundleOptions(**options), config, Deployments(config), say
    )


def test_a_route_moves_to_another_home(promoter: Promoter, talking: Path, tmp_path: Path) -> None:
    """The second home answers the same, and exports the same body."""
    bundle, text = exported(promoter, talking)
    assert text == written(bundle_of(promoter.config, promoter.deployments.list()))
    assert "BIG_KEY" in text
    assert str(promoter.config.paths.state) not in text
    said = answer_of("talk", promoter.config)
    assert said == "no"  # the adapter's answer
    other = load_config({}, {"MODELSCAN_HOME": str(tmp_path / "other")})
    previewed = imported(text, other, dry_run=True)
    assert (previewed.applied, previewed.differences) == (False, ())
    assert not other.routing_file.exists()
    assert Deployments(other).list() == ()
    try:
        done = imported(text, other)
        assert (done.deployments, done.differences) == (("talk",), ())
        assert answer_of("talk", other) == said
        entry = load(other.routing_file).route("talk")
        assert entry is not None and entry.deployment == "talk"
        again = bundle_of(other, Deployments(other).list())
        assert again.body_sha256 == bundle.body_sha256
        assert load(other.routing_file).role("work") is not None
        assert imported(text, other).applied  # a repetition changes nothing
    finally:
        Deployments(other).remove("talk", drain_s=0)


def test_files_that_are_elsewhere_or_other_ones(
    promoter: Promoter, talking: Path, tmp_path: Path
) -> None:
    """Found in a folder by name and checksum; another content is refused, and nothing starts."""
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copy(talking / "base.gguf", folder / "moved.gguf")
    request = Request(str(folder / "moved.gguf"), Workload(context_tokens=512), name="talk")
    promoter.deployments.deploy(request)
    text = written(bundle_of(promoter.config, promoter.deployments.list()))
    promoter.deployments.remove("talk", drain_s=0)
    (folder / "moved.gguf").rename(tmp_path / "moved.gguf")
    with pytest.raises(UsageError, match=r"moved\.gguf of talk is not on this machine"):
        imported(text, promoter.config)
    write_talking_gguf(folder / "moved.gguf", "no")
    with pytest.raises(ModelscanError, match="is another file"):
        imported(text, promoter.config)
    assert running(promoter) == set()
    done = imported(text, promoter.config, folders=(tmp_path,))
    assert done.deployments == ("talk",)
    assert answer_of("talk", promoter.config) == "yes"


def test_what_is_no_bundle(promoter: Promoter, talking: Path) -> None:
    """A changed body, another file, a taken name, a key."""
    _, text = exported(promoter, talking)
    changed = json.loads(text)
    changed["body"]["deployments"][0]["context_tokens"] = 4096
    for broken, words in (
        (json.dumps(changed), "was changed"), ("{}", "no bundle"), ("[", "no JSON"),
        (json.dumps({**changed, "body": 3}), "body"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            read(broken.encode(), "FILE")
    promoter.deployments.remove("talk", drain_s=0)
    add_provider(promoter.config.routing_file, {
        "name": "talk", "type": "openai", "base_url": "https://example.com", "model": "x",
    })  # fmt: skip
    with pytest.raises(UsageError, match="has an entry 'talk' already"):
        imported(text, promoter.config)
    bundle = read(text.encode(), "FILE")
    leaked = RouteBundle(
        bundle.body, bundle.body_sha256, bundle.receipts, {"talk/x": "sk-proj-" + "a1B2" * 12}
    )
    with pytest.raises(ModelscanError, match="looks like a key"):
        written(leaked)
    with pytest.raises(UsageError, match="no entry and no role 'tolk'"):
        bundle_of(promoter.config, (), ("tolk",))


def test_a_version_that_is_another_one_here(promoter: Promoter, talking: Path) -> None:
    """An entry must not get the tags that were given to other weights of the same name."""
    version = registered(promoter, "talker", talking / "good-q8_0.gguf")
    body = BundleBody({}, ())

    def bundle(digest: str) -> str:
        versions = {"talk": BundledVersion(version.name, digest)}
        receipts = BundledReceipts(0, None)
        return written(RouteBundle(body, digest_of(body), receipts, versions=versions))

    with pytest.raises(UsageError, match="has other weights as talker@1"):
        imported(bundle("0" * 64), promoter.config, dry_run=True)
    assert imported(bundle(version.digest), promoter.config, dry_run=True).deployments == ()


def test_one_route_of_several(promoter: Promoter, talking: Path) -> None:
    """Only what it needs."""
    exported(promoter, talking)
    bundle = bundle_of(promoter.config, promoter.deployments.list(), ("work",))
    names = [one["name"] for one in bundle.body.routing["direct"]["providers"]]
    assert names == ["talk"]
    hosted = bundle_of(promoter.config, promoter.deployments.list(), ("hosted",))
    assert hosted.body.deployments == ()
    assert "roles" not in hosted.body.routing
