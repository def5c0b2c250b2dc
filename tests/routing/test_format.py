"""The complete format: what is read, and the message for each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.routing_files import file_of, hosted, provider, role, routing

from modelscan.routing.edit import read_document
from modelscan.routing.presets import PRESETS, key_references, preset_named
from modelscan.routing.schema import parse, parse_document

FULL = """
version: 1
routing:
  mode: direct
  fallback: false
  direct:
    default_provider: coder
    providers:
      - {name: coder, type: local, base_url: http://127.0.0.1:8080, model: qwen/qwen3-coder,
         deployment: coder, context_tokens: 65536, tags: [curated]}
      - {name: router, type: openai, preset: huggingface, api_key: env:HUGGINGFACE_API_KEY}
  aliases: {gpt-4o: coder}
  roles:
    - role_id: fast
      operation: chat
      prompt_policy: {system_prompt: "…", request_policy: {body_defaults: {temperature: 0.2}, body_overrides: {}, system_prompt_position: prepend, thinking: off}}
      routing_policy: {strategy: loaded_first, preferred_families: [qwen3], min_context: 8192, require_loaded: false, requires_tags: [curated], fallback_roles: [general]}
    - role_id: general
  limits: {max_body_bytes: 33554432, queue: 64, request_timeout_s: 600}
  budgets:
    - {name: router, usd: 5, per: day}
