"""Validation, and which entry answers for a name."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.routing.checks import file_problems, share_problems, weight_problems
from modelscan.routing.resolve import resolve
from modelscan.routing.schema import parse


def file(*entries: dict[str, Any], **direct: Any) -> dict[str, Any]:
    routing = {"mode": "direct", "direct": {"providers": list(entries), **direct}}
    return {"version": 1, "routing": routing}


def entry(name: str = "a", **fields: Any) -> dict[str, Any]:
    base = {"name": name, "type": "local", "base_url": "http://127.0.0.1:1", "model": f"lab/{name}"}
    return {**base, **fields}


@pytest.mark.parametrize(
    ("data", "level", "words"),
    [
        ([], "error", "must be a mapping"),
        ({**file(), "version": 7}, "error", "version 7"),
        ({"version": 1, "routing": {"mode": "x"}}, "error", "mode 'x'"),
        ({"version": 1, "routing": {"mode": "plano_proxy"}}, "error", "routing.proxy"),
        (file(entry(type="lokal")), "error", "type 'lokal'"),
        (file(entry(model="")), "error", "needs model"),
        (file(entry(base_url="127.0.0.1:80")), "error", "not an http"),
        (file(entry(base_url="http://127.0.0.1:99999")), "error", "not an http"),
        (file(entry(base_url="https://u:p@h")), "error", "credentials in a URL"),
        (file(entry(base_url="http://127.0.0.1/v1")), "warning", "/v1"),
        (file(entry(base_url="http://example.com")), "warning", "plain http"),
        (file(entry(api_key="sk-123456789")), "error", "as a reference"),
        (file(entry(), entry()), "error", "used twice"),
        (file(entry(), default_provider="zzz"), "error", "not among the providers"),
        (file(entry(context_tokens="8k")), "error", "context_tokens"),
        (file(entry(context_tokens=0)), "error", "context_tokens"),
        (file(entry(context_tokens=-1)), "error", "context_tokens"),
        (file(entry(context_tokens=True)), "error", "context_tokens"),
        (file(entry(base_url="https://u@h")), "error", "credentials in a URL"),
        (file(entry(base_url="https://:p@h")), "error", "credentials in a URL"),
        (file(entry(base_url=7)), "error", "base_url must be text, not a number"),
        (file(entry(base_url="")), "error", "needs base_url"),
        (file(entry(enabled="no")), "error", "enabled must be"),
        (file(entry(colour="red")), "error", "unknown key 'colour'"),
        ({"version": 1, "routing": {"fallback": True}}, "error", "fallback needs"),
    ],
)
def test_findings(data: Any, level: str, words: str) -> None:
    """Each mistake has its own message."""
    assert [(f.level, words in f.message) for f in parse(data).findings] == [(level, True)]


def test_one_token_of_context_is_allowed() -> None:
    good = parse(file(entry(context_tokens=1)))
    assert good.findings == ()
    assert good.routes[0].context_tokens == 1


def test_an_entry_with_a_mistake_is_left_out_and_the_others_stay() -> None:
    read = parse(file(entry("a"), entry("b", context_tokens=0), entry("c")))
    assert [route.name for route in read.routes] == ["a", "c"]
    assert [finding.level for finding in read.findings] == ["error"]


def test_an_empty_file_is_a_direct_one_without_entries() -> None:
    read = parse(None)
    assert (read.mode, read.routes, read.default_provider) == ("direct", (), None)
    assert read.fallback is False
    assert read.exists
    assert read.findings == ()


def test_a_good_file_and_the_old_mode_names() -> None:
    """No finding; ``proxy`` is read as plano_proxy."""
    good = parse(file(entry(api_key="env:K", tags=["x"], context_tokens=10), default_provider="a"))
    assert good.findings == ()
    assert good.routes[0].tags == ("x",)
    assert parse({"version": 1, "routing": {"mode": "proxy", "proxy": {}}}).mode == "plano_proxy"


def test_a_broken_entry_does_not_hide_the_others() -> None:
    """The good ones stay usable."""
    assert [r.name for r in parse(file({"name": "x"}, entry("b"))).routes] == ["b"]


def test_resolution_order() -> None:
    """Name, model, served model, short name, default; disabled entries never answer."""
    read = parse(
        file(
            entry("a"),
            entry("off", enabled=False),
            entry("b", served_model="wire"),
            default_provider="a",
        )
    )
    found = {
        query: resolve(read, query) for query in ("a", "LAB/B", "wire", "b", "off", "ab", None)
    }
    assert {q: (r.route.name if r.route else None, r.how) for q, r in found.items()} == {
        "a": ("a", "name"), "LAB/B": ("b", "model"), "wire": ("b", "served_model"), "b": ("b", "name"),
        "off": (None, "none"), "ab": (None, "none"), None: ("a", "default"),
    }  # fmt: skip
    assert "disabled" in found["off"].reasons[0]
    assert "a" in found["ab"].nearest


@pytest.mark.parametrize(
    ("path", "wrong"),
    [(None, False), ("/etc/ca.pem", False), ("ca.pem", True), ("", True), ("/a\0b", True)],
)
def test_files_need_their_whole_path(path: str | None, wrong: bool) -> None:
    found = [one.where for one in file_problems({"ca": path}, "lab.tls")]
    assert found == (["lab.tls.ca"] if wrong else [])


@pytest.mark.parametrize(
    ("weighted", "weights", "wrong"),
    [
        (True, {"a": 1.0, "b": 0.0}, []),
        (True, {"a": 0.0}, ["r.weights"]),
        (True, {}, ["r.weights"]),
        (True, None, ["r.weights"]),
        (True, {"a": 1.0, "b": -0.1}, ["r.weights.b"]),
        (True, {"a": 1.0, "b": math.inf}, ["r.weights.b"]),
        (True, {"a": 1.0, "b": math.nan}, ["r.weights.b"]),
        (False, None, []),
        (False, {}, []),
        (False, {"a": 0.0}, ["r.weights"]),
    ],
)
def test_weights(weighted: bool, weights: dict[str, float] | None, wrong: list[str]) -> None:
    assert [one.where for one in weight_problems(weighted, weights, "r")] == wrong


@pytest.mark.parametrize(("share", "right"), [(0, False), (0.01, True), (0.99, True), (1, False)])
def test_a_share_is_between_none_and_all(share: float, right: bool) -> None:
    assert (list(share_problems(share, "r")) == []) is right


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["routing", "direct", "providers", "name", "type", "base_url", "mode", "x",
                         "tags", "api_key", "default_provider", "version", "fallback"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(_JSON)
def test_parse_never_raises(data: Any) -> None:
    """Whatever stands in the file."""
    assert parse(data).mode in ("direct", "plano_proxy", "plano_embedded")
