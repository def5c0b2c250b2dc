"""``modelscan chat``: talk to a deployment in the terminal; nothing is kept unless asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import Context
from modelscan.cli.document import Document, Text
from modelscan.cli.framework import single
from modelscan.cli.output import Mode, safe
from modelscan.core.errors import ModelscanError, UsageError

if TYPE_CHECKING:
    from modelscan.routing.chat import ChatAnswer, ChatEndpoint, ChatReply, Message

_HELP = "/clear starts over, /save FILE writes the conversation, /bye or Ctrl-D ends"


@dataclass(slots=True)
class Conversation:
    """The turns so far with the model behind ``endpoint``."""

    name: str
    endpoint: ChatEndpoint
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    messages: list[Message] = field(default_factory=list)


def chat(
    context: Context,
    name: Annotated[str, typer.Argument(help="A deployment or a route.", metavar="NAME")],
    text: Annotated[
        list[str] | None,
        typer.Argument(help="A question (default: ask on the terminal).", metavar="[TEXT]"),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="The system message.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, metavar="N", help="Limit of each answer.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0, metavar="T", help="Randomness.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE", help="Write the conversation to a Markdown file."),
    ] = None,
) -> Document[Any] | None:
    """Talk to a deployment. A question as argument or on stdin is answered once."""
    talk = Conversation(name, endpoint_of(context, name), system, max_tokens, temperature)
    question = " ".join(text or ())
    if not question and not sys.stdin.isatty():
        question = sys.stdin.read().strip()
        if not question:
            raise UsageError("there is no question", hint=f"modelscan chat {name} 'Hello'")
    document = _once(context, talk, question) if question else None
    if document is None:
        _interactive(context, talk)
    if save is not None:
        write_markdown(talk, save)
    return document


def endpoint_of(context: Context, name: str) -> ChatEndpoint:
    """Where a deployment or a route answers; raises UsageError where neither runs."""
    from modelscan.core.deployment_state import State
    from modelscan.routing.answers import find_route
    from modelscan.routing.chat import ChatEndpoint
    from modelscan.routing.keys import read_key

    service = view.service()
    if name in {row.name for row in service.list()}:
        row = service.show(name)
        if row.state is not State.RUNNING or row.endpoint is None:
            raise UsageError(
                f"{name} is {row.state.value}", hint=f"modelscan start {name}", code="not_running"
            )
        return ChatEndpoint(row.endpoint, row.served_model or row.model, row.api_key)
    try:
        route, _ = find_route(context.config.routing_file, name)
    except UsageError as error:
        raise UsageError(
            f"there is no deployment or route '{name}'",
            hint=f"modelscan deploy {name}" if name == "demo" else "modelscan list",
            details=error.details,
        ) from error
    key = read_key(route)
    return ChatEndpoint(
        route.base_url, route.sent_model, None if key is None else key[0], route.tls
    )


def _once(context: Context, talk: Conversation, question: str) -> Document[ChatAnswer]:
    from modelscan.routing.chat import ChatAnswer

    streamed = context.output.mode is Mode.HUMAN
    reply = _exchange(context, talk, question, show=streamed)
    answer = ChatAnswer(
        talk.name, talk.endpoint.model, question, reply.content, reply.reasoning or None,
        reply.finish_reason, reply.usage,
    )  # fmt: skip
    return Document("chat", answer, [] if streamed else [Text(reply.content)], [reply.content])


def _interactive(context: Context, talk: Conversation) -> None:
    """Ask and answer until Ctrl-D."""
    if context.output.mode is not Mode.HUMAN:
        raise UsageError("there is no question", hint=f"modelscan chat {talk.name} 'Hello'")
    context.output.note(f"{talk.endpoint.model} at {talk.endpoint.base_url}: {_HELP}")
    for line in _typed(context):
        try:
            if not _command(context, talk, line):
                _exchange(context, talk, line, show=True)
        except KeyboardInterrupt:
            context.output.note("\nthe answer was interrupted")
        except ModelscanError as error:
            context.output.error(error)


def _typed(context: Context) -> Iterator[str]:
    """The lines that are typed, without empty ones, until ``/bye``, Ctrl-D or Ctrl-C."""
    import contextlib

    with contextlib.suppress(ImportError):  # editing and history of the line, in memory only
        import readline  # noqa: F401
    while True:
        try:
            line = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            context.output.note("")
            return
        if line == "/bye":
            return
        if line:
            yield line


def _command(context: Context, talk: Conversation, line: str) -> bool:
    """Carry out a line that begins with a slash; False where it is a question."""
    word, _, rest = line.partition(" ")
    if word == "/clear":
        talk.messages.clear()
    elif word == "/save" and rest:
        write_markdown(talk, Path(rest))
    elif word in ("/help", "/?", "/save"):
        context.output.note(_HELP)
    else:
        return False
    return True


def _exchange(context: Context, talk: Conversation, question: str, *, show: bool) -> ChatReply:
    """Send a question and print the answer as it arrives; a failed one is not kept."""
    from modelscan.routing.chat import ChatReply, Message, ask

    system = [Message("system", talk.system)] if talk.system else []
    messages = [*system, *talk.messages, Message("user", question)]
    reply, thinking = ChatReply(), False
    pieces = ask(
        talk.endpoint, messages, reply, max_tokens=talk.max_tokens, temperature=talk.temperature
    )
    for piece in pieces:
        if not show:
            continue
        if thinking and piece.kind == "content":
            context.output.piece("\n\n")
        thinking = piece.kind == "reasoning"
        context.output.piece(safe(piece.text), dim=thinking)
    if show:
        context.output.line("")
        if reply.finish_reason == "length":
            context.output.note("the answer was cut at the limit of its length")
    talk.messages += [Message("user", question), Message("assistant", reply.content)]
    return reply


def write_markdown(talk: Conversation, path: Path) -> None:
    """Write the conversation; raises UsageError where the file cannot be written."""
    from modelscan.state.files import write_atomic

    parts = [f"# {talk.name} ({talk.endpoint.model})"]
    parts += [f"System: {talk.system}"] if talk.system else []
    parts += [f"**{one.role}**\n\n{one.content}" for one in talk.messages]
    write_atomic(path, "\n\n".join(parts) + "\n")


app = single(chat)
