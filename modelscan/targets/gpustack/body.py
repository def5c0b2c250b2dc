"""A plan as the exact create request, and the identity fields that every later change repeats.
Pure.

Only fields that GPUStack knows are sent: it accepts unknown ones silently, so a typing error would
be lost. ``enable_model_route`` is off by default there, and such a model answers 404 to all
requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.model import Spec
from modelscan.core.plan import Plan
from modelscan.core.reference import Kind, parse_reference
from modelscan.core.workload import BACKENDS as ENGINES
from modelscan.core.workload import REMOTE_CODE
from modelscan.engines import llamacpp, vllm, voxbox
from modelscan.engines.flags import chooses_devices
from modelscan.engines.owned_options import check_variables
from modelscan.engines.recipe_options import DATA_DIR
from modelscan.engines.registry import engines
from modelscan.state.secrets import resolve
from modelscan.targets.gpustack.client import Dialect

BACKENDS: Mapping[str, str] = {
    **{one.name: one.title for one in engines() if one.reserves_pool},
    voxbox.NAME: "VoxBox",
    "mindie": "MindIE",
    "custom": "Custom",
}
OLD_BACKENDS: Mapping[str, str] = {
    vllm.NAME: vllm.NAME,
    llamacpp.NAME: "llama-box",
    voxbox.NAME: "vox-box",
}
CATEGORIES = {
    "chat": "llm",
    "embedding": "embedding",
    "rerank": "reranker",
    "image": "image",
    "speech_to_text": "speech_to_text",
    "text_to_speech": "text_to_speech",
}
_SINCE_2 = ("adapters", "speculative_config", "extended_kv_cache", "image_name", "run_command")
_SOURCES = {"huggingface": "huggingface", "modelscope": "model_scope", "local_path": "local_path"}
_REPO_FIELDS: dict[str, tuple[str, str | None]] = {
    "huggingface": ("huggingface_repo_id", "huggingface_filename"),
    "model_scope": ("model_scope_model_id", "model_scope_file_path"),
    "local_path": ("local_path", None),
}


@dataclass(frozen=True, slots=True)
class Choices:
    """The user's options for a deployment on a cluster."""

    replicas: int = 1
    gpu_ids: tuple[str, ...] = ()  # "worker:cuda:0"
    gpus_per_replica: int = 1
    worker_selector: Mapping[str, str] | None = None
    env: Mapping[str, str] | None = None
    adapters: tuple[str, ...] = ()
    restart_on_error: bool = True
    placement_strategy: str | None = None  # spread | binpack
    backend_version: str | None = None
    image_name: str | None = None
    run_command: str | None = None
    extended_kv_cache: Mapping[str, Any] | None = None
    speculative_config: Mapping[str, Any] | None = None


def create_body(
    name: str,
    plan: Plan,
    dialect: Dialect,
    choices: Choices,
    *,
    cluster_id: int | None,
    spec: Spec | None = None,
) -> dict[str, Any]:
    """The body of ``POST models``. ``spec`` is the catalog's recipe that the plan follows.

    Raises NotDeployableError for an engine this server version does not have.
    """
    body: dict[str, Any] = {"name": name, "replicas": choices.replicas, **source_fields(plan)}
    body["backend"] = backend_name(plan.backend, dialect)
    box = body["backend"] == OLD_BACKENDS[llamacpp.NAME]
    planned = llama_box_parameters(plan.parameters) if box else plan.parameters
    recipe = _allowed(spec.backend_parameters, planned) if spec else ()
    parameters = backend_parameters(recipe, planned)
    if parameters:
        body["backend_parameters"] = parameters
    # The scheduler decides which devices an instance sees.
    ours = {k: v for k, v in plan.env.items() if not chooses_devices(k)}
    env = {**(dict(spec.env) if spec else {}), **ours, **check_env(choices.env or {})}
    if env:
        body["env"] = env
    if plan.task in CATEGORIES:
        body["categories"] = [CATEGORIES[plan.task]]
    body["restart_on_error"] = choices.restart_on_error
    if choices.placement_strategy:
        body["placement_strategy"] = choices.placement_strategy
    body |= _placement(choices, dialect)
    if choices.backend_version:
        body["backend_version"] = choices.backend_version
    if dialect.modern:
        return body | _modern(choices, spec, cluster_id, plan.source)
    _refuse_modern(choices, dialect)
    return body


def _allowed(recipe: Sequence[str], planned: Sequence[str]) -> list[str]:
    """The recipe's words without files of the server's folder, whose place is not known here, and
    without the repository's own code, which the plan has only with ``--allow-unsafe``.
    """
    code = f"--{REMOTE_CODE}"
    return [
        word for word in recipe
        if DATA_DIR not in word and (not word.startswith(code) or code in planned)
    ]  # fmt: skip


def _refuse_modern(choices: Choices, dialect: Dialect) -> None:
    """Raises NotDeployableError for fields that 0.7 accepts and ignores."""
    for field in _SINCE_2:
        if getattr(choices, field):
            raise NotDeployableError(
                f"GPUStack {dialect.version} has no {field.replace('_', ' ')}",
                hint="remove the option, or upgrade the server to 2.x",
            )


def source_fields(plan: Plan) -> dict[str, Any]:
    """``source`` and the repository field that belongs to it."""
    source = _SOURCES[plan.source]
    repo_field, file_field = _REPO_FIELDS[source]
    fields: dict[str, Any] = {"source": source, repo_field: plan.repo}
    if file_field and plan.format == "gguf" and plan.files:
        fields[file_field] = plan.files[0]
    if file_field and plan.files_expected:  # the server looks the pattern up in its own list
        fields[file_field] = f"*{plan.quantization}*.gguf"
    return fields


