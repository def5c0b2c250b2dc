"""What a receipt becomes when it is read: reasons, context, what left the machine, old rows."""

from __future__ import annotations

import pytest
from support.trace_rows import hosted, receipt

from modelscan.core.receipt import RouteChoice
from modelscan.traces.spans import span_of


@pytest.mark.parametrize(("used", "warned"), [(6553, False), (6554, True), (8192, True)])
def test_from_eighty_per_cent_of_the_served_context_on_there_is_a_warning(
    used: int, warned: bool
) -> None:
    context = span_of(receipt(input_tokens=used - 100, output_tokens=100)).context
    assert context is not None
    assert (context.used_tokens, context.window_tokens, context.warned) == (used, 8192, warned)
    assert context.source == "engine"


def test_an_unknown_window_or_count_is_no_pressure() -> None:
    assert span_of(receipt(window_tokens=None)).context is None
    assert span_of(receipt(input_tokens=None)).context is None


def test_what_left_the_machine_is_named_with_host_and_kinds() -> None:
    assert span_of(receipt()).left_machine is None
    left = span_of(hosted()).left_machine
    assert left is not None
    assert (left.bytes, left.host, left.kinds) == (500, "api.openai.com", ("text", "tools"))
    # The hosted one failed and a local one answered: the bytes had left all the same.
    mixed = span_of(hosted(host="127.0.0.1", backend="box")).left_machine
    assert mixed is not None and mixed.host == "api.openai.com"


def test_reasons_say_what_the_name_was_and_who_was_chosen() -> None:
    span = span_of(receipt(route="b", requested_model="a", fallback_from="a",
                           reasons=("box: status 503",), choice=RouteChoice("role", "scored", 3)))  # fmt: skip
    assert span.reasons == (
        "'b' is a role", "scored chose box of 3 entries", "box: status 503",
        "'a' had no entry that could answer: fallback",
    )  # fmt: skip


def test_cached_tokens_are_a_prefix_hit() -> None:
    hits = [span_of(receipt(cached_tokens=count)).prefix_hit for count in (None, 0, 64)]
    assert hits == [None, False, True]


def test_tools_are_names_and_counts_and_nobody_decides_about_them_here() -> None:
    span = span_of(hosted())
    assert [(tool.name, tool.calls) for tool in span.tools] == [("search", 2)]
    assert span.approvals is None
    assert len(span.span_id) == 16 and span.trace_id.endswith(span.span_id)
