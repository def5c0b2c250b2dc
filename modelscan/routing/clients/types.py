"""What a client's configuration is made from, and what it consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FileFormat = Literal["json", "toml", "yaml", "env"]
PROVIDER = "modelscan"  # the name under which every client lists the gateway


@dataclass(frozen=True, slots=True)
class OfferedRoute:
    """A route as a client sees it. ``None``: not known, and left out of the configuration.

    ``context_tokens`` is what is served, ``output_tokens`` the most that one answer may have.
    """

    name: str
    title: str | None = None
    context_tokens: int | None = None
    output_tokens: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    reasoning: bool | None = None

    @property
    def label(self) -> str:
        """The route's name, and its model where it is another word."""
        return f"{self.name} ({self.title})" if self.title not in (None, self.name) else self.name

    @property
    def answer_tokens(self) -> int | None:
        """The answer's limit: the stated one, else a quarter of the context."""
        if self.output_tokens is not None or self.context_tokens is None:
            return self.output_tokens
        return min(8192, self.context_tokens // 4)


@dataclass(frozen=True, slots=True)
class ServedGateway:
    """The gateway: its root without /v1, and the environment variable with the caller's key.

    ``routes`` begin with the one that a client should use. ``key_variable`` None: no key.
    """

    base_url: str
    routes: tuple[OfferedRoute, ...]
    key_variable: str | None = None

    @property
    def api(self) -> str:
        """The root of the OpenAI API."""
        return f"{self.base_url}/v1"

    @property
    def chosen(self) -> OfferedRoute:
        """The route that a client uses at first."""
        return self.routes[0]


@dataclass(frozen=True, slots=True)
class ClientFile:
    """One file of a client. ``values`` are merged into what is there; lists are replaced, but for
    those in ``named_lists``, whose entries are merged by that field.

    ``defaults`` choose the model: they are set where the file does not choose one. ``path`` may
    begin with ``~`` or an environment variable; None: the text is only printed.
    """

    path: str | None
    format: FileFormat
    values: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    named_lists: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientProgram:
    """A program. ``prompt_tokens`` is what its first request alone needs (measured), ``start``
    the command that begins a conversation over the route, ``turn`` the arguments of one question
    with the paths of its files, ``install`` how to get it."""

    name: str
    title: str
    files: Callable[[ServedGateway], tuple[ClientFile, ...]]
    start: Callable[[ServedGateway], str] | None = None
    prompt_tokens: int | None = None
    needs_tools: bool = False
    turn: Callable[[ServedGateway, str, list[str]], list[str]] | None = None
    install: str | None = None


def without_unknown(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields whose values are known."""
    return {key: value for key, value in values.items() if value is not None}
