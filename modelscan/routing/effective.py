"""The policy of a role's requests at an entry, in layers: inferred < model < role. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from modelscan.core.receipt import Depth
from modelscan.engines.registry import ENGINES
from modelscan.engines.thinking import THINKS_BY_DEFAULT, template_switch
from modelscan.routing.facts import TASKS, Known, engine_of, family_name, operations_of
from modelscan.routing.policy import merge
from modelscan.routing.role_format import PolicyFields, PromptFields, RoleFields, Thinking
from modelscan.routing.table import GENERATING, BodyPolicy, Operation

SMALL_PARAMETERS = 4_000_000_000
NO_POLICY = PolicyFields()
NO_PROMPT = PromptFields()


class Switched(NamedTuple):
    """Whether thinking is switched for an entry: the keys of the body, and why."""

    body: Mapping[str, Any]
    reason: str


def effective_policy(
    entry: Known, role: RoleFields | None = None, thinking: Thinking | None = None
) -> BodyPolicy | None:
    """The merged policy; None: bodies stay as they are. ``thinking`` overrides the file's."""
    model = entry.fields.request_policy or NO_POLICY
    prompt = (role.prompt_policy if role else None) or NO_PROMPT
    own = prompt.request_policy or NO_POLICY
    text, position = _system(model, prompt, own)
    policy = BodyPolicy(
        defaults=merge(model.body_defaults or {}, own.body_defaults or {}),
        overrides=merge(model.body_overrides or {}, own.body_overrides or {}),
        system_prompt=text,
        system_prompt_position=position,  # type: ignore[arg-type]
        user_template=prompt.user_template,
        reasoning=own.reasoning or model.reasoning or "keep",
        thinking=dict(switched(entry, thinking or thinking_of(entry, role)).body),
        operations=_operations(entry, role),
    )
    return None if policy == BodyPolicy({}, {}, operations=policy.operations) else policy


def thinking_of(entry: Known, role: RoleFields | None) -> Thinking:
    """The role's setting, else the entry's, else auto."""
    prompt = (role.prompt_policy if role else None) or NO_PROMPT
    own = prompt.request_policy or NO_POLICY
    return own.thinking or (entry.fields.request_policy or NO_POLICY).thinking or "auto"


def switched(entry: Known, setting: Thinking) -> Switched:
    """The keys that make the entry's engine think or not."""
    family = family_name(entry)
    if setting == "keep":
        return Switched({}, "thinking: keep")
    if family is None:
        return Switched({}, "the model's family is not known, its thinking stays as it is")
    if setting == "auto" and family not in THINKS_BY_DEFAULT:
        return Switched({}, f"models of the family {family} keep their own default")
    body = _switch(entry, family, setting == "on")
    if body is None:
        where = engine_of(entry) or entry.route.tier.replace("_", " ")
        return Switched({}, f"how to switch the thinking of {family} at {where} is not known")
    word = "on" if setting == "on" else "off"
    return Switched(body, f"thinking {word} for the family {family} at {_engine_word(entry)}")


def depth_of(entry: Known, setting: Thinking) -> Depth | None:
    """How deep an entry works on a request: by its model's size, then by its thinking.

    None: the size is not known, and thinking is not switched off.
    """
    parameters = entry.model.parameters
    if parameters is not None and parameters <= SMALL_PARAMETERS:
        return "small"
    body = switched(entry, setting).body
    if setting == "off" or (setting == "auto" and body):
        return "fast"
    return None if parameters is None else "full"


def _switch(entry: Known, family: str, on: bool) -> Mapping[str, Any] | None:
    engine = ENGINES.get(engine_of(entry) or "")
    if engine is not None:
        return engine.thinking_switch(family, on)
    if entry.route.tier == "third_party":
        return None  # a hosted service may refuse keys that it does not know
    return template_switch(family, on)


def _engine_word(entry: Known) -> str:
    return engine_of(entry) or "a server whose engine is not known"


def _system(model: PolicyFields, prompt: PromptFields, own: PolicyFields) -> tuple[str | None, str]:
    """The system prompt and its position: the role's replaces the model's."""
    texts = [text for text in (prompt.system_prompt, own.system_prompt) if text]
    if texts:
        return "\n\n".join(texts), own.system_prompt_position
    return model.system_prompt, model.system_prompt_position


def _operations(entry: Known, role: RoleFields | None) -> tuple[Operation, ...]:
    known = TASKS[role.operation] if role else operations_of(entry)
    return GENERATING if known is None else known
