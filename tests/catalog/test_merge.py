"""One value per field with its origin; the same result in any order, said once or twice."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.catalog_facts import curated, recipe, repo, row, snapshot, world

from modelscan.catalog.merge.models import merge
from modelscan.catalog.offers import blended_price, own_cost, ranked_offers
from modelscan.catalog.records import GPUSTACK, MODELSDEV, SourceRecord, SourceSnapshot
from modelscan.core.model import Model, Variant


def models(*snapshots: SourceSnapshot) -> dict[str, Model]:
    return {m.id: m for m in merge(snapshots or world(), curated())}


def test_fields_come_from_the_source_that_knows_them() -> None:
    """models.dev's context, the hub's counted parameters, GPUStack's licence; others are kept."""
    rocket = models()["acme/rocket-2-8b"]
    assert (rocket.name, rocket.lab) == ("Rocket 2 8B", "acme")
    assert rocket.limits.context_tokens == 131072
    context = rocket.provenance["limits.context_tokens"]
    assert (context.source, context.others) == (MODELSDEV, ((GPUSTACK, 40960),))
    assert (rocket.parameters, rocket.provenance["parameters"].source) == (8_190_735_360, "llmfit")
    assert not rocket.provenance["parameters"].conflict  # 8.0 and 8.19 billion are one size
    assert (rocket.license, rocket.provenance["license"].source) == ("apache-2.0", GPUSTACK)
    assert rocket.capabilities.tools is True
    assert rocket.capabilities.reasoning is None


def test_everything_stated_has_an_origin() -> None:
    """No fact without a source."""
    for model in models().values():
        for field in ("name", "open_weights", "parameters", "license", "downloads", "task"):
            if getattr(model, field) is not None and (field != "name" or model.offerings):
                assert field in model.provenance, (model.id, field)


def test_offerings_specs_and_variants() -> None:
    """Each provider's row, each recipe, each conversion; missing price is not free."""
    rocket = models()["acme/rocket-2-8b"]
    assert [o.id for o in rocket.offerings] == [
        "acme/rocket-2-8b",
        "cheap/acmeai/rocket-2-8b:free",
    ]
    assert [s.repo for s in rocket.specs] == ["AcmeAI/Rocket-2-8B"]
    assert [(v.repo, v.format, v.quantization) for v in rocket.variants] == [
        ("AcmeAI/Rocket-2-8B", "safetensors", "BF16"),
        ("packer/Rocket-2-8B-GGUF", "gguf", None),
        ("packer/Rocket-2-8B-AWQ", "safetensors", None),
    ]
    assert [o.provider for o in ranked_offers(rocket)] == ["cheap", "acme"]
    assert blended_price(rocket.offerings[1]) == 0.0
    unpriced = models()["cheap/unheard-of"].offerings[0]
    assert (unpriced.pricing, blended_price(unpriced)) == (None, None)


def test_closed_models_have_no_weights() -> None:
    """And are marked closed by who makes them."""
    closed = models()["acme/rocket-max"]
    assert (closed.open_weights, closed.variants, closed.repos) == (False, (), ())


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(chance: object) -> None:
    """Sources in any order, records in any order: the same models."""
    expected = merge(world(), curated())
    shuffled = []
    for snap in world():
        records = list(snap.records)
        chance.shuffle(records)  # type: ignore[attr-defined]
        shuffled.append(replace(snap, records=tuple(records)))
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merge(shuffled, curated()) == expected


