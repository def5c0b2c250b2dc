"""``/v1/registry/promotions``: the promotions of versions to routes, begun and taken back.

The documents are those of ``registry promote``. A change is answered with 202 as soon as it is
recorded; ``GET …/{id}`` shows its steps, and ``job`` what became of the last change of its route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, get_args

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelscan.bench.workload_file import BUNDLED
from modelscan.core.envelope import envelope
from modelscan.core.errors import ModelscanError
from modelscan.deploy.deployments import Deployments
from modelscan.evals.suites.registry import SUITES
from modelscan.gateway.control.deployment_jobs import DeploymentJob, DeploymentJobs
from modelscan.gateway.control.deployments_api import status_of
from modelscan.gateway.control.handler import Handler
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.registry.exchange import in_thread, json_body
from modelscan.gateway.control.registry.exchange import problem_of as refusal
from modelscan.gateway.control.registry.promotion_paths import PROMOTIONS
from modelscan.gateway.control.registry.queries import check_names, page_limit
from modelscan.promotion.gates import parse_gate
from modelscan.promotion.promote import promote, rollback
from modelscan.promotion.run import Promoter
from modelscan.promotion.store import PromotionStore
from modelscan.promotion.types import (
    CanaryOptions,
    Promotion,
    PromotionGate,
    PromotionOptions,
    PromotionShown,
    PromotionState,
    shown,
)
from modelscan.registry.refused import RegistryRefused
from modelscan.state.config import Config
from modelscan.state.server.audit import Actor, local_user
from modelscan.state.server.database import ServerDatabase

_Text = Annotated[str, Meta(min_length=1, max_length=512)]
_Seconds = Annotated[float, Meta(ge=0, le=30 * 86_400)]
_CHANGING = ("locked", "promotion_left", "route_changed")
"""Codes of refusals that time or a rollback ends: 409."""


class WishedCanary(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``share`` of the route's requests for so many seconds."""

    share: Annotated[float, Meta(gt=0, lt=1)]
    seconds: Annotated[float, Meta(gt=0, le=30 * 86_400)] = 600.0


class WishedPromotion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/registry/promotions``: ``gates`` are texts, ``coding>=0.8``."""

    version: _Text
    route: _Text
    gates: Annotated[list[_Text], Meta(max_length=16)] = []
    margin: Annotated[float, Meta(ge=0, le=1)] = 0.02
    canary: WishedCanary | None = None
    keep_previous_s: _Seconds = 0.0
    timeout_s: Annotated[float, Meta(ge=1, le=86_400)] = 600.0


@dataclass(frozen=True, slots=True)
class PromotionAnswer:
    """A promotion; ``job``: the last change of its route since the gateway's start."""

    promotion: PromotionShown
    job: DeploymentJob | None


