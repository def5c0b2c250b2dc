"""Facts of one SGLang release, from its sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from scripts.engine_tables.sources import (
    Classes,
    Sources,
    dtypes,
    fields,
    literal,
    long_options,
    returned,
)
from scripts.engine_tables.vllm import schemes

Fact = tuple[str, str]  # (kind, row)
WANTED = re.compile(
    r"^sglang/srt/(models/|layers/quantization/|configs/model_config|arg_groups/|server_args"
    r"|function_call|parser/|reasoning_parser|utils/common|entrypoints/openai/transcription"
    r"|entrypoints/openai/serving_transcription).*\.py$|^sglang/srt/(server_args|utils)\.py$"
    r"|^sglang/srt/(reasoning_parser|function_call_parser)\.py$"
)
_ROOT = "sglang/srt"
_QUANTIZATION = f"{_ROOT}/layers/quantization"
_ADAPTER = "register_transcription_adapter"
_LISTS = ("rocm_supported_quantization",)


def facts(sources: Sources) -> Iterator[Fact]:
    """Every fact of the release as (kind, row)."""
    yield from _architectures(sources)
    yield from _methods(sources)
    yield from schemes(sources, _QUANTIZATION)
    yield from _platforms(sources)
    yield from _parsers(sources)
    yield from _flags(sources)
    yield from _adapted(sources)
    yield from _transcribed(sources)


def _architectures(sources: Sources) -> Iterator[Fact]:
    """The classes that ``EntryClass`` of a module of models/ names."""
    for path in sources.under(f"{_ROOT}/models"):
        tree = sources.tree(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and any(
                _is_name(t, "EntryClass") for t in node.targets
            ):
                yield from (("architecture", n.id) for n in _names(node.value))
            extends = isinstance(node, ast.Call) and "EntryClass." in ast.unparse(node.func)
            if extends and isinstance(node, ast.Call):
                yield from (("architecture", n.id) for a in node.args for n in _names(a))


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(_is_name(target, name) for target in node.targets)


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _names(node: ast.AST) -> Iterator[ast.Name]:
    return (n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id[:1].isupper())


def _methods(sources: Sources) -> Iterator[Fact]:
    """Methods with the lowest capability of their class; ``?`` where it is vLLM's own class."""
    path = f"{_QUANTIZATION}/__init__.py"
    tree = sources.tree(path)
    classes = Classes(sources, "sglang")
    for table, condition in _tables(tree):
        for key, value in zip(table.keys, table.values, strict=True):
            method, name = literal(key), ast.unparse(value)
            if not isinstance(method, str):
                continue
            capability = classes.method(path, name, "get_min_capability")
            least = _number(returned(capability)) if capability else "?"
            types = dtypes(classes.method(path, name, "get_supported_act_dtypes"))
            if _on_cuda(condition):
                yield "method", f"{method} {least} {types or '-'}"
            else:
                yield "other_method", f"{method} {condition.replace(' ', '')}"


def _tables(tree: ast.Module) -> Iterator[tuple[ast.Dict, str]]:
    """Every dictionary of methods, and the condition that it is added under."""
    for node in tree.body:
        value = getattr(node, "value", None)
        target = next(iter(getattr(node, "targets", [])), getattr(node, "target", None))
        name = target.id if isinstance(target, ast.Name) else ""
        if isinstance(value, ast.Dict) and name.endswith("QUANTIZATION_METHODS"):
            yield value, "cpu" if name.startswith("CPU") else ""
        if isinstance(node, ast.If):
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("METHODS.update"):
                    yield from ((a, ast.unparse(node.test)) for a in call.args
                                if isinstance(a, ast.Dict))  # fmt: skip


def _on_cuda(condition: str) -> bool:
    return not condition or "is_cuda()" in condition or "VLLM" in condition


