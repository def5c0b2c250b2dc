"""``/v1/deployments``: this machine's deployments, read with scope read, changed with operator.

The documents are those of ``list``, ``show`` and ``plan``. A change is answered with 202 and its
job; ``GET /v1/deployments/{name}/job`` has what became of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelscan.core.deployment_name import derive_name
from modelscan.core.envelope import envelope
from modelscan.core.errors import (
    AuthError,
    ModelscanError,
    NotDeployableError,
    RemoteError,
    UsageError,
)
from modelscan.deploy.change import request_of
from modelscan.deploy.deployments import Deployments
from modelscan.deploy.planning import Question, plan_model
from modelscan.deploy.rows import deployment_list
from modelscan.deploy.shown import deployment_shown
from modelscan.gateway.control.deployment_bodies import (
    ChangedDeployment,
    WishedDeployment,
    changed_request,
    check_size,
    read_body,
    wished_workload,
)
from modelscan.gateway.control.deployment_jobs import Action, DeploymentJob, DeploymentJobs
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.threads import in_thread
from modelscan.models.plan_answer import plan_answer
from modelscan.state.config import Config
from modelscan.state.server.audit import Actor, local_user, record_audit
from modelscan.state.server.database import ServerDatabase
from modelscan.targets.events import Event, event_name
from modelscan.targets.request import Request as DeployRequest

T = TypeVar("T")
_WISHES = ("unknown_gpu", "unknown_task", "unknown_format", "unknown_backend", "unknown_source")
"""Codes of what is wrong in a request that names something which exists."""


@dataclass(frozen=True, slots=True)
class JobShown:
    """A change of a deployment; None: there was none since the gateway's start."""

    job: DeploymentJob | None


class DeploymentsApi:
    """The handlers; ``key_of``: the name of the key that a request was sent with."""

    def __init__(
        self, config: Config, database: ServerDatabase, key_of: Callable[[Request], str | None]
    ) -> None:
        self._config = config
        self._database = database
        self._key_of = key_of
        self.jobs = DeploymentJobs()

    def handlers(self) -> dict[str, Handler]:
        """By the paths of ``scopes.PATHS``."""
        change = "/v1/deployments/{name}/"
        return {
            "/v1/deployments": self._all,
            "/v1/deployments/plan": self._plan,
            "/v1/deployments/{name}": self._one,
            f"{change}job": self._job,
            f"{change}start": partial(self._change, "start"),
            f"{change}stop": partial(self._change, "stop"),
            f"{change}restart": partial(self._change, "restart"),
            f"{change}upgrade": partial(self._change, "upgrade"),
        }

    async def _all(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._deploy(request)
        warnings: list[str] = []
        rows = await _in_thread(lambda: self._service.list(warnings.append))
        return _document("list", deployment_list(rows), warnings)

    async def _one(self, request: Request) -> Response:
        name = request.path_params["name"]
        if request.method == "DELETE":
            return await self._change("remove", request)
        if request.method == "PATCH":
            return await self._set(name, request)
        warnings: list[str] = []
        shown = await _in_thread(lambda: deployment_shown(name, self._config, warnings.append))
        return _document("show", shown, warnings)

    async def _job(self, request: Request) -> Response:
        name = request.path_params["name"]
        return _document("deployment.job", JobShown(self.jobs.get(name)))

    async def _plan(self, request: Request) -> Response:
        wish = await read_body(request, WishedDeployment)
        question = Question(wish.model, wished_workload(wish, self._config), wish.gpu)
        planned = await _in_thread(lambda: plan_model(question, self._config))
        body = plan_answer(planned.decision, planned.command)
        return _document("plan", body, planned.warnings)

    async def _deploy(self, request: Request) -> Response:
        """What cannot be deployed is refused at once; the rest is a job."""
        wish = await read_body(request, WishedDeployment)
        deploy = DeployRequest(
            wish.model, wished_workload(wish, self._config), name=wish.name, gpu=wish.gpu,
            timeout_s=self._config.start_timeout_s,
        )  # fmt: skip
        preview = await _in_thread(lambda: self._service.preview(deploy))
        deploy = replace(deploy, name=preview.name or derive_name(wish.model))
        return await self._begin(
            request, preview.name, "deploy", lambda told: self._service.deploy(deploy, told)
        )

    async def _change(self, action: Action, request: Request) -> Response:
        name = request.path_params["name"]
        await check_size(request)
        await _in_thread(lambda: self._service.recorded(name))
        service = self._service
        work: Mapping[str, Callable[[Callable[[Event], None]], object]] = {
            "start": lambda told: service.start(name, events=told),
            "stop": lambda told: service.stop(name, events=told),
            "restart": lambda told: service.restart(name, events=told),
            "remove": lambda told: service.remove(name, events=told),
            "upgrade": lambda told: service.upgrade(name, events=told),
        }
        return await self._begin(request, name, action, work[action])

    async def _set(self, name: str, request: Request) -> Response:
        """Other options: planned, restarted and verified as a job, taken back where that fails."""
        wish = await read_body(request, ChangedDeployment)
        before = await _in_thread(lambda: request_of(self._service.recorded(name)))
        if changed_request(before, wish) == before:
            raise HttpProblem(400, "no_change", f"{name} has these options already")
        return await self._begin(
            request, name, "set",
            lambda told: self._service.change(name, lambda old: changed_request(old, wish), told),
        )  # fmt: skip

    async def _begin(
        self,
        request: Request,
        name: str,
        action: Action,
        work: Callable[[Callable[[Event], None]], object],
    ) -> Response:
        def told(event: Event) -> None:
            self.jobs.step(name, event_name(event))

        job = self.jobs.begin(name, action, lambda: work(told))
        await _in_thread(lambda: self._record(request, name, action))
        answer = _document("deployment.job", JobShown(job), status=202)
        answer.headers["location"] = f"/v1/deployments/{name}/job"
        return answer

    def _record(self, request: Request, name: str, action: Action) -> None:
        key = self._key_of(request)
        who = Actor("key", key) if key else local_user()
        with self._database.writing() as connection:
            record_audit(connection, who, f"deployment.{action}", name)

    @property
    def _service(self) -> Deployments:
        return Deployments(self._config)


async def _in_thread(work: Callable[[], T]) -> T:
    """The result; an error of modelscan as an HTTP problem with its hint."""
    try:
        return await in_thread(work)
    except ModelscanError as error:
        raise problem_of(error) from error


def problem_of(error: ModelscanError) -> HttpProblem:
    """The HTTP problem of an error of modelscan."""
    text = f"{error.message} (hint: {error.hint})" if error.hint else error.message
    return HttpProblem(status_of(error), error.code, text)


def status_of(error: ModelscanError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, UsageError):
        return 404 if error.code.startswith("unknown") and error.code not in _WISHES else 400
    kinds: tuple[tuple[type[ModelscanError], int], ...] = (
        (NotDeployableError, 409), (AuthError, 502), (RemoteError, 502),
    )  # fmt: skip
    return next((status for kind, status in kinds if isinstance(error, kind)), 503)


def _document(name: str, body: object, warnings: object = (), status: int = 200) -> Response:
    rows = list(warnings) if isinstance(warnings, (list, tuple)) else []
    headers = {"cache-control": "no-store"}
    return JSONResponse(envelope(name, body, rows), status, headers)
