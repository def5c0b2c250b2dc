"""What the process that runs a suite gets (a file), and what it leaves: rows and an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelscan.core.tls import TlsFiles
from modelscan.evals.items import SandboxKind, TaskFailure
from modelscan.routing.table import ToolPolicySpec

KEY_VARIABLE = "MODELSCAN_API_KEY"  # of the child, for inspect's provider "modelscan"
ROWS_FILE = "rows.jsonl"
OUTCOME_FILE = "outcome.json"
JOB_FILE = "job.json"


@dataclass(frozen=True, slots=True)
class Generation:
    """How answers are generated. ``extra_body`` are further fields of the request."""

    temperature: float = 0.0
    seed: int = 7
    max_tokens: int | None = None  # None: the suite's own limit
    extra_body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvalJob:
    """A run of one suite, or of a task of another package (``task``), or a proof of suites.

    ``verify``: the scripted answers are graded instead of a model's. ``hosts``: the only hosts
    (name, port) that the process may connect to. ``socket_path``: of a server on a unix socket;
    ``tls``: files of https to it.
    """

    suites: tuple[str, ...] = ()
    task: str | None = None
    verify: bool = False
    base_url: str | None = None
    model: str | None = None
    hosts: tuple[tuple[str, int], ...] = ()
    seed: int = 7
    context_tokens: int | None = None
    limit: int | None = None
    epochs: int = 1
    connections: int = 1
    generation: Generation = field(default_factory=Generation)
    sandbox: SandboxKind | None = None
    tool_policy: ToolPolicySpec | None = None
    socket_path: str | None = None
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class SampleRow:
    """The grade of one sample; seconds are those of the model's call.

    ``request_ids``: as the server's answers name the requests; ``ttft_s``: of the first one.
    """

    suite: str
    id: str
    epoch: int
    value: float
    reason: str
    failure: TaskFailure | None
    counts: Mapping[str, int]
    answer_sha256: str
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float | None
    served_model: str | None = None
    cached_tokens: int | None = None
    ttft_s: float | None = None
    request_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How the process ended. ``errors``: samples that were not graded, with the first cause."""

    status: Literal["finished", "cancelled", "failed"]
    samples: int
    reason: str | None = None
    errors: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    log_file: str | None = None
    task_version: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)  # of a foreign task
