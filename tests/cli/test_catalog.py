"""``modelscan catalog``: what a person sees, what a script gets, and that nothing leaves."""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import pytest
from conftest import REPOSITORY, Ran

SCHEMAS = REPOSITORY / "modelscan" / "schemas"
Run = Callable[..., Ran]

CASES = (
    ["search", "qwen", "coder"],
    ["search", "qwne"],
    ["search", "no such model anywhere"],
    ["search", "vision small", "--fits", "--gpu", "24GiB"],
    ["list", "--limit", "3", "--offset", "2", "--sort", "release"],
    ["list", "--family", "gemma", "--license", "apache-2.0", "--modality", "text,image"],
    ["info", "qwen3-8b", "--gpu", "RTX 4090"],
    ["info", "openai/gpt-4o"],
    ["info", "demo"],
    ["info", "deepseek-r1", "qwen3-8b", "--compare", "--gpu", "8x H100 80GB"],
    ["sources"],
    ["runnable", "--gpu", "RTX 4090", "--limit", "4"],
    ["runnable", "--gpu", "12GiB", "--task", "embedding", "--limit", "2"],
    ["offers", "qwen3-8b", "--tokens-per-s", "50", "--watts", "300", "--usd-per-kwh", "0.3"],
    ["offers", "demo"],
)


@pytest.mark.parametrize("arguments", CASES, ids=" ".join)
def test_json_follows_its_schema(run_in_process: Run, arguments: list[str]) -> None:
    """One object, described entirely, nothing on stderr."""
    ran = run_in_process("catalog", *arguments, "--json")
    assert (ran.code, ran.err) == (0, "")
    name = ran.json["schema"].removeprefix("modelscan.").removesuffix("/1")
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(ran.json)


@pytest.mark.parametrize("arguments", CASES, ids=" ".join)
def test_pipes_and_quiet(run_in_process: Run, arguments: list[str]) -> None:
    """Tab-separated with upper-case headers; ids only with -q."""
    piped = run_in_process("catalog", *arguments)
    assert piped.code == 0
    quiet = run_in_process("catalog", *arguments, "-q")
    body = run_in_process("catalog", *arguments, "--json").json
    if "models" in body and isinstance(body["models"], list) and "query" in body:
        assert quiet.out.split() == [m["id"] for m in body["models"]]
        if body["models"]:
            header = piped.out.splitlines()[0].split("\t")
            assert header[0] == "MODEL" and header == [h.upper() for h in header]
            assert len(piped.out.splitlines()) == len(body["models"]) + 1
        else:
            assert piped.out == "" and "no model matches" in piped.err


def test_search_finds_what_is_meant(run_in_process: Run) -> None:
    """Names before kinds, corrections told, totals beyond the page."""
    found = run_in_process("catalog", "search", "qwen3-8b", "--json").json
    assert found["models"][0]["id"] == "alibaba/qwen3-8b"
    found = run_in_process("catalog", "search", "qwne3", "--json").json
    assert found["corrected"] == "qwen3"
    assert found["total"] > 20 == len(found["models"])
    note = run_in_process("catalog", "search", "qwne3").err
    assert "nothing matches 'qwne3'; showing 'qwen3'" in note
    for text, word in (("code generation", "cod"), ("embedding", "embed")):
        models = run_in_process("catalog", "search", text, "--json").json["models"]
        assert word in models[0]["id"]


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        (["--open-weights"], lambda m: m["open_weights"] is True),
        (["--closed-weights"], lambda m: m["open_weights"] is False),
        (["--tools"], lambda m: m["tools"] is True),
        (["--reasoning", "--vision"], lambda m: m["reasoning"] is True and m["vision"] is True),
        (["--min-context", "128k"], lambda m: m["context_tokens"] >= 128_000),
        (["--max-params", "8B"], lambda m: m["parameters"] <= 8e9),
        (["--max-vram", "24"], lambda m: m["memory_bytes"] <= 24 * 2**30),
        (["--source", "gpustack"], lambda m: "gpustack" in m["sources"]),
        (["--family", "gemma"], lambda m: m["family"] == "gemma"),
        (["--license", "mit"], lambda m: "mit" in m["license"].split(", ")),
        (["--modality", "text,image"], lambda m: {"text", "image"} <= set(m["modalities"])),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_filters_hold_for_every_row(
    run_in_process: Run, options: list[str], holds: Callable[[dict[str, object]], bool]
) -> None:
    """Unknown never passes a filter."""
    found = run_in_process("catalog", "list", *options, "--json").json
    assert found["total"] == len(found["models"]) > 0
    assert all(holds(model) for model in found["models"])


