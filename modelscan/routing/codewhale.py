"""The providers of CodeWhale's ``config.toml`` as entries of the routing file. Pure.

Its keys are literal: they are left out, and an entry reads its key from a variable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.core.yaml_reader import YamlProblem
from modelscan.routing.presets import preset_named


def is_codewhale(values: Mapping[str, Any]) -> bool:
    """Whether parsed TOML has a table of providers."""
    providers = values.get("providers")
    return isinstance(providers, Mapping) and any(
        isinstance(v, Mapping) for v in providers.values()
    )


def read_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text; raises YamlProblem with the parser's message."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        raise YamlProblem(f"it is not valid TOML: {error}") from error


def provider_entries(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """An entry for each provider with a preset or an address of its own."""
    for name, table in values["providers"].items():
        if not isinstance(table, Mapping):
            continue
        preset = preset_named(name)
        url = _text(table, "base_url")
        fields: dict[str, Any] = {"name": name, "type": "openai"}
        if preset is not None:
            fields["preset"] = preset.name
        elif url is not None:
            fields["base_url"] = url.rstrip("/").removesuffix("/v1")
            fields["api_key"] = f"env:{name.upper().replace('-', '_')}_API_KEY"
        else:
            continue
        model = _text(table, "model") or _text(table, "default_text_model")
        yield fields | ({"model": model} if model else {})


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    return value if isinstance(value, str) and value else None
