"""What the requests of ``/v1/deployments`` contain, read strictly."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request

from modelscan.core.workload import Backend, Workload
from modelscan.gateway.control.problems import HttpProblem
from modelscan.models.fit import default_wishes
from modelscan.state.config import Config
from modelscan.targets.request import Request as DeployRequest

Body = TypeVar("Body", bound=msgspec.Struct)
_Text = Annotated[str, Meta(min_length=1, max_length=512)]
_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Tokens = Annotated[int, Meta(ge=1, le=100_000_000)]
_Slots = Annotated[int, Meta(ge=1, le=4096)]
MOST_BYTES = 64 * 1024


class ChangedDeployment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``PATCH /v1/deployments/{name}``: other options; what is left out stays."""

    quantization: _Name | None = None
    backend: Backend | None = None
    context_tokens: _Tokens | None = None
    parallel: _Slots | None = None
    kv_cache: _Name | None = None
    goal: Literal["quality", "speed", "context"] | None = None


class WishedDeployment(ChangedDeployment, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/deployments`` and ``…/plan``: a model, and what is wished of it."""

    model: _Text
    name: _Name | None = None
    gpu: _Text | None = None


def wished_workload(wish: WishedDeployment, config: Config) -> Workload:
    """The workload of a request; what it leaves out is the default."""
    return _with(default_wishes(config), wish)


def changed_request(request: DeployRequest, wish: ChangedDeployment) -> DeployRequest:
    """The request of a deployment with the options that were given; the others stay. Pure."""
    return replace(request, workload=_with(request.workload, wish))


def _with(old: Workload, wish: ChangedDeployment) -> Workload:
    keys, _, values = (wish.kv_cache or "").partition(",")
    return replace(
        old,
        quantization=wish.quantization or old.quantization,
        backend=wish.backend or old.backend,
        context_tokens=wish.context_tokens or old.context_tokens,
        parallel=wish.parallel or old.parallel,
        kv_cache_k=keys or old.kv_cache_k,
        kv_cache_v=values or keys or old.kv_cache_v,
        goal=wish.goal or old.goal,
    )


async def read_body(request: Request, kind: type[Body]) -> Body:
    """The body; raises HttpProblem for one that is not JSON of this form."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise HttpProblem(415, "not_json", "the body must be application/json")
    try:
        return msgspec.json.decode(await check_size(request), type=kind)
    except msgspec.DecodeError as error:
        raise HttpProblem(400, "invalid_body", str(error)) from None


async def check_size(request: Request) -> bytes:
    """The body; raises HttpProblem for one that is too large."""
    data = await request.body()
    if len(data) > MOST_BYTES:
        raise HttpProblem(413, "too_large", f"the body exceeds {MOST_BYTES} bytes")
    return data
