"""The numbers of pages are those of the commands."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from support.served import until
from support.web_site import WebSite, run

from modelscan.web.words import gib, seconds, size, tokens

CARD = "gpu=RTX+4090"


def document(site: WebSite, *words: str) -> Any:
    """What a command prints with --json."""
    return json.loads(run(site.home, *words, "--json"))


def text_of(page: str) -> str:
    """A page's words, without tags."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_the_bar_of_a_plan_has_the_parts_of_estimate(site: WebSite) -> None:
    plan = document(site, "plan", "alibaba/qwen3-32b", "--gpu", "RTX 4090")["plan"]
    device = plan["estimate"]["per_gpu"][0]
    page = site.get(f"/model/alibaba/qwen3-32b?{CARD}")[1]
    words = text_of(page)
    assert f"{gib(device['total_bytes'])} of {gib(device['free_bytes'])} GiB" in words
    parts = device["parts"]
    weights = parts["weights_bytes"] + parts["vision_bytes"]
    label = re.search(r'aria-label="GPU 0: ([^"]+)"', page)
    assert label is not None and f"weights {size(weights)}" in label[1]
    assert f"kv cache {size(parts['kv_cache_bytes'] + parts['recurrent_state_bytes'])}" in label[1]
    assert f"{tokens(plan['context_tokens'])} context" in words


def test_the_curve_has_the_points_of_estimate(site: WebSite) -> None:
    sizes = document(site, "estimate", "alibaba/qwen3-32b", "--gpu", "RTX 4090", "--files")
    page = site.get(f"/model/alibaba/qwen3-32b?{CARD}")[1]
    for curve in sizes["curves"]:
        for point in curve["points"]:
            title = f"{tokens(point['context_tokens'])} with {curve['kv_cache']}: {gib(point['device_bytes'])} GiB"
            assert title in page
    marks = [
        one for one in sizes["files"] if one["estimate"] and one["perplexity_percent"] is not None
    ]
    assert f"{len(marks)} files of this model" in page


def test_the_waterfall_has_the_times_of_the_trace(site: WebSite) -> None:
    def answered() -> Any:
        rows = document(site, "trace", "list")["spans"]
        return next((one for one in rows if one["status"] == 200 and one["ttft_s"]), None)

    newest = until(answered)
    span = document(site, "trace", "show", newest["trace_id"])["span"]
    page = site.get(f"/traffic/{newest['trace_id']}")[1]
    label = re.search(r'<svg class="chart wide"[^>]*aria-label="([^"]+)"', page)
    assert label is not None
    assert (
        f"rest of the answer: {seconds(span['duration_s'] - max(span['ttft_s'], span['queue_s'] or 0))}"
        in label[1]
    )
    assert seconds(span["duration_s"]) in text_of(page)
