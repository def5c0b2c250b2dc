"""The routing file's roles and policies as types. GenieHive's role files have the same keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from modelscan.core.finding import Finding
from modelscan.core.typed_reader import described
from modelscan.routing.checks import policy_problems, template_problems, weight_problems
from modelscan.routing.table import Position, Tier

RoleOperation = Literal["chat", "embeddings", "rerank", "transcription", "speech", "image"]
StrategyName = Literal[
    "scored", "loaded_first", "round_robin", "least_loaded", "priority", "weighted"
]
Thinking = Literal["auto", "on", "off", "keep"]


@dataclass(frozen=True, slots=True)
class PolicyFields:
    """Changes to the body of a request, in the order inferred, model, role: later ones win."""

    body_defaults: dict[str, Any] | None = field(
        default=None, metadata=described("Merged deeply; the caller's own values win.")
    )
    body_overrides: dict[str, Any] | None = field(
        default=None, metadata=described("Merged deeply; they win over the caller's values.")
    )
    system_prompt: str | None = field(
        default=None, metadata=described("Joined with the caller's into one leading message.")
    )
    system_prompt_position: Position = field(
        default="prepend", metadata=described("Its place in that message.")
    )
    reasoning: Literal["keep", "strip"] | None = field(
        default=None, metadata=described("Whether answers keep their thinking (default: keep).")
    )
    thinking: Thinking | None = field(
        default=None,
        metadata=described(
            "off and on switch it by what the engine and the model's family need; keep: nothing is "
            "sent; auto (default): off for qwen3 and qwen3.5, which think by default."
        ),
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """Keys of a body that a policy must not change."""
        parts = {"body_defaults": self.body_defaults, "body_overrides": self.body_overrides}
        return policy_problems(parts, where)


@dataclass(frozen=True, slots=True)
class PromptFields:
    """What a role adds to a request."""

    system_prompt: str | None = field(default=None, metadata=described("The role's system prompt."))
    user_template: str | None = field(
        default=None, metadata=described("Text around the user's last message, as {input}.")
    )
    request_policy: PolicyFields | None = field(
        default=None, metadata=described("Changes to the body.")
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """A template that would drop the user's text."""
        return template_problems(self.user_template, where)


@dataclass(frozen=True, slots=True)
class SelectionFields:
    """Which entries may serve a role: gates first, then the strategy."""

    strategy: StrategyName = field(
        default="scored",
        metadata=described(
            "scored (loaded_first): the highest score; round_robin; least_loaded: fewest requests; "
            "priority: as written; weighted: by weights."
        ),
    )
    weights: dict[str, float] | None = field(
        default=None,
        metadata=described(
            "For weighted: each entry's share of the requests, relative to the others'; one "
            "without a weight is tried only after them."
        ),
    )
    providers: list[str] | None = field(
        default=None, metadata=described("Only these entries, in this order of priority.")
    )
    tiers: list[Tier] | None = field(
        default=None,
        metadata=described(
            "Only entries on these machines. Without it, third parties are used only if no other "
            "entry passes."
        ),
    )
    preferred_families: list[str] | None = field(
        default=None,
        metadata=described("The first family that an entry has; entries of others are left out."),
    )
    preferred_labels: list[str] | None = field(
        default=None, metadata=described("Words that raise the score of entries with such tags.")
    )
    min_context: int | None = field(
        default=None, metadata=described("Tokens that an entry must accept.", minimum=1)
    )
    require_loaded: bool = field(
        default=False, metadata=described("Loaded models only, where at least one is loaded.")
    )
    requires_tags: list[str] | None = field(
        default=None, metadata=described("Tags that an entry must have, all of them.")
    )
    fallback_roles: list[str] | None = field(
        default=None, metadata=described("Roles of the same operation that are tried next.")
    )
    guardrail_profile: str = field(
        default="none", metadata=described("A tag of entries that raises their score.")
    )
    agentic_benchmark_workloads: list[str] | None = field(
        default=None, metadata=described("Workloads whose results count for the score.")
    )
    tool_mode: str = field(default="auto", metadata=described("Kept, not used."))
    force_respond_tool: bool = field(default=False, metadata=described("Kept, not used."))
    context_budget_mode: str = field(default="auto", metadata=described("Kept, not used."))

    def problems(self, where: str) -> Iterator[Finding]:
        """Keys that are set and not used."""
        for key, unset in UNUSED.items():
            if getattr(self, key) != unset:
                yield Finding("warning", f"{where}.{key}", f"{where}: {key} is not used")
        yield from weight_problems(self.strategy == "weighted", self.weights, where)


@dataclass(frozen=True, slots=True)
class RoleFields:
    """A role: a name for a purpose."""

    role_id: str = field(metadata=described("The role's name: clients send it as the model."))
    operation: RoleOperation = field(default="chat", metadata=described("What it is for."))
    display_name: str | None = field(default=None, metadata=described("Its name for people."))
    description: str | None = field(
        default=None, metadata=described("What it is for, in words: they count for the score.")
    )
    modality: str | None = field(
        default=None, metadata=described("text or audio; for people only.")
    )
    prompt_policy: PromptFields | None = field(
        default=None, metadata=described("What it adds to a request.")
    )
    routing_policy: SelectionFields | None = field(
        default=None, metadata=described("Which entries may serve it.")
    )


@dataclass(frozen=True, slots=True)
class RuleFields:
    """A rule of the role auto; every condition that it names must hold."""

    role: str = field(metadata=described("The role, entry or model that answers; default too."))
    min_characters: int | None = field(
        default=None, metadata=described("The prompt has at least so many.", minimum=0)
    )
    max_characters: int | None = field(
        default=None, metadata=described("The prompt has at most so many.", minimum=0)
    )
    tools: bool | None = field(
        default=None, metadata=described("Whether the request offers tools.")
    )
    images: bool | None = field(default=None, metadata=described("Whether the request has images."))
    keywords: list[str] | None = field(
        default=None, metadata=described("The last message has one of these words.")
    )
    thinking: Thinking = field(default="keep", metadata=described("As in a policy."))


@dataclass(frozen=True, slots=True)
class AutomaticFields:
    """The role auto: the first rule that holds decides."""

    rules: list[RuleFields] | None = field(
        default=None, metadata=described("The rules, in order (default: the built-in ones).")
    )
    otherwise: str | None = field(
        default=None, metadata=described("Where no rule holds (default: the default provider).")
    )


# Keys of other programs' role files that are read and kept, with a warning where they are set.
UNUSED = {"tool_mode": "auto", "force_respond_tool": False, "context_budget_mode": "auto"}
