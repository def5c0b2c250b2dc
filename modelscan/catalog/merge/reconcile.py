"""Makes the chosen facts of a model agree with each other. Pure.

Each fact is chosen by itself, possibly from different sources: image input and vision must agree,
and a part of a context cannot exceed it.
"""

from __future__ import annotations

from typing import Any

from modelscan.catalog.merge.from_config import SOURCE as CONFIG
from modelscan.core.model import Provenance

_TEXT = ("text",)
# Modalities that a task implies.
_OF_TASK = {
    "speech_to_text": (("audio",), _TEXT),
    "text_to_speech": (_TEXT, ("audio",)),
    "image": (_TEXT, ("image",)),
    "video": (_TEXT, ("video",)),
}


def reconcile(values: dict[str, Any], provenance: dict[str, Provenance]) -> None:
    """Change both mappings in place."""
    _limits(values, provenance)
    _modalities_of_task(values, provenance)
    _vision(values, provenance)


def add_inputs(
    kinds: tuple[str, ...], values: dict[str, Any], provenance: dict[str, Provenance]
) -> None:
    """Add the inputs that the model's config.json has an encoder for, to known modalities."""
    stated = values.get("modalities_in")
    missing = tuple(kind for kind in kinds if kind not in (stated or ()))
    if stated and missing:
        old = provenance.get("modalities_in")
        others = ((old.source, tuple(stated)),) if old else ()
        values["modalities_in"] = (*stated, *missing)
        provenance["modalities_in"] = Provenance(CONFIG, None, others)


def fill_text(values: dict[str, Any], provenance: dict[str, Provenance]) -> None:
    """Text in and out, and no vision, for a chat model of which no source states it."""
    if values.get("task") != "chat" or values.get("capabilities.vision"):
        return
    facts = {"modalities_in": _TEXT, "modalities_out": _TEXT, "capabilities.vision": False}
    for name, value in facts.items():
        if values.get(name) in (None, ()):
            values[name] = value
            provenance[name] = Provenance(CONFIG, None)


def _limits(values: dict[str, Any], provenance: dict[str, Provenance]) -> None:
    """Remove an input or output limit above the context: it is another service's."""
    context = values.get("limits.context_tokens")
    for name in ("limits.input_tokens", "limits.output_tokens"):
        if context and (values.get(name) or 0) > context:
            del values[name]
            provenance.pop(name, None)


def _modalities_of_task(values: dict[str, Any], provenance: dict[str, Provenance]) -> None:
    pair = _OF_TASK.get(values.get("task") or "")
    if pair is None:
        return
    for name, kinds in zip(("modalities_in", "modalities_out"), pair, strict=True):
        if not values.get(name):
            values[name] = kinds
            provenance[name] = Provenance("task", None)


def _vision(values: dict[str, Any], provenance: dict[str, Provenance]) -> None:
    """Image input and vision: what a source states to be there is there."""
    kinds, vision = values.get("modalities_in"), values.get("capabilities.vision")
    if vision and "image" not in (kinds or ()) and values.get("task") in (None, "chat"):
        values["modalities_in"] = (*(kinds or _TEXT), "image")
        provenance["modalities_in"] = _after(
            "capabilities.vision", "modalities_in", kinds, provenance
        )
        if not values.get("modalities_out"):
            values["modalities_out"] = _TEXT
            provenance["modalities_out"] = provenance["modalities_in"]
    elif kinds and "image" in kinds and not vision:
        values["capabilities.vision"] = True
        provenance["capabilities.vision"] = _after(
            "modalities_in", "capabilities.vision", vision, provenance
        )


def _after(
    decisive: str, changed: str, value: Any, provenance: dict[str, Provenance]
) -> Provenance:
    """The origin of a fact that another fact decided; the replaced value stays visible."""
    source, old = provenance.get(decisive), provenance.get(changed)
    replaced = ((old.source, value),) if old is not None and value not in (None, ()) else ()
    others = tuple(sorted({*(old.others if old else ()), *replaced}, key=repr))
    if source is None:
        return Provenance("task", None, others)
    return Provenance(source.source, source.retrieved_at, others)
