"""Settings with their origin: flag > MODELSCAN_* variable > project file > user file > default."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.units import LARGEST
from modelscan.state.files import write_atomic
from modelscan.state.paths import Paths, expand, paths

PROJECT_FILE = "modelscan.toml"
Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. ``kind``: str | int | float | bool | path | secret | choice.

    Numbers are at least ``minimum`` and at most ``LARGEST``.
    """

    key: str
    kind: str
    default: Value
    help: str
    choices: tuple[str, ...] = ()
    minimum: float = 0

    @property
    def variable(self) -> str:
        return "MODELSCAN_" + self.key.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting("offline", "bool", False, "send no request off this machine"),
    Setting("routing_file", "path", None, "the routing file (default: in the config folder)"),
    Setting("target", "str", "local", "where deploy runs: local, auto or a configured target"),
    Setting("source", "choice", "huggingface", "where weights come from",
            ("huggingface", "modelscope", "local_path")),
    Setting("goal", "choice", "quality", "what plan prefers", ("quality", "speed", "context")),
    Setting("hf_endpoint", "str", "https://huggingface.co", "Hugging Face or a mirror of it"),
    Setting("hf_token", "secret", None, "reference (env:NAME, file:PATH) to the hub's token"),
    Setting("modelscope_endpoint", "str", "https://modelscope.cn", "ModelScope or a mirror of it"),
    Setting("modelscope_token", "secret", None, "reference to ModelScope's token"),
    Setting("modelsdev_endpoint", "str", "https://models.dev", "models.dev or a mirror of it"),
    Setting("http_timeout_s", "float", 20.0, "time limit of one request, seconds",
            minimum=0.1),
    Setting("catalog_max_age_s", "int", 86_400, "age after which catalog data is called stale"),
    Setting("start_timeout_s", "float", 600.0, "time limit for an engine to become ready",
            minimum=0.1),
    Setting("llama_server", "path", None, "a llama-server binary to use instead of xllamacpp"),
    Setting("vllm", "path", None, "the Python or vllm command of an environment that has vLLM"),
    Setting("sglang", "path", None, "the Python of an environment that has SGLang"),
    Setting("ollama_endpoint", "str", "http://127.0.0.1:11434", "an Ollama server"),
    Setting("port_range", "str", "41000-41999", "ports that local engines may use"),
    Setting("electricity_usd_per_kwh", "float", None, "price of power, for cost comparisons"),
    Setting("machine_watts", "float", None, "power drawn while serving, for cost comparisons"),
)  # fmt: skip
_BY_KEY = {setting.key: setting for setting in SETTINGS}

# Variables that other tools share and people already set.
_FOREIGN = {"hf_endpoint": "HF_ENDPOINT", "modelscope_endpoint": "MODELSCOPE_ENDPOINT"}


