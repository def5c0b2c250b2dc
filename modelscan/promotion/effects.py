"""What a promotion does to this machine: deployments, requests, runs of gates, receipts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modelscan.bench.learn import run_and_learn
from modelscan.bench.place import find_place
from modelscan.bench.report import BenchReport
from modelscan.bench.request import BenchRequest
from modelscan.bench.workload import BenchWorkload, shape
from modelscan.bench.workload_file import BUNDLED, bundled_workload, workload_file
from modelscan.core.errors import ModelscanError, RemoteError, UsageError
from modelscan.core.route import Route
from modelscan.evals.foreign import is_foreign, require_package
from modelscan.evals.options import EvalOptions
from modelscan.evals.runs import run_suite
from modelscan.evals.subject import ask, find_subject
from modelscan.evals.suites.registry import SUITES, find_suite
from modelscan.promotion.gates import GateRun, run_of_values
from modelscan.state.paths import expand
from modelscan.traces.store import ReceiptFilter, ReceiptStore

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.receipt import Receipt
    from modelscan.deploy.deployments import Deployments
    from modelscan.promotion.types import PromotionGate
    from modelscan.state.config import Config
    from modelscan.state.server.database import ServerDatabase

Say = Callable[[str], None]
_BENCH_TOKENS, _BENCH_REQUESTS = 32, 5
_MOST_RECEIPTS = 20_000


@dataclass(frozen=True, slots=True)
class BenchOutcome:
    """The short measurement of a candidate."""

    report_id: str
    requests: int
    errors: int
    tokens_per_s: float | None


def deployment_of(deployments: Deployments, name: str | None) -> Deployment | None:
    """The deployment in its present state; None for none and an unknown name."""
    if name is None:
        return None
    return next((one for one in deployments.list() if one.name == name), None)


def require_running(deployments: Deployments, name: str, timeout_s: float) -> Deployment:
    """The deployment, started where it does not run. Raises what a start raises."""
    return deployments.start(name, timeout_s=timeout_s).deployment


def ask_once(name: str, config: Config) -> str:
    """Send one small request to ROUTE; returns what answered.

    Raises RemoteError where the answer is none.
    """
    subject = find_subject(name, config)
    task = subject.deployment.task if subject.deployment else "chat"
    path, body, key = _small(task, subject.model)
    answer = ask(subject, path, body)
    if not answer.get(key):
        raise RemoteError(
            f"{name} answered {path} without '{key}'",
            hint=f"modelscan logs {name}",
            code="no_answer",
        )
    return f"{subject.engine or 'the server'} answered {path}"


def _small(task: str, model: str) -> tuple[str, Mapping[str, Any], str]:
    if task == "embedding":
        return "/v1/embeddings", {"model": model, "input": "Hello"}, "data"
    if task == "rerank":
        body = {"model": model, "query": "Hello", "documents": ["Hello"]}
        return "/v1/rerank", body, "results"
    messages = [{"role": "user", "content": "Hello"}]
    return (
        "/v1/chat/completions",
        {"model": model, "messages": messages, "max_tokens": 8},
        "choices",
    )


def short_bench(name: str, config: Config, say: Say) -> BenchOutcome:
    """A few requests, one at a time: do all of them get an answer, and how fast?"""
    place = find_place(name, None, config)
    tokens = min(_BENCH_TOKENS, max(1, (place.context_tokens or 4 * _BENCH_TOKENS) // 4))
    request = BenchRequest(name, shape(tokens, tokens), requests=_BENCH_REQUESTS, warmup=1)
    point = run_and_learn(request, config, say, store=True)
    load = point.points[0]
    return BenchOutcome(point.report_id, load.requests, load.errors.total, load.decode_tokens_per_s)


def check_gate(gate: PromotionGate) -> None:
    """Raises UsageError for a gate that is neither a suite nor a workload with checks, and
    NotDeployableError for a task of a package that is not installed.
    """
    if gate.suite in SUITES:
        return
    workload = _workload(gate)
    if workload is None and is_foreign(gate.suite):
        require_package(gate.suite)
    elif workload is None:
        find_suite(gate.suite)  # names the nearest suites
    elif not workload.is_checked:
        raise UsageError(
            f"the workload {gate.suite} checks no answer, so that it gives no score",
            hint="see examples/bench-workload.yaml: checks: [{kind: contains, text: …}]",
            code="no_checks",
        )


def _workload(gate: PromotionGate) -> BenchWorkload | None:
    if gate.suite in BUNDLED:
        return bundled_workload(gate.suite)
    path = expand(gate.suite)
    is_path = gate.suite.startswith((".", "/", "~")) or path.suffix in (".yaml", ".yml")
    return workload_file(path) if is_path or path.is_file() else None


def run_gate(gate: PromotionGate, name: str, config: Config, say: Say) -> GateRun:
    """Run a gate's tasks on a deployment."""
    workload = _workload(gate) if gate.suite not in SUITES else None
    if workload is not None:
        return _checked(workload, name, config, say)
    report = run_suite(
        gate.suite, EvalOptions(name), config,
        lambda done, total: say(f"{gate.suite} on {name}: {done} of {total} tasks"),
    )  # fmt: skip
    score = report.main_score
    if report.status != "valid" or score is None:
        return GateRun({}, 0.0, 0.0, report.eval_id, report.reason or report.status)
    lower = score.interval.lower if score.interval is not None else score.value
    return GateRun(report.values(), score.value, lower, report.eval_id)


