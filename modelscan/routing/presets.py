"""Presets of hosted providers: their addresses, and the variables that their keys are read from.

A provider uses only its own key: the one that its entry names, else the first of its preset's
variables that is set. All addresses are https, and a model's id is sent as the caller wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.route import Route


@dataclass(frozen=True, slots=True)
class Preset:
    """``base_url``: the root, without /v1; None: the entry states it. ``key_variables``: in the
    order in which they are tried. ``website``: where a key is made."""

    name: str
    title: str
    base_url: str | None
    key_variables: tuple[str, ...]
    website: str | None = None
    aliases: tuple[str, ...] = ()


_PRESETS = (
    Preset("openrouter", "OpenRouter", "https://openrouter.ai/api", ("OPENROUTER_API_KEY",),
           "https://openrouter.ai/keys"),
    Preset("huggingface", "Hugging Face Inference Providers", "https://router.huggingface.co",
           ("HUGGINGFACE_API_KEY", "HF_TOKEN"), "https://huggingface.co/settings/tokens",
           ("hugging-face", "hugging_face", "hf")),
    Preset("novita", "Novita AI", "https://api.novita.ai/openai", ("NOVITA_API_KEY",),
           "https://novita.ai/settings/key-management"),
    Preset("fireworks", "Fireworks AI", "https://api.fireworks.ai/inference",
           ("FIREWORKS_API_KEY",), "https://fireworks.ai/account/api-keys"),
    Preset("nim", "NVIDIA NIM", "https://integrate.api.nvidia.com", ("NVIDIA_API_KEY",),
           "https://build.nvidia.com/settings/api-keys", ("nvidia", "nvidia-nim")),
    Preset("atlascloud", "Atlas Cloud", "https://api.atlascloud.ai", ("ATLASCLOUD_API_KEY",),
           "https://www.atlascloud.ai"),
    Preset("wanjie", "Wanjie Ark", "https://maas-openapi.wanjiedata.com/api",
           ("WANJIE_ARK_API_KEY",), "https://www.wjark.com/center/api-key", ("wanjie-ark",)),
    Preset("generic", "Any server with OpenAI's interface", None, ()),
)  # fmt: skip
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _PRESETS}
_BY_NAME = {name: one for one in _PRESETS for name in (one.name, *one.aliases)}


def preset_named(name: str) -> Preset | None:
    """The preset of that name or alias; None: there is none."""
    return _BY_NAME.get(name.lower())


def key_references(route: Route) -> tuple[str, ...]:
    """Where the entry's key may be: its own reference, else those of its preset. No other."""
    if route.api_key is not None:
        return (route.api_key,)
    preset = preset_named(route.preset) if route.preset else None
    return tuple(f"env:{name}" for name in preset.key_variables) if preset else ()


def required_preset(name: str) -> Preset:
    """The preset of that name or alias. Raises UsageError with the nearest one."""
    preset = preset_named(name)
    if preset is None:
        near = nearest_preset(name)
        raise UsageError(
            f"there is no preset '{name}'" + (f"; did you mean {near}?" if near else ""),
            hint="modelscan route preset list",
            code="unknown_preset",
        )
    return preset


def nearest_preset(name: str) -> str | None:
    """The most similar name of a preset."""
    near = nearest(name, _BY_NAME)
    return near[0] if near else None