@pytest.mark.parametrize("text", ['"', "*", "%", "--", "( )", "…", "🎉"])
def test_a_text_of_only_signs_matches_nothing(run_in_process: Run, text: str) -> None:
    """Only an empty text matches everything."""
    found = run_in_process("catalog", "search", "--json", "--", text).json
    assert (found["total"], found["models"]) == (0, [])
    assert run_in_process("catalog", "search", "--json", "").json["total"] > 3000


def test_a_modality_that_no_model_has_is_refused(run_in_process: Run) -> None:
    """With the ones that exist; the hint works when pasted."""
    done = run_in_process("catalog", "list", "--modality", "text,imgae", "--json")
    assert done.code == 2
    assert "'imgae'" in done.json["error"]["message"]
    assert done.json["error"]["hint"] == "modelscan catalog search --modality image"
    assert {"text", "image", "audio"} <= set(done.json["error"]["details"]["modalities"])


def test_when_a_filter_removes_every_match_it_is_named(run_in_process: Run) -> None:
    """The name was found: no word of it is corrected or dropped."""
    found = run_in_process("catalog", "search", "gemma-4-e4b", "--modality", "video", "--json").json
    assert (found["total"], found["corrected"]) == (0, None)
    assert found["without_filters"] >= 2
    shown = run_in_process("catalog", "search", "gemma-4-e4b", "--modality", "video").err
    assert "for 'gemma-4-e4b', none with --modality video" in shown
    assert run_in_process("catalog", "search", "gemma-4-e4b", "--vision", "-q").out


def test_a_page_is_part_of_the_list(run_in_process: Run) -> None:
    """``--offset`` goes on where ``--limit`` ended, in the same order."""
    whole = run_in_process("catalog", "list", "--sort", "params", "-q").out.split()
    first = run_in_process("catalog", "list", "--sort", "params", "-q", "--limit", "7").out.split()
    rest = run_in_process(
        "catalog", "list", "--sort", "params", "-q", "--limit", "5", "--offset", "7"
    )
    assert first + rest.out.split() == whole[:12]
    assert len(set(whole)) == len(whole) > 3000


def test_info_says_where_each_fact_is_from(run_in_process: Run) -> None:
    """Every fact has a source; conflicts are shown with what the others say."""
    body = run_in_process("catalog", "info", "qwen3-8b", "--json", "--gpu", "RTX 4090").json
    context = body["provenance"]["limits.context_tokens"]
    assert context["source"] == "config.json" and context["retrieved_at"]
    assert {"source": "models.dev", "value": 131072} in context["others"]
    assert body["fit"]["verdict"] == "fits" and body["fit"]["basis"] == "computed"
    assert body["architecture"]["num_hidden_layers"] == 36
    assert body["deployable"] is True
    shown = run_in_process("catalog", "info", "qwen3-8b", "--gpu", "RTX 4090").out
    assert "context\t40960\tconfig.json 2026-09-18\t" in shown and "models.dev: 131072" in shown


def test_closed_models_say_so(run_in_process: Run) -> None:
    """And name open ones."""
    ran = run_in_process("catalog", "info", "openai/gpt-4o")
    assert "not published" in ran.err
    body = run_in_process("catalog", "info", "openai/gpt-4o", "--json").json
    assert (body["deployable"], body["fit"]["verdict"]) == (False, "not_supported")
    assert len(body["alternatives"]) == 5