def _checked(workload: BenchWorkload, name: str, config: Config, say: Say) -> GateRun:
    """The share of a workload's prompts whose answer passes every check."""
    count = len(workload.cases)
    request = BenchRequest(name, workload, requests=count, warmup=0)

    def say_more(text: str) -> None:
        say(f"{workload.name}: {text}")

    report = run_and_learn(request, config, say_more, store=True)
    values = _values(report)
    if len(values) < sum(bool(case.checks) for case in workload.cases):
        return GateRun({}, 0.0, 0.0, report.report_id, "some prompts got no answer")
    return run_of_values(values, report.report_id)


def _values(report: BenchReport) -> dict[str, float]:
    return {one.id: one.passed / one.answers for one in report.cases if one.answers}


def entry_of(deployments: Deployments, deployment: Deployment, name: str) -> Route:
    """The routing entry of a deployment under a name. Raises UsageError without an endpoint."""
    route = deployments.route_of(replace(deployment, route=name))
    if route is None:
        raise UsageError(f"{deployment.name} has no endpoint", hint=f"modelscan start {name}")
    return route


def set_route(deployments: Deployments, name: str, route: str | None) -> None:
    """Which entry of the routing file a deployment has, as its row says; None: none.

    The entry itself is the caller's. A deployment that is gone stays gone.
    """
    with deployments.session(name) as session:
        row = session.store.get(name)
        if row is not None and (row.route, row.routed) != (route, route is not None):
            session.save(replace(row, route=route, routed=route is not None))


def set_names(deployments: Deployments, name: str, version: str, served: str | None) -> None:
    """Which version a deployment serves, for its entry; and the name by which requests select its
    adapter (None: it stays).
    """
    with deployments.session(name) as session:
        row = session.store.get(name)
        assert row is not None
        changed = replace(row, model=version, served_model=served or row.served_model)
        if changed != row:
            session.save(changed)


def take_away(deployments: Deployments, name: str, *, keep: bool) -> str | None:
    """Remove a candidate, or only stop it (``keep``: it was there before); returns a problem."""
    try:
        with deployments.session(name) as session:
            if session.store.get(name) is None:
                return None
        if keep:
            deployments.stop(name)
        else:
            deployments.remove(name)
    except ModelscanError as error:
        return f"{name} was not stopped: {error.message}"
    return None


def receipts_since(database: ServerDatabase, route: str, since: float) -> list[Receipt]:
    """The receipts of a route's requests since a UNIX time."""
    only = ReceiptFilter(since=since, route=route)
    return ReceiptStore(database).newest(_MOST_RECEIPTS, only)