def _number(values: list[object]) -> str:
    """The number a function returns for CUDA; both where MXFP8 has another one (``80/100``)."""
    for value in values:
        match = re.match(r"(\d+) if self\.use_mxfp8 else (\d+)", str(value))
        if match:
            return f"{match.group(2)}/{match.group(1)}"
    numbers = [value for value in values if isinstance(value, int)]
    return str(numbers[0]) if len(numbers) == 1 else "-"


def _platforms(sources: Sources) -> Iterator[Fact]:
    path = sources.first(f"{_ROOT}/configs/model_config.py")
    for node in ast.walk(sources.tree(path)):
        if isinstance(node, ast.Assign) and any(
            _is_name(t, n) for t in node.targets for n in _LISTS
        ):
            yield from (("platform_method", f"rocm {name}") for name in literal(node.value) or ())


def _parsers(sources: Sources) -> Iterator[Fact]:
    for kind, variable, paths in (
        ("tool", "ToolCallParserEnum",
         ("function_call/function_call_parser.py", "function_call_parser.py")),
        ("reasoning", "DetectorMap", ("parser/reasoning_parser.py", "reasoning_parser.py")),
    ):  # fmt: skip
        tree = sources.tree(sources.first(*(f"{_ROOT}/{path}" for path in paths)))
        for node in ast.walk(tree):
            target = getattr(node, "target", None) or next(iter(getattr(node, "targets", [])), None)
            value = getattr(node, "value", None)
            if target is not None and _is_name(target, variable) and isinstance(value, ast.Dict):
                yield from ((f"{kind}_parser", str(literal(key))) for key in value.keys)


def _flags(sources: Sources) -> Iterator[Fact]:
    """Options by name, and the fields of the argument classes, from which the rest are made."""
    for path in (f"{_ROOT}/server_args.py", *sources.under(f"{_ROOT}/server_args")):
        tree = sources.tree(path)
        for longs, _ in long_options(tree):
            yield from (("flag", name.replace("_", "-")) for name in longs)
        for name, _ in fields(tree, "ServerArgs"):
            yield "flag", name.replace("_", "-")
    for path in sources.under(f"{_ROOT}/arg_groups/fields"):
        for node in ast.walk(sources.tree(path)):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield from (("flag", name) for name in _field_options(node))


def _field_options(node: ast.AnnAssign) -> Iterator[str]:
    """The options of one field: its name or the one it states, and its aliases."""
    calls = [c for c in ast.walk(node.annotation) if isinstance(c, ast.Call)]
    keywords = {k.arg: k.value for c in calls if ast.unparse(c.func) == "Arg" for k in c.keywords}
    name = node.target.id if isinstance(node.target, ast.Name) else ""
    if "no_cli" in keywords or name.startswith("_"):
        return
    stated = literal(keywords.get("cli_name"))
    aliases = literal(keywords.get("aliases")) or []
    for option in (stated or name, *aliases):
        yield str(option).removeprefix("--").replace("_", "-")


def _adapted(sources: Sources) -> Iterator[Fact]:
    """The modules that LoRA adapters may change; releases before the list name none."""
    for path in (f"{_ROOT}/utils.py", f"{_ROOT}/utils/common.py"):
        for node in ast.walk(sources.tree(path)):
            if isinstance(node, ast.Assign) and _assigns(node, "SUPPORTED_LORA_TARGET_MODULES"):
                yield from (("lora_target", str(name)) for name in literal(node.value) or ())


def _transcribed(sources: Sources) -> Iterator[Fact]:
    """The classes that the transcription endpoint serves: those whose names contain a key."""
    folder = f"{_ROOT}/entrypoints/openai"
    keys = set(_adapters(sources, f"{folder}/transcription_adapters"))
    if not keys and sources.first(f"{folder}/serving_transcription.py"):
        keys = {"Whisper"}  # the only one before there were adapters
    for _, name in _architectures(sources):
        if any(key in name for key in keys):
            yield "transcription", name


def _adapters(sources: Sources, folder: str) -> Iterator[str]:
    for path in sources.under(folder):
        for node in ast.walk(sources.tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == _ADAPTER:
                yield from (str(key) for a in node.args if (key := literal(a)))