class PromotionApi:
    """The handlers; ``actor_of``: who sends a request."""

    def __init__(
        self, config: Config, database: ServerDatabase, actor_of: Callable[[Request], Actor]
    ) -> None:
        self._config = config
        self._database = database
        self._actor_of = actor_of
        self._jobs = DeploymentJobs()

    def handlers(self) -> dict[str, Handler]:
        """By the paths of ``PROMOTION_PATHS``."""
        return {
            PROMOTIONS: self._promotions,
            f"{PROMOTIONS}/{{id}}": self._promotion,
            f"{PROMOTIONS}/{{id}}/rollback": self._rollback,
        }

    def _promoter(self, request: Request) -> Promoter:
        actor = self._actor_of(request)
        who = actor if actor.kind == "key" else local_user()
        deployments = Deployments(self._config)
        return Promoter(self._config, self._database, deployments, who, lambda _: None)

    @property
    def _store(self) -> PromotionStore:
        return PromotionStore(self._database, local_user())

    async def _promotions(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._promote(request)
        query = request.query_params
        check_names(query, ("route", "state", "limit"), ())
        limit, state = page_limit(query), _state(query.get("state"))
        rows = await in_thread(lambda: self._store.newest(limit, query.get("route"), state))
        items = [envelope("registry.promote", shown(one)) for one in rows]
        return JSONResponse({"items": items, "next_cursor": None}, headers=_NO_STORE)

    async def _promotion(self, request: Request) -> Response:
        return self._answer(await self._found(request))

    async def _promote(self, request: Request) -> Response:
        wish = await _wish(request)
        options, promoter = _options(wish), self._promoter(request)
        begun: asyncio.Future[Promotion] = asyncio.get_running_loop().create_future()
        told = _tell(begun)

        def work() -> object:
            try:
                return promote(promoter, wish.version, wish.route, options, told)
            except BaseException as error:
                told(error)
                raise

        self._jobs.begin(wish.route, "promote", work)
        promotion = await _recorded(begun)
        answer = self._answer(promotion, 202)
        answer.headers["location"] = f"{PROMOTIONS}/{promotion.id}"
        return answer

    async def _rollback(self, request: Request) -> Response:
        """Only what the route serves, or what was cut off on the way there, is taken back."""
        promotion = await self._found(request)
        rows = await in_thread(lambda: self._store.newest(200, promotion.route))
        open_ones = [one for one in rows if one.state in ("running", "promoted")]
        if not open_ones or open_ones[0].id != promotion.id:
            raise HttpProblem(
                409, "not_the_last",
                f"{promotion.id} is {promotion.state}, and not the last promotion to "
                f"{promotion.route}: it cannot be taken back",
            )  # fmt: skip
        promoter = self._promoter(request)
        self._jobs.begin(promotion.route, "rollback", lambda: rollback(promoter, promotion.route))
        return self._answer(promotion, 202)

    async def _found(self, request: Request) -> Promotion:
        name = request.path_params["id"]
        promotion = await in_thread(lambda: self._store.one(name))
        if promotion is None:
            raise HttpProblem(404, "unknown_promotion", f"there is no promotion {name}")
        return promotion

    def _answer(self, promotion: Promotion, status: int = 200) -> Response:
        body = PromotionAnswer(shown(promotion), self._jobs.get(promotion.route))
        return JSONResponse(envelope("registry.promotion", body), status, _NO_STORE)


_NO_STORE = {"cache-control": "no-store"}


def _tell(begun: asyncio.Future[Promotion]) -> Callable[[Promotion | BaseException], None]:
    """What sets the future from the thread of the promotion, the first time it is called."""
    loop = begun.get_loop()

    def settle(result: Promotion | BaseException) -> None:
        if begun.done():
            return
        if isinstance(result, BaseException):
            begun.set_exception(result)
        else:
            begun.set_result(result)

    def tell(result: Promotion | BaseException) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result)

    return tell


async def _recorded(begun: asyncio.Future[Promotion]) -> Promotion:
    """The promotion once it is recorded; what was refused before that as a problem."""
    try:
        return await begun
    except RegistryRefused as refused:
        raise refusal(refused) from None
    except ModelscanError as error:
        status = 409 if error.code in _CHANGING else status_of(error)
        text = f"{error.message} (hint: {error.hint})" if error.hint else error.message
        raise HttpProblem(status, error.code, text) from None


async def _wish(request: Request) -> WishedPromotion:
    body = await json_body(request)
    try:
        return msgspec.convert(body, WishedPromotion)
    except msgspec.ValidationError as error:
        raise HttpProblem(422, "invalid", str(error)) from None


def _options(wish: WishedPromotion) -> PromotionOptions:
    canary = wish.canary
    return PromotionOptions(
        gates=tuple(map(_gate, wish.gates)),
        margin=wish.margin,
        canary=None if canary is None else CanaryOptions(canary.share, canary.seconds),
        keep_s=wish.keep_previous_s,
        timeout_s=wish.timeout_s,
    )


def _gate(text: str) -> PromotionGate:
    """A gate by the name of a suite: files of this machine are for its command line."""
    try:
        gate = parse_gate(text)
    except ModelscanError as error:
        raise HttpProblem(422, error.code, error.message) from None
    if gate.suite not in SUITES and gate.suite not in BUNDLED:
        names = ", ".join([*SUITES, *BUNDLED])
        raise HttpProblem(422, "unknown_suite", f"'{gate.suite}' is none of {names}")
    return gate


def _state(text: str | None) -> PromotionState | None:
    for state in get_args(PromotionState):
        if state == text:
            return state  # type: ignore[no-any-return]
    if text is None:
        return None
    names = ", ".join(get_args(PromotionState))
    raise HttpProblem(400, "invalid_query", f"state is one of {names}")
