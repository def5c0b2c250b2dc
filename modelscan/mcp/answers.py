"""Documents and errors in the protocol's forms, and the question before a deploy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mcp_types as types

from modelscan.core.errors import ModelscanError
from modelscan.core.units import format_bytes


def result_of(document: dict[str, Any]) -> types.CallToolResult:
    """The document, also as text for clients that read no structured content."""
    content = types.TextContent(type="text", text=document_text(document))
    return types.CallToolResult(content=[content], structured_content=document)


def failure_of(error: ModelscanError) -> types.CallToolResult:
    """An error that the model reads."""
    content = types.TextContent(type="text", text=error_text(error))
    return types.CallToolResult(content=[content], is_error=True)


def error_text(error: ModelscanError) -> str:
    """What happened, and what helps."""
    return f"{error.message}\n\nhint: {error.hint}" if error.hint else error.message


def document_text(document: Mapping[str, Any]) -> str:
    """A document as JSON text."""
    return json.dumps(document, ensure_ascii=False)


def is_path(model: str) -> bool:
    """Whether a model's text names a file or a folder of this machine."""
    looks = model.startswith(("/", ".", "~", "file:")) or model.lower().endswith(".gguf")
    return looks or "\\" in model or Path(model).exists()


def deploy_question(document: Mapping[str, Any]) -> str:
    """What a deploy would do, from the document of its dry run."""
    row, plan = document["deployment"], document["plan"]
    facts = [row["quantization"], row["backend"]]
    if plan is not None:
        facts.append(format_bytes(plan["estimate"]["total_bytes"]))
        facts.append(f"{plan['estimate']['context_tokens']:,} tokens of context")
    shown = ", ".join(str(one) for one in facts if one)
    return f"Deploy {row['model']} as {row['name']} ({shown})? Weights are downloaded if needed."
