"""The index: built atomically and reproducibly, searched as a person means it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.catalog_facts import curated, world

from modelscan.catalog.index.current import open_index
from modelscan.catalog.index.layout import bundle_stamp, bundled_index, stamp_file, synced_index
from modelscan.catalog.index.read import Index
from modelscan.catalog.index.write import build, popularity, ranked, recency
from modelscan.catalog.merge.models import merge
from modelscan.catalog.search.query import search
from modelscan.catalog.search.types import Query
from modelscan.catalog.sizing import MinimumMemory, lower_bound_memory
from modelscan.core.errors import ModelscanError
from modelscan.core.model import Capabilities, Model, TokenLimits, Variant
from modelscan.core.units import GIB
from modelscan.state.paths import paths


def model(identifier: str, **facts: object) -> Model:
    """A model with a name, open weights and a size."""
    return Model(id=identifier, name=identifier.rpartition("/")[2], **facts)  # type: ignore[arg-type]


MODELS = (
    model("acme/rocket-2-8b", family="rocket", open_weights=True, license="apache-2.0",
          parameters=8_000_000_000, downloads=9000, release_date="2026-05-01", task="chat",
          capabilities=Capabilities(tools=True, reasoning=True, vision=False),
          limits=TokenLimits(context_tokens=131072), modalities_in=("text",), repos=("AcmeAI/Rocket-2-8B",),
          variants=(Variant("AcmeAI/Rocket-2-8B", "safetensors", "BF16"),
                    Variant("packer/Rocket-2-8B-GGUF", "gguf", "Q4_K_M"))),
    model("acme/rocket-2-vision-2b", family="rocket", open_weights=True, license="apache-2.0, mit",
          parameters=2_000_000_000, downloads=100, release_date="2025-01", task="chat",
          capabilities=Capabilities(vision=True), modalities_in=("text", "image"),
          variants=(Variant("AcmeAI/Rocket-2-Vision-2B", "safetensors", None),)),
    model("bolt/zap-coder-30b-a3b", family="zap", open_weights=True, parameters=30_000_000_000,
          active_parameters=3_000_000_000, downloads=500, task="chat",
          capabilities=Capabilities(tools=True), limits=TokenLimits(context_tokens=32768),
          variants=(Variant("BoltLabs/Zap-Coder-30B-A3B", "safetensors", None),)),
    model("bolt/zap-embed", task="embedding", open_weights=True),
    model("acme/rocket-max", open_weights=False, task="chat", downloads=None,
          capabilities=Capabilities(tools=True, reasoning=True, vision=True)),
    model("acme/comet", aliases=("shooting-star",)),
)  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    build(MODELS, tmp_path / "index.sqlite3", least=lower_bound_memory)
    opened = Index(tmp_path / "index.sqlite3")
    yield opened
    opened.close()


def ids(index: Index, text: str = "", **query: object) -> list[str]:
    return [row.id for row in search(index, Query(text=text, **query)).rows]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rocket-2-8b", ["acme/rocket-2-8b"]),
        ("Rocket 2 8B", ["acme/rocket-2-8b"]),
        ("rocket", ["acme/rocket-2-8b", "acme/rocket-2-vision-2b", "acme/rocket-max"]),
        ("shooting star", ["acme/comet"]),
        ("code generation", ["bolt/zap-coder-30b-a3b"]),
        ("reasoning", ["acme/rocket-2-8b", "acme/rocket-max"]),
        ("vision small", ["acme/rocket-2-vision-2b"]),
        ("embeddings", ["bolt/zap-embed"]),
        ("moe", ["bolt/zap-coder-30b-a3b"]),
        ("packer/rocket-2-8b-gguf", ["acme/rocket-2-8b"]),
        ("rokcet vison", ["acme/rocket-2-vision-2b", "acme/rocket-max"]),
        ("zpa", ["bolt/zap-coder-30b-a3b", "bolt/zap-embed"]),
        ("acme rocket wonderful", ["acme/rocket-2-8b", "acme/rocket-2-vision-2b",
                                   "acme/rocket-max"]),
        ("nothing like it", []),
        ('"; DROP TABLE model; --', []),
        ("* OR NEAR(", []),
        ("the best model", []),
    ],
)  # fmt: skip
def test_what_a_person_means(index: Index, text: str, expected: list[str]) -> None:
    """Names, beginnings, kinds, typos, one word too many; never an error."""
    assert ids(index, text) == expected


def test_corrections_are_told(index: Index) -> None:
    """The query that was answered, where it is not the one asked."""
    assert search(index, Query(text="rokcet")).corrected == "rocket"
    assert search(index, Query(text="rocket")).corrected is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"open_weights": False}, ["acme/rocket-max"]),
        ({"tools": True, "reasoning": True}, ["acme/rocket-2-8b", "acme/rocket-max"]),
        ({"vision": True, "open_weights": True}, ["acme/rocket-2-vision-2b"]),
        ({"license": "MIT"}, ["acme/rocket-2-vision-2b"]),
        ({"family": "ZAP"}, ["bolt/zap-coder-30b-a3b"]),
        ({"modalities": ("text", "image")}, ["acme/rocket-2-vision-2b"]),
        ({"min_context_tokens": 100_000}, ["acme/rocket-2-8b"]),
        ({"max_parameters": 2_000_000_000}, ["acme/rocket-2-vision-2b"]),
        ({"max_memory_bytes": 6 * GIB}, ["acme/rocket-2-8b", "acme/rocket-2-vision-2b"]),
        ({"task": "embedding"}, ["bolt/zap-embed"]),
        ({"sort": "params", "limit": 2}, ["bolt/zap-coder-30b-a3b", "acme/rocket-2-8b"]),
        ({"sort": "release", "limit": 2}, ["acme/rocket-2-8b", "acme/rocket-2-vision-2b"]),
        ({"sort": "context", "limit": 2}, ["acme/rocket-2-8b", "bolt/zap-coder-30b-a3b"]),
        ({"family": "nobody"}, []),
    ],
)
def test_filters(index: Index, query: dict[str, object], expected: list[str]) -> None:
    """With and without words; a model for which the fact is unknown never passes."""
    found = search(index, Query(**query))  # type: ignore[arg-type]
    assert [row.id for row in found.rows] == expected
    if "limit" not in query:
        assert found.total == len(expected)
    worded = [i for i in ids(index, "rocket") if i in expected]
    if "limit" not in query:
        assert sorted(ids(index, "rocket", **query)) == sorted(worded)


def test_pages_are_the_whole(index: Index) -> None:
    """Every page after another gives each model once; totals stay."""
    for query in (Query(), Query(text="rocket"), Query(sort="params")):
        whole = search(index, query._replace(limit=None))
        pages = [search(index, query._replace(limit=1, offset=n)) for n in range(whole.total)]
        assert [p.rows[0].id for p in pages] == [r.id for r in whole.rows]
        assert {p.total for p in pages} == {whole.total}
        assert search(index, query._replace(offset=99)).rows == ()


def test_everything_comes_back(index: Index) -> None:
    """The details of each row are the model that was put in."""
    for number, made in enumerate(ranked(MODELS), 1):
        assert index.model(number) == made


def test_the_same_models_give_the_same_bytes(tmp_path: Path) -> None:
    """Whatever order they come in."""
    models = merge(world(), curated())
    build(models, tmp_path / "a", sources=world())
    build(models[::-1], tmp_path / "b", sources=world()[::-1])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_build_that_dies_leaves_the_old_index(tmp_path: Path) -> None:
    """Replaced whole or not at all, and no remains."""
    target = tmp_path / "index.sqlite3"
    build(MODELS[:1], target)

    def dies(made: Model) -> MinimumMemory | None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(MODELS, target, least=dies)
    assert Index(target).count() == 1
    assert [f.name for f in tmp_path.iterdir()] == ["index.sqlite3"]


def test_the_users_index_goes_before_the_bundled_one() -> None:
    """When it is usable: damaged, empty or foreign files do not count."""
    where = paths()
    assert open_index(where).path == bundled_index()
    build(MODELS, synced_index(where))
    stamp_file(where).write_text(bundle_stamp())
    assert open_index(where).count() == len(MODELS)
    for damage in (b"", b"not a database at all", synced_index(where).read_bytes()[:4096]):
        synced_index(where).write_bytes(damage)
        assert open_index(where).path == bundled_index()
    synced_index(where).unlink()
    connection = sqlite3.connect(synced_index(where))
    connection.executescript("CREATE TABLE meta(key, value); INSERT INTO meta VALUES('format','0')")
    connection.close()
    assert open_index(where).path == bundled_index()


def test_no_index_at_all_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the command that makes one."""
    monkeypatch.setattr("modelscan.catalog.index.current.bundled_index", lambda: tmp_path / "none")
    with pytest.raises(ModelscanError) as caught:
        open_index(paths())
    assert caught.value.hint == "modelscan catalog sync"


def test_popularity_and_minimum_memory() -> None:
    """Newer and more used goes first; the smallest weights of four bits and more count."""
    assert recency("2026-05", "2026-05") == 1.0
    assert 0.49 < recency("2025-05-01", "2026-05-01") < 0.51
    assert recency(None, "2026-05") == 0.0
    assert popularity(MODELS[0], "2026-05") > popularity(MODELS[1], "2026-05")
    least = lower_bound_memory(MODELS[0])
    assert least is not None and least.quantization == "Q4_K_M"
    assert 4.5 * GIB < least.memory_bytes < 5.5 * GIB
    assert lower_bound_memory(MODELS[3]) is None
    tiny = model("x/y", variants=(Variant("x/y", "gguf", "Q2_K"), Variant("x/y", "mlx", "4bit")),
                 parameters=10**9)  # fmt: skip
    assert lower_bound_memory(tiny) is None
