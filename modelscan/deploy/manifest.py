"""``deployment.yaml``: a deploy written down. What the command line says wins over the file.

    deployment:
      model: Qwen/Qwen3-8B
      target: gpustack
      context: 32k
      replicas: 2
    metadata: {owner: search team}     # yours: never sent anywhere

An unknown key is an error with its nearest name: GPUStack itself accepts typos silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.units import parse_tokens
from modelscan.core.workload import BACKENDS, GOALS, MODES, SOURCES, Workload

_EXAMPLE = "see examples/deployment.yaml"
_TOP = ("version", "deployment", "metadata")
_TEXT = ("model", "name", "target", "gpu", "quantization", "backend", "backend_version",
         "kv_cache", "flash_attention", "mode", "goal", "source", "api_key", "image_name",
         "run_command", "placement_strategy")  # fmt: skip
_WHOLE = ("port", "parallel", "tensor_parallel", "replicas")
_NUMBER = ("memory_utilization", "timeout")
_YES_NO = ("route", "expose", "embedding", "restart_on_error", "allow_unsafe",
           "offline_after_download")  # fmt: skip
_MAPPING = ("env", "worker_selector", "speculative_config", "extended_kv_cache")
_OTHER = ("context", "parameters", "adapters")
KEYS = (*_TEXT, *_WHOLE, *_NUMBER, *_YES_NO, *_MAPPING, *_OTHER)
_CLUSTER = ("replicas", "env", "worker_selector", "speculative_config", "extended_kv_cache",
            "restart_on_error", "image_name", "run_command", "placement_strategy")  # fmt: skip
_WORKLOAD = ("quantization", "backend", "backend_version", "flash_attention", "mode", "goal",
             "source", "parallel", "tensor_parallel", "memory_utilization",
             "embedding", "allow_unsafe")  # fmt: skip
_REQUEST = ("name", "target", "gpu", "port", "expose", "api_key", "route", "timeout",
            "offline_after_download")  # fmt: skip
_CHOICES = {
    "backend": BACKENDS, "goal": GOALS, "mode": MODES, "source": SOURCES,
    "placement_strategy": ("spread", "binpack"), "flash_attention": ("on", "off", "auto"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the file asks for. ``request`` holds name, target, gpu, port … as far as given."""

    model: str
    workload: Workload
    request: Mapping[str, Any] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path) -> Manifest:
    """Raises UsageError for a file that is missing, not YAML, or says what nobody understands."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=_EXAMPLE) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {path}: it is not UTF-8 text", hint=_EXAMPLE) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}", hint=_EXAMPLE) from error
    return parse(data, str(path))


def parse(data: Any, where: str = "the file") -> Manifest:
    """The typed file. Pure; raises UsageError with the key that is wrong."""
    top = _table(data, where)
    _known(top, _TOP, where)
    if top.get("version", 1) != 1:
        raise UsageError(f"{where}: version {top['version']} is not known (this is version 1)")
    values = _table(top.get("deployment"), f"{where}: deployment")
    _known(values, KEYS, f"{where}: deployment")
    for key, value in values.items():
        _check(key, value, where)
    if not values.get("model"):
        raise UsageError(f"{where}: deployment.model is missing", hint=_EXAMPLE)
    given = {key: value for key, value in values.items() if value is not None}
    cluster = {key: given[key] for key in _CLUSTER if key in given}
    if "env" in cluster:
        cluster["env"] = {str(k): _word(v) for k, v in cluster["env"].items()}
    return Manifest(
        model=str(given["model"]),
        workload=_workload(given, where),
        request={key: given[key] for key in _REQUEST if key in given},
        cluster=cluster,
        metadata=_table(top.get("metadata") or {}, f"{where}: metadata"),
    )


def merged(file: Workload, typed: Workload, default_goal: str) -> Workload:
    """The file's wishes with those of the command line over them."""
    plain = replace(Workload(), goal=default_goal)
    over = {
        f.name: getattr(typed, f.name)
        for f in fields(Workload)
        if getattr(typed, f.name) != getattr(plain, f.name)
    }
    if typed.parameters:
        over["parameters"] = (*file.parameters, *typed.parameters)
    return replace(file, **over)


def _workload(given: Mapping[str, Any], where: str) -> Workload:
    values: dict[str, Any] = {key: given[key] for key in _WORKLOAD if key in given}
    values |= {k: str(values[k]).lower() for k in ("backend", "mode", "goal") if k in values}
    if "context" in given:
        values["context_tokens"] = parse_tokens(str(given["context"]))
    if "kv_cache" in given:
        keys, _, rest = str(given["kv_cache"]).partition(",")
        values["kv_cache_k"], values["kv_cache_v"] = keys.strip(), (rest or keys).strip()
    values["parameters"] = _parameters(given.get("parameters") or (), where)
    values["adapters"] = tuple(str(item) for item in given.get("adapters") or ())
    return Workload(**values)


def _parameters(value: Any, where: str) -> tuple[tuple[str, str | None], ...]:
    """A mapping (null or true: a bare flag) or a list of ``key=value`` words."""
    if isinstance(value, Mapping):
        return tuple(
            (str(k).lstrip("-"), None if v is None or v is True else _word(v))
            for k, v in value.items()
            if v is not False
        )
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where}: deployment.parameters must be a mapping or a list")
    found = []
    for item in value:
        key, equals, text = str(item).partition("=")
        found.append((key.lstrip("-"), text if equals else None))
    return tuple(found)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(key: str, value: Any, where: str) -> None:
    if value is None:
        return
    kind = _kind(key)
    good = isinstance(value, kind) and not (bool not in kind and isinstance(value, bool))
    if not good or (key in ("parallel", "tensor_parallel", "replicas") and value < 1):
        names = {str: "text", int: "a whole number, 1 or more", bool: "true or false",
                 dict: "a mapping", list: "a list", float: "a number"}  # fmt: skip
        raise UsageError(f"{where}: deployment.{key} must be {names[kind[0]]}, not {value!r}")
    if key in _CHOICES and str(value).lower() not in _CHOICES[key]:
        raise UsageError(
            f"{where}: deployment.{key} is '{value}'", hint=f"one of {', '.join(_CHOICES[key])}"
        )


def _kind(key: str) -> tuple[type, ...]:
    if key in _WHOLE:
        return (int,)
    if key in _NUMBER:
        return (float, int)
    if key in _YES_NO:
        return (bool,)
    if key in _MAPPING:
        return (dict,)
    if key == "parameters":
        return (dict, list)
    return (list,) if key == "adapters" else (str, int, float)


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be a mapping", hint=_EXAMPLE)
    return value


def _known(values: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in values:
        if key not in keys:
            near = nearest(str(key), keys)
            raise UsageError(
                f"{where}: '{key}' is not a key that is known here",
                hint=f"did you mean {near[0]}?" if near else f"known: {', '.join(keys)}",
                code="unknown_key", details={"key": str(key), "nearest": near},
            )  # fmt: skip
