"""``deployment.yaml``: the options of ``deploy`` as a file; the command line has precedence.

    deployment:
      model: Qwen/Qwen3-8B
      target: gpustack
      context: 32k
      replicas: 2
    metadata: {owner: search team}     # your own notes: sent nowhere

An unknown key is an error that names the nearest key: GPUStack itself ignores unknown fields. Every
error names the key and its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from modelscan.core.container import RUNTIMES
from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.units import parse_seconds, parse_tokens
from modelscan.core.workload import BACKENDS, GOALS, MODES, SOURCES, Workload
from modelscan.core.yaml_reader import MAX_CHARACTERS, YamlDocument, YamlProblem, read_yaml
from modelscan.deploy.manifest_format import DeploymentDocument, DeploymentFields
from modelscan.deploy.manifest_values import KeyPlace, engine_options, text_of, texts_of

_EXAMPLE = "see examples/deployment.yaml"
_TOP = tuple(one.name for one in fields(DeploymentDocument))
KEYS = tuple(one.name for one in fields(DeploymentFields))
_TEXT = ("model", "name", "target", "gpu", "quantization", "backend", "backend_version",
         "kv_cache", "flash_attention", "mode", "goal", "source", "api_key", "image_name",
         "run_command", "placement_strategy", "context", "runtime", "image", "ttl",
         "group")  # fmt: skip
_WHOLE = ("port", "parallel", "tensor_parallel", "replicas", "priority")
_LEAST = {"port": 0, "priority": -1000}
_LAST_PORT = 65_535
_RANGES = {"memory_utilization": (0.05, 1.0), "timeout": (0.0, 31_536_000.0)}  # a share; s
_MAPPING = ("env", "worker_selector", "speculative_config", "extended_kv_cache")
_CLUSTER = ("replicas", "env", "worker_selector", "speculative_config", "extended_kv_cache",
            "restart_on_error", "image_name", "run_command", "placement_strategy")  # fmt: skip
_WORKLOAD = ("quantization", "backend", "backend_version", "flash_attention", "mode", "goal",
             "source", "parallel", "tensor_parallel", "memory_utilization",
             "embedding", "allow_unsafe")  # fmt: skip
_REQUEST = ("name", "target", "gpu", "port", "expose", "api_key", "route", "timeout",
            "offline_after_download", "runtime", "image", "ttl", "pin", "priority",
            "group")  # fmt: skip
_CHOICES = {
    "backend": BACKENDS, "goal": GOALS, "mode": MODES, "source": SOURCES,
    "placement_strategy": ("spread", "binpack"), "flash_attention": ("on", "off", "auto"),
    "runtime": RUNTIMES,
}  # fmt: skip
_SWITCHES = {"true": "on", "yes": "on", "false": "off", "no": "off"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of the file. ``request`` has name, target, gpu, port … where given."""

    model: str
    workload: Workload
    request: Mapping[str, Any] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path) -> Manifest:
    """Read a file; raises UsageError where it is missing, not YAML, or has a wrong key or value."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(MAX_CHARACTERS + 1)
        return parse(read_yaml(text), str(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=_EXAMPLE) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {path}: it is not UTF-8 text", hint=_EXAMPLE) from error
    except YamlProblem as error:
        raise UsageError(f"{path} is not YAML: {error}", hint=error.hint or _EXAMPLE) from error


def parse(document: YamlDocument, where: str = "the file") -> Manifest:
    """Check and convert the file's values. Pure; raises UsageError with the wrong key."""
    place = KeyPlace(where, document)
    top = _table(document.value, place)
    _check_keys(top, _TOP, place)
    version = place.at("version")
    if top.get("version", 1) != 1 or isinstance(top.get("version"), bool):
        raise version.wrong(f"version {version.shown} is not supported", "write: version: 1")
    inner = place.at("deployment")
    values = _table(top.get("deployment"), inner)
    _check_keys(values, KEYS, inner)
    settings = {
        key: _value(key, value, inner.at(key)) for key, value in values.items() if value is not None
    }
    if not settings.get("model"):
        raise inner.wrong("deployment.model is missing", _EXAMPLE)
    metadata = _table(top.get("metadata") or {}, place.at("metadata"))
    return _manifest(settings, inner, metadata)


def _manifest(
    settings: Mapping[str, Any], place: KeyPlace, metadata: Mapping[str, Any]
) -> Manifest:
    return Manifest(
        model=settings["model"],
        workload=_workload(settings, place),
        request={key: settings[key] for key in _REQUEST if key in settings},
        cluster={key: settings[key] for key in _CLUSTER if key in settings},
        metadata=metadata,
    )


