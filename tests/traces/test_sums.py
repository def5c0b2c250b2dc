"""Hourly sums lead to the same receipts as a look at each of them, in both databases."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from support.trace_rows import START, receipt

from modelscan.core.receipt import KeptContent, Receipt
from modelscan.state.server.database import ServerDatabase
from modelscan.traces.choices import ChoiceStore
from modelscan.traces.contents import ContentStore
from modelscan.traces.rollup_days import DAY_HOURS, HOUR_S, KEPT_BY_HOUR, merge_days, merged_before
from modelscan.traces.rollups import (
    band_of,
    busy_time,
    delete_sums,
    merged,
    read_sums,
)
from modelscan.traces.store import ReceiptFilter, ReceiptStore


def requests(rng: random.Random, count: int) -> list[Receipt]:
    """Over a few hours, to some routes and roles, in no exact order of time."""
    return [
        receipt(
            number, at=START + number * 90 - rng.random() * 900,
            route=rng.choice(("a", "b", "c")), role=rng.choice((None, "fast", "a")),
            status=rng.choice((200, 200, 200, 502)), input_tokens=rng.choice((10, 40_000, None)),
        )
        for number in range(count)
    ]  # fmt: skip


def test_filters_find_what_a_look_at_every_receipt_finds(server_database: ServerDatabase) -> None:
    rng = random.Random(5)
    rows = requests(rng, 300)
    store = ReceiptStore(server_database)
    for begin in range(0, 300, 60):
        store.write(rows[begin : begin + 60])
    for _ in range(60):
        only = ReceiptFilter(
            rng.choice((None, START + rng.random() * 27_000)),
            rng.choice((None, "a", "fast", "none")),
            rng.choice((None, 200, 502, 418)),
        )
        expected = [one for one in reversed(rows) if matches(one, only)]
        limit = rng.choice((1, 7, 999))
        assert store.newest(limit, only) == expected[:limit]
        assert list(store.each(only)) == expected[::-1]


def matches(one: Receipt, only: ReceiptFilter) -> bool:
    return (
        (only.since is None or one.at >= only.since)
        and (only.route is None or only.route in (one.route, one.role))
        and (only.status is None or only.status == one.status)
    )


def test_receipts_of_a_database_that_had_no_sums_yet_are_found(
    server_database: ServerDatabase,
) -> None:
    rows = requests(random.Random(6), 40)
    store = ReceiptStore(server_database)
    store.write(rows[:20])
    with server_database.writing() as connection:
        delete_sums(connection, START + 1e9)
    store.write(rows[20:])
    only = ReceiptFilter(route="a")
    assert list(store.each(only)) == [one for one in rows if matches(one, only)]


def test_sums_are_those_of_the_receipts_and_outlive_them(server_database: ServerDatabase) -> None:
    rows = requests(random.Random(7), 200)
    store = ReceiptStore(server_database)
    store.write(rows[:90])
    store.write(rows[90:])
    store.delete_before(START + 1e9)
    assert store.count() == 0
    with server_database.reading() as connection:
        sums, busy = read_sums(connection), busy_time(connection)
    per_route = Counter[str]()
    for one in sums:
        per_route[one.route] += one.input_tokens
    expected = Counter[str]()
    for row in rows:
        expected[row.route or ""] += row.input_tokens or 0
    assert per_route == expected
    assert sum(one.requests for one in sums) == 200
    assert sum(one.errors for one in sums) == sum(row.status == 502 for row in rows)
    unknown = sum(row.input_tokens is None and row.status == 200 for row in rows)
    assert sum(one.unknown_usage for one in sums) == unknown
    assert busy.requests_s == pytest.approx(400)
    later = START // HOUR_S * HOUR_S + 2 * HOUR_S
    with server_database.reading() as connection:
        assert sum(one.requests for one in read_sums(connection, later)) == sum(
            row.at >= later for row in rows
        )


def test_texts_have_their_own_age(server_database: ServerDatabase) -> None:
    texts = ContentStore(server_database)
    kept = [KeptContent(f"{n:032x}", START + n, b"{}" * n, b"answer", n == 3) for n in range(5)]
    texts.write(kept)
    assert texts.find(f"{3:032x}") == kept[3]
    assert texts.delete_before(START + 2) == 2
    assert (texts.count().requests, texts.find(f"{1:032x}")) == (3, None)
    store = ReceiptStore(server_database, contents_keep_s=10)
    store.write([receipt(1)])
    store.prune(START + 14)
    assert texts.count().requests == 1


def test_choices_are_kept_per_name_and_forgotten_together(server_database: ServerDatabase) -> None:
    store = ChoiceStore(server_database)
    assert store.read().receipts and not store.read().content
    for _ in range(2):  # twice is once
        store.keep_content("route", "b", on=True)
        store.keep_content("route", "a", on=True)
        store.keep_content("key", "ada", on=True)
    chosen = store.read()
    assert (chosen.routes, chosen.keys, chosen.everything) == (("a", "b"), ("ada",), False)
    store.keep_content("route", "a", on=False)
    assert store.read().routes == ("b",)
    store.record(on=False)
    store.keep_no_content()
    assert not store.read().receipts and not store.read().content
    store.record(on=True)
    assert store.read().receipts


def test_ranges_that_touch_are_one() -> None:
    assert merged([(1, 5), (6, 9), (20, 30), (25, 26)], gap=0) == [(20, 30), (1, 9)]
    assert merged([(1, 5), (9, 12), (20, 30)], gap=3) == [(20, 30), (1, 12)]
    assert merged([]) == []
    assert [band_of(n) for n in (None, 0, 32_000, 32_001, 10**9)] == [0, 0, 0, 32_000, 512_000]


def over_days(rng: random.Random, count: int) -> list[Receipt]:
    """Over eight days, at this machine and elsewhere; some hours have more work than seconds."""
    return [
        receipt(
            number, at=START + number * 8 * 86_400 / count, route=rng.choice(("a", "b")),
            tier=rng.choice(("local", "third_party")), duration_s=rng.choice((5.0, 900.0)),
            queue_s=None, status=rng.choice((200, 502)),
        )
        for number in range(count)
    ]  # fmt: skip


def test_days_that_are_old_have_one_row_and_the_same_sums(server_database: ServerDatabase) -> None:
    """Tokens, requests and the busy time stay; filters find the same; a late receipt counts."""
    rng = random.Random(9)
    rows = over_days(rng, 1500)
    store = ReceiptStore(server_database, keep_s=1e12)
    for begin in range(0, 1500, 300):
        store.write(rows[begin : begin + 300])
    now = rows[-1].at
    with server_database.writing() as connection:
        before, busy = read_sums(connection), busy_time(connection)
        assert merge_days(connection, now, most=2) == 2
        assert merge_days(connection, now, most=99) >= 2
        assert merge_days(connection, now) == 0
        after, busy_after = read_sums(connection), busy_time(connection)
        boundary = merged_before(connection)
    assert boundary % DAY_HOURS == 0
    assert 0 <= now // HOUR_S - KEPT_BY_HOUR - boundary < DAY_HOURS
    assert [one[:-1] for one in after] == [one[:-1] for one in before]
    assert busy_after.busy_s == pytest.approx(busy.busy_s)
    assert busy_after.busy_s < busy_after.requests_s < busy.requests_s
    for since in (None, START + 86_400 * 1.7, now - 3600):
        for status in (None, 200, 502):
            only = ReceiptFilter(since, rng.choice((None, "a")), status)
            expected = [one for one in reversed(rows) if matches(one, only)]
            assert store.newest(20, only) == expected[:20]
    late = receipt(5000, at=START + 1000.0, route="a", tier="local", duration_s=7.0, status=200)
    store.write([late])
    assert late in store.newest(9999, ReceiptFilter(START, "a"))
    with server_database.reading() as connection:
        assert sum(one.requests for one in read_sums(connection)) == 1501


def test_a_time_within_a_merged_day_begins_with_the_day(server_database: ServerDatabase) -> None:
    store = ReceiptStore(server_database, keep_s=1e12)
    day = START // 86_400 * 86_400
    rows = [receipt(n, at=day + n * 3600.0, route="a") for n in range(24 * 8)]
    store.write(rows)
    store.prune(rows[-1].at)
    with server_database.reading() as connection:
        assert sum(one.requests for one in read_sums(connection, day + 30 * 3600.0)) == 24 * 7
        assert sum(one.requests for one in read_sums(connection, rows[-2].at)) == 2
