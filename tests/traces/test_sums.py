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
from modelscan.traces.rollups import (
    HOUR_S,
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
