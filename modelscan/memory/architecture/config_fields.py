"""Reader of config.json: a field is looked up by all the names that model families use for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# Keys of the language model in multimodal configs, outermost first.
TEXT_KEYS = ("thinker_config", "text_config", "llm_config", "language_config", "language_model",
              "text_model", "decoder")  # fmt: skip
VISION_KEYS = ("vision_config", "vision_tower_config", "visual", "vit_config", "img_processor",
                "vision_tower", "vision_encoder")  # fmt: skip
# Nested tables of the language model (DBRX, MPT, state-spaces) whose keys are read as its own.
BLOCK_KEYS = ("attn_config", "ffn_config", "ssm_cfg", "attn_cfg")
_MAX_NUMBER = 1 << 50
_MAX_RATIO = 4096
AUDIO_KEYS = ("audio_config", "audio_encoder", "speech_config", "whisper_config")


@dataclass(frozen=True, slots=True)
class ConfigFields:
    """Lookups by any of several names: in the text config, then its blocks, then the outer config.

    ``blocks``: nested tables of the text config whose keys are read as its own. ``names`` collects
    every group of names that was looked up; other keys of the file have no reader. ``mixed``:
    names whose list has different values although one number was requested. ``values`` caches
    lookups, because a model of 60 layers repeats each of them 60 times.
    """

    inner: Mapping[str, Any]
    outer: Mapping[str, Any]
    blocks: tuple[Mapping[str, Any], ...] = ()
    names: set[tuple[str, ...]] = field(default_factory=set, compare=False)
    mixed: set[tuple[str, ...]] = field(default_factory=set, compare=False)
    values: dict[tuple[str, ...], Any] = field(default_factory=dict, compare=False)

    def get(self, *names: str) -> Any:
        """The first value that is not null among these names; None if there is none."""
        if names not in self.values:
            self.names.add(names)
            self.values[names] = self._first(names)
        return self.values[names]

    def _first(self, names: tuple[str, ...]) -> Any:
        for source in (self.inner, *self.blocks, self.outer):
            for name in names:
                value = source.get(name)
                if value is not None:
                    return value
        return None

    def number(self, *names: str) -> int | None:
        """A number that is not negative; the largest of a list; None if missing or implausible."""
        value = self.get(*names)
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, (int, float)):
            return whole(value)
        numbers = [v for v in value if whole(v) is not None] if _listed(value) else []
        if len(set(numbers)) > 1:
            self.mixed.add(names)
        return int(max(numbers)) if numbers else None

    def at(self, layer: int, *names: str) -> int | None:
        """The number for ``layer``: its entry of a per-layer list, or the scalar for all layers."""
        value = self.get(*names)
        if _listed(value):
            item = value[layer] if layer < len(value) else None
            return whole(item)
        return whole(value)

    def entry(self, name: str, layer: int) -> Mapping[str, Any]:
        """The JSON object for ``layer`` in a list of objects; empty if there is none."""
        listed = self.items(name)
        item = listed[layer] if layer < len(listed) else None
        return item if isinstance(item, Mapping) else {}

    def settled(self, *names: str) -> None:
        """Count these names as looked up: another field makes them irrelevant."""
        self.names.add(names)

    def flag(self, *names: str) -> bool | None:
        """The value as a boolean; None if it is missing or neither boolean nor integer."""
        value = self.get(*names)
        return bool(value) if isinstance(value, (bool, int)) else None

    def text(self, *names: str) -> str:
        """The value if it is a string, else an empty string."""
        value = self.get(*names)
        return value if isinstance(value, str) else ""

    def table(self, *names: str) -> Mapping[str, Any]:
        """The value if it is a JSON object, else an empty one."""
        value = self.get(*names)
        return value if isinstance(value, Mapping) else {}

    def items(self, *names: str) -> tuple[Any, ...]:
        """The value if it is a list, else an empty tuple."""
        value = self.get(*names)
        return tuple(value) if _listed(value) else ()


def whole(value: Any) -> int | None:
    """``value`` as an int if it is a plausible size (0 to 2^50), else None.

    JSON may contain infinities, -1 for "none", and other types.
    """
    if not isinstance(value, (int, float)) or not 0 <= value <= _MAX_NUMBER:
        return None
    return int(value)


def ratio(value: Any, default: float) -> float:
    """``value`` if it is a plausible factor (above 0, at most 4096), else ``default``."""
    plausible = isinstance(value, (int, float)) and 0 < value <= _MAX_RATIO
    return float(value) if plausible else default


def _listed(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def text_fields(config: Mapping[str, Any]) -> ConfigFields:
    """The fields of the language model, which may be nested up to three levels deep."""
    inner: Mapping[str, Any] = config
    for _ in range(3):
        nested = first_table(inner, TEXT_KEYS)
        if nested is None or not _is_language(nested):
            break
        inner = nested
    blocks = (inner.get(name) for name in BLOCK_KEYS)
    return ConfigFields(
        inner, config, tuple(block for block in blocks if isinstance(block, Mapping))
    )


def vision_fields(config: Mapping[str, Any]) -> ConfigFields | None:
    """The fields of the vision encoder; None for a model without one."""
    for source in (config, first_table(config, TEXT_KEYS) or {}):
        table = first_table(source, VISION_KEYS)
        if table:
            return ConfigFields(table, {})
    return None


def audio_fields(config: Mapping[str, Any]) -> ConfigFields | None:
    """The fields of the audio encoder; None for a model without one."""
    for source in (config, first_table(config, ("thinker_config",)) or {}):
        table = first_table(source, AUDIO_KEYS)
        if table:
            return ConfigFields(table, {})
    return None


def first_table(source: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any] | None:
    """The first JSON object under one of these names that is not empty."""
    for name in names:
        value = source.get(name)
        if isinstance(value, Mapping) and value:
            return value
    return None


def _is_language(config: Mapping[str, Any]) -> bool:
    names = ("hidden_size", "num_hidden_layers", "vocab_size", "n_embd", "d_model", "model_type",
             "text_config", "dim")  # fmt: skip
    return any(name in config for name in names)
