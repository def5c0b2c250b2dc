"""Tasks of other installed packages by name: ``inspect_evals/gsm8k``."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.evals.items import EvalSuite
from modelscan.evals.job import EvalJob, Generation
from modelscan.evals.options import EvalOptions, read_policy
from modelscan.evals.process import require_inspect, run_job
from modelscan.evals.receipts import answered_by, gateway_policy, receipts_of, with_entries
from modelscan.evals.report import EvalReport, SuiteShown
from modelscan.evals.run_receipt import receipt_of, with_receipts
from modelscan.evals.runs import extra_body, report_of_rows
from modelscan.evals.scoring import pass_rate
from modelscan.evals.storage import evals_dir, new_id, store
from modelscan.evals.subject import find_subject, host_load
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.secrets import redact

_GROUP = "inspect_ai"  # of the entry points that register tasks


def is_foreign(name: str) -> bool:
    """Whether a name is PACKAGE/TASK of another package."""
    return "/" in name and not name.startswith("modelscan/")


def require_package(name: str) -> str:
    """The distribution that has the task's package. Raises NotDeployableError (exit 3)."""
    package = name.partition("/")[0]
    for point in importlib.metadata.entry_points(group=_GROUP):
        if point.name == package or point.value.partition(".")[0] == package:
            return point.dist.name if point.dist else package
    raise NotDeployableError(
        f"the package {package} is not installed, so there is no task {name}",
        hint=f"pip install {package.replace('_', '-')}",
        code="missing_package",
    )


def run_foreign(
    name: str, options: EvalOptions, config: Config, progress: Callable[[int, int], None]
) -> EvalReport:
    """Run a task that inspect finds by its name; its own scorer grades it.

    It may connect to the route's endpoint only: data sets must be in the cache of Hugging Face.
    Raises NotDeployableError where inspect or the package is missing.
    """
    require_inspect()
    distribution = require_package(name)
    policy = read_policy(options.tool_policy)
    subject = find_subject(options.route, config, options.api_key, through_gateway=True)
    parts = urlsplit(subject.endpoint)
    job = EvalJob(
        task=name,
        base_url=f"{subject.endpoint}/v1",
        model=subject.model,
        hosts=((parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)),),
        seed=options.seed,
        limit=options.limit,
        epochs=options.epochs,
        connections=options.concurrency or subject.parallel or 1,
        generation=Generation(
            options.temperature, options.seed, options.max_tokens, extra_body(subject, options)
        ),
        socket_path=subject.socket_path,
        tls=subject.tls,
    )
    started, load, eval_id = now_text(), host_load(), new_id()
    result = run_job(
        job, evals_dir(config.paths) / eval_id, key=subject.api_key,
        report=lambda count: progress(count, 0),
    )  # fmt: skip
    if not result.rows and result.outcome.status == "failed":
        raise ModelscanError(
            f"{name} did not run: {redact(result.outcome.reason or 'no reason is known')}",
            hint=f"inspect list tasks   (of {distribution})",
            code="task_failed",
        )
    version = result.outcome.task_version or "0"
    identity = f"{distribution}/{importlib.metadata.version(distribution)}/{name}/{version}"
    digest = hashlib.sha256(f"{identity}/{sorted(row.id for row in result.rows)}".encode())
    # The package's own prompt is not known before it runs: its name and version identify it.
    suite = EvalSuite(name, version, identity, options.max_tokens or 0, ())
    stored = receipts_of(result.rows, subject, config)
    answered = with_entries(subject, answered_by(stored), config)
    if policy.spec is None:
        policy = replace(policy, policy=gateway_policy(stored, config) or policy.policy)
    receipt = receipt_of(suite, answered, options, None, policy, result, started)
    report = report_of_rows(
        eval_id, SuiteShown(name, version, digest.hexdigest(), len({r.id for r in result.rows})),
        replace(receipt, host_load=load), result, result.outcome.samples,
        pass_rate(result.rows),
    )  # fmt: skip
    report = with_receipts(report, result.rows, subject, stored, config)
    store(config.paths, report)
    return report
