"""Pictures as text: what they say, that they are whole, and that nothing of them is a style."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from modelscan.core.estimate import DeviceEstimate, Parts
from modelscan.core.plan import (
    CacheCurve,
    ContextTier,
    FileEstimate,
    FileRuns,
    FileSize,
    Quality,
)
from modelscan.core.units import GIB
from modelscan.core.verdict import Verdict
from modelscan.web.charts.bar import Piece, alike, grouped, memory_bar, small_bar, swatch
from modelscan.web.charts.course import Line, course
from modelscan.web.charts.curve import curve
from modelscan.web.charts.frame import binary_step, step_of
from modelscan.web.charts.intervals import Interval, intervals
from modelscan.web.charts.pace import Paced, pace
from modelscan.web.charts.scatter import scatter
from modelscan.web.charts.spark import spark
from modelscan.web.charts.waterfall import phases, waterfall

HOSTILE = '"><script>alert(1)</script>'


def svg(text: str) -> ET.Element:
    """The picture as XML: well-formed, without scripts, styles and handlers."""
    root = ET.fromstring(text)
    for element in root.iter():
        assert element.tag not in ("script", "style", "foreignObject")
        assert not [name for name in element.attrib if name == "style" or name.startswith("on")]
    return root


def words(root: ET.Element) -> list[str]:
    return [text.strip() for one in root.iter("text") if (text := one.text)]


def file(name: str, size: float, percent: float | None, *, chosen: bool = False, runs: bool = True,
         state: str = "fits", free: float = 24) -> FileSize:  # fmt: skip
    estimate = FileEstimate(int(size * GIB), int(size * GIB), 0, GIB // 4, None, int(free * GIB),
                            state, 30.0, 20.0, 40.0)  # type: ignore[arg-type]  # fmt: skip
    quality = None if percent is None else Quality(percent / 100, "measured")
    return FileSize("org/repo", "huggingface", (f"{name}.gguf",), "gguf", name, chosen,
                    FileRuns("llama.cpp" if runs else None, runs, None if runs else "no kernel"),
                    quality, percent, estimate if runs else None)  # fmt: skip


def test_a_bar_says_its_parts_and_what_is_free() -> None:
    pieces = [Piece("weights", "Weights", 18 * GIB), Piece("kv_cache", "KV cache", 4 * GIB)]
    root = svg(memory_bar("GPU 0", pieces, 24 * GIB))
    assert root.attrib["aria-label"] == (
        "GPU 0: weights 18.0 GiB, kv cache 4.0 GiB; 22.0 of 24.0 GiB, 2.0 GiB free"
    )
    assert words(root) == ["18.0", "4.0"]


def test_a_bar_over_its_capacity_has_a_line_and_says_how_much_is_too_much() -> None:
    root = svg(memory_bar("GPU 0", [Piece("weights", "Weights", 30 * GIB)], 24 * GIB))
    assert "6.0 GiB too much" in root.attrib["aria-label"]
    lines = [one for one in root.iter("line") if one.attrib["class"] == "limit"]
    assert lines[0].attrib["x1"] == "80.000%"


def test_bars_that_are_compared_have_one_scale() -> None:
    piece = [Piece("weights", "Weights", 10 * GIB)]
    widths = [
        next(one for one in svg(memory_bar("a", piece, 20 * GIB, scale=scale * GIB)).iter("rect")
             if one.attrib.get("class") == "part weights").attrib["width"]
        for scale in (20, 40)
    ]  # fmt: skip
    assert widths == ["50.000%", "25.000%"]


def test_names_in_pictures_are_escaped() -> None:
    for picture in (
        memory_bar(HOSTILE, [Piece("weights", HOSTILE, GIB)], 2 * GIB),
        scatter([file(HOSTILE, 10, 1.0)], 24 * GIB, HOSTILE, "wide"),
        intervals([Interval(HOSTILE, 0.5, 0.4, 0.6, 10)], "wide", HOSTILE),
        curve(curves(HOSTILE), 24 * GIB, 8192, HOSTILE, "narrow"),
    ):
        svg(picture)
        assert "<script" not in picture


def test_parts_of_an_estimate_add_up_to_it_and_a_pool_to_its_budget() -> None:
    parts = Parts(1, 2, 3, 4, 5, 6, 7, 8, 9)
    groups = grouped(parts)
    assert sum(groups.values()) == parts.total_bytes
    assert sum(grouped(parts, 100).values()) == 100


def test_equal_neighbours_are_one_bar() -> None:
    devices = [DeviceEstimate(index, Parts(weights_bytes=GIB), GIB, free_bytes=2 * GIB)
               for index in range(8)]  # fmt: skip
    assert [(numbers, count) for numbers, count, _ in alike(devices)] == [("0–7", 8)]
    assert alike([]) == []


def test_the_scatter_marks_what_fits_and_names_the_chosen_file() -> None:
    files = [file("Q8_0", 36, 0.04, state="too_big"), file("Q4_K_M", 20, 2.4, chosen=True),
             file("Q2_K", 12, 38.0), file("NVFP4", 20, 2.0, runs=False), file("X", 9, None)]  # fmt: skip
    root = svg(scatter(files, 24 * GIB, "RTX 4090", "wide"))
    kinds = sorted(
        one.attrib["class"] for one in root.iter() if "dot" in one.attrib.get("class", "")
    )
    assert kinds == ["dot fits", "dot fits chosen", "dot over"]
    assert root.attrib["aria-label"].startswith("3 files of this model; 2 fit RTX 4090")
    assert "Q4_K_M" in words(root)


def test_without_known_files_there_is_no_picture() -> None:
    assert (
        scatter([], GIB, "x", "wide") == "" and scatter([file("a", 1, None)], 1, "x", "wide") == ""
    )
    assert curve([], GIB, 1, "x", "wide") == "" and intervals([], "wide", "x") == ""
    assert waterfall([], "wide") == "" and spark([None, 1.0, None]) == ""


def curves(name: str = "f16") -> list[CacheCurve]:
    points = tuple(
        ContextTier(
            n, n * 1_000_000, 0, Verdict.FITS, 30.0, "fits", 18 * GIB + n * 100_000, GIB // 4
        )
        for n in (2048, 8192, 32768)
    )
    return [CacheCurve(name, points, 32768), CacheCurve("q8_0", points, 16384)]


def test_the_curve_has_a_line_per_cache_and_says_the_longest_context() -> None:
    root = svg(curve(curves(), 24 * GIB, 8192, "RTX 4090", "wide"))
    assert [
        one.attrib["class"] for one in root.iter("path") if one.attrib["class"].startswith("kv ")
    ] == ["kv k0", "kv k1"]
    assert "f16: at most 32k; q8_0: at most 16k" in root.attrib["aria-label"]
    names = [one for one in root.iter("text") if one.attrib["class"].startswith("series")]
    assert abs(float(names[0].attrib["y"]) - float(names[1].attrib["y"])) >= 15


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((2.0, 0.5, None, 1.0), [("waited in the queue", 0.0, 0.5), ("until the first token", 0.5, 1.0), ("rest of the answer", 1.0, 2.0)]),
        ((3.0, None, 2.0, 2.5), [("model was loaded", 0.0, 2.0), ("until the first token", 2.0, 2.5), ("rest of the answer", 2.5, 3.0)]),
        ((1.0, None, None, None), [("answer", 0.0, 1.0)]),
        ((0.5, None, None, 0.9), [("until the first token", 0.0, 0.5), ("rest of the answer", 0.5, 0.5)]),
    ],
)  # fmt: skip
def test_a_request_becomes_phases_without_gaps(
    times: tuple[float | None, ...], expected: list[tuple[str, float, float]]
) -> None:
    rows = phases(*times)  # type: ignore[arg-type]
    assert [(row.name, row.start_s, row.end_s) for row in rows] == expected
    svg(waterfall(rows, "wide"))
    svg(waterfall(rows, "narrow"))


def test_an_interval_is_drawn_between_its_bounds_and_a_difference_has_a_zero() -> None:
    rows = [Interval("a", 0.7, 0.6, 0.8, 40), Interval("b", 0.5, None, None, None)]
    root = svg(intervals(rows, "wide", "accuracy"))
    assert root.attrib["aria-label"] == "a: 0.70 (0.60 to 0.80), 40 tasks; b: 0.50"
    zero = svg(intervals([Interval("d", -0.1, -0.2, 0.05, 30)], "wide", "x", zero=True))
    limits = [one for one in zero.iter("line") if one.attrib["class"] == "limit"]
    assert len(limits) == 1


def test_small_pictures() -> None:
    assert 'width="50.0%"' in small_bar(1, 2) and 'class="over"' in small_bar(3, 2)
    assert 'width="0.0%"' in small_bar(None, None)
    svg(swatch("kv_cache"))
    assert svg(spark([0, 1, None, 2, 3])).find("path").attrib["d"].count("M") == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("span", "most", "step"), [(1.0, 6, 0.2), (0.011, 6, 0.002), (370, 5, 100)]
)
def test_steps_of_axes(span: float, most: int, step: float) -> None:
    assert step_of(span, most) == pytest.approx(step)
    assert span / binary_step(span, most) <= most


TIMES = [1_790_000_000.0 + 60 * n for n in range(60)]


def test_a_course_has_gaps_round_steps_and_says_the_last_and_the_highest() -> None:
    values = [None if 20 <= n < 30 else 10.0 + n for n in range(60)]
    root = svg(course(TIMES, [Line("tokens/s", values)], "tokens/s"))
    label = root.attrib["aria-label"]
    assert "tokens/s: last 69.0, highest 69.0" in label
    lines = [one for one in root.iter("path") if one.attrib["class"] == "kv k0"]
    assert len(lines) == 2
    assert {"0", "20", "40", "60", "80"} <= set(words(root))


def test_a_course_of_two_columns_is_a_band_only_where_both_are_known() -> None:
    low = [None if n < 30 else 0.5 for n in range(60)]
    lines = [Line("p50", low), Line("p95", [2.0] * 60, "k1")]
    root = svg(course(TIMES, lines, "seconds", band=True))
    bands = [one for one in root.iter("path") if one.attrib["class"] == "band"]
    assert len(bands) == 1 and bands[0].attrib["d"].count("L") == 59
    alone = svg(course(TIMES, [Line("x", [None, 3.0] + [None] * 58)], "s"))
    assert [one.attrib["class"] for one in alone.iter("circle")] == ["pt k0"]


def test_nothing_over_time_is_no_picture() -> None:
    assert course(TIMES, [Line("x", [0.0] * 60)], "s") == ""
    assert course(TIMES, [Line("x", [None] * 60)], "s") == ""
    assert course([1.0], [Line("x", [1.0])], "s") == ""


@pytest.mark.parametrize("span", [600, 3600, 86_400, 604_800, 30 * 86_400])
def test_a_course_has_some_times_on_its_axis(span: int) -> None:
    times = [1_790_000_000.0 + span / 60 * n for n in range(60)]
    root = svg(course(times, [Line("x", [1.0] * 60)], "s"))
    bottom = max(float(one.attrib["y"]) for one in root.iter("text"))
    shown = [one for one in root.iter("text") if float(one.attrib["y"]) > bottom - 12]
    assert 2 <= len(shown) <= 6


def test_quality_against_speed_names_models_and_their_memory() -> None:
    rows = [Paced("a", 0.9, 50.0, 8 * GIB), Paced(HOSTILE, 0.7, 120.0, None)]
    root = svg(pace(rows, "wide", "accuracy"))
    assert root.attrib["aria-label"].startswith(
        "accuracy against speed. a: 0.90, 50.0 tokens/s, 8.0 GiB"
    )
    assert pace(rows[:1], "wide", "accuracy") == ""


def test_ticks_of_a_difference_are_round_and_have_a_zero() -> None:
    root = svg(intervals([Interval("d", 0.333, 0.21, 0.45, 60)], "wide", "x", zero=True))
    ticks = [one.text for one in root.iter("text") if one.attrib["class"] == "tick"]
    assert ticks == ["-0.4", "-0.2", "0", "0.2", "0.4"]


def test_a_named_part_has_its_name_where_a_wide_bar_has_room() -> None:
    pieces = [Piece("weights", "coder", 20 * GIB), Piece("weights", "a-long-name" * 9, 3 * GIB)]
    texts = words(svg(memory_bar("GPU 0", pieces, 24 * GIB, named=True)))
    assert texts[:2] == ["coder 20.0", "20.0"] and "3.0" in texts


def test_small_differences_and_sizes_are_shown_as_they_are() -> None:
    from modelscan.web.words import difference, size

    assert [difference(x) for x in (None, -0.0000019, 0.0041, -0.914)] == [
        "–", "0.0 %", "+0.4 %", "-91.4 %",
    ]  # fmt: skip
    assert [size(x) for x in (0, 154 << 20, 1 << 30)] == ["0.0 GiB", "154 MiB", "1.0 GiB"]


def test_a_label_that_a_phone_has_no_room_for_is_for_wide_bars() -> None:
    parts = [Piece("weights", "Weights", 92 << 20), Piece("compute", "Compute", 17 << 20)]
    drawn = str(memory_bar("GPU 0", parts, 109 << 20, limited=False))
    narrow = str(memory_bar("GPU 0", [*parts, Piece("kv_cache", "KV", 60 << 20)], 169 << 20))
    assert drawn.count(" long") == 0
    assert narrow.count("in compute long") == 1 and "in weights long" not in narrow
