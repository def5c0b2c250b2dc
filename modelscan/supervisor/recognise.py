"""Which server answers at an address, by the endpoints that only it has.

Many servers answer for others as well: SGLang, llama-server of 2025 and KoboldCpp have Ollama's
``/api/tags``, and everything has ``/v1/models``. So the own endpoints of each are requested first,
and Ollama and the unknown kinds come last. Observed: llama.cpp b11549, vLLM 0.32; from published
sources and documentation: the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelscan.core.workload import Backend
from modelscan.engines import llamacpp, ollama, sglang, vllm
from modelscan.supervisor.health import Address, ask

_TIMEOUT_S = 1.0
_OK, _KEY_NEEDED = 200, (401, 403)

Row = Mapping[str, Any]
ServerKind = (
    Backend
    | Literal[
        "lm-studio", "docker-model-runner", "llama-swap", "koboldcpp", "sglang-router", "litellm",
        "openai",
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that a server lists. ``path``: the location of its weights, as the server
    reports it.
    """

    name: str
    context_tokens: int | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class DiscoveredServer:
    """A server. ``engine`` "openai": an unknown one with an OpenAI-compatible API.

    ``locked``: it requires a key that is not available, so its models are unknown.
    """

    host: str
    port: int
    engine: ServerKind
    version: str | None
    models: tuple[ServedModel, ...]
    locked: bool = False

    @property
    def endpoint(self) -> str:
        """The server's base URL."""
        return f"http://{self.host}:{self.port}"


@dataclass(slots=True)
class Answers:
    """The answers of one server; each path is requested once."""

    address: Address
    _seen: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def get(self, path: str) -> tuple[int, Any]:
        """Status (0 without an answer) and body."""
        if path not in self._seen:
            reply = ask(self.address, "GET", path, timeout_s=_TIMEOUT_S)
            self._seen[path] = (0, None) if reply is None else (reply.status, reply.body)
        return self._seen[path]

    def object(self, path: str) -> dict[str, Any]:
        """A JSON object; {} for anything else."""
        status, body = self.get(path)
        return body if status == _OK and isinstance(body, dict) else {}

    def rows(self, path: str, key: str) -> list[Row] | None:
        """The objects of a list in a JSON object; None if there is no such list."""
        rows = self.object(path).get(key)
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None

    @property
    def models(self) -> list[Row] | None:
        """``/v1/models``: rows with an id; None if there is no such list."""
        rows = self.rows("/v1/models", "data")
        return None if rows is None else [row for row in rows if isinstance(row.get("id"), str)]

    @property
    def locked(self) -> bool:
        """Whether ``/v1/models`` requires a key that is not available."""
        return self.get("/v1/models")[0] in _KEY_NEEDED

    def owned_by(self, *names: str) -> bool:
        """Whether a model says that it belongs to such a server."""
        return any(row.get("owned_by") in names for row in self.models or ())

    def has_metrics(self, prefix: str) -> bool:
        """Whether ``/metrics`` has values with this prefix."""
        status, body = self.get("/metrics")
        return status == _OK and isinstance(body, str) and f"\n{prefix}" in f"\n{body}"

    def server(
        self, kind: ServerKind, version: Any, models: tuple[ServedModel, ...], *,
        locked: bool = False,
    ) -> DiscoveredServer:  # fmt: skip
        """The recognised server."""
        address = self.address
        return DiscoveredServer(address.host, address.port, kind, _text(version), models, locked)


def recognise(address: Address) -> DiscoveredServer | None:
    """The server at an address; None if it is no model server, or a gateway of modelscan: its
    models are those of other servers, and a gateway that leads to itself would go round in circles.
    """
    answers = Answers(address)
    if _is_gateway(answers):
        return None
    servers = (known(answers) for known in _KNOWN)
    return next((server for server in servers if server is not None), None)


def _is_gateway(answers: Answers) -> bool:
    """``modelscan serve``: the rows of its list say so; an empty one's ``/health`` does."""
    rows = answers.models
    if rows is None:
        return False
    if rows:
        return all(isinstance(row.get("modelscan"), dict) for row in rows)
    health = answers.object("/health")
    return "routing_file" in health and "workers" in health


def _sglang(answers: Answers) -> DiscoveredServer | None:
    """``/get_model_info`` exists only in SGLang, ``/get_server_info`` has the version; with a key
    required, ``/metrics`` is still readable. Its router answers for its workers.
    """
    workers = answers.rows("/workers", "workers") or answers.object("/list_workers").get("urls")
    router = bool(workers) and answers.models is not None
    info = answers.object("/get_model_info") or answers.object("/model_info")
    if not info and not router and answers.locked and answers.has_metrics("sglang:"):
        return answers.server(sglang.NAME, None, (), locked=True)
    if not router and (not isinstance(info.get("model_path"), str) or "is_generation" not in info):
        return None
    server = answers.object("/get_server_info") or answers.object("/server_info")
    context = _count(server.get("context_length")) or _count(server.get("max_req_input_len"))
    models = tuple(
        ServedModel(
            row["id"], _count(row.get("max_model_len")) or context, _text(info.get("model_path"))
        )
        for row in answers.models or ()
    )
    kind: ServerKind = "sglang-router" if router else sglang.NAME
    return answers.server(kind, server.get("version"), models, locked=answers.locked)


