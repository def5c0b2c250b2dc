"""Inspect's mock model with the planted answers: proves the tasks and their grading."""

from __future__ import annotations

import uuid
from typing import Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Model,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.tool import ToolCall, ToolChoice, ToolInfo

from modelscan.evals.inspect.tasks import PLANTED
from modelscan.evals.items import ModelAnswer, SuiteRequest
from modelscan.evals.job import EvalJob
from modelscan.evals.suites.planted import planted_answers
from modelscan.evals.suites.registry import find_suite


def scripted_model(job: EvalJob) -> Model:
    """A model that gives the planted answer that the message names."""
    answers: dict[str, ModelAnswer] = {}
    for name in job.suites:
        kind = find_suite(name)
        for item in kind.make(SuiteRequest(job.seed, job.context_tokens)).items:
            for label, answer in planted_answers(kind, item):
                answers[f"{kind.name}/{item.id}/{label}"] = answer

    def output(
        messages: list[ChatMessage], tools: list[ToolInfo], choice: ToolChoice, _: GenerateConfig
    ) -> ModelOutput:
        return output_of(answers[_planted_key(messages)])

    return get_model("mockllm/model", custom_outputs=output, memoize=False)


def _planted_key(messages: list[ChatMessage]) -> str:
    keys: list[Any] = [(one.metadata or {}).get(PLANTED) for one in messages]
    return str(next(key for key in keys if key is not None))


def output_of(answer: ModelAnswer) -> ModelOutput:
    """The answer as a model's output. With a usage: without one, inspect downloads a tokenizer."""
    calls = [
        ToolCall(id=uuid.uuid4().hex, function=call.name, arguments=dict(call.arguments))
        for call in answer.calls
    ]
    message = ChatMessageAssistant(content=answer.text, tool_calls=calls or None, source="generate")
    choice = ChatCompletionChoice(message=message, stop_reason="tool_calls" if calls else "stop")
    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return ModelOutput(model="scripted", choices=[choice], usage=usage)
