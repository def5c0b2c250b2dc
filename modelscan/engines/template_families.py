"""The family whose tool calls and thinking a chat template writes, from marks in its text.

For models that neither a name nor a class tells: fine-tunes under a name of their own keep the
template, or take that of another family. The marks are the special tokens and tags that the
families' templates print; the most specific row first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from modelscan.engines.families import Family

_OPEN = ("<think>", "</think>", "◁think▷", "[THINK]", "<mm:think>", "<|START_THINKING|>")


class _Marks(NamedTuple):
    """``text``: all of them are in the template; ``without``: none is. ``thinks`` None: if the
    template has the tag of a thinking part.
    """

    family: str
    text: tuple[str, ...]
    without: tuple[str, ...] = ()
    thinks: bool | None = None


_ARGUMENTS = ("<arg_key>", "<arg_value>")
_FUNCTIONS = ("<function=", "<parameter=")
_TYPED_CALLS = ("<｜tool▁calls▁begin｜>", "['type']")  # from V3.1 on without the type
_MARKS = (
    _Marks("deepseek-v3.2", ("<｜DSML｜function_calls>",), thinks=True),
    _Marks("deepseek-v4", ("<｜DSML｜tool_calls>",), thinks=True),
    _Marks("deepseek-v4.1", ("<｜DSML｜ calls>",), thinks=True),
    _Marks("deepseek-r1", (*_TYPED_CALLS, "</think>"), thinks=True),
    _Marks("deepseek-r1", (*_TYPED_CALLS, "<think>"), thinks=True),
    _Marks("deepseek-v3", _TYPED_CALLS, thinks=False),
    _Marks("deepseek-v3.1", ("<｜tool▁calls▁begin｜>",)),
    _Marks("k2-horizon", ("<ifm|tool_calls>",), thinks=True),
    _Marks("gpt-oss", ("<|channel|>", "<|message|>"), thinks=True),
    _Marks("functiongemma", ("<start_function_call>",), thinks=False),
    _Marks("gemma-4", ("<|channel>",), thinks=True),
    _Marks("kimi-k2", ("<|tool_calls_section_begin|>",)),
    _Marks("minimax-m3", ("]<]minimax[>[",), thinks=True),
    _Marks("minimax-m2", ("<minimax:tool_call>",), thinks=True),
    _Marks("seed-oss", ("<seed:tool_call>",), thinks=True),
    _Marks("step-3", ("<steptml:invoke",), thinks=True),
    _Marks("lfm-2", ("<|tool_call_start|>",)), _Marks("apertus", ("<|inner_prefix|>",)),
    _Marks("command-a", ("<|START_ACTION|>",)), _Marks("hy-3", ("<tool_calls>", "<tool_sep>")),
    _Marks("ling-3", ("<role>ASSISTANT</role>", "<|role_end|>", *_ARGUMENTS), thinks=True),
    _Marks("laguna", ("All available function signatures are listed below", *_ARGUMENTS)),
    _Marks("nemotron-3", ("truncate_history_thinking", *_FUNCTIONS), ("defer_loading",), True),
    _Marks("step-3.5", ("reasoning_effort", "Reasoning: ", *_FUNCTIONS), thinks=True),
    _Marks("qwen3.5", (*_FUNCTIONS, "<think>"), thinks=True),
    _Marks("qwen3-coder", _FUNCTIONS, thinks=False),
    _Marks("minicpm-5", ("<function name=", "<param name=")),
    _Marks("mistral", ("[TOOL_CALLS]",)), _Marks("olmo-3", ("<function_calls>",)),
    _Marks("granite-4", ("<|start_of_role|>", "<tool_call>"), thinks=False),
    _Marks("granite-3", ("<|start_of_role|>", "<|tool_call|>"), thinks=False),
    _Marks("internlm", ("<|plugin|>",), thinks=False),
    _Marks("phi-4-mini", ("<|tool|>", "<|/tool|>"), thinks=False),
    _Marks("llama-4", ("<|header_start|>", "python"), thinks=False),
    _Marks("llama-3", ("<|start_header_id|>", "ipython", '"parameters"'), thinks=False),
    _Marks("qwen3", ("<tool_call>", '"arguments"', "enable_thinking"), thinks=True),
    _Marks("qwen3-thinking", ("<tool_call>", '"arguments"', "<think>"), thinks=True),
    _Marks("hermes", ("<tool_call>", '"arguments"'), thinks=False),
    _Marks("qwen3", ("<think>", "enable_thinking"), _ARGUMENTS, True),
    _Marks("deepseek-r1-distill", ("<think>",), _ARGUMENTS, True),
    _Marks("deepseek-r1-distill", ("</think>",), _ARGUMENTS, True),
)  # fmt: skip
# GLM up to 4.6 writes the name of a call and its arguments on lines of their own.
_GLM_47 = re.compile(r"['\"]<tool_call>['\"]\s*[+~]\s*tc\.name")


def family_of_template(template: str | None) -> Family | None:
    """The family whose marks a template has; None without a template, or without known marks."""
    if not template:
        return None
    thinks = any(tag in template for tag in _OPEN)
    for row in _MARKS:
        if all(mark in template for mark in row.text) and not any(
            mark in template for mark in row.without
        ):
            return Family(row.family, thinks if row.thinks is None else row.thinks)
    if all(mark in template for mark in _ARGUMENTS):
        return Family("glm-4.7" if _GLM_47.search(template) else "glm-4.5", thinks)
    return None
