"""The suites as Inspect AI tasks: ``modelscan eval run`` and ``inspect eval modelscan/review``.

The entry point ``inspect_ai`` names this module. Grades are those of ``evals.suites``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anyio
from inspect_ai import Task, task
from inspect_ai._util.registry import registry_name
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import Tool, ToolDef, ToolParams

from modelscan.evals.inspect.rows import ignore_row, row_of
from modelscan.evals.items import (
    EvalItem,
    EvalSuite,
    Grade,
    ModelAnswer,
    OfferedTool,
    RunCode,
    SandboxKind,
    SuiteRequest,
    ToolRequest,
    failed,
)
from modelscan.evals.job import SampleRow
from modelscan.evals.sandbox import choose_sandbox, runner
from modelscan.evals.suites.registry import SuiteKind, find_suite, suite_hash

PLANTED = "planted"  # metadata of a message: the scripted answer that the mock model gives
Denied = Callable[[str], bool]


def _none_denied(_: str) -> bool:
    return False


def suite_task(
    kind: SuiteKind,
    suite: EvalSuite,
    samples: list[Sample],
    *,
    run: RunCode | None = None,
    on_row: Callable[[SampleRow], None] = ignore_row,
    denied: Denied = _none_denied,
    extra_body: Mapping[str, Any] | None = None,
) -> Task:
    """A task with these samples; ``on_row`` receives each result when it is graded.

    ``extra_body``: fields of every request, which a schema's field joins.
    """
    return Task(
        dataset=MemoryDataset(samples, name=kind.name),
        solver=_ask(suite, extra_body or {}),
        scorer=_grade(kind, suite, run, on_row, denied),
        name=kind.name,
        version=suite.version,
        metadata={"suite_hash": suite_hash(suite)},
    )


def samples_of(suite: EvalSuite) -> list[Sample]:
    """The items as samples."""
    return [sample_of(suite, item, item.id) for item in suite.items]


def sample_of(suite: EvalSuite, item: EvalItem, name: str, planted: str | None = None) -> Sample:
    """One item as a sample of that id; ``planted`` is the key of a scripted answer."""
    metadata = {PLANTED: planted} if planted is not None else None
    reference = item.reference
    return Sample(
        id=name,
        input=[
            ChatMessageSystem(content=suite.system),
            ChatMessageUser(content=item.prompt, metadata=metadata),
        ],
        target=reference.text or ", ".join(call.name for call in reference.calls),
        metadata={"item": item.id},
    )


def _tool(offered: OfferedTool) -> Tool:
    async def execute(**_: Any) -> str:
        return "done"

    definition = ToolDef(
        execute,
        name=offered.name,
        description=offered.description,
        parameters=ToolParams.model_validate(dict(offered.parameters)),
    )
    return definition.as_tool()


@solver
def _ask(suite: EvalSuite, extra_body: Mapping[str, Any]) -> Solver:
    items = {item.id: item for item in suite.items}

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        try:
            return await _generated(state, generate)
        except RuntimeError as error:
            raise endpoint_error(error) from error

    async def _generated(state: TaskState, generate: Generate) -> TaskState:
        item = items[state.metadata["item"]]
        state.tools = [_tool(one) for one in item.tools]
        if item.schema is None:
            return await generate(state, tool_calls="none", max_tokens=suite.max_tokens)
        schema = {"name": suite.name, "schema": dict(item.schema), "strict": True}
        form = {"type": "json_schema", "json_schema": schema}
        body = {**extra_body, "response_format": form}
        return await generate(
            state, tool_calls="none", max_tokens=suite.max_tokens, extra_body=body
        )

    return solve


@scorer(metrics=[mean(), stderr()])
def _grade(
    kind: SuiteKind,
    suite: EvalSuite,
    run: RunCode | None,
    on_row: Callable[[SampleRow], None],
    denied: Denied,
) -> Scorer:
    items = {item.id: item for item in suite.items}

    async def score(state: TaskState, target: Target) -> Score:
        answer = answer_of(state)
        graded = _refused(answer, denied)
        if graded is None:
            grade = functools.partial(kind.grade, items[state.metadata["item"]], answer, run)
            graded = await anyio.to_thread.run_sync(grade)
        on_row(row_of(state, answer, graded))
        return Score(value=graded.value, answer=answer.text, explanation=graded.reason)

    return score


class EndpointError(RuntimeError):
    """The server refused or failed: its own message, without the request."""


def endpoint_error(error: RuntimeError) -> RuntimeError:
    """The server's message, where inspect has it apart from the request's text."""
    message = getattr(error, "provider_message", None)
    status = getattr(error, "status_code", None)
    return error if message is None else EndpointError(f"HTTP {status}: {message}")


def _refused(answer: ModelAnswer, denied: Denied) -> Grade | None:
    """The grade of an answer that calls a tool which the policy denies."""
    names = [call.name for call in answer.calls if denied(call.name)]
    return failed(f"the tool policy denies {names[0]}", "refused") if names else None


def answer_of(state: TaskState) -> ModelAnswer:
    """What the model answered: text, and calls with their arguments."""
    output = state.output
    message = output.message if output and output.choices else None
    calls = (message.tool_calls or []) if message else []
    return ModelAnswer(
        output.completion if output and output.choices else "",
        tuple(ToolRequest(call.function, call.arguments) for call in calls),
    )


def _registered(name: str, seed: int, context_tokens: int, sandbox: str) -> Task:
    kind = find_suite(name)
    suite = kind.make(SuiteRequest(seed, context_tokens))
    asked = next((one for one in _SANDBOXES if one == sandbox), None)
    run = runner(choose_sandbox(asked, confirmed=asked == "local")) if kind.runs_code else None
    return suite_task(kind, suite, samples_of(suite), run=run)


_SANDBOXES: tuple[SandboxKind, ...] = ("bwrap", "docker", "local")


Registered = TypeVar("Registered", bound=Callable[..., Task])


def _named(function: Registered) -> Registered:
    """Register a task as ``modelscan/NAME``, also from a checkout: inspect adds the package's name
    only where a distribution of that name is installed."""
    name = registry_name(function, function.__name__)
    return task(name=name.rpartition("/")[2] if "/" in name else f"modelscan/{name}")(function)


@_named
def coding(seed: int = 7, context_tokens: int = 4096, sandbox: str = "") -> Task:
    """Small Python functions with unit tests, run in a sandbox."""
    return _registered("coding", seed, context_tokens, sandbox)


@_named
def review(seed: int = 7, context_tokens: int = 4096) -> Task:
    """Seeded defects in small changes."""
    return _registered("review", seed, context_tokens, "")


@_named
def documents(seed: int = 7, context_tokens: int = 4096) -> Task:
    """Facts, links and commands of a documentation."""
    return _registered("documents", seed, context_tokens, "")


@_named
def release(seed: int = 7, context_tokens: int = 4096) -> Task:
    """Consistency of versions and changelog."""
    return _registered("release", seed, context_tokens, "")


@_named
def long_context(seed: int = 7, context_tokens: int = 4096) -> Task:
    """Needle, chain of facts and order of events in long texts."""
    return _registered("long_context", seed, context_tokens, "")


@_named
def tools(seed: int = 7, context_tokens: int = 4096) -> Task:
    """Function calling."""
    return _registered("tools", seed, context_tokens, "")


@_named
def structured(seed: int = 7, context_tokens: int = 4096) -> Task:
    """Facts of a text as JSON of a schema."""
    return _registered("structured", seed, context_tokens, "")
