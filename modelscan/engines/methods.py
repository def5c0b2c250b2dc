"""Which quantization method of an engine's version loads a format, and on which GPUs.

The facts are those of the version (``version_tables``). A checkpoint that states its quantizer is
judged by that method; one of which only the format's name is known by every method that loads such
a format: the most lenient decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelscan.engines.support_rules import SIXTEEN_BIT, Capability, Support, absent
from modelscan.formats.quantization import canonical

if TYPE_CHECKING:
    from modelscan.core.checkpoint import StoredQuantization
    from modelscan.engines.version_tables import VersionFacts

COMPRESSED = "compressed-tensors"
ALLOW_DEPRECATED = "allow-deprecated-quantization"


@dataclass(frozen=True, slots=True)
class Method:
    """``minimum``: the lowest compute capability; None: not known, the general rules decide.
    ``types``: activation types it computes in; () if not known.
    """

    name: str
    minimum: Capability | None = None
    types: tuple[str, ...] = ()


# Marlin kernels of both engines, for weights of 4 or 8 bits, AWQ's with and GPTQ's without zeros.
FASTER: Mapping[str, str] = {"awq": "awq_marlin", "gptq": "gptq_marlin"}
FASTER_BITS = (4, 8)

Adjust = Callable[["Method", "str | None", "StoredQuantization | None", "VersionFacts"],
                  "Method | Support"]  # fmt: skip


def _unchanged(
    method: Method, label: str | None, stored: StoredQuantization | None, facts: VersionFacts
) -> Method | Support:
    return method


@dataclass(frozen=True, slots=True)
class MethodNames:
    """An engine's names. ``labels``: format -> methods that load it; ``checkpoints``: a quantizer's
    name -> methods; ``algorithms``: ModelOpt's algorithm -> methods; ``schemes``: format ->
    classes of compressed-tensors that compute it. ``borrows``: a format without a scheme of its
    own is another package's code. ``adjust``: rules that no table states. ``faster``: a method ->
    the one with faster kernels that replaces it where a GPU has them.
    """

    title: str
    labels: Mapping[str, tuple[str, ...]]
    checkpoints: Mapping[str, tuple[str, ...]]
    algorithms: tuple[tuple[str, tuple[str, ...]], ...]
    schemes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    borrows: bool = False
    adjust: Adjust = _unchanged
    faster: Mapping[str, str] = field(default_factory=lambda: FASTER)

    def of(self, label: str | None, stored: StoredQuantization | None) -> tuple[str, ...]:
        """The methods that may load this; () for 16-bit weights."""
        if stored is None:
            return self._by_label(label)
        if stored.method.startswith("modelopt"):
            algorithm = stored.algorithm.upper() or "FP8"
            return next((names for mark, names in self.algorithms if mark in algorithm), ())
        return self.checkpoints.get(stored.method, _spellings(stored.method))

    def _by_label(self, label: str | None) -> tuple[str, ...]:
        if label is None or label in SIXTEEN_BIT:
            return ()
        return self.labels.get(label, _spellings(label.lower()))


def _spellings(name: str) -> tuple[str, ...]:
    return name, name.replace("_", "-"), name.replace("-", "_")


def load(
    names: MethodNames,
    facts: VersionFacts,
    quantization: str | None,
    stored: StoredQuantization | None,
    *,
    deprecated: bool = False,
    platform: str | None = None,
) -> Method | Support | None:
    """The method that loads a format; a Support with the reason if none does; None for formats
    without a method (16 bits, or a name that no rule knows).

    ``deprecated``: methods that this version refuses by default are allowed. ``platform``: rocm,
    xpu: methods outside the version's list for it are refused.
    """
    label = canonical(quantization)
    candidates = names.of(label, stored)
    if not candidates:
        return None
    present = [name for name in dict.fromkeys(candidates) if facts.has("method", name)]
    if not present:
        return _missing(names, facts, candidates)
    refused = [name for name in present if facts.has("deprecated_method", name)]
    usable = present if deprecated else [name for name in present if name not in refused]
    if not usable:
        return absent(
            f"{names.title} {facts.version} refuses the deprecated quantization method "
            f"{refused[0]} without --{ALLOW_DEPRECATED}"
        )
    listed = facts.platform_methods(platform) if platform else None
    if listed is not None:
        allowed = [name for name in usable if name in listed]
        if not allowed:
            return _not_on(names, facts, usable[0], str(platform))
        usable = allowed
    found = [_method(names, facts, name, label) for name in usable]
    methods = [one for one in found if isinstance(one, Method)]
    if not methods:
        return next(iter(found))
    best = min(methods, key=lambda one: one.minimum or (0, 0))
    return names.adjust(best, label, stored, facts)


def types_on(
    names: MethodNames,
    facts: VersionFacts,
    method: Method,
    stored: StoredQuantization | None,
    current: Capability | None,
) -> tuple[str, ...]:
    """The activation types of a method on a GPU, with those of the faster one that replaces it
    there (``override_quantization_method`` of its class). ``current`` None: capability not known.
    """
    faster = names.faster.get(method.name)
    if faster is None or not facts.has("method", faster):
        return method.types
    bits = stored.bits if stored and stored.bits else FASTER_BITS[0]
    symmetric = stored is None or stored.symmetric or method.name == "awq"
    minimum, types = _row(facts.rows("method")[faster], None)
    runs = current is None or minimum is None or current >= minimum
    if not runs or bits not in FASTER_BITS or not symmetric:
        return method.types
    return tuple(dict.fromkeys((*method.types, *types)))


def _missing(names: MethodNames, facts: VersionFacts, candidates: Iterable[str]) -> Support:
    name = next(iter(candidates))
    return absent(f"{names.title} {facts.version} has no quantization method {name}")


_PLATFORM_TITLES = {"rocm": "ROCm", "xpu": "Intel GPUs"}


def _not_on(names: MethodNames, facts: VersionFacts, name: str, platform: str) -> Support:
    where = _PLATFORM_TITLES.get(platform, platform)
    return absent(f"{names.title} {facts.version} does not allow {name} on {where}")


def _method(
    names: MethodNames, facts: VersionFacts, name: str, label: str | None
) -> Method | Support:
    """A method with its minimum; that of the scheme for methods with several."""
    minimum, types = _row(facts.rows("method")[name], label)
    method = Method(name, minimum, types)
    schemes = names.schemes.get(label or "", ()) if name == COMPRESSED else ()
    if not schemes or not facts.rows("scheme"):
        return method
    minima = [
        capability
        for scheme in schemes
        if (capability := _capability(facts.rows("scheme").get(scheme, ""))) is not None
    ]
    if minima:
        return replace(method, minimum=min(minima))
    spans = [span for scheme in schemes for span in facts.table.named("scheme", scheme)]
    when = facts.table.words(spans)
    if when is None or names.borrows:
        return replace(method, minimum=None)
    return absent(f"{names.title} {facts.version} has no {label} in compressed-tensors")


def _row(text: str, label: str | None) -> tuple[Capability | None, tuple[str, ...]]:
    """``80/100 float16,bfloat16``: the second minimum is that of MXFP8."""
    number, _, types = text.partition(" ")
    plain, _, mx = number.partition("/")
    listed = tuple(name for name in types.split(",") if name and name != "-")
    return _capability(mx if mx and label == "MXFP8" else plain), listed


def _capability(text: str) -> Capability | None:
    return divmod(int(text), 10) if text.isdecimal() and int(text) else None
