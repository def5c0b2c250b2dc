"""A small world for the catalog's tests: a lab, a converter, providers and a recipe."""

from __future__ import annotations

from typing import Any

from modelscan.catalog.curated import Curated, from_mapping
from modelscan.catalog.records import GPUSTACK, MODELSDEV, SourceRecord, SourceSnapshot
from modelscan.core.model import Offering, Pricing, Spec, TokenLimits, Variant

TIME = "2026-09-30T00:00:00Z"


def curated(**changes: Any) -> Curated:
    """Two labs, one converter, one family word."""
    data: dict[str, Any] = {
        "labs": {
            "acme": {"orgs": ["AcmeAI", "acme-old"], "names": ["acmeai"]},
            "bolt": {"orgs": ["BoltLabs"]},
        },
        "converters": ["packer"],
        "families": {"rocket": "acme", "zap": "bolt"},
        "moving": ["rocket-chat"],
        "brands": ["acme"],
    }
    return from_mapping({**data, **changes})


def repo(name: str, base: str | None = None, **facts: Any) -> SourceRecord:
    """A repository as a hub list has it."""
    downloads = facts.get("downloads")
    form = "gguf" if name.endswith("GGUF") else "safetensors"
    return SourceRecord(
        key=name,
        kind="repository",
        name=name.partition("/")[2],
        repos=(name,),
        base=base,
        facts=facts,
        variants=(Variant(name, form, None, downloads=downloads),),
    )


def row(key: str, name: str | None = None, canonical: str | None = None, **facts: Any) -> Any:
    """A provider's row."""
    price = facts.pop("price", None)
    pricing = None if price is None else Pricing(price, price)
    offering = Offering(key.partition("/")[0], key, pricing, TokenLimits())
    stated = {"open_weights": True, "name": name or key.rpartition("/")[2], **facts}
    return SourceRecord(
        key=key,
        kind="offering",
        name=name or key.rpartition("/")[2],
        canonical=canonical,
        facts=stated,
        offerings=(offering,),
    )


def recipe(name: str, repo: str, **facts: Any) -> SourceRecord:
    """A set of one deployment recipe."""
    spec = Spec("huggingface", repo, "vLLM", "BF16", mode="standard")
    return SourceRecord(
        key=name,
        kind="set",
        name=name,
        repos=(repo,),
        facts={"open_weights": True, **facts},
        specs=(spec,),
    )


def snapshot(source: str, *records: SourceRecord, at: str | None = TIME) -> SourceSnapshot:
    return SourceSnapshot(source=source, retrieved_at=at, records=tuple(records))


def world() -> list[SourceSnapshot]:
    """Rocket 2 8B of Acme: hosted twice, with a recipe, converted twice; a closed model beside."""
    return [
        snapshot(
            MODELSDEV,
            row("acme/rocket-2-8b", "Rocket 2 8B", "acme/rocket-2-8b", price=0.2,
                **{"limits.context_tokens": 131072, "capabilities.tools": True}),
            row("cheap/acmeai/rocket-2-8b:free", "Rocket 2 8B (free)", price=0.0,
                **{"limits.context_tokens": 32768}),
            row("cheap/rocket-latest", "Rocket (latest)"),
            row("acme/rocket-max", "Rocket Max", "acme/rocket-max", open_weights=False),
            row("cheap/unheard-of", "Unheard Of", open_weights=False),
        ),
        snapshot(GPUSTACK, recipe("Rocket-2-8B", "AcmeAI/Rocket-2-8B", parameters=8_000_000_000,
                                  license="apache-2.0", **{"limits.context_tokens": 40960})),
        snapshot("llmfit", repo("AcmeAI/Rocket-2-8B", parameters=8_190_735_360, downloads=900),
                 repo("packer/Rocket-2-8B-GGUF", downloads=50), repo("packer/Rocket-2-8B-AWQ"),
                 repo("someone/rocket-2-8b-pirate", downloads=3)),
    ]  # fmt: skip
