"""Whether a version of an engine starts one model: what its tables say, in the engine's order.

Each rule returns None where it has no objection, else a Support with the reason and, where known,
the versions that would do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelscan.engines.option_values import flag
from modelscan.engines.support_rules import SPEECH, Support, absent

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.gpu import Gpu
    from modelscan.core.workload import Workload
    from modelscan.engines.version_tables import VersionFacts

ParserKind = Literal["tool", "reasoning"]
TOOL_PARSER, REASONING_PARSER = "tool-call-parser", "reasoning-parser"
PARSERS: tuple[tuple[str, ParserKind, str], ...] = (
    (TOOL_PARSER, "tool", "tool-parser-plugin"),
    (REASONING_PARSER, "reasoning", "reasoning-parser-plugin"),
)  # option, kind, option that loads others
_HALF = ("half", "float16")
_DTYPES = ("auto", *_HALF, "bfloat16", "float", "float32")  # of both engines, in every version


@dataclass(frozen=True, slots=True)
class LaunchQuestion:
    """One launch. ``workload`` has the engine's version and the user's options; ``original``: the
    model was published in this format; ``recommended``: the catalog has a recipe for it.
    """

    shape: ModelShape
    workload: Workload
    gpus: tuple[Gpu, ...]
    tensor_parallel: int
    task: str
    original: bool = True
    recommended: bool = False

    @property
    def version(self) -> str | None:
        """The engine's version, None for the default one."""
        return self.workload.backend_version


def architecture_rule(title: str, facts: VersionFacts, names: tuple[str, ...]) -> Support | None:
    """The model's classes in the registry of this version; unknown outside of it."""
    if not names or any(facts.has("architecture", name) for name in names):
        return None
    name = names[0]
    when = facts.when("architecture", name)
    if facts.has("removed", name):
        last = when or f"until {facts.rows('removed')[name]}"
        return absent(f"{title} {facts.version} no longer runs {name}; {title} has it {last}")
    if facts.has("plugin", name):
        place = facts.rows("plugin")[name]
        return absent(f"{title} {facts.version} runs {name} through a plugin only: {place}")
    if when:
        return unknown(f"{title} {facts.version} does not list {name}; {title} has it {when}")
    if facts.newest:
        return None
    return unknown(f"no {title} up to {facts.table.versions[-1]} lists {name}")


def unknown(reason: str) -> Support:
    """Not known to be supported, with the reason."""
    return Support(None, reason, unknown=True)


def option_rules(title: str, facts: VersionFacts, workload: Workload) -> Iterator[Support]:
    """The user's options that this version does not have, and parsers that it does not know."""
    for name, _ in workload.parameters:
        refusal = option_rule(title, facts, name)
        if refusal is not None:
            yield refusal
    for option, kind, plugin in PARSERS:
        value = workload.parameter(option)
        if value and not workload.parameter(plugin) and not has_parser(facts, kind, value):
            when = facts.when(f"{kind}_parser", value)
            known = f"; {title} has it {when}" if when else ""
            yield absent(f"{title} {facts.version} has no --{option} {value}{known}")


def has_parser(facts: VersionFacts, kind: ParserKind, name: str) -> bool:
    """Whether this version has a parser of that name."""
    return facts.has(f"{kind}_parser", name)


def option_rule(title: str, facts: VersionFacts, name: str) -> Support | None:
    """Whether this version has a long option; ``--x.y`` sets a part of ``--x``."""
    plain = option_name(name)
    if not facts.rows("flag") or known_option(facts, plain) or facts.newest:
        return None
    when = facts.when("flag", plain) or facts.when("flag", plain.removeprefix("no-"))
    known = f"; {title} has it {when}" if when else ""
    return absent(f"--{plain} is no option of {title} {facts.version}{known}")


def known_option(facts: VersionFacts, plain: str) -> bool:
    """Whether this version has the option, the switch that it turns off, or exactly one option
    that it abbreviates.
    """
    if facts.has("flag", plain) or facts.has("flag", plain.removeprefix("no-")):
        return True
    return sum(name.startswith(plain) for name in facts.rows("flag")) == 1


def option_name(name: str) -> str:
    """``compilation_config.level`` -> ``compilation-config``."""
    return name.partition(".")[0].partition("+")[0].replace("_", "-")


def lora_rule(title: str, facts: VersionFacts, question: LaunchQuestion) -> Support | None:
    """Adapters on a class that takes none; an engine without such a list wraps modules of any."""
    asked = question.workload.adapters or flag(question.workload, "enable-lora")
    if not asked or not facts.rows("lora"):
        return None
    names = question.shape.architecture.checkpoint.classes
    listed = [name for name in names if facts.has("architecture", name)]
    if not listed or any(facts.has("lora", name) for name in listed):
        return None
    when = facts.when("lora", listed[0])
    known = f"; {title} does {when}" if when else ""
    return absent(f"{title} {facts.version} does not apply LoRA adapters to {listed[0]}{known}")


def transcription_rule(title: str, facts: VersionFacts, question: LaunchQuestion) -> Support | None:
    """Speech recognition by a class that this version does not transcribe with."""
    names = question.shape.architecture.checkpoint.classes
    listed = any(facts.has("transcription", name) for name in names)
    if question.task != SPEECH or listed:
        return None
    when = next((w for name in names if (w := facts.when("transcription", name))), None)
    if not names:
        if question.recommended:
            return None
        return unknown(f"whether {title} transcribes with this model is not known: no config.json")
    known = f"; {title} does {when}" if when else ""
    return absent(f"{title} {facts.version} does not transcribe with {names[0]}{known}")


def float16_rule(title: str, facts: VersionFacts, question: LaunchQuestion) -> Support | None:
    """``--dtype half`` for a model type that the version does not compute in float16."""
    kind = question.shape.architecture.checkpoint.model_type
    if question.workload.parameter("dtype") not in _HALF or not facts.has("float16_ban", kind):
        return None
    return absent(f"{title} {facts.version} does not compute {kind} models in float16")


def dtype_rule(title: str, question: LaunchQuestion) -> Support | None:
    """A ``--dtype`` that is no choice of the option."""
    dtype = question.workload.parameter("dtype")
    if dtype is None or dtype.lower() in _DTYPES:
        return None
    return absent(f"{title} has no --dtype {dtype}: it is one of {', '.join(_DTYPES)}")


def types_rule(
    title: str, version: str, question: LaunchQuestion, method: str, types: tuple[str, ...]
) -> Support | None:
    """A ``--dtype`` that the quantization method does not compute in."""
    dtype = question.workload.parameter("dtype")
    dtype = "float16" if dtype in _HALF else dtype
    if dtype in (None, "auto") or not types or dtype in types:
        return None
    return absent(f"{title} {version} computes {method} in {' or '.join(types)}, not in {dtype}")
