"""Which tags need approvals and results: the policies, read from the text of their file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelscan.core.errors import UsageError
from modelscan.core.finding import Finding
from modelscan.core.typed_reader import place_of, read_as
from modelscan.core.units import parse_seconds
from modelscan.core.yaml_reader import YamlProblem, read_yaml
from modelscan.registry.policy_format import (
    Comparator,
    GateFields,
    PolicyDocument,
    TagPolicyFields,
)
from modelscan.registry.refused import RegistryRefused

CURATED = "curated"
ResultKind = Literal["suite", "workload"]


@dataclass(frozen=True, slots=True)
class GateRule:
    """A result that is needed. ``max_age_s`` and ``concurrency``: None: any."""

    kind: ResultKind
    name: str
    metric: str
    op: Comparator
    threshold: float
    max_age_s: float | None = None
    hardware: str | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class TagPolicy:
    """What a tag needs: so many approvals, and every gate."""

    tag: str
    approvals: int = 2
    gates: tuple[GateRule, ...] = ()
    withdraw: bool = False


@dataclass(frozen=True, slots=True)
class TagPolicies:
    """The tags with a policy. ``source``: the file; None: the built-in policy."""

    tags: Mapping[str, TagPolicy] = field(default_factory=dict)
    source: str | None = None

    def of(self, tag: str) -> TagPolicy | None:
        """The policy of a tag; None: it needs none."""
        return self.tags.get(tag)


BUILT_IN = TagPolicies({CURATED: TagPolicy(CURATED)})
"""Without a file, ``curated`` needs two approvals."""


def read_policies(text: str, where: str) -> TagPolicies:
    """The policies of a file's text; ``where`` names it.

    Raises UsageError with the line and a suggestion for anything that is not in the format.
    """
    try:
        document = read_yaml(text)
    except YamlProblem as error:
        raise _refused(where, error.message, error.line, error.hint) from error
    findings: list[Finding] = []
    value = {} if document.value is None else document.value
    if not isinstance(value, Mapping):
        raise _refused(where, "the file must be a mapping", 1, "write: tags: {curated: {}}")
    fields = read_as(PolicyDocument, value, "", findings)
    for finding in findings:
        if finding.level == "error":
            line = document.line(place_of(finding.where))
            raise _refused(where, finding.message, line, finding.hint)
    return _policies(fields or PolicyDocument(), where)


def _policies(document: PolicyDocument, where: str) -> TagPolicies:
    tags = {tag: _policy(tag, fields) for tag, fields in (document.tags or {}).items()}
    return TagPolicies(tags, where)


def _policy(tag: str, fields: TagPolicyFields) -> TagPolicy:
    gates = tuple(_gate(one) for one in fields.gates or ())
    return TagPolicy(tag, fields.approvals, gates, fields.withdraw)


def _gate(fields: GateFields) -> GateRule:
    kind: ResultKind = "workload" if fields.suite is None else "suite"
    return GateRule(
        kind=kind,
        name=str(fields.suite or fields.workload),
        metric=fields.metric,
        op=fields.op,
        threshold=fields.threshold,
        max_age_s=None if fields.max_age is None else parse_seconds(fields.max_age),
        hardware=fields.hardware,
        concurrency=fields.concurrency,
    )


def _refused(where: str, message: str, line: int | None, hint: str | None) -> UsageError:
    place = where if line is None else f"{where}, line {line}"
    return UsageError(
        f"{place}: {message}",
        hint=hint or "modelscan config get curation_policy",
        code="policy_file",
        details={"file": where, "line": line},
    )


def check_free(policies: TagPolicies, tag: str, slug: str, version: str | None = None) -> None:
    """Raises RegistryRefused (policy) for a tag that only a curation sets and removes."""
    policy = policies.of(tag)
    if policy is None:
        return
    place = f"{slug}@{version}" if version else slug
    gates = f" and {len(policy.gates)} results" if policy.gates else ""
    raise RegistryRefused(
        "policy",
        f"the tag '{tag}' needs {policy.approvals} approvals{gates}: only a curation sets or "
        "removes it",
        hint=f"modelscan registry curate propose {place} --tag {tag}",
        details={"tag": tag, "approvals": policy.approvals},
    )
