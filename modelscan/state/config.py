"""Settings with their origin: flag > MODELSCAN_* variable > project file > user file > default.

``Config`` is the only definition: each attribute is a setting with its type, default, help and
limits, so that a misspelt name is a type error. ``SETTINGS`` is derived from it.
"""

# ruff: noqa: RUF009 - ``_setting`` is ``dataclasses.field`` with our metadata
from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.units import LARGEST
from modelscan.state.files import write_atomic
from modelscan.state.paths import Paths, expand, paths

PROJECT_FILE = "modelscan.toml"
Plain = str | int | float | bool | None
Value = Plain | Path


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``kind``: str, int, float, bool, path, secret or choice.

    Numbers are from ``minimum`` to ``LARGEST``. ``testing``: only for tests and unusual machines.
    """

    key: str
    kind: str
    default: Value
    help: str
    choices: tuple[str, ...] = ()
    minimum: float = 0
    testing: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "MODELSCAN_" + self.key.upper()


def _setting(default: Any, text: str, **more: Any) -> Any:
    """An attribute of ``Config`` with its help text and limits."""
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, resolved once per command.

    ``origins``: key -> flag, ``env:NAME``, the path of a file, or ``default``.
    """

    paths: Paths
    origins: Mapping[str, str]
    offline: bool = _setting(False, "send no request off this machine")
    routing_file: Path = _setting(None, "the routing file (default: in the config folder)")
    target: str = _setting(
        "local", "where deploy starts models: local, auto or a configured target"
    )
    source: str = _setting(
        "huggingface", "where weights are downloaded from",
        choices=("huggingface", "modelscope", "local_path"),
    )  # fmt: skip
    goal: str = _setting(
        "quality", "what plan optimizes for", choices=("quality", "speed", "context")
    )
    hf_endpoint: str = _setting("https://huggingface.co", "Hugging Face or a mirror")
    hf_token: str | None = _setting(
        None, "reference (env:NAME, file:PATH) to the hub's token", secret=True
    )
    hf_offline: bool = _setting(False, "send no request to Hugging Face; use what is in its cache")
    modelscope_endpoint: str = _setting("https://modelscope.cn", "ModelScope or a mirror")
    modelscope_token: str | None = _setting(None, "reference to ModelScope's token", secret=True)
    modelsdev_endpoint: str = _setting("https://models.dev", "models.dev or a mirror")
    http_timeout_s: float = _setting(20.0, "time limit of one request, seconds", minimum=0.1)
    catalog_max_age_s: int = _setting(
        86_400, "age in seconds after which catalog data is reported as stale"
    )
    start_timeout_s: float = _setting(
        600.0, "time limit for an engine to become ready, seconds", minimum=0.1
    )
    llama_server: Path | None = _setting(None, "a llama-server binary to use instead of xllamacpp")
    llamacpp_releases: str = _setting(
        "https://api.github.com/repos/ggml-org/llama.cpp/releases",
        "where engine install reads llama.cpp's releases, or a mirror in GitHub's format",
    )
    vllm: Path | None = _setting(None, "the Python or vllm command of an environment with vLLM")
    sglang: Path | None = _setting(None, "the Python of an environment with SGLang")
    ollama_endpoint: str = _setting("http://127.0.0.1:11434", "address of the Ollama server")
    port_range: str = _setting("41000-41999", "range of ports for local engines")
    electricity_usd_per_kwh: float | None = _setting(
        None, "electricity price in US dollars per kWh, for cost comparisons"
    )
    machine_watts: float | None = _setting(
        None, "power consumption while serving in watts, for cost comparisons"
    )
    host_root: Path = _setting(
        Path("/"), "testing: read /proc, /sys and /dev below this folder", testing=True
    )
    probe_timeout_s: float = _setting(
        10.0, "testing: time limit of each program that reads the hardware", minimum=0.1,
        testing=True,
    )  # fmt: skip

    def offline_because(self, source: str) -> str | None:
        """Why no request may be sent to a hub (``huggingface``, ``modelscope``): the option,
        variable or file that says so; None if requests may be sent.
        """
        for key, counts in (("offline", True), ("hf_offline", source == "huggingface")):
            if counts and getattr(self, key):
                origin = self.origins.get(key, "flag")
                if origin == "flag":
                    return "--offline is set"
                name = origin.removeprefix("env:")
                return f"{name} is set" if origin != name else f"{key} is set in {origin}"
        return None

    def value(self, key: str) -> Value:
        """The value of the setting with that name. Raises UsageError for an unknown name."""
        setting_value: Value = getattr(self, known(key).key)
        return setting_value


_KINDS = {
    "bool": "bool", "int": "int", "float": "float", "float | None": "float", "str": "str",
    "str | None": "str", "Path": "path", "Path | None": "path",
}  # fmt: skip


def _table() -> tuple[Setting, ...]:
    settings = []
    for one in fields(Config):
        more = dict(one.metadata)
        if more:
            kind = "secret" if more.pop("secret", False) else _KINDS[str(one.type)]
            kind = "choice" if "choices" in more else kind
            default: Any = one.default
            settings.append(Setting(one.name, kind, default, **more))
    return tuple(settings)


SETTINGS = _table()
_BY_KEY = {setting.key: setting for setting in SETTINGS}