def merged(file: Workload, typed: Workload, default_goal: str) -> Workload:
    """The file's workload, overridden by what the command line sets.

    ``default_goal`` is the goal of a command line without ``--goal``.
    """
    default = replace(Workload(), goal=default_goal)
    overrides = {
        f.name: getattr(typed, f.name)
        for f in fields(Workload)
        if getattr(typed, f.name) != getattr(default, f.name)
    }
    if typed.parameters:
        overrides["parameters"] = (*file.parameters, *typed.parameters)
    return replace(file, **overrides)


def _workload(settings: Mapping[str, Any], place: KeyPlace) -> Workload:
    values: dict[str, Any] = {key: settings[key] for key in _WORKLOAD if key in settings}
    if "context" in settings:
        try:
            values["context_tokens"] = parse_tokens(settings["context"])
        except UsageError as error:
            raise place.at("context").wrong(error.message, error.hint) from error
    if "kv_cache" in settings:
        keys, _, rest = settings["kv_cache"].partition(",")
        values["kv_cache_k"], values["kv_cache_v"] = keys.strip(), (rest or keys).strip()
    values["parameters"] = settings.get("parameters", ())
    values["adapters"] = settings.get("adapters", ())
    return Workload(**values)


def _value(key: str, value: Any, place: KeyPlace) -> Any:
    """The value of a key, converted to its kind; raises UsageError for another kind."""
    if key == "ttl":
        return _seconds(text_of(value, place), place)
    if key in _TEXT:
        return _choice(key, text_of(value, place), place)
    if key in _WHOLE:
        return _whole(key, value, place)
    if key in _RANGES:
        return _number(key, value, place)
    if key == "parameters":
        return engine_options(value, place)
    if key == "adapters":
        return _adapters(value, place)
    if key in _MAPPING:
        if not isinstance(value, Mapping):
            raise place.must_be("a mapping", value)
        return texts_of(value, place) if key in ("env", "worker_selector") else value
    if not isinstance(value, bool):
        raise place.must_be("true or false", value)
    return value


def _number(key: str, value: Any, place: KeyPlace) -> float:
    least, most = _RANGES[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise place.must_be(f"a number, {least:,g} to {most:,.0f}", value)
    return float(value)


def _seconds(text: str, place: KeyPlace) -> float:
    try:
        return parse_seconds(text)
    except UsageError as error:
        raise place.wrong(error.message, error.hint) from error


def _choice(key: str, text: str, place: KeyPlace) -> str:
    choices = _CHOICES.get(key)
    if choices is None:
        return text
    word = text.lower()
    word = _SWITCHES.get(word, word) if key == "flash_attention" else word
    if word not in choices:
        raise place.wrong(f"deployment.{key} is '{text}'", f"one of {', '.join(choices)}")
    return word


def _whole(key: str, value: Any, place: KeyPlace) -> int:
    least = _LEAST.get(key, 1)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise place.must_be(f"a whole number, {least or 1} or more", value)
    if key == "port" and value > _LAST_PORT:
        raise place.must_be(f"a whole number, {_LAST_PORT:,} or less", value)
    return value


def _adapters(value: Any, place: KeyPlace) -> tuple[str, ...]:
    """``REPO``, ``NAME=REPO`` and ``{NAME: REPO}``."""
    if not isinstance(value, list):
        raise place.must_be("a list", value)
    entries: list[str] = []
    for index, item in enumerate(value):
        if isinstance(item, Mapping):
            named = texts_of(item, place.at(index))
            entries += [f"{name}={repository}" for name, repository in named.items()]
        else:
            entries.append(text_of(item, place.at(index)))
    return tuple(entries)


def _table(value: Any, place: KeyPlace) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise place.wrong(f"{place.name} must be a mapping", _EXAMPLE)
    return value


def _check_keys(values: Mapping[str, Any], keys: tuple[str, ...], place: KeyPlace) -> None:
    for key in values:
        if key not in keys:
            near = nearest(str(key), keys)
            raise place.at(key).wrong(
                f"'{key}' is not a key of {place.name}",
                f"did you mean {near[0]}?" if near else f"the keys are {', '.join(keys)}",
                code="unknown_key", details={"key": str(key), "nearest": near},
            )  # fmt: skip
