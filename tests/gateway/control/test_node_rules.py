"""Which messages of nodes are accepted: keys, runs, repeats, foreign services, addresses, silence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from support.node_messages import registration, run, service

from modelscan.core.node import HostWord, MessageExtra, RegisteredService, Registration
from modelscan.core.reach import Reach
from modelscan.gateway.control.nodes.endpoints import EndpointRules, check_endpoints
from modelscan.gateway.control.nodes.rules import (
    MAX_HOSTS_OF_KEY,
    NodeCaller,
    NodeRefused,
    after_heartbeat,
    check_departure,
    check_message,
    decide_registration,
    learned_interval,
    skew_s,
    state_of,
)
from modelscan.state.server.nodes import Claims, HostRow

NOW = 1_000.0
MINE, OTHER = NodeCaller("gpu1-key", "10.0.0.5", False), NodeCaller("gpu2-key", "10.0.0.6", False)
FAR = "http://10.0.0.5:8000"


def message(*services: dict[str, Any], **extra: Any) -> Registration:
    body = registration("gpu1", *services, **({"modelscan": extra} if extra else {}))
    return msgspec.convert(body, Registration)


def row(**values: Any) -> HostRow:
    known = HostRow(
        host_id="gpu1", key="gpu1-key", instance=None, retired=(), sequence=None, node_clock=None,
        registered_at=NOW, last_seen=NOW, interval_s=10.0, drained=False, left_at=None,
        local=False, body=b"",
    )  # fmt: skip
    return replace(known, **values)


def decided(
    before: HostRow | None, new: Registration, caller: NodeCaller = MINE, *, alive: bool = True,
    owners: dict[str, HostRow] | None = None, hosts_of_key: int = 0,
) -> HostRow:  # fmt: skip
    claims = Claims(before, owners or {}, hosts_of_key)
    return decide_registration(claims, new, caller, NOW + 5, lambda _: alive)


def refused(code: str, *args: Any, **kwargs: Any) -> NodeRefused:
    with pytest.raises(NodeRefused) as error:
        decided(*args, **kwargs)
    assert error.value.code == code
    return error.value


def test_a_new_host_is_of_its_key_and_a_registration_replaces_an_earlier_one() -> None:
    first = decided(None, message(**run("a", 1, 2.0)))
    assert (first.key, first.instance, first.sequence, first.interval_s) == (
        "gpu1-key",
        "a",
        1,
        2.0,
    )
    again = decided(replace(first, drained=True), message(**run("a", 2)))
    assert (again.sequence, again.drained, again.retired) == (2, True, ())
    geniehive = decided(None, message())
    assert (geniehive.instance, geniehive.interval_s) == (None, 10.0)
    assert decided(geniehive, message()).last_seen == NOW + 5


def test_a_live_id_is_refused_to_another_key_and_another_run() -> None:
    known = row(instance="a", sequence=7)
    taken = refused("host_taken", known, message(**run("b", 1)))
    assert (taken.status, taken.audited, taken.retry_s) == (409, True, 14.25)
    assert refused("host_taken", known, message(**run("a", 8)), OTHER).audited
    refused("host_taken", known, message())  # a node without a run is another program
    refused("host_taken", row(), message(), OTHER)
    for caller in (MINE, OTHER):
        new = decided(known, message(**run("b", 1)), caller, alive=False)
        assert (new.instance, new.retired, new.key) == ("b", ("a",), caller.key)


def test_repeated_messages_are_refused() -> None:
    known = row(instance="b", sequence=7, retired=("a",))
    for extra in (run("b", 7), run("b", 6), {"instance": "b"}, run("a", 99)):
        assert refused("replayed", known, message(**extra)).status == 409
        assert refused("replayed", known, message(**extra), alive=False).audited
    for extra, code in (
        (run("b", 7), "replayed"),
        (run("c", 9), "other_instance"),
        ({}, "other_instance"),
    ):
        with pytest.raises(NodeRefused) as error:
            check_message(known, msgspec.convert(extra, MessageExtra), MINE)
        assert (error.value.code, error.value.status) == (code, 409)
    check_message(known, msgspec.convert(run("b", 8), MessageExtra), MINE)


def test_a_heartbeat_of_another_key_is_refused_and_one_after_a_departure_registers() -> None:
    with pytest.raises(NodeRefused) as error:
        check_message(row(), MessageExtra(), OTHER)
    assert (error.value.status, error.value.code, error.value.audited) == (403, "other_key", True)
    with pytest.raises(NodeRefused) as error:
        check_message(row(left_at=NOW), MessageExtra(), MINE)
    assert (error.value.status, error.value.code) == (404, "host_unknown")
    check_departure(row(instance="a", sequence=3), MessageExtra(), MINE)  # by a command
    for extra, caller in ((MessageExtra(), OTHER), (MessageExtra(instance="a", sequence=3), MINE)):
        with pytest.raises(NodeRefused):
            check_departure(row(instance="a", sequence=3), extra, caller)


def test_an_older_heartbeat_of_a_node_without_numbers_is_no_sign_of_life() -> None:
    known = row(node_clock=500.0)
    for clock in (500.0, 501.0, None):
        new = after_heartbeat(known, MessageExtra(), HostWord(last_seen=clock), NOW + 9, ())
        assert (new.last_seen, new.node_clock) == (NOW + 9, clock)
    with pytest.raises(NodeRefused) as error:
        after_heartbeat(known, MessageExtra(), HostWord(last_seen=499.0), NOW + 9, ())
    assert error.value.status == 404
    numbered = row(node_clock=500.0, instance="a", sequence=1)
    extra = MessageExtra(instance="a", sequence=2, sent_at=100.0)  # its clock was set back
    assert after_heartbeat(numbered, extra, HostWord(), NOW, ()).node_clock == 100.0


def test_services_belong_to_the_host_that_reports_them() -> None:
    foreign = message(service("x", FAR))
    foreign.services[0].host_id = "gpu2"
    assert refused("foreign_service", None, foreign).status == 403
    other = row(host_id="gpu2", key="gpu2-key")
    taken = refused("service_taken", None, message(service("x", FAR)), owners={"x": other})
    assert taken.status == 409 and "gpu2" in taken.detail and taken.audited
    decided(None, message(service("x", FAR)), owners={"x": other}, alive=False)
    twice = refused("invalid_message", None, message(service("x", FAR), service("x", FAR)))
    assert "$.services[1]" in twice.detail
    assets = message(service("x", FAR))
    assets.services[0].assets *= 2
    refused("invalid_message", None, assets)
    refused("too_many_hosts", None, message(), hosts_of_key=MAX_HOSTS_OF_KEY)
    decided(row(), message(), hosts_of_key=MAX_HOSTS_OF_KEY)


@pytest.mark.parametrize(
    ("silent_s", "values", "word", "state"),
    [
        (0.0, {}, "online", "ready"),
        (19.2, {}, "online", "ready"),
        (19.3, {}, "online", "stale"),
        (1.89, {"interval_s": 1.0}, "online", "ready"),
        (1.91, {"interval_s": 1.0}, "online", "stale"),
        (0.0, {"drained": True}, "online", "draining"),
        (0.0, {}, "draining", "draining"),
        (0.0, {}, "Offline", "draining"),
        (30.0, {"drained": True}, "online", "stale"),
        (0.0, {"left_at": NOW}, "online", "left"),
    ],
)
def test_the_state_of_a_host(
    silent_s: float, values: dict[str, Any], word: str, state: str
) -> None:
    assert state_of(row(**values), HostWord(state=word), silent_s) == state


def test_the_interval_of_a_node_that_states_none_is_learned() -> None:
    assert learned_interval(10, (30, 30)) == 10
    assert learned_interval(10, (30, 31, 29)) == 31
    assert learned_interval(10, (9, 1, 1.2, 1.1)) == 1.2
    assert learned_interval(10, (0.01, 0.01, 0.01)) == 10  # a burst says nothing
    assert learned_interval(10, (10, 10, 300)) == 10  # it was away
    assert learned_interval(10, (300, 300, 300)) == 60
    assert skew_s(row(node_clock=NOW + 90)) == 90
    assert skew_s(row()) is None


ADDRESSES = {
    "far": "8.8.8.8",
    "lan": "10.0.0.7",
    "here": "127.0.0.1",
    "cloud": "169.254.169.254",
    "both": "10.0.0.7",
}


def names(host: str) -> list[str]:
    if host == "both":
        return ["10.0.0.7", "127.0.0.1"]
    if host not in ADDRESSES:
        raise OSError(2, "no such name")
    return [ADDRESSES[host]]


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [
        ("http://10.0.0.7:8000", None),
        ("https://[2001:db8::7]/v1", None),
        ("http://lan:8000/v1", None),
        ("http://127.0.0.1:8000", "own machine"),
        ("http://[::1]:8000", "own machine"),
        ("http://[::ffff:127.0.0.1]:8000", "own machine"),
        ("http://here", "own machine"),
        ("http://both", "own machine"),
        ("http://169.254.169.254/latest/meta-data", "link-local"),
        ("http://[::ffff:169.254.169.254]", "link-local"),
        ("http://[64:ff9b::a9fe:a9fe]", "link-local"),
        ("http://[fe80::1]", "link-local"),
        ("http://cloud", "link-local"),
        ("http://100.100.100.200", "metadata"),
        ("http://[fd00:ec2::254]", "metadata"),
        ("http://metadata.google.internal", "metadata"),
        ("http://Metadata.Google.Internal.", "metadata"),
        ("http://0.0.0.0:80", "one machine"),
        ("http://224.0.0.1", "one machine"),
        ("http://255.255.255.255", "one machine"),
        ("http://nowhere", "cannot be resolved"),
        ("ftp://10.0.0.7", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("10.0.0.7:8000", "http or https"),
        ("http://user:word@10.0.0.7", "password"),
        ("http://10.0.0.7?a=1", "query"),
        ("http://10.0.0.7#a", "query"),
        ("http://10.0.0.7:0", "port 0"),
        ("http://10.0.0.7:99999", "not an address"),
        ("http://10.0.0.7/a\nb", "http or https"),
        ("http://127.0.0.1:8900", "itself"),
        ("http://[::1]:8900/v1", "itself"),
        ("http://here:8900", "itself"),
        ("http://10.0.0.7:8900", None),
        ("http://203.0.113.7:8000", "none of the networks of nodes .*node_networks"),
        ("http://100.64.0.7", "none of the networks"),
        ("http://[2001:db9::7]", "none of the networks"),
        ("http://[::ffff:8.8.8.8]", "none of the networks"),
        ("http://far", "none of the networks"),
    ],
)
def test_where_an_endpoint_may_be(endpoint: str, fault: str | None) -> None:
    services = [RegisteredService(service_id="x", endpoint=endpoint)]
    networks = ("loopback", "private", "2001:db8::/32")
    far, near = (EndpointRules(Reach(networks, own, 8900), names) for own in (False, True))
    if fault is None:
        return check_endpoints(services, far)
    with pytest.raises(NodeRefused, match=fault) as error:
        check_endpoints(services, far)
    assert (error.value.status, error.value.code) == (422, "endpoint")
    assert error.value.detail.startswith("$.services[0].endpoint")
    if fault == "own machine":
        check_endpoints(services, near)
    else:
        with pytest.raises(NodeRefused, match=fault):
            check_endpoints(services, near)
