"""The compiled routing table: what the gateway's data path reads for each request.

``routing.compile`` makes it from the routing file and from what is observed; the data path only
looks names up in it. Plain values, so that it travels between processes as msgpack.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from modelscan.core.reach import Reach
from modelscan.core.receipt import Approval, Depth
from modelscan.core.tls import TlsFiles

Operation = Literal[
    "chat", "completions", "embeddings", "rerank", "transcription", "speech", "image",
    "responses", "messages", "tokenize", "other",
]  # fmt: skip
Dialect = Literal["messages", "responses"]
Strategy = Literal["scored", "round_robin", "least_loaded", "priority", "weighted"]
Tier = Literal["local", "self_hosted", "third_party"]
RouteKind = Literal["provider", "model", "alias", "role"]
Position = Literal["prepend", "append", "replace"]
ContextSource = Literal["routing file", "engine", "catalog"]
GENERATING: tuple[Operation, ...] = ("chat", "completions", "responses", "messages")


@dataclass(frozen=True, slots=True)
class BodyPolicy:
    """Changes to a request's body, already merged in the order inferred < model < role.

    ``defaults`` are deep-merged and the caller's value wins; ``overrides`` win over the caller.
    ``thinking`` are defaults too, which count only where the caller says nothing about thinking.
    The result has one leading system message. ``user_template`` contains ``{input}``.
    ``operations``: the ones whose bodies change; others pass unchanged.
    """

    defaults: dict[str, Any]
    overrides: dict[str, Any]
    system_prompt: str | None = None
    system_prompt_position: Position = "prepend"
    user_template: str | None = None
    reasoning: Literal["keep", "strip"] = "keep"
    thinking: dict[str, Any] = field(default_factory=dict)
    operations: tuple[Operation, ...] = GENERATING


@dataclass(frozen=True, slots=True)
class Backend:
    """One server that requests are forwarded to.

    ``authorization`` is a header's name and value with the secret resolved: never written to disk
    or to a log. ``served_model`` is the name to send; None sends the caller's (hosted providers).
    ``operations`` None: not known, every operation is tried. ``context_tokens`` None: not known.
    ``context_source``: who states the context. ``dialects``: requests of these (responses,
    messages) pass untranslated. ``tls``: files for https to a server of one's own; None: the
    system's authorities, without a certificate. ``reach``: the addresses that its name may
    resolve to; None: all.
    """

    name: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str = ""
    unix_socket: str | None = None
    served_model: str | None = None
    model: str | None = None
    authorization: tuple[str, str] | None = None
    operations: tuple[Operation, ...] | None = None
    dialects: tuple[Dialect, ...] = ()
    engine: str | None = None
    tier: Tier = "local"
    deployment: str | None = None
    context_tokens: int | None = None
    max_in_flight: int | None = None
    tags: tuple[str, ...] = ()
    tls: TlsFiles | None = None
    context_source: ContextSource | None = None
    reach: Reach | None = None


@dataclass(frozen=True, slots=True)
class RouteCandidate:
    """A backend of a route, by its index in the table, with the policy that applies there.

    ``score`` is 0..1 without the live queue, by ``routing.scoring``; None where nothing is known.
    ``served_model``: the name to send, where it is not the backend's. ``waiting``: requests of
    other clients that its server reports. ``depth`` None: the model's size is not known.
    ``weight``: its share of the requests, relative to the others', with the strategy weighted.
    """

    backend: int
    policy: BodyPolicy | None = None
    score: float | None = None
    loaded: bool | None = None
    served_model: str | None = None
    waiting: int = 0
    depth: Depth | None = None
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class RefusedCandidate:
    """A backend that a role's gates exclude, and why, as a sentence with numbers."""

    backend: int
    reason: str


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """One name that requests may use. ``fallbacks`` are names of routes, in order, without circles.

    No candidates: nothing can answer at the moment, ``refused`` says why. ``many_models``: the
    server of a name NAME/MODEL, which is sent MODEL. ``automatic``: ``RouteTable.rules`` decide.
    """

    name: str
    kind: RouteKind
    operation: Operation | None
    strategy: Strategy
    candidates: tuple[RouteCandidate, ...]
    fallbacks: tuple[str, ...] = ()
    refused: tuple[RefusedCandidate, ...] = ()
    tags: tuple[str, ...] = ()
    context_tokens: int | None = None
    automatic: bool = False
    many_models: bool = False


@dataclass(frozen=True, slots=True)
class AutomaticRule:
    """A rule of the role auto: where every condition holds, ``entry`` answers, for ``reason``.

    Characters of all messages; ``keywords`` in lower case, of the last message. None: no condition.
    """

    entry: RouteEntry
    reason: str
    min_characters: int | None = None
    max_characters: int | None = None
    tools: bool | None = None
    images: bool | None = None
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolPolicySpec:
    """Which tools models are offered, by patterns of names: deny before confirm before allow.

    Without ``routes`` and ``keys`` it is for all requests, else for those of either.
    """

    name: str
    deny: tuple[str, ...] = ()
    confirm: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    default: Approval = "allow"
    routes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Limits of the data path; seconds, bytes, counts.

    ``wake_timeout_s``: for a deployment that is asleep. ``residence_s``: how long one that woke is
    kept before it makes room. ``loading_comments``: streams get comments while they wait for it.
    """

    max_body_bytes: int = 64 * 1024 * 1024
    max_held_bytes: int = 512 * 1024 * 1024
    max_connections: int = 4096
    queue: int = 64
    queue_timeout_s: float = 60.0
    request_timeout_s: float = 600.0
    connect_timeout_s: float = 5.0
    wake_timeout_s: float = 300.0
    residence_s: float = 10.0
    loading_comments: bool = False


@dataclass(frozen=True, slots=True)
class RouteTable:
    """``routes`` by name: providers, served models, aliases and roles; ``default`` is one of them.

    ``revision`` grows with each change. ``fallback``: another backend may answer if one fails.
    ``rules``: of the role auto, in order; the last one has no condition.
    """

    revision: int
    backends: tuple[Backend, ...]
    routes: dict[str, RouteEntry]
    default: str | None
    limits: GatewayLimits
    fallback: bool = False
    rules: tuple[AutomaticRule, ...] = ()
    tool_policies: tuple[ToolPolicySpec, ...] = ()
