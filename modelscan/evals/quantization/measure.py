"""``eval quant``: two weight formats of one model on this machine, token by token and in suites.

Formats that no deployment serves are deployed one after the other and removed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelscan.core.envelope import envelope
from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.plan import QualityMeasurement, ResolvedModel
from modelscan.core.workload import Workload
from modelscan.deploy.deployments import Deployments
from modelscan.deploy.session import Shield
from modelscan.engines import llamacpp
from modelscan.evals.compare import EvalComparison, compare
from modelscan.evals.options import EvalOptions
from modelscan.evals.quantization.agreement import TokenAgreement, agreement, prefixes
from modelscan.evals.quantization.distributions import NextTokens, parse_next_tokens
from modelscan.evals.quantization.perplexity import run_perplexity
from modelscan.evals.report import EvalReport
from modelscan.evals.runs import run_suite
from modelscan.evals.storage import evals_dir, new_id
from modelscan.evals.subject import EvalSubject, ask, find_subject
from modelscan.models.measured_quality import record_measurement
from modelscan.models.resolve import load_subject
from modelscan.net.errors import HttpError
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.files import write_atomic
from modelscan.targets.request import Request

TEXT = Path(__file__).parent / "text.txt"
_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class QuantOptions:
    """``positions`` of the text, ``top_k`` probabilities each; ``suites`` besides."""

    positions: int = 256
    top_k: int = 20
    suites: tuple[str, ...] = ()
    limit: int | None = None
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class QuantSide:
    """One of the two formats: what was measured."""

    given: str
    quantization: str | None
    engine: str | None
    sha256: str | None
    memory_bytes: int | None
    perplexity: float | None  # by llama-perplexity, where that is installed
    deployed: bool  # for this measurement, and removed again


@dataclass(frozen=True, slots=True)
class QuantMeasured:
    """``b`` compared with ``a``; ``recorded``: plans for the model use the measurement."""

    eval_id: str
    model: str
    a: QuantSide
    b: QuantSide
    tokens: TokenAgreement
    suites: tuple[EvalComparison, ...]
    measurement: QualityMeasurement | None
    recorded: bool
    text_sha256: str
    measured_at: str


@dataclass(frozen=True, slots=True)
class MeasuredSide:
    """What one format answered."""

    side: QuantSide
    next_tokens: tuple[NextTokens | None, ...]
    reports: tuple[EvalReport, ...]


def measure(
    model: str,
    a: str,
    b: str,
    options: QuantOptions,
    config: Config,
    *,
    progress: Callable[[str], None],
    shield: Shield = contextlib.nullcontext,
) -> QuantMeasured:
    """Measure both formats and store the result.

    A and B are routes, deployments, .gguf files or formats of MODEL. Raises UsageError for an
    unknown one, NotDeployableError where it does not fit, RemoteError where an engine fails or
    reports no probabilities.
    """
    resolved = load_subject(model, config, Workload())
    text = TEXT.read_text(encoding="utf-8")
    texts = prefixes(text, options.positions)
    eval_id = new_id()
    requests = {one: _request(model, one, eval_id, options, config) for one in (a, b)}
    sides = []
    for given in (a, b):
        with _served(given, requests[given], config, progress, shield) as served:
            subject, deployed = served
            sides.append(_measure(subject, given, deployed, texts, options, config, progress))
    tokens = agreement(sides[0].next_tokens, sides[1].next_tokens, options.top_k)
    digest = hashlib.sha256(text.encode()).hexdigest()
    measured = QuantMeasured(
        eval_id=eval_id,
        model=resolved.id,
        a=sides[0].side,
        b=sides[1].side,
        tokens=tokens,
        suites=tuple(map(compare, sides[0].reports, sides[1].reports)),
        measurement=None,
        recorded=False,
        text_sha256=digest,
        measured_at=now_text(),
    )
    return _stored(_recorded(measured, resolved, config), config)


def _recorded(measured: QuantMeasured, model: ResolvedModel, config: Config) -> QuantMeasured:
    """With the measurement that plans use, where both formats are known and differ."""
    a, b, tokens = measured.a, measured.b, measured.tokens
    if a.quantization is None or b.quantization is None or a.quantization == b.quantization:
        return measured
    measurement = QualityMeasurement(
        models=tuple(dict.fromkeys((model.id, model.name))),
        reference=a.quantization,
        quantization=b.quantization,
        kl_divergence=tokens.kl,
        kl_lower=tokens.kl_interval.lower,
        kl_upper=tokens.kl_interval.upper,
        agreement=tokens.agreement,
        positions=tokens.positions,
        parameters=next((c.variant.parameters for c in model.candidates), None),
        text_sha256=measured.text_sha256,
        backend=b.engine,
        measured_at=measured.measured_at,
        eval_id=measured.eval_id,
    )
    record_measurement(config.paths, measurement)
    return replace(measured, measurement=measurement, recorded=True)


def _stored(measured: QuantMeasured, config: Config) -> QuantMeasured:
    path = evals_dir(config.paths) / measured.eval_id / "quant.json"
    write_atomic(path, json.dumps(envelope("eval.quant", measured), indent=1))
    return measured


@contextlib.contextmanager
def _served(
    given: str,
    request: Request | None,
    config: Config,
    progress: Callable[[str], None],
    shield: Shield,
) -> Iterator[tuple[EvalSubject, bool]]:
    """The subject; with a request it is deployed for the time of the block."""
    if request is None:
        yield find_subject(given, config), False
        return
    deployments = Deployments(config, shield=shield)
    progress(f"deploying {given}")
    try:
        deployments.deploy(request)
        assert request.name is not None
        yield find_subject(request.name, config), True
    finally:
        with shield():
            _remove(deployments, request.name or "")


def _remove(deployments: Deployments, name: str) -> None:
    if name in {one.name for one in deployments.list()}:
        deployments.remove(name, drain_s=0.0)


def _is_route(given: str, config: Config) -> bool:
    from modelscan.routing.file import load

    if given in {one.name for one in Deployments(config).list()}:
        return True
    return load(config.routing_file).route(given) is not None


def _request(
    model: str, given: str, eval_id: str, options: QuantOptions, config: Config
) -> Request | None:
    """How to deploy A or B; None for a route, a deployment and URL#MODEL.

    Raises UsageError where it is none of them.
    """
    if "://" in given or _is_route(given, config):
        return None
    name = f"quant-{eval_id.removeprefix('e-')[:8]}"
    wishes = Workload(backend=llamacpp.NAME, context_tokens=_CONTEXT, parallel=1)
    if given.lower().endswith(".gguf"):
        chosen, wishes = given, replace(wishes, backend=None)
    else:
        _check_format(given)
        chosen, wishes = model, replace(wishes, quantization=given)
    return Request(chosen, wishes, name=name, route=False, timeout_s=options.timeout_s)


def _check_format(given: str) -> None:
    from modelscan.formats.quantization import bits_per_weight, canonical

    if bits_per_weight(canonical(given)) is None:
        raise UsageError(
            f"'{given}' is no deployment, route, .gguf file or weight format",
            hint="modelscan eval quant MODEL Q8_0 Q4_K_M",
        )


def _measure(
    subject: EvalSubject,
    given: str,
    deployed: bool,
    texts: Sequence[str],
    options: QuantOptions,
    config: Config,
    progress: Callable[[str], None],
) -> MeasuredSide:
    next_tokens = []
    for number, text in enumerate(texts, 1):
        next_tokens.append(ask_next_tokens(subject, text, options.top_k))
        progress(f"{given}: {number} of {len(texts)} positions")
    name = subject.deployment.name if subject.deployment else subject.route
    chosen = EvalOptions(name, limit=options.limit)
    reports = tuple(
        run_suite(suite, chosen, config, _progress_of(f"{given}: {suite}", progress))
        for suite in options.suites
    )
    plan = subject.deployment.plan if subject.deployment else None
    side = QuantSide(
        given=given,
        quantization=subject.quantization,
        engine=subject.engine,
        sha256=subject.sha256,
        memory_bytes=subject.memory_bytes,
        perplexity=run_perplexity(plan.files, TEXT) if plan else None,
        deployed=deployed,
    )
    return MeasuredSide(side, tuple(next_tokens), reports)


def _progress_of(what: str, progress: Callable[[str], None]) -> Callable[[int, int], None]:
    return lambda done, total: progress(f"{what} {done} of {total}")


def ask_next_tokens(subject: EvalSubject, text: str, top_k: int) -> NextTokens | None:
    """The ``top_k`` most probable tokens after a text, which the server reads as it is.

    Prefixes grow, so llama.cpp reads only what is new of each. ``ignore_eos``: an end of the text
    would be an answer without a token; the probabilities are those before this rule.
    """
    body: dict[str, Any] = {
        "model": subject.model, "prompt": text, "max_tokens": 1, "temperature": 0,
        "logprobs": top_k, "seed": 7,
    }  # fmt: skip
    if subject.local:
        body["ignore_eos"] = True
    try:
        return parse_next_tokens(ask(subject, "/v1/completions", body))
    except HttpError as error:
        raise (_too_long(subject) if b"exceed_context" in error.body else error) from error


def _too_long(subject: EvalSubject) -> NotDeployableError:
    """The text is longer than what the server reads of one request."""
    served = subject.context_tokens
    serves = f"{served:,} tokens" if served else "fewer tokens"
    name = subject.deployment.name if subject.deployment else "NAME"
    return NotDeployableError(
        f"the text is longer than a request to '{subject.route}' may be: it serves {serves}",
        hint=f"modelscan set {name} --context {_CONTEXT // 1024}k",
        code="context_too_small",
    )
