"""The routing file's format as types: its keys, its JSON Schema and its documentation.

``core.typed_reader`` reads values of these types, so that an error, the schema and the page about
the file all come from here. The fields of roles and policies are in ``routing.role_format``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from modelscan.core.finding import Finding
from modelscan.core.route import ProviderType
from modelscan.core.tls import TlsFiles
from modelscan.core.typed_reader import described
from modelscan.core.workload import Backend
from modelscan.routing.checks import (
    address_problems,
    file_problems,
    key_problems,
    share_problems,
    url_problems,
    variable_problems,
)
from modelscan.routing.role_format import (
    AutomaticFields,
    PolicyFields,
    RoleFields,
    RoleOperation,
)
from modelscan.routing.table import Dialect, Tier
from modelscan.routing.tool_format import ToolPolicyFields

Mode = Literal["direct", "plano_proxy", "plano_embedded", "proxy", "embedded"]


@dataclass(frozen=True, slots=True)
class CanaryFields:
    """A share of an entry's requests for another entry, while that one is being tried."""

    provider: str = field(metadata=described("The other entry."))
    share: float = field(
        metadata=described("The part of the requests for this entry's name, above 0, below 1.")
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """A share that is none."""
        return share_problems(self.share, where)


@dataclass(frozen=True, slots=True)
class TlsFields:
    """Files for https to a server of one's own: PEM, each with its whole path."""

    ca: str | None = field(
        default=None,
        metadata=described("The authorities to trust (default: those of the system)."),
    )
    cert: str | None = field(
        default=None, metadata=described("The client certificate, for a server that needs one.")
    )
    key: str | None = field(
        default=None, metadata=described("Its key (default: it is in the certificate's file).")
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """Paths that depend on the folder in which a command runs, and a key of nothing."""
        yield from file_problems({"ca": self.ca, "cert": self.cert, "key": self.key}, where)
        if self.key is not None and self.cert is None:
            yield Finding("error", f"{where}.key", f"{where}: key needs cert", "cert: /path/to.pem")

    @property
    def files(self) -> TlsFiles:
        """The same as the rest of the program has it."""
        return TlsFiles(self.ca, self.cert, self.key)


@dataclass(frozen=True, slots=True)
class ProviderFields:
    """An entry: a server, and the model that it serves."""

    name: str = field(metadata=described("The entry's name, unique in the file."))
    type: ProviderType = field(
        metadata=described(
            "local: a process of this machine; openai: any other OpenAI-like server."
        )
    )
    preset: str | None = field(
        default=None,
        metadata=described("A hosted provider of `modelscan route preset list`: its base_url."),
    )
    base_url: str | None = field(
        default=None,
        metadata=described(
            "The server's root, without /v1: clients add it. May be left out with a preset."
        ),
    )
    unix_socket: str | None = field(
        default=None, metadata=described("The path of a socket that the server listens on.")
    )
    model: str | None = field(
        default=None,
        metadata=described(
            "The model's id in the catalog. A server of type openai or ollama may have none: its "
            "models are requested as NAME/MODEL."
        ),
    )
    served_model: str | None = field(
        default=None,
        metadata=described("The model's name at the server, where it is another one."),
    )
    api_key: str | None = field(
        default=None,
        metadata=described("A reference: env:NAME or file:PATH, never the key itself."),
    )
    tls: TlsFields | None = field(
        default=None,
        metadata=described("Files for https to a server with certificates of your own."),
    )
    context_tokens: int | None = field(
        default=None, metadata=described("Tokens that one request may use.", minimum=1)
    )
    max_in_flight: int | None = field(
        default=None, metadata=described("Requests that it may have at once.", minimum=1)
    )
    operations: list[RoleOperation] | None = field(
        default=None, metadata=described("What it can do (default: what its model is for).")
    )
    dialects: list[Dialect] | None = field(
        default=None,
        metadata=described(
            "Paths whose requests it receives untranslated: messages, responses (default: all "
            "requests become chat completions)."
        ),
    )
    engine: Backend | None = field(
        default=None, metadata=described("The engine behind it, where modelscan cannot know.")
    )
    family: str | None = field(
        default=None, metadata=described("The model's family, where the catalog does not know it.")
    )
    tier: Tier | None = field(
        default=None,
        metadata=described(
            "Whose machine it is: local, self_hosted or third_party (default: by type and address)."
        ),
    )
    request_policy: PolicyFields | None = field(
        default=None, metadata=described("Changes to the bodies of its requests.")
    )
    tags: list[str] | None = field(default=None, metadata=described("Words to select entries by."))
    deployment: str | None = field(
        default=None, metadata=described("The deployment that this entry belongs to.")
    )
    canary: CanaryFields | None = field(
        default=None,
        metadata=described("A share of its requests for an entry that is being tried."),
    )
    enabled: bool = field(default=True, metadata=described("false: the entry gets no requests."))

    def problems(self, where: str) -> Iterator[Finding]:
        """What is wrong with an entry whose keys have the right kinds."""
        if self.type in ("local", "gpustack") and not self.model:
            yield Finding("error", f"{where}.model", f"{where} needs model")
        yield from address_problems(self.preset, self.base_url, self.unix_socket, where)
        yield from key_problems(self.api_key, where)
        if self.tls is not None and (self.base_url or "").startswith("http://"):
            message = f"{where}: tls needs an https address"
            yield Finding("error", f"{where}.tls", message, "base_url: https://…")


@dataclass(frozen=True, slots=True)
class DirectFields:
    """Mode direct: clients send requests to the servers themselves."""

    default_provider: str | None = field(
        default=None, metadata=described("The entry for requests that name none.")
    )
    providers: list[ProviderFields] | None = field(
        default=None, metadata=described("The entries, in the order of preference.")
    )


@dataclass(frozen=True, slots=True)
class ProxyFields:
    """Mode plano_proxy: a running Plano chooses the model."""

    base_url: str = field(metadata=described("The address of Plano."))
    timeout: float = field(
        default=30.0, metadata=described("Seconds to wait for an answer.", minimum=0)
    )
    api_key: str | None = field(
        default=None, metadata=described("A reference: env:NAME or file:PATH.")
    )

    def problems(self, where: str) -> Iterable[Finding]:
        """What is wrong with the address and the key."""
        return (*url_problems(self.base_url, where), *key_problems(self.api_key, where))


@dataclass(frozen=True, slots=True)
class PortsFields:
    """Ports of Plano's container, on the loopback address."""

    ingress: int = field(default=10000, metadata=described("For requests to agents.", minimum=1))
    egress: int = field(default=12000, metadata=described("For requests to models.", minimum=1))


@dataclass(frozen=True, slots=True)
class EmbeddedFields:
    """Mode plano_embedded: Plano in a container that you start (`modelscan route mode`)."""

    config_path: str = field(
        default="plano_config.yaml",
        metadata=described("Plano's own file; `modelscan route export plano` writes it."),
    )
    image: str = field(default="katanemo/plano:0.4.0", metadata=described("The container's image."))
    ports: PortsFields | None = field(default=None, metadata=described("Its ports."))
    env: dict[str, str] | None = field(
        default=None,
        metadata=described("Variables of the container, each as a reference: ${NAME}."),
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """Values of variables that are not references."""
        return variable_problems(self.env, where)


@dataclass(frozen=True, slots=True)
class LimitsFields:
    """Limits of the gateway."""

    max_body_bytes: int | None = field(
        default=None, metadata=described("The largest body of a request.", minimum=1)
    )
    max_held_bytes: int | None = field(
        default=None, metadata=described("Memory for bodies and answers in transit.", minimum=1)
    )
    max_connections: int | None = field(
        default=None, metadata=described("Open connections of clients.", minimum=1)
    )
    queue: int | None = field(
        default=None, metadata=described("Requests that may wait for each backend.", minimum=0)
    )
    queue_timeout_s: float | None = field(
        default=None, metadata=described("Seconds that a request may wait.", minimum=0)
    )
    request_timeout_s: float | None = field(
        default=None, metadata=described("Seconds for one request, its answer included.", minimum=0)
    )
    connect_timeout_s: float | None = field(
        default=None, metadata=described("Seconds for a connection to a backend.", minimum=0)
    )
    wake_timeout_s: float | None = field(
        default=None,
        metadata=described("Seconds that a request waits for a deployment that wakes.", minimum=0),
    )
    residence_s: float | None = field(
        default=None,
        metadata=described(
            "Seconds that a deployment is kept before it makes room for another.", minimum=0
        ),
    )
    loading_comments: bool | None = field(
        default=None,
        metadata=described("Whether streams get comments while they wait for a model to load."),
    )


@dataclass(frozen=True, slots=True)
class BudgetFields:
    """A budget: what a provider or a role may use in a period. One of tokens and usd is needed."""

    name: str = field(metadata=described("A provider or a role."))
    tokens: int | None = field(
        default=None, metadata=described("Tokens, those of requests and of answers.", minimum=1)
    )
    usd: float | None = field(default=None, metadata=described("US dollars.", minimum=0))
    per: Literal["hour", "day", "month"] = field(
        default="day", metadata=described("The period; it starts in UTC.")
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """A budget without an amount."""
        if self.tokens is None and self.usd is None:
            yield Finding("error", where, f"{where} needs tokens or usd", "tokens: 1000000")


@dataclass(frozen=True, slots=True)
class RoutingFields:
    """Where requests go."""

    mode: Mode = field(default="direct", metadata=described("Who forwards requests."))
    fallback: bool = field(
        default=False, metadata=described("Whether another entry may answer if one fails.")
    )
    direct: DirectFields | None = field(
        default=None, metadata=described("The entries of mode direct.")
    )
    proxy: ProxyFields | None = field(default=None, metadata=described("For mode plano_proxy."))
    embedded: EmbeddedFields | None = field(
        default=None, metadata=described("For mode plano_embedded.")
    )
    aliases: dict[str, str] | None = field(
        default=None, metadata=described("Other names of entries, models or roles.")
    )
    roles: list[RoleFields] | None = field(
        default=None, metadata=described("Names for a purpose: several entries may serve one.")
    )
    automatic: AutomaticFields | None = field(
        default=None, metadata=described("The rules of the role auto.")
    )
    limits: LimitsFields | None = field(default=None, metadata=described("Limits of the gateway."))
    budgets: list[BudgetFields] | None = field(default=None, metadata=described("Budgets."))
    tool_policies: list[ToolPolicyFields] | None = field(
        default=None, metadata=described("Which tools models are offered; the strictest counts.")
    )


@dataclass(frozen=True, slots=True)
class RoutingDocument:
    """The routing file: where each model is served."""

    version: Literal[1] = field(metadata=described("The version of this format."))
    routing: RoutingFields | None = field(default=None, metadata=described("Where requests go."))