"""


def test_the_complete_file_is_read() -> None:
    file = parse_document(read_document(FULL))
    assert file.findings == ()
    assert [route.tier for route in file.routes] == ["local", "third_party"]
    assert file.routes[1].base_url == "https://router.huggingface.co"
    assert (file.limits.max_body_bytes, file.limits.queue) == (33554432, 64)
    assert file.limits.max_connections == 4096
    fast = file.role("fast")
    assert fast is not None
    assert fast.prompt_policy is not None
    assert fast.prompt_policy.request_policy is not None
    assert fast.prompt_policy.request_policy.thinking == "off"  # YAML reads false
    assert file.aliases == {"gpt-4o": "coder"}


@pytest.mark.parametrize(
    ("data", "words", "hint"),
    [
        (routing(provider("a"), rolls=[]), "unknown key 'rolls'", "roles"),
        (routing(provider("a"), roles=[{"role_id": "x", "operatoin": "chat"}]), "unknown key 'operatoin'", "operation"),
        (routing(provider("a"), roles=[role("x", operation="chatt")]), "'chatt' is not supp", "chat"),
        (routing(provider("a"), roles=[role("x", strategy="round_robbin")]), "'round_robbin'", "round_robin"),
        (routing(provider("a"), roles=[role("x", min_context=0)]), "positive whole number", None),
        (routing(provider("a"), roles=[role("x"), role("x")]), "defined twice", None),
        (routing(provider("a"), roles=[role("a")]), "a role and a provider", None),
        (routing(provider("a"), roles=[role("x", fallback_roles=["y"])]), "falls back to 'y'", None),
        (routing(provider("a"), roles=[role("x", fallback_roles=["x"])]), "falls back to itself", None),
        (routing(provider("a"), roles=[role("x", fallback_roles=["y"]), role("y", operation="rerank")]),
         "whose operation is rerank", None),
        (routing(provider("a"), roles=[role("x", providers=["b"])]), "names the provider 'b'", None),
        (routing(provider("a"), roles=[role("x", tiers=["remote"])]), "'remote' is not supported", None),
        (routing(provider("a"), roles=[role("x", prompt={"user_template": "no place"})]), "{input}", None),
        (routing(provider("a"), aliases={"b": "c"}), "leads to 'c', which does not exist", None),
        (routing(provider("a"), aliases={"a": "lab/a"}), "a provider or a role as well", None),
        (routing(provider("a"), aliases={"x": "y", "y": "a"}), "leads to the alias 'y'", "x: a"),
        (routing(provider("a"), aliases={"x": 7}), "must be text, not a number", "quote"),
        (routing(provider("a"), limits={"queue": -1}), "at least 0", None),
        (routing(provider("a"), limits={"queu": 1}), "unknown key 'queu'", "queue"),
        (routing(provider("a"), budgets=[{"name": "a"}]), "needs tokens or usd", None),
        (routing(provider("a"), budgets=[{"name": "b", "usd": 1}]), "a budget is for 'b'", None),
        (routing(provider("a", request_policy={"body_defaults": {"stream": True}})), "belongs to the caller", None),
        (routing(provider("a", request_policy={"body_default": {}})), "unknown key 'body_default'", "body_defaults"),
        (routing(provider("a", max_in_flight=0)), "positive whole number", None),
        (routing(provider("a", preset="huggingfaces", base_url=None, type="openai")), "no preset", "huggingface"),
        (routing(provider("a", preset="hf", base_url="http://x.example.com", type="openai")), "needs https", None),
        (routing(provider("a", base_url=None)), "needs base_url", None),
        (routing(provider("a", type="openai", base_url=None)), "needs base_url", None),
        (routing(provider("a"), automatic={"rules": [{"role": "auto"}]}), "cannot lead to itself", None),
        (routing(provider("a"), automatic={"rules": [{"role": "z"}]}), "a rule leads to 'z'", None),
        (routing(provider("a"), mode="plano_proxy", proxy={"base_url": "x"}), "not an http(s) URL", None),
        (routing(provider("a"), mode="plano_embedded", embedded={"env": {"OPENAI_API_KEY": "sk-1"}}), "a reference", None),
    ],
)  # fmt: skip
def test_each_mistake_has_its_message(data: Any, words: str, hint: str | None) -> None:
    errors = [one for one in parse(data).findings if one.level == "error"]
    assert len(errors) == 1
    assert words in errors[0].message
    assert hint is None or hint in (errors[0].hint or "")


def test_a_finding_has_its_line() -> None:
    text = FULL.replace("request_timeout_s", "request_timeout")
    finding = parse_document(read_document(text)).findings[0]
    assert (
        finding.line
        == text.splitlines().index(next(x for x in text.splitlines() if "limits" in x)) + 1
    )
    assert "request_timeout" in finding.message


def test_a_broken_role_does_not_hide_the_others() -> None:
    file = parse(routing(provider("a"), roles=[role("x", min_context="8k"), role("y")]))
    assert [one.role_id for one in file.roles] == ["y"]
    assert file.valid is False


def test_a_name_that_leads_nowhere_does_not_keep_a_gateway_from_using_the_file() -> None:
    """A removed deployment leaves an alias behind: the rest of the file counts."""
    file = parse(routing(provider("a"), aliases={"b": "gone"}))
    assert (file.valid, file.errors) == (False, ())
    assert parse(routing(provider("a", context_tokens=0))).errors != ()


@pytest.mark.parametrize("name", ["huggingface", "hugging-face", "hugging_face", "hf", "HF"])
def test_four_names_mean_one_preset(name: str) -> None:
    file = file_of(hosted("r", base_url=None, model=None, preset=name))
    assert file.routes[0].base_url == "https://router.huggingface.co"
    assert key_references(file.routes[0]) == ("env:HUGGINGFACE_API_KEY", "env:HF_TOKEN")


def test_every_preset_is_https_and_reads_only_its_own_variables() -> None:
    assert {"openrouter", "novita", "fireworks", "nim", "atlascloud", "wanjie", "generic",
            "huggingface"} <= set(PRESETS)  # fmt: skip
    for preset in PRESETS.values():
        assert preset.base_url is None or preset.base_url.startswith("https://")
        assert not (preset.base_url or "").endswith("/v1")
        assert "OPENAI_API_KEY" not in preset.key_variables
    variables = [one for preset in PRESETS.values() for one in preset.key_variables]
    assert len(set(variables)) == len(variables)
    assert preset_named("nope") is None


def test_roles_of_geniehive_are_read() -> None:
    """Keys that are not used are kept and named."""
    kept = role("x", tool_mode="native", guardrail_profile="forge_proxy")
    file = parse(routing(provider("a"), roles=[{**kept, "modality": "text"}]))
    assert [(one.level, "tool_mode" in one.message) for one in file.findings] == [("warning", True)]


def test_the_example_is_valid() -> None:
    path = Path(__file__).resolve().parents[2] / "examples" / "routing.yaml"
    assert parse_document(read_document(path.read_text())).findings == ()
