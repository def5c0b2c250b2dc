"""What is shipped: complete, consistent, sourced, and found by every name it has."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY

from benchmarks.bench_links import answers, recipes, report
from modelscan.catalog.curated import curated
from modelscan.catalog.index.layout import bundled_index
from modelscan.catalog.index.read import Index
from modelscan.catalog.link.groups import RecordGroup
from modelscan.catalog.link.join import Grouping
from modelscan.catalog.merge.models import merge
from modelscan.catalog.records import MODELSDEV, SourceSnapshot
from modelscan.catalog.search.lookup import find_known, find_model
from modelscan.catalog.search.query import search
from modelscan.catalog.search.types import Query
from modelscan.catalog.sources.bundled import bundled_snapshots
from modelscan.core.errors import UsageError
from modelscan.core.model import Model
from modelscan.core.workload import Workload
from modelscan.models.from_catalog import from_model
from modelscan.models.from_local import from_path
from modelscan.state.config import load as load_config
from modelscan.state.paths import paths
from scripts.catalogs_checks import check


@pytest.fixture(scope="module")
def snapshots() -> tuple[SourceSnapshot, ...]:
    return bundled_snapshots()


@pytest.fixture(scope="module")
def models(snapshots: tuple[SourceSnapshot, ...]) -> tuple[Model, ...]:
    return merge(snapshots)


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    opened = Index(bundled_index())
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def grouping(snapshots: tuple[SourceSnapshot, ...]) -> tuple[Grouping, list[RecordGroup]]:
    made = Grouping(snapshots, curated())
    return made, made.run()


def test_integrity(models: tuple[Model, ...], snapshots: tuple[SourceSnapshot, ...]) -> None:
    """Counts, ids, values, links, sources; nothing of any source is lost; no prose."""
    assert check(models, snapshots) == []


def test_what_is_promised_is_there(
    models: tuple[Model, ...], snapshots: tuple[SourceSnapshot, ...]
) -> None:
    """All 130 recipe sets, 8,000 rows, 1,200 repositories as variants, 100 architectures."""
    entries = {s.source: s for s in snapshots}
    names = {r.name for r in entries["gpustack"].records}
    assert len(names) == 130
    assert len(entries[MODELSDEV].records) > 8000
    assert len({v.repo.lower() for m in models for v in m.variants}) > 5000
    assert sum(m.architecture is not None for m in models) > 150


def test_every_id_of_models_dev_is_found(
    index: Index, snapshots: tuple[SourceSnapshot, ...]
) -> None:
    """About 2,300 canonical ids or names, each leads to one model with that row."""
    rows = next(s for s in snapshots if s.source == MODELSDEV).records
    ids = {(r.canonical or r.key.partition("/")[2]).lower() for r in rows}
    assert len(ids) > 2200
    offerings = {key for (key,) in index.connection.execute("SELECT key FROM name WHERE kind = 5")}
    assert {r.key.lower() for r in rows} <= offerings
    known = {key for (key,) in index.connection.execute("SELECT id FROM model")}
    assert {r.canonical.lower() for r in rows if r.canonical} <= known


def test_the_index_is_made_of_the_snapshots(index: Index, models: tuple[Model, ...]) -> None:
    """The two files that are shipped belong together."""
    ids = {row[0] for row in index.connection.execute("SELECT id FROM model")}
    assert ids == {m.id for m in models}
    by_id = {m.id: m for m in models}
    for row in search(index, Query(limit=40)).rows:
        assert index.model(row.row) == by_id[row.id]


def test_sizes_in_git() -> None:
    """Small enough to ship."""
    assert bundled_index().stat().st_size < 10 * 2**20
    files = list((REPOSITORY / "catalogs" / "snapshots").glob("*.json.gz"))
    assert sum(f.stat().st_size for f in files) < 2 * 2**20


def test_every_number_of_a_model_has_a_source(models: tuple[Model, ...]) -> None:
    """What ``catalog info`` prints is never nobody's word."""
    fields = ("parameters", "active_parameters", "downloads", "license", "release_date", "task",
              "open_weights", "knowledge", "family")  # fmt: skip
    for model in models:
        said = [f for f in fields if getattr(model, f) not in (None, ())]
        said += [f"limits.{f}" for f in ("context_tokens", "input_tokens", "output_tokens")
                 if getattr(model.limits, f)]  # fmt: skip
        said += [f for f in ("offerings", "specs", "variants") if getattr(model, f)]
        missing = [field for field in said if field not in model.provenance]
        assert missing == [], model.id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alibaba/qwen3-8b", "alibaba/qwen3-8b"),
        ("qwen3-8b", "alibaba/qwen3-8b"),
        ("Qwen 3 8B", "alibaba/qwen3-8b"),
        ("Qwen/Qwen3-8B", "alibaba/qwen3-8b"),
        ("qwen/qwen3-8b-awq", "alibaba/qwen3-8b"),
        ("hf:unsloth/Qwen3-8B-GGUF", "alibaba/qwen3-8b"),
        ("ms:Qwen/Qwen3-8B", "alibaba/qwen3-8b"),
        ("https://huggingface.co/Qwen/Qwen3-8B/tree/main", "alibaba/qwen3-8b"),
        ("https://modelscope.cn/models/Qwen/Qwen3-8B", "alibaba/qwen3-8b"),
        ("openrouter/qwen/qwen3-8b", "alibaba/qwen3-8b"),
        ("gpt-4o", "openai/gpt-4o"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("deepseek-r1", "deepseek/deepseek-r1"),
        ("demo", "modelscan/demo"),
        ("minimax/MiniMax-M2.7", "minimax/minimax-m2.7"),
        ("MiniMaxAI/MiniMax-M2.7", "minimax/minimax-m2.7"),
        ("meta-llama/Llama-3.1-8B-Instruct", "meta/llama-3.1-8b-instruct"),
        ("llama-3.1-8b-instruct", "meta/llama-3.1-8b-instruct"),
        ("openai/gpt-oss-20b", "openai/gpt-oss-20b"),
        ("QWEN3_8B", "alibaba/qwen3-8b"),
        ("Command R+", "cohere/command-r-plus-08-2024"),
        ("openrouter/~z-ai/glm-latest", "zhipuai/glm-latest"),
        ("llama3.1:8b", "meta/llama-3.1-8b-instruct"),
    ],
)
def test_names_that_people_use(text: str, expected: str) -> None:
    """Ids, short names, offerings, repositories of both hubs, URLs, aliases, spellings."""
    assert find_model(text, paths()).id == expected