# Variables of other tools that users may already have set.
_FOREIGN = {
    "hf_endpoint": "HF_ENDPOINT", "hf_offline": "HF_HUB_OFFLINE",
    "modelscope_endpoint": "MODELSCOPE_ENDPOINT",
}  # fmt: skip


def plain(value: Value) -> Plain:
    """A value as it is printed and written: a path as text."""
    return str(value) if isinstance(value, Path) else value


def known(key: str) -> Setting:
    """The setting with that name. Raises UsageError with the nearest names."""
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
    """Resolve all settings. Raises UsageError for an invalid file or a value of the wrong type."""
    env = os.environ if environ is None else environ
    where = paths(env)
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("flag", {key: plain(value) for key, value in (flags or {}).items()})
    ]
    layers += [(f"env:{name}", {key: text}) for key, name, text in _from_environment(env)]
    for file in _files(where, cwd):
        layers.append((str(file), read_file(file)))
    resolved = {setting.key: _resolve(setting, layers) for setting in SETTINGS}
    values: dict[str, Any] = {key: value for key, (value, _) in resolved.items()}
    values["routing_file"] = values["routing_file"] or where.routing_file
    origins = {key: origin for key, (_, origin) in resolved.items()}
    return Config(paths=where, origins=origins, **values)


def _from_environment(env: Mapping[str, str]) -> list[tuple[str, str, str]]:
    rows = [(s.key, s.variable, env[s.variable]) for s in SETTINGS if env.get(s.variable)]
    rows += [(key, name, env[name]) for key, name in _FOREIGN.items() if env.get(name)]
    return rows


def _files(where: Paths, cwd: Path | None) -> list[Path]:
    project = next((f for p in _upwards(cwd) if (f := p / PROJECT_FILE).is_file()), None)
    user = where.user_config_file
    return [file for file in (project, user) if file is not None and file.is_file()]


def _upwards(cwd: Path | None) -> list[Path]:
    """The working folder and its parents; empty if the working folder was deleted."""
    try:
        here = cwd or Path.cwd()
    except FileNotFoundError:
        return []
    return [here, *here.parents]


def _resolve(setting: Setting, layers: list[tuple[str, Mapping[str, Any]]]) -> tuple[Value, str]:
    """The value, converted to its attribute's type, and its origin."""
    for origin, layer in layers:
        raw = layer.get(setting.key)
        if raw is not None:
            value = convert(setting, raw, origin)
            return (expand(str(value)) if setting.kind == "path" else value), origin
    return setting.default, "default"


def read_file(file: Path) -> dict[str, Any]:
    """A settings file as a dictionary. Raises UsageError with the file and line of an error."""
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
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 5,000 digits
        raise UsageError(f"{file} is not valid TOML: {error}", hint=f"edit {file}") from error
    return data


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # Windows editors write a byte order mark
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text: {error}", hint=f"edit {file}") from error
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint=f"ls -l {file}") from error


def convert(setting: Setting, value: Any, origin: str) -> Plain:
    """Convert a raw value to the setting's kind. Raises UsageError with the value's origin."""
    try:
        converted = _CONVERT[setting.kind](value)
    except (ValueError, TypeError):
        raise _refused(setting, value, origin, f"is not {_KIND[setting.kind]}") from None
    if setting.choices and converted not in setting.choices:
        raise _refused(setting, value, origin, f"is not one of {', '.join(setting.choices)}")
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
    """The error for a value, with the command (or variable) that corrects it."""
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:80] + "…"
    variable = origin.partition(":")[2] if origin.startswith("env:") else None
    example = setting.choices[0] if setting.choices else setting.default
    value_text = "VALUE" if example is None else _plain(example)
    command = f"modelscan config set {setting.key} {value_text}"
    hint = f"unset {variable}" if variable else command
    return UsageError(f"{origin}: {setting.key} = {shown} {why}", hint=hint)


def _plain(value: Any) -> str:
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
    value.encode()  # raises a ValueError for bytes that are not text
    return value


_KIND = {
    "str": "text", "path": "a path", "secret": "a reference", "choice": "text",
    "int": "a whole number", "float": "a number", "bool": "true or false",
}  # fmt: skip
_CONVERT: dict[str, Callable[[Any], Plain]] = {
    "str": _str, "path": _str, "secret": _str, "choice": _str,
    "int": _int, "float": _float, "bool": _bool,
}  # fmt: skip


def set_value(file: Path, key: str, text: str | None) -> Plain:
    """Write (None: remove) one key of a settings file; all other lines stay.

    The caller must hold the lock. Raises UsageError for an unknown key, a value of the wrong kind,
    or a file that would still be invalid.
    """
    setting = known(key)
    value = None if text is None else convert(setting, text, "config set")
    lines = _read(file).removesuffix("\n").split("\n") if file.is_file() else []
    new_lines = [line for line in lines if not re.match(rf"\s*{re.escape(setting.key)}\s*=", line)]
    if value is not None:
        new_lines.append(f"{setting.key} = {_toml(value)}")
    text = "".join(line + "\n" for line in new_lines)
    _parse(text, file)
    write_atomic(file, text)
    return value


def _toml(value: Plain) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped) + '"'
