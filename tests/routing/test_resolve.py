"""Which entry answers for a name: the order of the ways, disabled entries, the default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelscan.routing.parsed import RoutingFile
from modelscan.routing.resolve import Resolution, RouteState, resolve
from modelscan.routing.schema import parse


def entry(name: str, model: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": "local",
        "base_url": "http://127.0.0.1:1",
        "model": model,
        **fields,
    }


def read(*entries: dict[str, Any], default: str | None = None) -> RoutingFile:
    direct: dict[str, Any] = {"providers": list(entries)}
    if default is not None:
        direct["default_provider"] = default
    return parse({"version": 1, "routing": {"mode": "direct", "direct": direct}})


def found(resolution: Resolution) -> tuple[str | None, str]:
    return (resolution.route.name if resolution.route else None, resolution.how)


CODER = entry("coder", "qwen/qwen3-coder", served_model="qwen3-coder-q4")
CHAT = entry("chat", "meta/llama-3.1-8b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("coder", ("coder", "name")),
        ("Coder", (None, "none")),  # names are exact
        ("qwen/qwen3-coder", ("coder", "model")),
        ("Qwen/Qwen3-Coder", ("coder", "model")),  # model ids are not
        ("qwen3-coder-q4", ("coder", "served_model")),
        ("QWEN3-CODER-Q4", (None, "none")),
        ("qwen3-coder", ("coder", "short_name")),
        ("QWEN3-CODER", ("coder", "short_name")),
        ("llama-3.1-8b", ("chat", "short_name")),
        ("qwen", (None, "none")),  # the makers are not the model
    ],
)
def test_a_name_is_a_provider_a_model_a_served_model_or_a_models_last_part(
    name: str, expected: tuple[str | None, str]
) -> None:
    assert found(resolve(read(CODER, CHAT), name)) == expected


def test_the_ways_are_tried_in_order() -> None:
    file = read(
        entry("a", "lab/x", served_model="m"), entry("m", "lab/y"), entry("c", "m"),
        entry("d", "lab/m"),
    )  # fmt: skip
    assert found(resolve(file, "m")) == ("m", "name")
    file = read(entry("a", "lab/x", served_model="m"), entry("c", "m"))
    assert found(resolve(file, "m")) == ("c", "model")
    file = read(entry("d", "lab/m"), entry("a", "lab/x", served_model="m"))
    assert found(resolve(file, "m")) == ("a", "served_model")


def test_a_last_part_counts_when_it_means_one_model() -> None:
    """Two entries of one model are one meaning; two makers' models of one name are two."""
    same = read(entry("a", "lab/m"), entry("b", "lab/m"))
    assert found(resolve(same, "m")) == ("a", "short_name")
    assert resolve(same, "m").reasons == ("short name 'm' matches 2 enabled entries",)
    different = read(entry("a", "lab/m"), entry("b", "house/m"))
    assert found(resolve(different, "m")) == (None, "none")


def test_a_disabled_entry_never_answers() -> None:
    off = entry("b", "lab/m", enabled=False)
    assert found(resolve(read(off, entry("a", "lab/m")), "lab/m")) == ("a", "model")
    alone = resolve(read(off, entry("a", "lab/other")), "lab/m")
    assert found(alone) == (None, "none")
    assert alone.reasons == ("'b' is disabled", "entries that can answer: a")


def test_without_a_name_the_default_answers() -> None:
    assert found(resolve(read(CODER, CHAT, default="chat"), None)) == ("chat", "default")
    assert found(resolve(read(CODER, CHAT, default="chat"), "")) == ("chat", "default")
    assert resolve(read(CODER), None).reasons == ("no default_provider is set",)


@pytest.mark.parametrize(
    ("entries", "word"), [((), "missing"), ((entry("gone", "lab/m", enabled=False),), "disabled")]
)
def test_a_default_that_is_missing_or_disabled_does_not_answer(
    entries: tuple[dict[str, Any], ...], word: str
) -> None:
    resolution = resolve(read(*entries, default="gone"), None)
    assert found(resolution) == (None, "none")
    assert resolution.reasons == (f"the default_provider 'gone' is {word}",)