@dataclass(frozen=True, slots=True)
class Resolved:
    """A value and where it came from: ``flag``, ``env:NAME``, a file's path, or ``default``."""

    value: Value
    origin: str


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, resolved once per command."""

    values: Mapping[str, Resolved]
    paths: Paths
    warnings: tuple[str, ...] = field(default=())

    def get(self, key: str) -> Value:
        return self.resolved(key).value

    def resolved(self, key: str) -> Resolved:
        return self.values[known(key).key]

    def text(self, key: str) -> str:
        return str(self.get(key))

    def number(self, key: str) -> float:
        value = self.get(key)
        return float(value) if value is not None else 0.0

    def path(self, key: str) -> Path | None:
        value = self.get(key)
        return expand(str(value)) if value is not None else None

    @property
    def offline(self) -> bool:
        return bool(self.get("offline"))

    @property
    def routing_file(self) -> Path:
        return self.path("routing_file") or self.paths.routing_file


def known(key: str) -> Setting:
    """The setting of that name; raises UsageError with the nearest names."""
    setting = _BY_KEY.get(key.replace("-", "_"))
    if setting is None:
        near = nearest(key, _BY_KEY, limit=3)
        raise UsageError(
            f"there is no setting '{key}'",
            hint=f"modelscan config get {near[0]}" if near else "modelscan config show",
            details={"nearest": near},
        )
    return setting


def load(
    flags: Mapping[str, Value] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Config:
    """Resolve all settings; raises UsageError for a broken file or a value of the wrong kind."""
    env = os.environ if environ is None else environ
    where = paths(env)
    layers: list[tuple[str, Mapping[str, Any]]] = [("flag", dict(flags or {}))]
    layers += [(f"env:{name}", {key: text}) for key, name, text in _from_environment(env)]
    for file in _files(where, cwd):
        layers.append((str(file), read_file(file)))
    values = {setting.key: _resolve(setting, layers) for setting in SETTINGS}
    return Config(values, where)


def _from_environment(env: Mapping[str, str]) -> list[tuple[str, str, str]]:
    found = [(s.key, s.variable, env[s.variable]) for s in SETTINGS if env.get(s.variable)]
    found += [(key, name, env[name]) for key, name in _FOREIGN.items() if env.get(name)]
    return found


def _files(where: Paths, cwd: Path | None) -> list[Path]:
    project = next((f for p in _upwards(cwd) if (f := p / PROJECT_FILE).is_file()), None)
    user = where.user_config_file
    return [file for file in (project, user) if file is not None and file.is_file()]


def _upwards(cwd: Path | None) -> list[Path]:
    """The working folder and those above it; none where it was deleted."""
    try:
        here = cwd or Path.cwd()
    except FileNotFoundError:
        return []
    return [here, *here.parents]


def _resolve(setting: Setting, layers: list[tuple[str, Mapping[str, Any]]]) -> Resolved:
    for origin, layer in layers:
        value = layer.get(setting.key)
        if value is not None:
            return Resolved(convert(setting, value, origin), origin)
    return Resolved(setting.default, "default")


def read_file(file: Path) -> dict[str, Any]:
    """A settings file as a dictionary; raises UsageError naming the file and line."""
    data = _parse(_read(file), file)
    for key in data:
        if key not in _BY_KEY:
            near = nearest(key, _BY_KEY)
            raise UsageError(
                f"{file}: there is no setting '{key}'",
                hint=f"did you mean '{near[0]}'?" if near else "modelscan config show",
            )
    return data


def _parse(text: str, file: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is not valid TOML: {error}", hint=f"edit {file}") from error
    return data


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # editors on Windows write a mark
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text: {error}", hint=f"edit {file}") from error
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint=f"ls -l {file}") from error


def convert(setting: Setting, value: Any, origin: str) -> Value:
    """A raw value as the setting's kind; raises UsageError naming where it came from."""
    try:
        converted = _CONVERT[setting.kind](value)
    except (ValueError, TypeError):
        raise _refused(setting, value, origin, f"is not {_KIND[setting.kind]}") from None
    if setting.choices and converted not in setting.choices:
        raise _refused(setting, value, origin, f"is none of {', '.join(setting.choices)}")
    if isinstance(converted, (int, float)) and not setting.minimum <= converted <= LARGEST:
        limits = f"is not between {setting.minimum:g} and {LARGEST:g}"
        raise _refused(setting, value, origin, limits)
    if setting.key.endswith("_endpoint") and "@" in str(converted) and origin == "config set":
        raise UsageError(
            "credentials in a URL are not accepted",
            hint=f"modelscan config set {setting.key.replace('endpoint', 'token')} env:NAME",
            code="literal_secret",
        )
    if setting.kind == "secret":
        from modelscan.state.secrets import check_reference

        check_reference(str(converted))
    return converted


def _refused(setting: Setting, value: Any, origin: str, why: str) -> UsageError:
    """The refusal, with the command (or variable) that mends it."""
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:80] + "…"
    variable = origin.partition(":")[2] if origin.startswith("env:") else None
    example = setting.choices[0] if setting.choices else setting.default
    value_text = "VALUE" if example is None else _plain(example)
    command = f"modelscan config set {setting.key} {value_text}"
    hint = f"unset {variable}" if variable else command
    return UsageError(f"{origin}: {setting.key} = {shown} {why}", hint=hint)


def _plain(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _bool(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(value)
    return word in _TRUE


def _int(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)


def _float(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(value)
    return number


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # raises a ValueError for bytes that are no text
    return value


_KIND = {
    "str": "text", "path": "a path", "secret": "a reference", "choice": "text",
    "int": "a whole number", "float": "a number", "bool": "true or false",
}  # fmt: skip
_CONVERT: dict[str, Callable[[Any], Value]] = {
    "str": _str, "path": _str, "secret": _str, "choice": _str,
    "int": _int, "float": _float, "bool": _bool,
}  # fmt: skip


def set_value(file: Path, key: str, text: str | None) -> Value:
    """Write (or with None, remove) one key of a settings file, keeping every other line.

    The caller holds the lock. Raises UsageError for an unknown key, a value of the wrong kind, or
    a file that would still be broken.
    """
    setting = known(key)
    value = None if text is None else convert(setting, text, "config set")
    lines = _read(file).removesuffix("\n").split("\n") if file.is_file() else []
    kept = [line for line in lines if not re.match(rf"\s*{re.escape(setting.key)}\s*=", line)]
    if value is not None:
        kept.append(f"{setting.key} = {_toml(value)}")
    text = "".join(line + "\n" for line in kept)
    _parse(text, file)
    write_atomic(file, text)
    return value


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped) + '"'