_NAMES = st.sampled_from(["Rocket-2-8B", "Rocket-2-70B", "Zap-1-3B", "Comet-7B", "rocket-2-8b"])
_OWNERS = st.sampled_from(["AcmeAI", "BoltLabs", "packer", "someone", "acme-old"])
_ENDINGS = st.sampled_from(["", "-GGUF", "-AWQ", "-FP8", "-4bit"])
_REPOS = st.builds(lambda o, n, e: f"{o}/{n}{e}", _OWNERS, _NAMES, _ENDINGS)
_RECORDS = st.one_of(
    st.builds(lambda r, n: repo(r, parameters=n), _REPOS, st.integers(1, 10**10)),
    st.builds(lambda h, n, c: row(f"{h}/{n}", canonical=c), st.sampled_from(["acme", "host"]),
              _NAMES, st.sampled_from([None, "acme/rocket-2-8b", "bolt/zap"])),
    st.builds(lambda r: recipe(r.partition("/")[2], r), _REPOS),
)  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.tuples(st.sampled_from([MODELSDEV, GPUSTACK, "llmfit"]), _RECORDS), max_size=14),
    st.randoms(use_true_random=False),
)
def test_merge_is_order_independent_idempotent_and_total(
    told: list[tuple[str, SourceRecord]], chance: object
) -> None:
    """Whatever is said: any order, said twice, the same; every repository and row is kept."""

    def said(pairs: list[tuple[str, SourceRecord]]) -> list[SourceSnapshot]:
        sources = dict.fromkeys(source for source, _ in pairs)
        return [snapshot(s, *(r for t, r in pairs if t == s)) for s in sources]

    unique = list({(s, r.kind, r.key): (s, r) for s, r in told}.values())
    expected = merge(said(unique), curated())
    mixed = list(unique)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert merge(said(mixed), curated()) == expected
    assert merge([*said(unique), *said(mixed)], curated()) == expected
    assert len({m.id for m in expected}) == len(expected)
    kept = {v.repo.lower() for m in expected for v in m.variants}
    assert {r.lower() for _, record in unique for r in record.repos} <= kept
    rows = {o.id for _, record in unique for o in record.offerings}
    assert rows == {o.id for m in expected for o in m.offerings}


def test_a_users_overlay_wins() -> None:
    """Every field it states; what it says of others is kept beside."""
    mine = SourceRecord(
        "acme/rocket-2-8b", "overlay", canonical="acme/rocket-2-8b",
        facts={"limits.context_tokens": 8192, "license": "mine"}, aliases=("bird",),
    )  # fmt: skip
    rocket = models(*world(), snapshot("user", mine))["acme/rocket-2-8b"]
    assert (rocket.limits.context_tokens, rocket.license) == (8192, "mine")
    assert dict(rocket.provenance["limits.context_tokens"].others)[MODELSDEV] == 131072
    assert "bird" in rocket.aliases


def test_benchmarks_keep_their_source() -> None:
    """A canonical entry's scores, once, with who said so."""
    scores = ({"name": "quiz", "score": 61.5},)
    entry = SourceRecord(
        "acme/rocket-2-8b", "model", "Rocket 2 8B", "acme/rocket-2-8b",
        repos=("AcmeAI/Rocket-2-8B",), benchmarks=scores,
    )  # fmt: skip
    rocket = models(*world(), snapshot(MODELSDEV, entry))["acme/rocket-2-8b"]
    assert rocket.benchmarks == scores
    assert rocket.provenance["benchmarks"].source == MODELSDEV
    assert rocket.provenance["repos"].source == "link: weights"


def test_both_hubs_copies_are_one_variant() -> None:
    """The same name and quantization on ModelScope is the other hub's copy, not another one."""
    copy = SourceRecord(
        "modelscope:Rocket-2-8B", "set", "Rocket-2-8B",
        variants=(Variant("Acme/Rocket-2-8B", "safetensors", "BF16", source="modelscope"),),
    )  # fmt: skip
    gpustack = snapshot(GPUSTACK, recipe("Rocket-2-8B", "AcmeAI/Rocket-2-8B"), copy)
    rocket = models(gpustack)["acme/rocket-2-8b"]
    assert [(v.source, v.repo, v.modelscope_repo) for v in rocket.variants] == [
        ("huggingface", "AcmeAI/Rocket-2-8B", "Acme/Rocket-2-8B")
    ]


def test_a_second_name_for_the_same_weights_has_them_too() -> None:
    """Variants, recipes and sizes hold under both canonical ids."""
    rows = [
        row("acme/rocket-2-8b", canonical="acme/rocket-2-8b"),
        row("acme/rocket-2-8b-highspeed", canonical="acme/rocket-2-8b-highspeed"),
    ]
    found = models(*world()[1:], snapshot(MODELSDEV, *rows))
    first, second = found["acme/rocket-2-8b"], found["acme/rocket-2-8b-highspeed"]
    assert second.variants == first.variants
    assert (second.parameters, second.specs) == (first.parameters, first.specs)


def test_own_cost_is_power_times_price() -> None:
    """300 W at 50 tokens/s: 20,000 s, 1.667 kWh, 0.50 USD; unknown when an input is."""
    cost = own_cost(300, 0.30, 50)
    assert cost.usd_per_mtok is not None and abs(cost.usd_per_mtok - 0.5) < 1e-9
    unknown = own_cost(300, None, 50)
    assert (unknown.usd_per_mtok, unknown.missing) == (None, ("--usd-per-kwh",))