STOPPED = {"one": RouteState("stopped", ends=True)}
DEAD = {"one": RouteState("failed", "killed by signal 9", ends=True)}


@pytest.mark.parametrize("name", [None, "one", "lab/one"])
def test_an_entry_whose_deployment_ended_is_not_selected_and_others_are_offered(
    name: str | None,
) -> None:
    one, two = entry("one", "lab/one", deployment="one"), entry("two", "lab/two")
    answer = resolve(read(one, two, default="one"), name, DEAD)
    assert found(answer) == (None, "none")
    assert "its deployment is failed: killed by signal 9" in answer.reasons[0]
    assert (answer.nearest, answer.hint) == (("two",), "modelscan start one")


def test_with_fallback_another_entry_answers() -> None:
    one, two = entry("one", "lab/one", deployment="one"), entry("two", "lab/two")
    direct = {"default_provider": "one", "providers": [one, two]}
    file = parse({"version": 1, "routing": {"fallback": True, "direct": direct}})
    assert found(resolve(file, None, STOPPED)) == ("two", "fallback")
    assert found(resolve(file, None, {"one": RouteState("running")})) == ("one", "default")


def test_the_three_nearest_names_are_offered() -> None:
    file = read(*(entry(f"coder-{n}", f"lab/x{n}") for n in range(5)))
    resolution = resolve(file, "coder")
    assert found(resolution) == (None, "none")
    assert len(resolution.nearest) == 3
    assert set(resolution.nearest) <= {f"coder-{n}" for n in range(5)}
    assert resolve(file, "zzzzzzzz").nearest == ()


def test_an_alias_a_role_and_a_model_of_many_are_resolved() -> None:
    """Exact names first, then an alias, then a role, then the last part of a model's id."""
    router = entry("router", "", type="openai")
    del router["model"]
    routing = {
        "direct": {"providers": [entry("one", "lab/x"), entry("two", "lab/y"), router]},
        "aliases": {"gpt-4o": "two", "gone": "nothing"},
        "roles": [
            {"role_id": "r", "routing_policy": {"providers": ["two"]}},
            {
                "role_id": "none",
                "routing_policy": {"requires_tags": ["z"], "fallback_roles": ["r"]},
            },
            {"role_id": "never", "routing_policy": {"requires_tags": ["z"]}},
        ],
    }
    file = parse({"version": 1, "routing": routing})
    assert found(resolve(file, "gpt-4o")) == ("two", "alias")
    assert resolve(file, "gpt-4o").reasons[0] == "alias 'gpt-4o' means 'two'"
    assert found(resolve(file, "r")) == ("two", "role")
    assert resolve(file, "r").role == "r"
    assert found(resolve(file, "none")) == ("two", "fallback")
    assert resolve(file, "none").role == "r"
    never = resolve(file, "never")
    assert found(never) == (None, "none")
    assert "role 'never': no entry passes" in never.reasons
    assert never.hint == "modelscan route explain never"
    assert found(resolve(file, "gone")) == (None, "none")
    many = resolve(file, "router/org/m:free")
    assert found(many) == ("router", "many_models")
    assert many.route is not None
    assert many.route.model == "org/m:free"
    assert found(resolve(file, "one/x")) == (None, "none")
    assert found(resolve(file, "router/")) == (None, "none")


def test_the_role_auto_stands_for_the_default_where_there_is_no_request() -> None:
    answer = resolve(read(entry("one", "lab/x"), default="one"), "auto")
    assert found(answer) == ("one", "default")
    assert answer.role == "auto"


def test_entries_of_nodes_are_found_after_those_of_the_file() -> None:
    """By their names, models and short names; the file's entry of a name counts first."""
    far = entry("gpu1/chat", "google/gemma-3-27b", served_model="gemma")
    whole = replace(read(CODER, CHAT, far), reported=1)
    for name in ("gpu1/chat", "google/gemma-3-27b", "gemma", "gemma-3-27b"):
        assert found(resolve(whole, name))[0] == "gpu1/chat", name
    assert found(resolve(whole, "gemma-3-27b")) == ("gpu1/chat", "short_name")
    same = entry("gpu1/chat", "other/qwen3-coder")
    assert found(resolve(replace(read(CODER, same), reported=1), "qwen3-coder"))[0] == "coder"