def _koboldcpp(answers: Answers) -> DiscoveredServer | None:
    """``/api/extra/version`` names it."""
    info = answers.object("/api/extra/version")
    if info.get("result") != "KoboldCpp":
        return None
    context = _count(answers.object("/api/extra/true_max_context_length").get("value"))
    models = tuple(ServedModel(row["id"], context) for row in answers.models or ())
    return answers.server("koboldcpp", info.get("version"), models)


def _lm_studio(answers: Answers) -> DiscoveredServer | None:
    """``/api/v0/models`` has the state and the context of each model."""
    rows = answers.rows("/api/v0/models", "data")
    if not rows or not any("compatibility_type" in row or "state" in row for row in rows):
        return None
    models = tuple(
        ServedModel(row["id"], _count(row.get("loaded_context_length")))
        for row in rows
        if isinstance(row.get("id"), str)
    )
    return answers.server("lm-studio", None, models)


def _docker(answers: Answers) -> DiscoveredServer | None:
    """``/models`` is a list of images with tags; ``/`` says its name."""
    status, body = answers.get("/models")
    images = body if status == _OK and isinstance(body, list) else []
    tags = [row["tags"] for row in images if isinstance(row, dict) and _texts(row.get("tags"))]
    named = "Docker Model Runner" in str(answers.get("/")[1])[:500]
    if not tags and not named:
        return None
    models = tuple(ServedModel(str(names[0])) for names in tags if names)
    return answers.server("docker-model-runner", None, models)


def _llama_swap(answers: Answers) -> DiscoveredServer | None:
    """``/running`` lists the engines that it has started."""
    if not answers.owned_by("llama-swap") and answers.rows("/running", "running") is None:
        return None
    models = tuple(ServedModel(row["id"]) for row in answers.models or ())
    version = answers.object("/api/version").get("version")
    return answers.server("llama-swap", version, models, locked=answers.locked)


def _llamacpp(answers: Answers) -> DiscoveredServer | None:
    """``/props`` (public unless there is a key) or the models' ``owned_by``. As a router it starts
    other servers, and a model has a context only once it is loaded.
    """
    owned = answers.owned_by(llamacpp.OWNED_BY)
    props = answers.object("/props")
    settings = props.get("default_generation_settings")
    router = props.get("role") == "router"
    if not owned and not router and not isinstance(settings, dict):
        return None
    context = None if router or not isinstance(settings, dict) else _count(settings.get("n_ctx"))
    path = None if router else _text(props.get("model_path"))
    models = tuple(
        ServedModel(row["id"], context or _count(_mapping(row.get("meta")).get("n_ctx")), path)
        for row in answers.models or ()
    )
    version = props.get("build_info")
    return answers.server(llamacpp.NAME, version, models, locked=answers.locked)


def _vllm(answers: Answers) -> DiscoveredServer | None:
    """``owned_by`` is vllm; with a key required, ``/version`` and ``/metrics`` are still
    readable.
    """
    locked = answers.locked
    if not answers.owned_by(vllm.NAME) and not (locked and answers.has_metrics("vllm:")):
        return None
    models = tuple(
        ServedModel(row["id"], _count(row.get("max_model_len")), _text(row.get("root")))
        for row in answers.models or ()
    )
    version = answers.object("/version").get("version")
    return answers.server(vllm.NAME, version, models, locked=locked)


def _litellm(answers: Answers) -> DiscoveredServer | None:
    """A proxy to other servers; ``/health/readiness`` has its version."""
    version = answers.object("/health/readiness").get("litellm_version")
    if version is None:
        return None
    models = tuple(ServedModel(row["id"]) for row in answers.models or ())
    return answers.server("litellm", version, models, locked=answers.locked)


def _ollama(answers: Answers) -> DiscoveredServer | None:
    """Its models are loaded on demand; ``/api/ps`` gives the context of those in memory."""
    tags = answers.rows("/api/tags", "models")
    version = _text(answers.object("/api/version").get("version"))
    if tags is None or version is None:
        return None
    running = answers.rows("/api/ps", "models") or []
    contexts = {str(row.get("name")): _count(row.get("context_length")) for row in running}
    names = [str(row["name"]) for row in tags if row.get("name")]
    models = tuple(ServedModel(name, contexts.get(name)) for name in names)
    return answers.server(ollama.NAME, version, models)


def _openai(answers: Answers) -> DiscoveredServer | None:
    """Any other server that lists models; one that only answers 401 is not recognised."""
    rows = answers.models
    if answers.locked or not rows or any(not isinstance(row.get("object"), str) for row in rows):
        return None
    models = tuple(
        ServedModel(
            row["id"], _count(row.get("max_model_len")) or _count(row.get("context_length"))
        )
        for row in rows
    )
    return answers.server("openai", None, models)


_KNOWN: tuple[Callable[[Answers], DiscoveredServer | None], ...] = (
    _sglang, _koboldcpp, _lm_studio, _docker, _llama_swap, _llamacpp, _vllm, _litellm, _ollama,
    _openai,
)  # fmt: skip


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _mapping(value: Any) -> Row:
    return value if isinstance(value, dict) else {}