def identity(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that every PUT must repeat (else 422): name, source and its repository field."""
    source = row.get("source")
    fields = {"name": row.get("name"), "source": source}
    for key in _REPO_FIELDS.get(str(source), ()):
        if key and row.get(key):
            fields[key] = row[key]
    return fields


def backend_name(backend: str, dialect: Dialect) -> str:
    """The server's spelling of an engine. Raises NotDeployableError if it has none."""
    table = BACKENDS if dialect.modern else OLD_BACKENDS
    name = table.get(backend.lower())
    if name is None:
        raise NotDeployableError(
            f"GPUStack {dialect.version} does not run {backend}",
            hint=f"--backend {' or '.join(name for name in ENGINES if name in table)}",
        )
    return name


def backend_parameters(recipe: Sequence[str], planned: Sequence[str]) -> list[str]:
    """``--key=value`` arguments; the planner's value replaces the recipe's, each flag occurs
    once.
    """
    merged: dict[str, str | None] = {}
    for words in (recipe, planned):
        for key, value in pairs(words):
            merged.pop(key, None)
            merged[key] = value
    return [f"--{key}" if value is None else f"--{key}={value}" for key, value in merged.items()]


def pairs(words: Sequence[str]) -> list[tuple[str, str | None]]:
    """``--a=1 --b 2 --c`` as pairs; underscores in names are read as dashes."""
    options: list[tuple[str, str | None]] = []
    for word in (part for text in words for part in _split(text)):
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            options.append((key.replace("_", "-"), value if equals else None))
        elif options and options[-1][1] is None:
            options[-1] = (options[-1][0], word)
    return options


def llama_box_parameters(words: Sequence[str]) -> list[str]:
    """llama.cpp's options as llama-box (GPUStack 0.7) has them.

    The worker itself sets the GPU layers and the model's task; its flash attention is a switch.
    Observed: "Invalid backend parameter --gpu-layers" for ``all``.
    """
    implied = {"embedding", "pooling", "reranking"}
    options: list[str] = []
    for key, value in pairs(words):
        if key in implied or (key, value) in (("n-gpu-layers", "all"), ("flash-attn", "auto")):
            continue
        if key == "flash-attn":
            key, value = "no-flash-attn" if value == "off" else key, None
        options += [f"--{key}"] if value is None else [f"--{key}", value]
    return options


def _split(text: str) -> list[str]:
    """A catalog may write ``--key value`` as one string."""
    head, space, tail = text.partition(" ")
    return [head, tail] if space and head.startswith("--") and "=" not in head else [text]


def _placement(choices: Choices, dialect: Dialect) -> dict[str, Any]:
    if choices.gpu_ids:
        selector: dict[str, Any] = {"gpu_ids": list(choices.gpu_ids)}
        if dialect.modern:
            selector["gpus_per_replica"] = choices.gpus_per_replica
        return {"gpu_selector": selector}
    return {"worker_selector": dict(choices.worker_selector)} if choices.worker_selector else {}


def _modern(
    choices: Choices, spec: Spec | None, cluster_id: int | None, source: str
) -> dict[str, Any]:
    fields: dict[str, Any] = {"enable_model_route": True}
    if cluster_id is not None:
        fields["cluster_id"] = cluster_id
    if spec and spec.backend_version and not choices.backend_version:
        fields["backend_version"] = spec.backend_version
    speculative = choices.speculative_config or (spec.speculative_config if spec else None)
    if speculative:
        fields["speculative_config"] = {
            "enabled": True,
            **speculative,
        }  # the server's default: false
    if choices.extended_kv_cache:
        fields["extended_kv_cache"] = {"enabled": True, **choices.extended_kv_cache}
    for key in ("image_name", "run_command"):
        if getattr(choices, key):
            fields[key] = getattr(choices, key)
    if choices.adapters:
        fields["lora_list"] = [adapter_entry(text, source) for text in choices.adapters]
    return fields


def adapter_entry(text: str, source: str) -> dict[str, Any]:
    """``[NAME=]REPO`` as an entry of ``lora_list``; clients request it as ``MODEL:NAME``.

    A bare ORG/REPO is on the model's hub; ``hf:``, ``ms:`` and paths name their source.
    """
    name, equals, repository = text.partition("=")
    if not equals or "/" in name:
        name, repository = "", text
    reference = parse_reference(repository)
    hub = {Kind.MODELSCOPE: "modelscope", Kind.HUGGINGFACE: "huggingface", Kind.PATH: "local_path"}
    hub_name = hub.get(reference.kind, "huggingface" if source == "local_path" else source)
    short = name or reference.value.rstrip("/").rpartition("/")[2]
    place = {"local_path": reference.value} if hub_name == "local_path" else {}
    return {
        "lora_name": short,
        "lora_repo_name": reference.value,
        "source": _SOURCES[hub_name],
        **place,
    }


_SECRET_NAME = re.compile(r"(?i)(key|token|secret|passw|credential)")


def check_env(env: Mapping[str, str]) -> Mapping[str, str]:
    """Raises UsageError for a literal value in a variable whose name suggests a secret."""
    check_variables(env)
    for name, value in env.items():
        if _SECRET_NAME.search(name) and not value.startswith(("env:", "file:")):
            raise UsageError(
                f"the value of {name} must be a reference, e.g. env:NAME, not the secret itself",
                hint=f"--env {name}=env:{name}", code="literal_secret",
            )  # fmt: skip
    return env


def resolved_env(body: Mapping[str, Any]) -> dict[str, Any]:
    """``env`` with the secrets that its references name: only for the request to the server."""
    env = body.get("env") or {}
    if not any(_SECRET_NAME.search(name) for name in env):
        return {}
    return {"env": {k: resolve(v) if _SECRET_NAME.search(k) else v for k, v in env.items()}}
