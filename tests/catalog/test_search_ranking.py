"""Which of several matches comes first, and what other words a person may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modelscan.catalog.index.read import Index
from modelscan.catalog.index.write import build
from modelscan.catalog.search.query import search
from modelscan.catalog.search.types import Query
from modelscan.catalog.sizing import lower_bound_memory
from modelscan.core.model import Capabilities, Model, Variant

CHAT = {"task": "chat", "open_weights": True}


def model(identifier: str, **facts: object) -> Model:
    return Model(id=identifier, name=identifier.rpartition("/")[2], **facts)  # type: ignore[arg-type]


GGUF = (Variant("packer/Rocket-3-8B-GGUF", "gguf", "Q4_K_M"),)
MODELS = (
    model("acme/rocket-3.1-8b", family="rocket", lab="acme", downloads=10, parameters=8 * 10**9,
          repos=("AcmeAI/Rocket-3.1-8B",), license="mit", **CHAT),
    model("acme/rocket-3-8b", family="rocket", lab="acme", downloads=9, variants=GGUF, **CHAT),
    model("acme/rocket-4-2b-small", family="rocket", lab="acme", downloads=8,
          parameters=90 * 10**9, capabilities=Capabilities(vision=True), **CHAT),
    model("acme/rocket-5n-e3b", family="rocket", lab="acme", downloads=7, **CHAT),
    model("coder77/zap-rocket-3-8b-tune", downloads=99_000, parameters=2 * 10**9,
          capabilities=Capabilities(vision=True), **CHAT),
    model("bolt/made-for-zap", **CHAT),
    model("bolt/zap-coder-9b", family="zap", lab="bolt", downloads=3,
          modalities_in=("text", "video"), capabilities=Capabilities(tools=True), **CHAT),
)  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    file = tmp_path_factory.mktemp("index") / "index.sqlite3"
    build(MODELS, file, least=lower_bound_memory)
    with Index(file) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "first", "total"),
    [
        ("rocket", "acme/rocket-3.1-8b", 5),  # the family before another's tune, however popular
        ("acme", "acme/rocket-3.1-8b", 4),  # a lab
        ("coder77", "coder77/zap-rocket-3-8b-tune", 1),
        ("code generation", "bolt/zap-coder-9b", 1),  # an owner's name is no kind of model
        ("vision small", "coder77/zap-rocket-3-8b-tune", 1),  # counted, not called small
        ("rocket3", "acme/rocket-3.1-8b", 3),  # 3.1 is a 3; e3b is a size
        ("rocket3 8b gguf", "acme/rocket-3-8b", 1),
        ("packer/Rocket-3-8B-Q4", "acme/rocket-3-8b", 1),
        ("gguf", "acme/rocket-3-8b", 1),
        ("tool use", "bolt/zap-coder-9b", 1),
        ("video understanding", "bolt/zap-coder-9b", 1),
        ("vision language model", "coder77/zap-rocket-3-8b-tune", 2),
        ("mit license", "acme/rocket-3.1-8b", 1),
        ("model for coding on a laptop", "bolt/zap-coder-9b", 1),
        ("rocket3 8b wonderful", "acme/rocket-3-8b", 3),
    ],
)
def test_what_comes_first(index: Index, text: str, first: str, total: int) -> None:
    found = search(index, Query(text=text))
    assert (found.rows[0].id if found.rows else None, found.total) == (first, total)


def test_no_word_is_corrected_to_an_idle_one(index: Index) -> None:
    """A model may be called so, but nobody means it: ``foo`` is not ``for``."""
    assert search(index, Query(text="foo")).total == 0
    assert search(index, Query(text="rocekt")).corrected == "rocket"


def test_pages_of_every_query_are_the_whole(index: Index) -> None:
    """What is counted is listed, each once, on whichever page."""
    for text in ("rocket", "rocket3 8b gguf", "acme 8b", "vision small", "zap"):
        whole = search(index, Query(text=text, limit=None))
        pages = [search(index, Query(text=text, limit=1, offset=i)) for i in range(whole.total)]
        assert [row.id for page in pages for row in page.rows] == [r.id for r in whole.rows]
        assert len({r.id for r in whole.rows}) == whole.total
