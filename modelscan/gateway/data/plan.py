"""From a request's body to its route: the model's name is looked up, never used as an address."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import msgspec

from modelscan.core.receipt import ToolDecision
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.state import GatewayState, LiveKey, LiveRoute
from modelscan.gateway.data.tools import ToolTail
from modelscan.routing.automatic import decide
from modelscan.routing.lookup import find_route
from modelscan.routing.table import Operation
from modelscan.routing.tool_policy import PreparedToolPolicy

Document = dict[str, msgspec.Raw]

_decode_document = msgspec.json.Decoder(Document).decode
_decode_name = msgspec.json.Decoder(str | None).decode
_decode_flag = msgspec.json.Decoder(bool | None).decode
_SHOWN = 80
_NEAR = 2000


class RoutePlan:
    """Where a request goes. ``document`` are the keys of a JSON body with undecoded values.

    ``requested`` is the name in the body; None: there was none, the default route serves it.
    ``recorded`` False: not a request to a model, no receipt and no fallback. ``model``: the model
    of NAME/MODEL, sent as it is written. ``reasons``: why the role auto chose the route. ``tail``:
    what is read of the answer besides its counts; None: nothing. ``guarded``: tool policies exist,
    and the body offers tools. ``decisions``: of those in ``tool_policies``; None: none applies.
    """

    __slots__ = (
        "decisions",
        "document",
        "guarded",
        "keeps_content",
        "key",
        "model",
        "operation",
        "reasons",
        "recorded",
        "requested",
        "route",
        "state",
        "stream",
        "tail",
        "tool_policies",
    )  # fmt: skip

    def __init__(self, state: GatewayState, key: LiveKey | None, operation: Operation) -> None:
        self.state = state
        self.key = key
        self.operation = operation
        self.requested: str | None = None
        self.model: str | None = None
        self.reasons: tuple[str, ...] = ()
        self.stream = False
        self.recorded = True
        self.keeps_content = self.guarded = False
        self.decisions: tuple[ToolDecision, ...] | None = None
        self.tail: type[ToolTail] | None = None
        self.document: Document | None = None
        self.route: LiveRoute
        self.tool_policies: tuple[PreparedToolPolicy, ...]

    def fallback_routes(self) -> Iterator[LiveRoute]:
        """The routes after ``route``, each once, for the same operation."""
        seen = {self.route.entry.name}
        todo = [self.route] if self.recorded else []
        while todo:
            for name in self._fallbacks(todo.pop(0)):
                following = self.state.routes.get(name)
                if following is not None and name not in seen and self._same_use(following):
                    seen.add(name)
                    todo.append(following)
                    yield following

    def _fallbacks(self, route: LiveRoute) -> tuple[str, ...]:
        default = self.state.snapshot.table.default
        if route is self.route and self.state.snapshot.table.fallback and default is not None:
            return (*route.entry.fallbacks, default)
        return route.entry.fallbacks

    def _same_use(self, route: LiveRoute) -> bool:
        mine, other = self.route.entry.operation, route.entry.operation
        return (mine is None or other is None or mine == other) and may_use(self.key, route)


def plan_body(
    state: GatewayState, key: LiveKey | None, operation: Operation, body: bytes | bytearray
) -> RoutePlan:
    """The plan of a JSON body. Raises RefusedError if it is not one or names no route."""
    plan = RoutePlan(state, key, operation)
    try:
        document = _decode_document(body)
        name = document.get("model")
        if name is not None:
            plan.requested = _decode_name(name)
        flag = document.get("stream")
        plan.stream = flag is not None and _decode_flag(flag) is True
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefusedError(
            Cause.BODY, f"the body is not a JSON object with a model ({error})"
        ) from None
    if "tools" in document:
        plan.tail = ToolTail
    plan.document = document
    if state.tool_policies:
        _guard(plan)
    _locate(plan, plan.requested)
    return plan


def plan_name(
    state: GatewayState, key: LiveKey | None, operation: Operation, name: str | None
) -> RoutePlan:
    """The plan of a request whose model is not in a JSON body."""
    plan = RoutePlan(state, key, operation)
    plan.requested = name
    _locate(plan, name)
    return plan


def relocate(plan: RoutePlan, state: GatewayState) -> None:
    """Find the route again in a newer table, for a request that waited. Raises RefusedError."""
    if plan.recorded:
        plan.state, plan.model = state, None
        _guard(plan)
        _locate(plan, plan.requested)


def _guard(plan: RoutePlan) -> None:
    """Whether tool policies have something to decide."""
    document = plan.document or {}
    offers = "tools" in document or "functions" in document
    plan.guarded = bool(plan.state.tool_policies) and offers
    if plan.guarded and plan.tail is None:
        plan.tail = ToolTail


def _locate(plan: RoutePlan, name: str | None) -> None:
    """Set the route of a name, or the default one. Raises RefusedError: 400, 403 or 404."""
    state, key = plan.state, plan.key
    if not name:
        default = key.key.default_route if key is not None else None
        name = default or state.snapshot.table.default
        if name is None:
            raise RefusedError(Cause.BODY, "the body has no model, and no default route is set")
    route = state.routes.get(name) or _of_many(plan, name)
    if route is None:
        raise RefusedError(Cause.NO_MODEL, _unknown(state, key, name))
    if not may_use(key, route):
        text = f"this key may not use the model {_short(name)}"
        raise RefusedError(Cause.MODEL_DENIED, text)
    plan.route = route
    entry = route.entry
    if entry.automatic:
        _decide(plan)
    elif entry.many_models and plan.model is None and not route.one_model:
        text = f"{entry.name} serves many models: request {entry.name}/MODEL"
        raise RefusedError(Cause.NO_MODEL, text)


def _of_many(plan: RoutePlan, name: str) -> LiveRoute | None:
    """The route of NAME/MODEL, for a server of many models."""
    found = find_route(plan.state.snapshot.table.routes, name)
    if found is None:
        return None
    plan.model = found.model
    return plan.state.routes[found.entry.name]


def _decide(plan: RoutePlan) -> None:
    """The route that the rules of the role auto choose for this body."""
    rules = plan.state.snapshot.table.rules
    rule = decide(rules, plan.document or {})
    if rule is None:
        raise RefusedError(Cause.NO_MODEL, "the role auto has no route: set a default_provider")
    plan.route = plan.state.automatic[id(rule)]
    plan.reasons = (rule.reason,)


def may_use(key: LiveKey | None, route: LiveRoute) -> bool:
    """Whether a key's list of models has a route."""
    return key is None or key.models is None or route.entry.name in key.models


def _unknown(state: GatewayState, key: LiveKey | None, name: str) -> str:
    """The message of a 404: the names nearest to the unknown one, of those the key may use."""
    allowed = [known for known, route in state.routes.items() if may_use(key, route)][:_NEAR]
    near = difflib.get_close_matches(name[:_SHOWN], allowed, n=3, cutoff=0.5)
    text = f"the model {_short(name)} is not routed here"
    if near:
        return f"{text}; near names: {', '.join(near)}"
    return f"{text}; GET /v1/models lists the names"


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
