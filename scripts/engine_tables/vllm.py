"""Facts of one vLLM release, from its sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from scripts.engine_tables.sources import (
    Classes,
    Sources,
    dtypes,
    fields,
    function,
    literal,
    long_options,
    returned,
)

Fact = tuple[str, str]  # (kind, row)
WANTED = re.compile(
    r"^(vllm/(model_executor/(models|layers/quantization)/|platforms/|config|engine/arg_utils\.py"
    r"|tool_parsers/|reasoning/|envs\.py|lora/|entrypoints/).*\.py"
    r"|vllm/config\.py|vllm/engine/arg_utils\.py|vllm/envs\.py|setup\.py|CMakeLists\.txt)$"
)
_MODELS = "vllm/model_executor/models"
_QUANTIZATION = "vllm/model_executor/layers/quantization"
_TRAITS = {
    "SupportsLoRA": "lora", "SupportsPP": "pipeline_parallel",
    "SupportsTranscription": "transcription", "SupportsV0Only": "v0_only",
}  # fmt: skip
_PLATFORMS = ("rocm", "xpu", "cpu")


def facts(sources: Sources) -> Iterator[Fact]:
    """Every fact of the release as (kind, row)."""
    classes = Classes(sources, "vllm")
    yield from _architectures(sources, classes)
    yield from _methods(sources, classes)
    yield from schemes(sources, _QUANTIZATION)
    yield from _platforms(sources)
    yield from _lengths_and_types(sources)
    yield from _parsers(sources)
    yield from _flags(sources)
    yield from _builds(sources)
    yield from _defaults(sources)


def _architectures(sources: Sources, classes: Classes) -> Iterator[Fact]:
    names = sources.values(f"{_MODELS}/registry.py")
    for variable in names:
        table = literal(names[variable], names) if variable.endswith("_MODELS") else None
        if not isinstance(table, dict):
            continue
        if variable == "_PREVIOUSLY_SUPPORTED_MODELS":
            yield from (("removed", f"{name} {last}") for name, last in table.items())
            continue
        if variable == "_OOT_SUPPORTED_MODELS":
            yield from (("plugin", f"{name} {place}") for name, place in table.items())
            continue
        for name, spec in table.items():
            if isinstance(spec, list) and len(spec) == 2:
                yield "architecture", name
                yield from _traits(classes, name, *map(str, spec))


def _traits(classes: Classes, name: str, module: str, class_name: str) -> Iterator[Fact]:
    dotted = module if module.startswith("vllm.") else f"vllm.model_executor.models.{module}"
    path = classes.path_of(dotted)
    for base, _ in classes.lineage(path, class_name) if path else ():
        if base in _TRAITS:
            yield _TRAITS[base], name


def _methods(sources: Sources, classes: Classes) -> Iterator[Fact]:
    path = f"{_QUANTIZATION}/__init__.py"
    names = sources.values(path)
    tree = sources.tree(path)
    listed = _listed_methods(names)
    deprecated = literal(names.get("DEPRECATED_QUANTIZATION_METHODS"), names) or ()
    table, places = _method_classes(tree)
    for method in listed or table:
        least, types = "", ""
        name = table.get(method)
        if name:
            module, original = places.get(name, ("", name))
            where = classes.path_of(module)
            capability = classes.method(where, original, "get_min_capability")
            least = _number(returned(capability)) if capability else ""
            types = dtypes(classes.method(where, original, "get_supported_act_dtypes"))
        yield "method", f"{method} {least or '-'} {types or '-'}"
        if method in deprecated:
            yield "deprecated_method", method


def schemes(sources: Sources, folder: str) -> Iterator[Fact]:
    """Formats inside a method (compressed-tensors, Quark …), with their lowest capability."""
    for path in sources.under(folder):
        if "/schemes/" not in path and "compressed_tensors" not in path:
            continue
        for node in ast.walk(sources.tree(path)):
            if isinstance(node, ast.ClassDef):
                own = function(node, "get_min_capability")
                values = [v for v in returned(own) if isinstance(v, int)] if own else []
                if values:
                    yield "scheme", f"{node.name} {min(values)}"


def _listed_methods(names: dict[str, ast.expr]) -> list[str]:
    node = names.get("QuantizationMethods")
    if isinstance(node, ast.Subscript):
        return [str(name) for name in literal(node.slice) or ()]
    found = literal(names.get("QUANTIZATION_METHODS"), names)
    return [str(name) for name in found] if isinstance(found, (list, dict)) else []


def _method_classes(tree: ast.Module) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """(method -> class name, class name -> (module, its name there))."""
    table: dict[str, str] = {}
    places: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = "vllm.model_executor.layers.quantization." if node.level else ""
            module = base + (node.module or "")
            for alias in node.names:
                places.setdefault(alias.asname or alias.name, (module, alias.name))
        target = _target(node)
        value = getattr(node, "value", None)
        if target in ("method_to_config", "QUANTIZATION_METHODS") and isinstance(value, ast.Dict):
            for key, one in zip(value.keys, value.values, strict=True):
                if key is not None:
                    table[str(literal(key))] = ast.unparse(one)
    return table, places


def _target(node: ast.AST) -> str:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return ""


def _number(values: list[object]) -> str:
    """The one number that a function returns; "" where it depends on something."""
    numbers = {str(value) for value in values if isinstance(value, int)}
    return numbers.pop() if len(numbers) == 1 and len(values) == 1 else ""


def _platforms(sources: Sources) -> Iterator[Fact]:
    """The methods that a platform allows; a platform without a list allows all."""
    for platform in _PLATFORMS:
        for node in ast.walk(sources.tree(f"vllm/platforms/{platform}.py")):
            if _target(node) == "supported_quantization":
                found = literal(getattr(node, "value", None))
                yield from (("platform_method", f"{platform} {name}") for name in found or ())


def _lengths_and_types(sources: Sources) -> Iterator[Fact]:
    for path in ("vllm/config/model.py", "vllm/config.py", "vllm/config/__init__.py"):
        names = sources.values(path)
        banned = literal(names.get("_FLOAT16_NOT_SUPPORTED_MODELS"), names)
        yield from (("float16_ban", str(name)) for name in banned or ())
        length = function(sources.tree(path), "_get_and_verify_max_len")
        for node in ast.walk(length) if length else ():
            excludes = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.NotIn)
            if excludes and isinstance(node, ast.Compare) and "rope_type" in ast.unparse(node.left):
                kinds = literal(node.comparators[0]) or ()
                yield from (("unscaled_rope", str(kind)) for kind in kinds)


def _parsers(sources: Sources) -> Iterator[Fact]:
    folders = {"vllm/tool_parsers": "tool", "vllm/entrypoints/openai/tool_parsers": "tool",
               "vllm/reasoning": "reasoning"}  # fmt: skip
    for folder, kind in folders.items():
        names = sources.values(f"{folder}/__init__.py")
        for variable in names:
            if variable.endswith("_TO_REGISTER"):
                yield from ((f"{kind}_parser", str(n)) for n in literal(names[variable], names))
        for path in sources.under(folder):
            text = sources.texts[path]
            for match in re.finditer(r"ParserManager\.register_\w+\(\s*(?:name\s*=\s*)?", text):
                yield from ((f"{kind}_parser", n) for n in _quoted(text[match.end() :]))


def _quoted(text: str) -> list[str]:
    """The strings of a first argument: one string, or a list of them."""
    match = re.match(r"\[([^\]]*)\]|(\"[^\"]+\")", text)
    return re.findall(r'"([^"]+)"', match.group(0)) if match else []


def _flags(sources: Sources) -> Iterator[Fact]:
    """Options of ``vllm serve``: fields of the argument classes, and those added by name."""
    engine = sources.tree("vllm/engine/arg_utils.py")
    seen: set[str] = set()
    if function(engine, "get_kwargs") or function(engine, "_compute_kwargs"):
        seen |= {name for name, _ in fields(engine, "EngineArgs", "AsyncEngineArgs")}
    for path in sources.under("vllm/entrypoints"):
        if path.endswith("cli_args.py"):
            tree = sources.tree(path)
            seen |= {name for name, _ in fields(tree, "FrontendArgs", "BaseFrontendArgs")}
    yield from (("flag", name.replace("_", "-")) for name in seen)
    for path in ("vllm/engine/arg_utils.py", *_frontends(sources)):
        for longs, keywords in long_options(sources.tree(path)):
            yield from (("flag", name.replace("_", "-")) for name in longs)
            if keywords.get("action") and "Boolean" in ast.unparse(keywords["action"]):
                yield from (("flag", f"no-{name}".replace("_", "-")) for name in longs)


def _frontends(sources: Sources) -> list[str]:
    return [
        path for path in sources.under("vllm/entrypoints")
        if path.endswith(("cli_args.py", "cli/serve.py", "api_server.py", "openai/run_batch.py"))
        and "run_batch" not in path
    ]  # fmt: skip


def _builds(sources: Sources) -> Iterator[Fact]:
    """The compute capabilities and gfx targets that the package on the index is compiled for."""
    version = ""
    for path in ("setup.py", "vllm/envs.py"):
        match = re.search(r'MAIN_CUDA_VERSION(?:: str)?\s*=\s*"([\d.]+)"', _text(sources, path))
        version = version or (match.group(1) if match else "")
    if version:
        yield "cuda", version
    cmake = _text(sources, "CMakeLists.txt")
    yield from (("cuda_build", arch) for arch in _cuda_list(cmake, version))
    match = re.search(r'set\(HIP_SUPPORTED_ARCHS "([^"]*)"', cmake)
    yield from (("rocm_build", arch) for arch in (match.group(1).split(";") if match else ()))


def _text(sources: Sources, path: str) -> str:
    return sources.texts.get(path, "")


def _cuda_list(cmake: str, version: str) -> list[str]:
    """The list behind the first condition that the CUDA version of the package meets."""
    branches = re.findall(
        r"(?:VERSION_GREATER_EQUAL ([\d.]+)\)|(else)\(\))?\s*"
        r"set\(CUDA_SUPPORTED_ARCHS \"([^\"]+)\"",
        cmake,
    )
    for least, _, archs in branches:
        if not least or _dotted(version) >= _dotted(least):
            return str(archs).split(";")
    return []


def _dotted(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")) if text else ()


def _defaults(sources: Sources) -> Iterator[Fact]:
    for path in ("vllm/config/cache.py", "vllm/config.py", "vllm/config/__init__.py"):
        for name, node in fields(sources.tree(path), "CacheConfig"):
            if name == "gpu_memory_utilization" and node.value:
                numbers = re.findall(r"0\.\d+", ast.unparse(node.value))
                yield from (("default", f"{name} {number}") for number in numbers[:1])
    engine = sources.tree("vllm/engine/arg_utils.py")
    for name in ("get_batch_defaults", "_set_default_args_v1", "_set_default_args"):
        found = function(engine, name)
        if found:
            yield from _batches(found.body, "")


def _batches(body: list[ast.stmt], condition: str) -> Iterator[Fact]:
    for node in body:
        if isinstance(node, ast.If):
            test = ast.unparse(node.test)
            yield from _batches(node.body, f"{condition} and {test}" if condition else test)
            negated = f"not ({test})"
            yield from _batches(node.orelse, f"{condition} and {negated}" if condition else negated)
        elif isinstance(node, (ast.Try, ast.With)):
            yield from _batches(node.body, condition)
        elif isinstance(node, ast.Assign) and "default_max_num" in ast.unparse(node.targets[0]):
            what = ast.unparse(node.targets[0]).removeprefix("default_")
            if isinstance(node.value, ast.Dict):
                for key, value in zip(node.value.keys, node.value.values, strict=True):
                    context = ast.unparse(key).rpartition(".")[2] if key else ""
                    yield "default", f"{what} {context} {ast.unparse(value)} if {condition}"
