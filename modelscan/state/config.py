"""Settings with their origin: flag > MODELSCAN_* variable > project file > user file > default.

``Config`` is the only definition: each attribute is a setting with its type, default, help and
limits, so that a misspelt name is a type error. ``SETTINGS`` is derived from it.
"""

# ruff: noqa: RUF009 - ``_setting`` is ``dataclasses.field`` with our metadata
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.state.paths import Paths, expand, paths
from modelscan.state.setting_kinds import PROJECT_FILE, Setting, Value, convert, plain
from modelscan.state.settings_layers import Problems, SettingLayer, file_layer


def _setting(default: Any, text: str, **more: Any) -> Any:
    """An attribute of ``Config`` with its help text and limits."""
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, resolved once per command.

    ``origins``: key -> flag, ``env:NAME``, the path of a file, or ``default``. ``problems``: what
    could not be read, if ``load`` is tolerant.
    """

    paths: Paths
    origins: Mapping[str, str]
    problems: tuple[UsageError, ...] = ()
    offline: bool = _setting(False, "send no request off this machine", unreadable=True)
    routing_file: Path = _setting(None, "the routing file (default: in the config folder)")
    curation_policy: Path | None = _setting(
        None, "the policies of tags in the registry (default: curation.yaml in the config folder)"
    )
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
    hf_offline: bool = _setting(
        False, "send no request to Hugging Face; use what is in its cache", unreadable=True
    )
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
    deployments_memory_gib: float | None = _setting(
        None, "host memory that all local deployments may use together, GiB (default: what is free)"
    )
    port_range: str = _setting("41000-41999", "range of ports for local engines")
    serve_port: int = _setting(8900, "port of modelscan serve", minimum=0)
    serve_hosts: str | None = _setting(
        None, "names that clients may use for an exposed modelscan serve, separated by commas"
    )
    serve_origins: str | None = _setting(
        None, "origins of web pages that may call modelscan serve (CORS), separated by commas"
    )
    otlp_endpoint: str | None = _setting(
        None, "OTLP/HTTP collector that modelscan serve sends metrics to (default: none)"
    )
    otlp_authorization: str | None = _setting(
        None, "reference to the collector's Authorization header", secret=True
    )
    otlp_interval_s: float = _setting(
        15.0, "seconds between two reports to the collector", minimum=0.1
    )
    database_url: str | None = _setting(
        None, "PostgreSQL for the server's records, shared by several gateways: "
        "postgresql://USER:env:NAME@HOST/DATABASE (default: a file in the state folder)",
        kind="database",
    )  # fmt: skip
    receipts_keep_days: int = _setting(30, "days that the endpoint's requests are kept", minimum=1)
    receipts_keep_mib: int = _setting(1024, "MiB of them that are kept, the newest", minimum=1)
    audit_keep_days: int = _setting(400, "days that the log of changes is kept", minimum=1)
    node_beat_s: float = _setting(
        10.0, "seconds between two reports of a node to its control plane", minimum=0.1
    )
    node_networks: str = _setting(
        "loopback,private", "where nodes may register from and have their servers: loopback, "
        "private, any, and networks or addresses, separated by commas", kind="networks",
    )  # fmt: skip
    electricity_usd_per_kwh: float | None = _setting(
        None, "electricity price in US dollars per kWh, for cost comparisons"
    )
    machine_watts: float | None = _setting(
        None, "power consumption while serving in watts, for cost comparisons"
    )
    hardware_usd: float | None = _setting(
        None, "price of this machine in US dollars, for cost comparisons"
    )
    hardware_lifetime_s: float | None = _setting(
        None, "seconds after which the machine's price is paid off, for cost comparisons", minimum=1
    )
    contents_keep_days: float = _setting(
        7.0, "days that texts of requests are kept, where they are kept at all", minimum=0.01
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

    def online_hint(self) -> str:
        """How requests become possible where ``offline`` is set: a command to paste."""
        origin = self.origins.get("offline", "flag")
        if origin == "flag":
            return "run it without --offline"
        name = origin.removeprefix("env:")
        return f"unset {name}" if origin != name else "modelscan config set offline --unset"

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
            kind = "choice" if "choices" in more else more.pop("kind", kind)
            default: Any = one.default
            settings.append(Setting(one.name, kind, default, **more))
    return tuple(settings)


SETTINGS = _table()
_BY_KEY = {setting.key: setting for setting in SETTINGS}

# Variables of other tools that users may already have set.
OTHER_VARIABLES = {
    "hf_endpoint": "HF_ENDPOINT", "hf_offline": "HF_HUB_OFFLINE",
    "modelscope_endpoint": "MODELSCOPE_ENDPOINT",
}  # fmt: skip


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
    *,
    tolerant: bool = False,
) -> Config:
    """Resolve all settings. Raises UsageError for an invalid file or a value of the wrong type.

    ``tolerant``: such lines and values count as absent, and are in the result's ``problems``.
    """
    env = os.environ if environ is None else environ
    where = paths(env)
    problems = Problems(tolerant)
    layers = [SettingLayer("flag", {key: plain(value) for key, value in (flags or {}).items()})]
    layers += [
        SettingLayer(f"env:{name}", {key: text}) for key, name, text in _from_environment(env)
    ]
    layers += [file_layer(file, where, _BY_KEY, problems) for file in _files(where, cwd)]
    resolved = {setting.key: _resolve(setting, layers, problems) for setting in SETTINGS}
    values: dict[str, Any] = {key: value for key, (value, _) in resolved.items()}
    values["routing_file"] = values["routing_file"] or where.routing_file
    origins = {key: origin for key, (_, origin) in resolved.items()}
    return Config(paths=where, origins=origins, problems=tuple(problems.errors), **values)


def _from_environment(env: Mapping[str, str]) -> list[tuple[str, str, str]]:
    rows = [(s.key, s.variable, env[s.variable]) for s in SETTINGS if env.get(s.variable)]
    rows += [(key, name, env[name]) for key, name in OTHER_VARIABLES.items() if env.get(name)]
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


def _resolve(setting: Setting, layers: list[SettingLayer], problems: Problems) -> tuple[Value, str]:
    """The value, converted to its attribute's type, and its origin."""
    for layer in layers:
        raw = layer.values.get(setting.key)
        if raw is None:
            continue
        try:
            value: Value = convert(setting, raw, layer.place(setting.key))
        except UsageError as error:
            problems.add(error)
            if setting.unreadable is None:
                continue
            value = setting.unreadable
        return (expand(str(value)) if setting.kind == "path" else value), layer.origin
    return setting.default, "default"
