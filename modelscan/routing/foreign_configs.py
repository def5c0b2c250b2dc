"""Configurations of LiteLLM and llama-swap as parts of a routing file. Pure.

What cannot be carried over is listed, each with the reason; literal keys are never carried over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.core.foreign import mapping, rows, strings, text, whole
from modelscan.net.address import stays_here

_PROVIDERS = {  # LiteLLM's prefixes for servers with OpenAI's interface, and their presets
    "openai": None, "hosted_vllm": None, "lm_studio": None, "openai_like": None,
    "openrouter": "openrouter", "huggingface": "huggingface", "fireworks_ai": "fireworks",
    "nvidia_nim": "nim", "novita": "novita",
}  # fmt: skip
_STRATEGIES = {
    "least-busy": "least_loaded", "simple-shuffle": "round_robin",
    "latency-based-routing": "scored", "usage-based-routing-v2": "least_loaded",
}  # fmt: skip
_READ = {"model", "api_base", "api_key", "max_parallel_requests"}


@dataclass(slots=True)
class Converted:
    """``providers``, ``aliases`` and ``roles`` as in a routing file; ``left_out``: sentences."""

    providers: list[dict[str, Any]] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    roles: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def converted(values: Mapping[str, Any]) -> Converted | None:
    """The parts of a foreign file; None if it is neither of the two."""
    if isinstance(values.get("model_list"), list):
        return _from_litellm(values)
    models = values.get("models")
    swaps = isinstance(models, Mapping) and any("cmd" in mapping(one) for one in models.values())
    if swaps or isinstance(values.get("peers"), Mapping):
        return _from_llama_swap(values)
    return None


def _from_litellm(values: Mapping[str, Any]) -> Converted:
    made = Converted()
    settings = mapping(values.get("router_settings"))
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows(values.get("model_list")):
        name = text(row.get("model_name")) or "?"
        entry = _litellm_entry(name, row, made)
        if entry is not None:
            groups.setdefault(name, []).append(entry)
    strategy = text(settings.get("routing_strategy")) or "simple-shuffle"
    for name, entries in groups.items():
        _add_group(made, name, entries, strategy)
    for alias, target in mapping(settings.get("model_group_alias")).items():
        _add_alias(made, str(alias), target)
    if settings.get("fallbacks"):
        made.left_out.append("router_settings.fallbacks: set fallback_roles of a role instead")
    ignored = {"general_settings", "litellm_settings", "environment_variables"} & set(values)
    made.left_out += [f"{key}: settings of LiteLLM's own server" for key in sorted(ignored)]
    return made


def _add_alias(made: Converted, alias: str, target: Any) -> None:
    """An alias, unless its name means something else here."""
    if any(one["name"] == alias for one in made.providers):
        made.left_out.append(f"alias {alias}: the name is used already")
    elif isinstance(target, str):
        made.aliases[alias] = target


def _litellm_entry(name: str, row: Mapping[str, Any], made: Converted) -> dict[str, Any] | None:
    parameters = mapping(row.get("litellm_params"))
    prefix, _, model = (text(parameters.get("model")) or "").partition("/")
    base = text(parameters.get("api_base"))
    if prefix not in _PROVIDERS or not model:
        made.left_out.append(f"{name}: '{prefix}' has another interface than OpenAI's")
        return None
    preset = _PROVIDERS[prefix]
    if base is None and preset is None:
        made.left_out.append(f"{name}: it has no api_base")
        return None
    entry: dict[str, Any] = {"name": name, "type": _type(base), "model": model}
    entry |= {"base_url": _root(base)} if base else {"preset": preset}
    entry["served_model"] = model
    entry |= _key(name, text(parameters.get("api_key")), made)
    most = whole(parameters.get("max_parallel_requests"))
    if most:
        entry["max_in_flight"] = most
    context = whole(mapping(row.get("model_info")).get("max_input_tokens"))
    if context:
        entry["context_tokens"] = context
    unread = sorted(set(parameters) - _READ)
    if unread:
        made.left_out.append(f"{name}: {', '.join(unread)}")
    return entry


def _add_group(made: Converted, name: str, entries: list[dict[str, Any]], strategy: str) -> None:
    """Entries of one name become a role over entries that share a tag."""
    if len(entries) == 1:
        made.providers += entries
        return
    for number, entry in enumerate(entries, 1):
        made.providers.append({**entry, "name": f"{name}-{number}", "tags": [name]})
    policy = {"strategy": _STRATEGIES.get(strategy, "round_robin"), "requires_tags": [name]}
    made.roles.append({"role_id": name, "operation": "chat", "routing_policy": policy})


def _from_llama_swap(values: Mapping[str, Any]) -> Converted:
    made = Converted()
    for name, peer in mapping(values.get("peers")).items():
        made.providers += _peer(str(name), mapping(peer), made)
    for name, model in mapping(values.get("models")).items():
        _swapped(str(name), mapping(model), made)
    for name in mapping(values.get("selectors")):
        made.left_out.append(f"selector {name}: make a role: modelscan route role add {name}")
    return made


def _peer(name: str, peer: Mapping[str, Any], made: Converted) -> Iterator[dict[str, Any]]:
    base = text(peer.get("proxy"))
    models = strings(peer.get("models"))
    if base is None or not models:
        made.left_out.append(f"peer {name}: it has no proxy or no models")
        return
    key = _key(name, text(peer.get("apiKey")), made)
    for model in models:
        entry = name if len(models) == 1 else f"{name}-{model.rpartition('/')[2]}"
        yield {"name": entry, "type": _type(base), "base_url": _root(base), "model": model,
               "served_model": model, **key}  # fmt: skip


def _swapped(name: str, model: Mapping[str, Any], made: Converted) -> None:
    """A model that llama-swap starts: only one with an address of its own is a route."""
    base = text(model.get("proxy"))
    if base is None or "${" in base:
        made.left_out.append(f"model {name}: it is started by a command: modelscan deploy MODEL")
        return
    served = text(model.get("useModelName")) or name
    made.providers.append({
        "name": name, "type": _type(base), "base_url": _root(base), "model": served,
        "served_model": served,
    })  # fmt: skip
    for alias in strings(model.get("aliases")):
        _add_alias(made, alias, name)


def _type(base: str | None) -> str:
    return "local" if base is not None and stays_here(base) else "openai"


def _root(base: str) -> str:
    return base.rstrip("/").removesuffix("/v1")


def _key(name: str, value: str | None, made: Converted) -> dict[str, Any]:
    """A reference to a variable; a literal key stays where it is."""
    if value is None or value.lower() in ("none", "dummy", "empty"):
        return {}
    if value.startswith("os.environ/"):
        return {"api_key": f"env:{value.removeprefix('os.environ/')}"}
    if value.startswith("${env.") and value.endswith("}"):
        return {"api_key": f"env:{value[6:-1]}"}
    made.left_out.append(f"{name}: its key is written in the file; set api_key: env:NAME")
    return {}