def test_ambiguous_and_unknown_names() -> None:
    """Exit 2 with what it may mean, or with the nearest."""
    with pytest.raises(UsageError) as caught:
        find_model("llama-3", paths())
    assert caught.value.code == "ambiguous_model"
    assert len(caught.value.details["candidates"]) == 8
    assert caught.value.hint == "modelscan catalog search llama-3"
    with pytest.raises(UsageError) as caught:
        find_model("qwne3-8b-nonsense", paths())
    assert caught.value.code == "unknown_model"
    assert all("qwen3" in near for near in caught.value.details["nearest"])
    for text in ("hf:nobody/nothing-at-all", "./a-file.gguf", "zzqqxxyy"):
        with pytest.raises(UsageError):
            find_model(text, paths())


@pytest.mark.parametrize(
    "text",
    ["*", "--", '"', "\U0001f999", "_", "qwen3-8b' OR 1=1 --", "qwen3-8b'", "qwen3-8b;", "(qwen3-8b)!",
     "qwen3-8b\x00", "qwen3-8b \U0001f999", "qwen3-8b\udcff"],
)  # fmt: skip
def test_what_no_name_has_is_not_dropped(text: str) -> None:
    """Quotes, signs and idle words make a name unknown; only a search passes over them."""
    with pytest.raises(UsageError) as caught:
        find_model(text, paths())
    assert caught.value.code == "unknown_model" and caught.value.hint
    assert find_known(text, paths()) is None
    named = "qwen3-8b" in text
    assert any("qwen3-8b" in near for near in caught.value.details["nearest"]) is named


@pytest.mark.parametrize("text", ["best qwen3-8b model", "the gpt-oss-20b", "qwen3 8b OR 1"])
def test_no_word_is_dropped(text: str) -> None:
    """Idle words and conditions do not vanish until one model is left."""
    with pytest.raises(UsageError):
        find_model(text, paths())


