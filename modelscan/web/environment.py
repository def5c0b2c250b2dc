"""The templates: everything is escaped, and a name that no page gives is an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import quote

import jinja2

from modelscan.web import words
from modelscan.web.assets import asset_url
from modelscan.web.charts import bar
from modelscan.web.charts.course import course
from modelscan.web.charts.curve import curve
from modelscan.web.charts.intervals import intervals
from modelscan.web.charts.pace import pace
from modelscan.web.charts.scatter import scatter
from modelscan.web.charts.spark import spark
from modelscan.web.charts.waterfall import waterfall
from modelscan.web.visit import View, Visit

_NAVIGATION = (
    ("Here", "/"), ("Find", "/find"), ("Traffic", "/traffic"), ("Scores", "/scores"),
    ("Registry", "/registry"), ("System", "/system"), ("Docs", "/docs"),
)  # fmt: skip
_OWNERS = {"/model": "/find", "/compare": "/find", "/deployment": "/"}
_TEMPLATES = Path(__file__).resolve().parent / "templates"
# Cards that people have; any other can be written.
CARDS = (
    "RTX 4090", "RTX 5090", "RTX 3090", "RTX 4070 Ti", "RTX 3060 12GB", "2x RTX 4090", "H100 80GB",
    "8x H100 80GB", "RX 7900 XTX", "M4 Max 64GB",
)  # fmt: skip


@cache
def templates() -> jinja2.Environment:
    """The environment; made once."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    for name in ("gib", "size", "tokens", "speed", "whole", "count", "loss", "seconds", "share",
                 "difference", "plural", "short_name", "moment"):  # fmt: skip
        made.globals[name] = made.filters[name] = getattr(words, name)
    made.globals.update(
        asset=asset_url, cards=CARDS, path_of=path_of, memory_bar=bar.memory_bar,
        small_bar=bar.small_bar, swatch=bar.swatch, alike=bar.alike, pieces_of=bar.pieces_of,
        legend=bar.legend, scatter=scatter, curve=curve, spark=spark, waterfall=waterfall,
        intervals=intervals, course=course, pace=pace,
    )  # fmt: skip
    return made


def page_text(visit: Visit, view: View, *, exposed: bool = False) -> str:
    """A page as HTML. ``exposed``: of a gateway that others reach, whose pages need a key."""
    first = f"/{visit.path.split('/')[1]}"
    return templates().get_template(view.template).render(
        path=visit.path, query=visit.values, link=visit.link, navigation=_NAVIGATION,
        owner=_OWNERS.get(first, first), exposed=exposed, **view.values,
    )  # fmt: skip


def path_of(text: str) -> str:
    """A name as a part of an address; slashes stay."""
    return quote(text, safe="/:@.-_~")