def test_closed_models_are_refused_before_a_cluster_is_asked(run_in_process: Run) -> None:
    """Whatever the state of the cluster and its key: exit 3, and no request."""
    added = run_in_process("target", "add", "far", "http://127.0.0.1:1", "--key", "env:NO_KEY")
    assert added.code == 0, added.err
    for target in ("far", "gpustack", "auto", "local"):
        for more in ((), ("--dry-run",)):
            ran = run_in_process("deploy", "openai/gpt-4o", "--target", target, "--json", *more)
            assert (ran.code, ran.json["error"]["code"]) == (3, "closed_weights"), target


def test_runnable_models_run(run_in_process: Run) -> None:
    """Each row has a plan that fits; more memory never gives a smaller best model."""
    body = run_in_process("catalog", "runnable", "--gpu", "RTX 4090", "--limit", "6", "--json").json
    assert len(body["models"]) == 6
    for model in body["models"]:
        assert model["fit"]["verdict"] == "fits"
        assert model["fit"]["needed_bytes"] <= model["fit"]["available_bytes"]
    tiny = run_in_process("catalog", "runnable", "--gpu", "2GiB", "--limit", "3", "--json").json
    assert all(m["parameters"] < 4e9 for m in tiny["models"])


def test_offers_are_cheapest_first(run_in_process: Run) -> None:
    """Unknown prices last; the machine's own cost only from what is known."""
    body = run_in_process(
        "catalog", "offers", "deepseek-v3.2", "--tokens-per-s", "20", "--json"
    ).json
    prices = [offer["blended_usd_per_mtok"] for offer in body["offers"]]
    known = [p for p in prices if p is not None]
    assert known == sorted(known) and prices[: len(known)] == known
    own = body["own_machine"]
    assert (own["usd_per_mtok"], own["missing"]) == (None, ["--watts", "--usd-per-kwh"])


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["info", "llama-3"], "matches", "modelscan catalog info "),
        (["info", "qwen3-8bb"], "no model 'qwen3-8bb'", "modelscan catalog info "),
        (["search", "x", "--source", "nowhere"], "no source 'nowhere'", "--source"),
        (["search", "x", "--open-weights", "--closed-weights"], "exclude each other", "--help"),
        (["search", "x", "--max-params", "many"], "'many' is not a number", "--help"),
        (["search", "x", "--min-context", "long"], "'long'", "8192"),
        (["search", "x", "--sort", "price"], "price", "--help"),
        (["search", "x", "--gpu", "RTX 4091"], "RTX 4091", "did you mean"),
        (["list", "--limit", "-1"], "-1", "--help"),
        (["runnable", "--task", "nope"], "chat, embedding, image, rerank", "--task chat"),
        (["runnable", "--task", "embeding"], "the task 'embeding'", "--task embedding"),
        (["info", "*"], "no model '*'", "modelscan catalog search"),
    ],
)
def test_mistakes(run_in_process: Run, arguments: list[str], said: str, hint: str) -> None:
    """Exit 2, what is wrong, and a command to paste; the same in JSON."""
    ran = run_in_process("catalog", *arguments)
    assert (ran.code, ran.out) == (2, "")
    error, _, given = ran.err.partition("\n\nhint: ")
    assert said in error and hint in given
    assert run_in_process("catalog", *arguments, "--json").json["schema"] == "modelscan.error/1"


def test_sources_add_up(run_in_process: Run) -> None:
    """Models of a source are what ``--source`` lists; bundled data says so."""
    body = run_in_process("catalog", "sources", "--json").json
    states = {row["name"]: row for row in body["sources"]}
    assert {row["state"] for row in body["sources"]} == {"bundled"}
    assert states["models.dev"]["entries"] == 8337
    assert states["models.dev"]["retrieved_at"] == "2026-09-30T22:40:10Z"
    for name in ("models.dev", "gpustack", "llmfit"):
        listed = run_in_process("catalog", "list", "--source", name, "--json", "--limit", "1").json
        assert listed["total"] == states[name]["models"]
    assert (
        run_in_process("catalog", "list", "--json", "--limit", "1").json["total"] == body["models"]
    )


def test_a_real_process_with_nothing_but_itself(cli: Run) -> None:
    """``search | head`` in a fresh home: no file is made, no library of the network is read."""
    ran = cli("catalog", "search", "qwen", "--limit", "2", "-q")
    assert (ran.code, len(ran.out.split()), ran.err) == (0, 2, "")
