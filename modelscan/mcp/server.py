"""The server: which tools and resources a caller has, and what a call returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import mcp_types as types
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError

from modelscan import __version__
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.mcp import confirm, resources
from modelscan.mcp.answers import (
    deploy_question,
    document_text,
    error_text,
    failure_of,
    is_path,
    result_of,
)
from modelscan.mcp.arguments import ToolArguments
from modelscan.mcp.child import OnEvent, run_command
from modelscan.mcp.confirm import Context
from modelscan.mcp.progress import DeployProgress
from modelscan.mcp.tools import BY_NAME, TOOLS, ToolRow, input_schema, output_schema

INSTRUCTIONS = (
    "Find open models that fit this machine, plan, run and route them. Start with catalog_search "
    "(fits: true) or plan; sizes are bytes; null is unknown, not zero. An error's text has a hint "
    "with the command or call that helps."
)
_CHANGERS = 2  # commands at once
SEEING, _OPERATING = frozenset({"read", "operator", "admin"}), frozenset({"operator", "admin"})


class Runner(Protocol):
    """Runs a command line and returns its document."""

    async def __call__(
        self, words: Sequence[str], on_event: OnEvent, *, offline: bool
    ) -> dict[str, Any]: ...


def everything(_: Context) -> frozenset[str]:
    """The scopes over stdio: the caller started this process."""
    return frozenset({"admin"})


@dataclass(slots=True)
class Assistance:
    """The handlers. ``read`` runs commands that only read, ``run`` those that change something;
    ``scopes``: of a request's caller.
    """

    read: Runner
    allow_changes: bool = False
    offline: bool = False
    scopes: Callable[[Context], frozenset[str]] = everything
    run: Runner = run_command
    _changing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CHANGERS))

    def server(self) -> Server[Any]:
        """The protocol's server over these handlers."""
        return Server(
            "modelscan",
            version=__version__,
            title="modelscan",
            instructions=INSTRUCTIONS,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_templates,
            on_read_resource=self.read_resource,
        )

    # Tools

    async def list_tools(self, context: Context, _: Any) -> types.ListToolsResult:
        """The tools that this caller may use."""
        own = self.scopes(context)
        return types.ListToolsResult(
            tools=[described(row) for row in TOOLS if self._fault(row, own) is None]
        )

    async def call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        """A command's document, or its error as text with a hint."""
        row = BY_NAME.get(params.name)
        if row is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name}")
        try:
            fault = self._fault(row, self.scopes(context))
            if fault is not None:
                raise fault
            arguments = row.parse(params.arguments or {})
            self._check_place(context, arguments)
            if row.effect != "read":
                asked = await self._confirm(context, row, params, arguments)
                if asked is not None:
                    return asked
            return result_of(await self._run(context, row, arguments))
        except ModelscanError as error:
            return failure_of(error)

    def _fault(self, row: ToolRow, own: frozenset[str]) -> ModelscanError | None:
        """Why a caller may not use a tool."""
        if row.effect == "read":
            allowed = bool(own & SEEING)
            return None if allowed else UsageError("the key lacks the scope read")
        if not self.allow_changes:
            return UsageError(
                f"{row.name} is off: this server only reads",
                hint="start it with --allow-changes: modelscan mcp --allow-changes",
            )
        if not own & _OPERATING:
            hint = "modelscan key create NAME --scope operator"
            return UsageError(f"{row.name} needs a key with the scope operator", hint=hint)
        return None

    def _check_place(self, context: Context, arguments: ToolArguments) -> None:
        """A key that only reads cannot find out which files this machine has."""
        model = getattr(arguments, "model", None)
        if model is not None and not self.scopes(context) & _OPERATING and is_path(model):
            raise UsageError(
                f"'{model}' is a file of the server: that needs a key with the scope operator",
                hint="use a catalog name, hf:ORG/REPO or ms:ORG/REPO",
            )

    async def _confirm(
        self,
        context: Context,
        row: ToolRow,
        params: types.CallToolRequestParams,
        arguments: ToolArguments,
    ) -> types.InputRequiredResult | None:
        """None: the user agreed. Raises NotConfirmedError where the user did not."""
        if not confirm.can_ask(context):
            if getattr(arguments, "confirm", False):
                return None
            raise confirm.refusal(row, asked=False)
        answer = confirm.answered(row, params)
        if answer is None:
            question = await self._question(row, arguments)
            asked = await confirm.ask(context, row, params, question)
            if isinstance(asked, types.InputRequiredResult):
                return asked
            answer = asked
        if not answer:
            raise confirm.refusal(row, asked=True)
        return None

    async def _question(self, row: ToolRow, arguments: ToolArguments) -> str:
        """The question to the user; of a deploy with its plan, whose errors end the call here."""
        name = getattr(arguments, "name", None)
        if row.name != "deploy":
            return f"{row.description.rstrip('.')}: {name}?"
        words = [word for word in row.words(arguments) if word != "--progress"]
        words.insert(1, "--dry-run")
        return deploy_question(await self.read(words, _no_events, offline=self.offline))

    async def _run(self, context: Context, row: ToolRow, arguments: ToolArguments) -> Any:
        words = row.words(arguments)
        if row.effect == "read":
            return await self.read(words, _no_events, offline=self.offline)
        progress = DeployProgress(context.session.report_progress)
        async with self._changing:
            return await self.run(words, progress.event, offline=self.offline)

    # Resources

    async def list_resources(self, context: Context, _: Any) -> types.ListResourcesResult:
        """Documents of this machine, and the pages of the manual."""
        self._require_read(context)
        rows = [
            types.Resource(uri=row.uri, name=row.path, title=row.title, mime_type=resources.JSON)
            for row in resources.RESOURCES
        ]
        pages = [
            types.Resource(
                uri=f"modelscan://docs/{name}",
                name=f"docs/{name}",
                title=heading,
                mime_type=resources.MARKDOWN,
            )
            for name, heading in resources.pages().items()
        ]
        return types.ListResourcesResult(resources=[*rows, *pages])

    async def list_templates(self, context: Context, _: Any) -> types.ListResourceTemplatesResult:
        """The facts about any model of the catalog, and any page."""
        self._require_read(context)
        rows = (
            (resources.MODEL_TEMPLATE, "catalog-model", "Facts about a model", resources.JSON),
            (resources.PAGE_TEMPLATE, "docs-page", "A page of the manual", resources.MARKDOWN),
        )
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(uri_template=uri, name=name, title=title, mime_type=kind)
                for uri, name, title, kind in rows
            ]
        )

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """A document or a page."""
        self._require_read(context)
        try:
            text, kind = await self._content(context, params.uri)
        except ModelscanError as error:
            raise MCPError(types.INVALID_PARAMS, error_text(error)) from None
        content = types.TextResourceContents(uri=params.uri, mime_type=kind, text=text)
        return types.ReadResourceResult(contents=[content])

    async def _content(self, context: Context, uri: str) -> tuple[str, str]:
        words = resources.command_of(uri)
        if words is None:
            return resources.page(uri), resources.MARKDOWN
        model = resources.model_of(uri)
        if model is not None and is_path(model) and not self.scopes(context) & _OPERATING:
            raise UsageError(f"'{model}' is a file of the server", hint=resources.MODEL_TEMPLATE)
        document = await self.read(words, _no_events, offline=self.offline)
        return document_text(document), resources.JSON

    def _require_read(self, context: Context) -> None:
        if not self.scopes(context) & SEEING:
            raise MCPError(types.INVALID_REQUEST, "the key lacks the scope read")


def described(row: ToolRow) -> types.Tool:
    """A tool as clients see it."""
    return types.Tool(
        name=row.name,
        title=f"modelscan {row.command}",
        description=row.description,
        input_schema=input_schema(row.arguments),
        output_schema=output_schema(row.schema),
        annotations=types.ToolAnnotations(
            read_only_hint=row.effect == "read",
            destructive_hint=row.effect == "destroy",
            idempotent_hint=row.effect == "read" or row.idempotent,
            open_world_hint=row.command.startswith("catalog") or row.command == "deploy",
        ),
    )


async def _no_events(_: Mapping[str, Any]) -> None:
    """A resource and a question have no progress."""