def test_the_demo_model_is_a_file_of_the_package() -> None:
    """Found by search, and its variant is the bundled file."""
    model = find_model("demo", paths())
    (variant,) = model.variants
    assert (variant.source, variant.format) == ("local_path", "gguf")
    assert Path(variant.repo).name == "demo-model.gguf"
    assert Path(variant.repo).is_absolute()
    shape = from_path(variant.repo, Workload()).candidates[0].shape
    assert model.parameters == shape.weights.parameters
    assert model.limits.context_tokens == shape.architecture.context_tokens
    subject = from_model(model, load_config(), Workload())
    assert subject.id == "modelscan/demo"
    assert [c.shape.architecture.known for c in subject.candidates] == [True]


def test_recipes_joined_to_hosted_models(grouping: tuple[Grouping, list[RecordGroup]]) -> None:
    """Two thirds of GPUStack's sets are hosted somewhere; the rest are models of their own."""
    found = recipes(grouping[1])
    assert (found["sets"], found["linked"]) == (130, 84)
    assert "Qwen3-0.6B" in found["unlinked"]  # type: ignore[operator]


@pytest.mark.shared
def test_links_against_the_truth(
    grouping: tuple[Grouping, list[RecordGroup]], shared: Path
) -> None:
    """Precision of 99 % and recall of 92 % on links that others stated."""
    truth = shared / "data" / "truth" / "links_fit.tsv"
    found = report(answers(*grouping, truth))
    assert found["precision"] >= 0.99  # type: ignore[operator]
    assert found["recall"] >= 0.92  # type: ignore[operator]


def test_curated_links_are_no_single_rows_of_the_truth() -> None:
    """What is written down by hand stays a handful; rules do the work."""
    assert len(curated().repositories) <= 10


def test_aliases_name_each_organisation_once() -> None:
    """An organisation belongs to one lab; converters are no labs."""
    owners = [org.lower() for orgs in curated().orgs.values() for org in orgs]
    assert len(owners) == len(set(owners))
    assert not set(owners) & (curated().converters - {"amd"})


def test_only_facts_and_notices() -> None:
    """Each source's licence is named where the package is used."""
    notice = (REPOSITORY / "NOTICE").read_text()
    for name in ("models.dev", "GPUStack", "Xinference", "llmfit", "aiconfigurator"):
        assert re.search(name, notice, re.IGNORECASE), name


@pytest.mark.slow
def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    """``make catalogs`` on the same packages changes nothing (needs PyPI and npm, or the cache)."""
    subprocess.run(
        [sys.executable, "-m", "scripts.build_catalogs", str(tmp_path)], check=True, cwd=REPOSITORY
    )
    for file in (REPOSITORY / "catalogs" / "snapshots").iterdir():
        assert (tmp_path / "snapshots" / file.name).read_bytes() == file.read_bytes()
    assert (tmp_path / "index.sqlite3").read_bytes() == bundled_index().read_bytes()


@pytest.mark.shared
def test_organisation_pairs_of_the_hubs(shared: Path, models: tuple[Model, ...]) -> None:
    """Where a model's copy on ModelScope is named, its owner is one of the known pairs."""
    with (shared / "data" / "hf_to_modelscope_orgs.tsv").open() as stream:
        rows = list(csv.reader(stream, delimiter="\t"))[1:]
    pairs = {
        (row[0].lower(), re.sub(r"\(\d+\)", "", org).strip().lower())
        for row in rows
        for org in row[1].split(",")
    }
    named = [
        (v.repo.partition("/")[0].lower(), v.modelscope_repo.partition("/")[0].lower())
        for m in models
        for v in m.variants
        if v.modelscope_repo
    ]
    known = sum(pair in pairs for pair in named)
    assert known / len(named) > 0.97


def test_curated_repositories_are_linked_to_their_models(models: tuple[Model, ...]) -> None:
    """A merge may lose the lines that put what aliases.yaml lists into the bundle."""
    known = curated()
    by_repository = {repo: model for model in models for repo in model.repos}
    for repo, original in known.known_conversions.items():
        assert repo in {variant.repo for variant in by_repository[original].variants}
    for repo, label in known.known_formats.items():
        of_it = [v for v in by_repository[repo].variants if v.repo == repo]
        assert label in {variant.quantization for variant in of_it}


def test_a_size_in_trillions_is_one_of_parameters(models: tuple[Model, ...]) -> None:
    by_id = {model.id: model for model in models}
    assert by_id["inclusionai/ring-1t"].parameters == 10**12
    assert (by_id["inclusionai/ling-3.0-flash-base-30t"].parameters or 0) < 10**12  # tokens
