"""The routing file's format as types: its keys, its JSON Schema and its documentation.

``routing.schema`` checks a file against them and says what is wrong; values are read from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

Mode = Literal["direct", "plano_proxy", "plano_embedded", "proxy", "embedded"]


def _help(text: str) -> Mapping[str, str]:
    return {"help": text}


@dataclass(frozen=True, slots=True)
class ProviderFields:
    """An entry: a server, and the model that it serves."""

    name: str = field(metadata=_help("The entry's name, unique in the file."))
    type: Literal["local", "gpustack", "openai"] = field(
        metadata=_help("local: a process of this machine; openai: any other OpenAI-like server.")
    )
    base_url: str = field(metadata=_help("The server's root, without /v1: clients add it."))
    model: str = field(metadata=_help("The model's id in the catalog."))
    served_model: str | None = field(
        default=None, metadata=_help("The model's name at the server, where it is another one.")
    )
    api_key: str | None = field(
        default=None, metadata=_help("A reference: env:NAME or file:PATH, never the key itself.")
    )
    context_tokens: int | None = field(
        default=None, metadata=_help("Tokens that one request may use.")
    )
    tags: list[str] | None = field(default=None, metadata=_help("Words to select entries by."))
    deployment: str | None = field(
        default=None, metadata=_help("The deployment that this entry belongs to.")
    )
    enabled: bool = field(default=True, metadata=_help("false: the entry gets no requests."))


@dataclass(frozen=True, slots=True)
class DirectFields:
    """Mode direct: clients send requests to the servers themselves."""

    default_provider: str | None = field(
        default=None, metadata=_help("The entry for requests that name none.")
    )
    providers: list[ProviderFields] | None = field(
        default=None, metadata=_help("The entries, in the order of preference.")
    )


@dataclass(frozen=True, slots=True)
class RoutingFields:
    """Where requests go. ``UNUSED`` names the keys that this release keeps but does not use."""

    mode: Mode = field(default="direct", metadata=_help("Who forwards requests."))
    fallback: bool = field(
        default=False, metadata=_help("Whether another entry may answer if one fails.")
    )
    direct: DirectFields | None = field(default=None, metadata=_help("The entries of mode direct."))
    proxy: dict[str, Any] | None = field(default=None, metadata=_help("For mode plano_proxy."))
    embedded: dict[str, Any] | None = field(
        default=None, metadata=_help("For mode plano_embedded.")
    )
    aliases: dict[str, str] | None = field(default=None, metadata=_help("Other names of entries."))
    roles: list[dict[str, Any]] | None = field(default=None, metadata=_help("Roles."))
    limits: dict[str, Any] | None = field(default=None, metadata=_help("Limits of the gateway."))


@dataclass(frozen=True, slots=True)
class RoutingDocument:
    """The routing file: where each model is served."""

    version: Literal[1] = field(metadata=_help("The version of this format."))
    routing: RoutingFields | None = field(default=None, metadata=_help("Where requests go."))


UNUSED = ("aliases", "roles", "limits")


def keys_of(kind: type[Any]) -> tuple[str, ...]:
    """The keys of one of these mappings."""
    return tuple(one.name for one in fields(kind))
