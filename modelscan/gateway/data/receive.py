"""From a head to an exchange: the caller's key, the operation, the body, the start of the work."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

from modelscan.core.request_id import HEADER, accepted, trace_id_of
from modelscan.gateway.data import admission
from modelscan.gateway.data.content import ContentTail, keeps
from modelscan.gateway.data.control import control_outgoing, control_plan
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.exchange import Exchange
from modelscan.gateway.data.form import FormError, FormScanner
from modelscan.gateway.data.head import Header, preflight, read_head
from modelscan.gateway.data.limits import MAX_CONTROL_BODY, SMALL_BODY
from modelscan.gateway.data.outgoing import JsonOutgoing, Outgoing, UploadOutgoing
from modelscan.gateway.data.parts import ClientSide
from modelscan.gateway.data.paths import OPERATIONS, is_safe, operation_of
from modelscan.gateway.data.plan import RoutePlan, plan_body, plan_name
from modelscan.gateway.data.request import CHUNKED, ClientRequest
from modelscan.gateway.data.translated import TRANSLATED_PATHS, translated_outgoing
from modelscan.gateway.data.upload import Upload

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def admit(
    client: ClientSide, request: ClientRequest, headers: Sequence[Header], version: str
) -> None:
    """Check a head before any of its body is accepted. Raises RefusedError."""
    state = client.worker.state
    known = dict(headers)
    length = known.pop(b"content-length", None)
    given = known.pop(HEADER, None)
    facts = client.facts
    whole = len(known) + (length is not None) + (given is not None) == len(headers)
    if facts is None or not whole or not facts.repeats(known, version, state):
        client.facts = facts = read_head(headers, known, version, state)
    request.facts = facts
    if given is not None and accepted(given):
        request.request_id, request.trace_id = given, trace_id_of(given.decode())
    _read_target(request)
    request.length = CHUNKED if facts.chunked else int(length or b"0")
    _check_caller(client, request)
    if request.length > _limit(request):
        raise _too_large(_limit(request))
    if facts.boundary is not None or request.operation is None:
        _prepare_upload(client, request)
    request.continue_due = facts.expects and request.length != 0
    if client.active is None and not client.queue:
        send_continue(client, request)
        if request.upload is not None and request.scanner is None:
            begin(client, request)


def admit_again(client: ClientSide, request: ClientRequest) -> None:
    """Check a request with the head of an accepted one: what depends on the time. Raises
    RefusedError."""
    client.facts = request.facts
    _check_caller(client, request)


def send_continue(client: ClientSide, request: ClientRequest) -> None:
    """The client waits with its body until it is invited."""
    if request.continue_due:
        request.continue_due = False
        client.write(_CONTINUE)


def _read_target(request: ClientRequest) -> None:
    target = request.target
    path, mark, _ = target.partition(b"?")
    request.path = path
    if request.method == b"POST" and not mark:
        request.operation = OPERATIONS.get(path)
        if request.operation is not None:
            return
    if not is_safe(target):
        text = "the target is not a plain path: no dot segments, control characters or host"
        raise RefusedError(Cause.MALFORMED, text)
    request.operation = operation_of(request.method, path)


def _check_caller(client: ClientSide, request: ClientRequest) -> None:
    """A wrong key is refused everywhere. Without one, only the control application is reached,
    which knows what it shows to whom, and without a body."""
    facts, worker = request.facts, client.worker
    if facts.state.open:
        return
    key = facts.key
    if key is not None:
        admission.check_key(key, worker.wall)
        if request.operation is not None:
            admission.check_inference(worker.counters, key, request.operation, worker.wall)
    elif facts.problem is not None:
        needless = request.operation is None and facts.problem.cause is Cause.NO_KEY
        if not needless or request.length:
            raise facts.problem


def _prepare_upload(client: ClientSide, request: ClientRequest) -> None:
    if not request.length:
        return
    request.upload = Upload(client)
    if request.operation is not None and request.facts.boundary is not None:
        request.scanner = FormScanner(request.facts.boundary)


def receive_body(client: ClientSide, request: ClientRequest, data: bytes) -> None:
    """Bytes of a body. Raises RefusedError where they are too many."""
    upload = request.upload
    if upload is None:
        request.add(data)
        if request.length > SMALL_BODY or request.length == CHUNKED:
            client.hold(len(data))
    else:
        request.received += len(data)
        before = upload.in_memory
        upload.feed(data)
        client.hold(upload.in_memory - before)
        _scan(client, request, data)
        if client.closing:
            return
    if request.received > _limit(request):
        raise _too_large(_limit(request))
    if client.active is not None and client.active.request is request:
        client.active.progress()


def _scan(client: ClientSide, request: ClientRequest, data: bytes) -> None:
    scanner = request.scanner
    if scanner is None or scanner.finished:
        return
    try:
        scanner.feed(data)
    except FormError as error:
        raise RefusedError(Cause.BODY, str(error)) from None
    if scanner.model is not None and client.active is None and not client.queue:
        begin(client, request)


def receive_end(client: ClientSide, request: ClientRequest) -> None:
    """A streamed body is complete; work on it may have begun already."""
    if request.upload is not None:
        request.upload.finish()
    if client.active is not None and client.active.request is request:
        return
    if client.active is not None or client.queue:
        client.queue.append(request)
    elif request.upload is not None and not request.upload.closed:
        begin(client, request)


def begin(client: ClientSide, request: ClientRequest) -> None:
    """Start work on a request whose turn it is."""
    worker = client.worker
    if request.operation is not None and not request.trace_id:
        request.trace_id = worker.trace_id()
        request.request_id = request.trace_id.encode()
    ready = _ready_answer(client, request) if request.operation is None else None
    if ready is not None:
        client.write(ready)
        client.request_done(request, drain=client.request is request)
        return
    try:
        plan, outgoing = _planned(client, request)
        if plan.key is not None and plan.recorded:
            admission.enter(worker.counters, plan.key)
    except RefusedError as refusal:
        if request.upload is not None:
            request.upload.close()
        worker.refused(client, request, refusal)
        client.answer_refusal(request, refusal, drain=client.request is request)
        return
    content = worker.state.snapshot.content
    if content is not None and plan.recorded and keeps(content, plan):
        plan.keeps_content, plan.tail = True, ContentTail
    exchange = Exchange(client, request, plan, outgoing)
    client.active = exchange
    worker.exchange_begins(exchange)
    exchange.choose()


def _ready_answer(client: ClientSide, request: ClientRequest) -> bytes | None:
    """The answer of a request that needs no other process."""
    worker, facts = client.worker, request.facts
    known = worker.reusable.find(request, facts.key, worker.now) if not request.length else None
    return known or preflight(facts, request.method)


def _planned(client: ClientSide, request: ClientRequest) -> tuple[RoutePlan, Outgoing]:
    facts = request.facts
    # A request that waited in a pipeline is planned with the newest table.
    state, operation = client.worker.state, request.operation
    key = facts.key if facts.state is state else client.worker.same_key(facts)
    if operation is None:
        return control_plan(client.worker, key), control_outgoing(request, key, client.address)
    if request.upload is not None:
        scanner = request.scanner
        name = scanner.model if scanner is not None else None
        at = (scanner.start, scanner.end) if scanner is not None and scanner.model else None
        plan = plan_name(state, key, operation, name)
        return plan, UploadOutgoing(request.upload, request.length, at)
    if request.received:
        plan = plan_body(state, key, operation, request.body)
        if request.path in TRANSLATED_PATHS:
            return plan, translated_outgoing(request, plan)
        return plan, JsonOutgoing(request.body)
    if operation != "other":
        raise RefusedError(Cause.BODY, "the body is empty")
    return plan_name(state, key, operation, _queried_model(request.target)), Outgoing()


def _queried_model(target: bytes) -> str | None:
    query = target.partition(b"?")[2].decode("latin-1")
    return parse_qs(query, max_num_fields=100).get("model", [None])[0] if query else None


def _limit(request: ClientRequest) -> int:
    """Bytes of a body: less for the control application, which holds it in memory."""
    most = request.facts.state.limits.max_body_bytes
    return most if request.operation is not None else min(most, MAX_CONTROL_BODY)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(Cause.TOO_LARGE, f"the body exceeds {limit} bytes")
